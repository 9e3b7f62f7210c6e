/**
 * "Did you mean": the known name nearest to one that is not known.
 * @module
 */

/** Levenshtein distance (1965): insertions, deletions and substitutions from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const deletion = (previous[column] ?? 0) + 1;
      const insertion = (current[column - 1] ?? 0) + 1;
      current.push(Math.min(substitution, deletion, insertion));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/**
 * The candidate nearest to `name`, or null when none is near enough to be
 * meant. A right last word in the wrong place (`port` for `gateway.tcp.port`)
 * counts as near; among equals the first candidate wins.
 */
function nearest(name: string, candidates: readonly string[]): string | null {
  const asked = name.slice(0, 128);
  const distanceMax = Math.max(2, Math.floor(asked.length / 4));
  let best: { candidate: string; distance: number } | null = null;
  for (const candidate of candidates) {
    const whole = editDistance(asked.toLowerCase(), candidate.toLowerCase());
    const tail = lastWord(asked) === lastWord(candidate) ? distanceMax : Number.POSITIVE_INFINITY;
    const distance = Math.min(whole, tail);
    if (distance <= distanceMax && (best === null || distance < best.distance)) {
      best = { candidate, distance };
    }
  }
  return best?.candidate ?? null;
}

/** `: did you mean X?` or nothing. */
export function suggestion(name: string, candidates: readonly string[]): string {
  const found = nearest(name, candidates);
  return found === null ? "" : `: did you mean ${found}?`;
}

function lastWord(name: string): string {
  return name.slice(Math.max(name.lastIndexOf("."), name.lastIndexOf("__") + 1) + 1).toLowerCase();
}
