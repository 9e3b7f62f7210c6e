/**
 * Envelopes for the comparison: the metadata of pushes, pulls and news, by three kinds of ids.
 *
 *   push     ten new patterns of a device
 *   pull     a snapshot of a hundred patterns
 *   news     to a device that holds such a snapshot: five went, five came, the others count more
 *   codec0   a whole body of codec 0: a push with its ten vectors
 *
 *   random   64 random bits, each pattern new to everybody
 *   known    64-bit ids drawn from a thousand that the tenant has, in both halves
 *   text     `a000` to `a999`, likewise
 *
 * Weights, samples and counts are log-uniform, success is 0.7 to 1, times lie within two hours.
 * @module
 */

const KNOWN = 1_000;
const PUSH = 10;
const PULL = 100;
const GONE = 5;
const NOW_S = 1_790_000_000;
const SPAN_S = 7_200;
export const DIM = 384;

export const ID_KINDS = ["random", "known", "text"];

/** The generators of one kind of ids; `random` has `next()`, uniform in [0, 1). */
export function envelopesOf(kind, random, roundCount) {
  const below = (limit) => Math.floor(random.next() * limit);
  const hexId = () => {
    const half = () =>
      below(2 ** 32)
        .toString(16)
        .padStart(8, "0");
    return half() + half();
  };
  const known = Array.from({ length: KNOWN }, (_, index) =>
    kind === "text" ? `a${String(index).padStart(3, "0")}` : hexId(),
  );
  const logUniform = (least, most) => Math.floor(least * (most / least) ** random.next());
  const idsOf = (count) => {
    const ids = new Set();
    while (ids.size < count) ids.add(kind === "random" ? hexId() : known[below(KNOWN)]);
    return [...ids];
  };
  const column = (count, value) => Array.from({ length: count }, value);
  const counted = (ids) => ({
    ids,
    weights: ids.map(() => roundCount(logUniform(50, 1_000_000))),
    devices: ids.map(() => roundCount(logUniform(50, 100_000))),
    trends: [],
  });
  return {
    push: () => ({
      ids: idsOf(PUSH),
      weights: column(PUSH, () => logUniform(1, 150)),
      success: column(PUSH, () => 700 + below(301)),
      samples: column(PUSH, () => logUniform(10, 1_000)),
      updatedAtS: column(PUSH, () => NOW_S + below(SPAN_S)).sort((a, b) => a - b),
      refs: column(PUSH, () => 0),
      removals: [],
    }),
    pull: () => ({ ...counted(idsOf(PULL).sort()), kept: [], removals: [] }),
    news() {
      const ids = idsOf(PULL + GONE);
      const [base, gone] = [ids.slice(0, PULL).sort(), new Set(ids.slice(0, GONE))];
      const next = ids.slice(GONE).sort();
      const kept = next.flatMap((id, index) => (base.includes(id) ? [index] : []));
      return { ...counted(next), kept, removals: base.filter((id) => gone.has(id)), base };
    },
    /** Ten vectors as codec 0 gets them: Gaussian directions of norm 1, in grid steps. */
    residuals: () => column(PUSH, () => unitVector(random)),
  };
}

function unitVector(random) {
  const gauss = () =>
    Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const vector = Array.from({ length: DIM }, gauss);
  const norm = Math.hypot(...vector);
  return Int32Array.from(vector, (value) => Math.round((value / norm) * 16_384));
}

/** A push as the columns of codec 0 (PROTOCOL.md §5); `coded` is left out when null. */
export function cborOfPush(push, coded, { encodeCbor, idToCbor }) {
  const body = new Map([
    [0, DIM],
    [1, push.ids.map(idToCbor)],
    [2, push.weights],
    [3, push.success],
    [4, push.samples],
    [5, push.updatedAtS.map((time, at) => time - (at === 0 ? 0 : push.updatedAtS[at - 1]))],
    [6, push.refs],
  ]);
  if (coded !== null) body.set(7, coded);
  return encodeCbor(body);
}

/** A pull or news as the columns of codec 0 (PROTOCOL.md §8), without the vectors. */
export function cborOfPull(pull, { encodeCbor, idToCbor }) {
  const columns = [DIM, pull.ids.map(idToCbor), pull.weights, pull.devices];
  const body = new Map(columns.entries());
  if (pull.removals.length > 0) body.set(7, pull.removals.map(idToCbor));
  if (pull.kept.length > 0) body.set(8, pull.kept);
  return encodeCbor(body);
}
