/**
 * Kept dead letters, found, retried and dropped.
 * @module
 */
import { shardOf } from "../core/index.ts";
import type { DeltaProducer } from "../queue/index.ts";
import type { DeadLetter, Store } from "../store/index.ts";

/** Which letters are meant; a field left out means any. */
export interface LetterFilter {
  readonly ids?: readonly string[];
  readonly tenant?: string | undefined;
  readonly device?: string | undefined;
  readonly reason?: string | undefined;
}

/** The tenant of jobs that were no batches: nobody knows whose frames they held. */
export const NOBODY = "-";
const KEPT_MAX = 1_000_000;

/** The kept letters that `filter` means, of all shards, newest first by the gateways' clocks. */
export async function findLetters(store: Store, filter: LetterFilter): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for (let shard = 0; shard < store.shards; shard += 1) {
    const letters = await store.deadLetters(shard, KEPT_MAX);
    found.push(...letters.filter((letter) => isMeant(letter, filter)));
  }
  return found.sort((a, b) => b.receivedAtMs - a.receivedAtMs);
}

function isMeant({ id, key, reason }: DeadLetter, filter: LetterFilter): boolean {
  if (filter.ids !== undefined && !filter.ids.includes(id)) return false;
  if (filter.tenant !== undefined && filter.tenant !== key.tenant) return false;
  if (filter.device !== undefined && filter.device !== key.device) return false;
  return filter.reason === undefined || filter.reason === reason;
}

/** Forgets `letters`; answers how many were still there. */
export async function dropLetters(store: Store, letters: readonly DeadLetter[]): Promise<number> {
  let dropped = 0;
  for (const [shard, group] of byShard(store, letters)) {
    const ids = group.map((letter) => letter.id);
    dropped += await store.dropDeadLetters(shard, ids);
  }
  return dropped;
}

/**
 * Queues `letters` once more, oldest first, and forgets them when they are durable there. One that
 * is refused again is a dead letter again. A crash in between leaves both: retrying twice does no
 * harm, because a register takes each position once.
 */
export async function retryLetters(
  store: Store,
  producer: DeltaProducer,
  letters: readonly DeadLetter[],
): Promise<void> {
  for (const [shard, group] of byShard(store, letters)) {
    const oldestFirst = group.toSorted((a, b) => a.receivedAtMs - b.receivedAtMs);
    await producer.add(
      shard,
      oldestFirst.map(({ key, receivedAtMs, frame }) => ({
        ...{ key, receivedAtMs, frame },
        retried: true,
      })),
    );
    await dropLetters(store, group);
  }
}

function byShard(store: Store, letters: readonly DeadLetter[]): Map<number, DeadLetter[]> {
  const groups = new Map<number, DeadLetter[]>();
  for (const letter of letters) {
    const shard = shardOf(letter.key, store.shards);
    groups.set(shard, [...(groups.get(shard) ?? []), letter]);
  }
  return groups;
}
