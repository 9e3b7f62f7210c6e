/**
 * Forgetting a device: its contributions are taken back, exactly, as if it had never been (P4).
 * @module
 */
import type { DeviceKey } from "../core/index.ts";
import type { FoldChanges, FoldCommit, FoldCursor } from "./fold-state.ts";
import { forgetMarkRow } from "./forget-mark.ts";
import { draftOf, encodeChanges, type ShardSums } from "./merge.ts";
import type { Register } from "./register.ts";

/**
 * The commit that takes every register of `key` out of `sums`, deletes them, and counts the
 * deletion. `marks`: devices of the tenant forgotten on this shard so far.
 */
export function foldForget(
  sums: ShardSums,
  key: DeviceKey,
  device: { readonly cursor: FoldCursor; readonly registers: ReadonlyMap<string, Register> },
  marks: number,
): { readonly commit: FoldCommit; readonly changes: FoldChanges } {
  const draft = draftOf(sums);
  const registers = new Map<string, null>();
  for (const [pattern, register] of device.registers) {
    draft.replace(key.tenant, pattern, register, null);
    registers.set(pattern, null);
  }
  const changed = draft.changes();
  const commit: FoldCommit = {
    sums: [...encodeChanges(changed), forgetMarkRow(key.tenant, marks + 1)],
    devices: [{ key, cursor: { ...device.cursor, patterns: 0 }, registers }],
    deadLetters: [],
    stats: { applied: 0, duplicates: 0, deadLettered: 0 },
  };
  return { commit, changes: { sums: changed, devices: new Map() } };
}
