/**
 * The fold: a batch of queued frames in, one atomic commit and an outcome per frame out.
 *
 * Pure: it reads the state it is given and changes nothing, so a batch whose
 * commit fails is folded again from the same state, and a crash between fold
 * and commit is a batch that never was (P2). The sums depend on the set of
 * frames, not on their order (P4): frames of one device meet one another in
 * the draft, and one that waits for another of the same batch is taken up
 * again when that one has been consumed.
 * @module
 */
import { Batch } from "./fold-batch.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { FoldEntry, Folded, FoldState, Outcome } from "./fold-state.ts";

/**
 * Folds `entries` into `state`; `nowMs` is the wall clock and only decides what has expired.
 * One bad entry costs its own dead letter and never touches the others. Arrival times are
 * integers ≥ 0: the gateway stamped them.
 */
export function fold(
  state: FoldState,
  entries: readonly FoldEntry[],
  policy: FoldPolicy,
  nowMs: number,
): Folded {
  const batch = new Batch(state, policy, nowMs);
  const outcomes: Outcome[] = [];
  const waiting = new Map<string, number[]>();
  const work = [...entries.keys()].reverse();

  const settle = (index: number, isFinal: boolean) => {
    const entry = entries[index] as FoldEntry;
    const outcome = batch.take(entry, isFinal);
    outcomes[index] = outcome;
    const { position } = entry.read;
    if (position === null) return;
    if (outcome.kind === "deferred") {
      const name = waitName(entry, position.epoch, outcome.referenceSeq);
      const others = waiting.get(name);
      if (others === undefined) waiting.set(name, [index]);
      else others.push(index);
      return;
    }
    if (waiting.size === 0) return;
    const name = waitName(entry, position.epoch, position.seq);
    work.push(...(waiting.get(name) ?? []));
    waiting.delete(name);
  };
  const settleWork = () => {
    for (let index = work.pop(); index !== undefined; index = work.pop()) {
      if ((outcomes[index]?.kind ?? "deferred") === "deferred") settle(index, false);
    }
  };

  settleWork();
  for (const [index, entry] of entries.entries()) {
    if (!entry.final || outcomes[index]?.kind !== "deferred") continue;
    settle(index, true);
    settleWork();
  }
  return batch.finish(outcomes);
}

/** What those who wait for a position of this entry's device are found by. */
function waitName({ name }: FoldEntry, epoch: number, seq: number): string {
  return `${name} ${epoch} ${seq}`;
}
