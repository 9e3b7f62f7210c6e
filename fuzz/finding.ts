/**
 * What a run found, and how it is told.
 * @module
 */

export interface Finding {
  readonly target: string;
  /** What is wrong, in words. */
  readonly what: string;
  /** The command that does it again. */
  readonly replay: string;
  /** The input in hex, where the target is a function of bytes. */
  readonly hex?: string;
}

export interface TargetResult {
  readonly target: string;
  readonly inputs: number;
  /** Distinct outcomes: "read" and reasons of refusals. Fewer than expected means a fuzzer that gets nowhere. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The slowest input, milliseconds, or the longest event-loop stall that came again. */
  readonly slowestMs: number;
  readonly grewMiB: number;
  readonly seconds: number;
  readonly findings: readonly Finding[];
}

export interface FuzzReport {
  readonly seed: number;
  readonly minutes: number;
  readonly targets: readonly TargetResult[];
}

/** RSS may grow this much above what it was after the warm-up, MiB. */
export const GROWTH_MIB_MAX = 32;
const REPLAY_CHARACTERS = 200;

/** The report for people. */
export function textOf({ targets, seed }: FuzzReport): string {
  const lines = targets.map(({ target, inputs, outcomes, slowestMs, grewMiB, findings }) =>
    [
      target.padEnd(8),
      inputs.toLocaleString("en").padStart(12),
      String(Object.keys(outcomes).length).padStart(9),
      slowestMs.toFixed(1).padStart(11),
      grewMiB.toFixed(1).padStart(9),
      String(findings.length).padStart(9),
    ].join(" "),
  );
  const head = `target         inputs  outcomes  slowest ms  grew MiB  findings   (seed ${seed})`;
  const found = targets.flatMap(({ findings }) => findings);
  const told = found.map(({ target, what, replay, hex }) => {
    const bytes = hex === undefined ? "" : `\n  input ${hex.slice(0, REPLAY_CHARACTERS)}`;
    return `${target}: ${what}\n  again: ${replay}${bytes}`;
  });
  return `${[head, ...lines, ...told].join("\n")}\n`;
}
