/**
 * A commit as the keys and arguments of the commit script, in the order it takes them.
 * @module
 */

import { ByteWriter } from "./bytes.ts";
import { devicesToTell, problemEvents } from "./events.ts";
import type { Commit, SumRow } from "./port.ts";
import { shardLease } from "./port.ts";
import { encodeCursor, encodeDeadLetter } from "./records.ts";
import type { RedisArgument } from "./redis-connection.ts";
import { CURSOR_FIELD, type RedisKeys } from "./redis-keys.ts";

/** Counts, lengths and a name of the usual size, of a field; of a device, its cursor as well. */
const FIELD_BYTES = 48;
const DEVICE_BYTES = 128;

export interface CommitAt {
  readonly shard: number;
  readonly token: number;
  readonly number: number;
  readonly deadLettersKept: number;
}

/** Pure; the commit must have been checked. */
export function commitArguments(
  keys: RedisKeys,
  at: CommitAt,
  commit: Commit,
): { keys: string[]; args: RedisArgument[] } {
  const { shard } = at;
  const tenants = groupByTenant(commit.sums);
  const { applied, duplicates, deadLettered } = commit.stats;
  const args: RedisArgument[] = [at.token, at.number, at.number - 1, at.deadLettersKept];
  args.push(applied, duplicates, deadLettered, packHashes(commit, tenants));
  args.push(commit.deadLetters.length);
  for (const letter of commit.deadLetters) args.push(letter.id, encodeDeadLetter(letter));
  const events = problemEvents(devicesToTell(commit));
  args.push(keys.channel, events.length, ...events);
  return {
    keys: [
      keys.lease(shardLease(shard))[0],
      keys.commit(shard),
      keys.stats(shard),
      keys.dead(shard),
      keys.deadOrder(shard),
      keys.tenants(shard),
      ...commit.devices.map((device) => keys.device(shard, device.key)),
      ...[...tenants.keys()].map((tenant) => keys.sums(shard, tenant)),
    ],
    args,
  };
}

/**
 * What the commit writes into hashes, as one argument: thousands of arguments cost both ends more
 * than the bytes in them.
 *
 *   hashes  = n{hash} of devices  n{tenant hash} of sums
 *   hash    = n{field value} set  n{field} deleted
 *
 * Counts and the lengths in front of tenant, field and value are uint32, little-endian.
 */
function packHashes(commit: Commit, tenants: ReadonlyMap<string, readonly SumRow[]>): Uint8Array {
  const out = new ByteWriter(bytesExpected(commit));
  out.uint32(commit.devices.length);
  for (const { cursor, registers } of commit.devices) {
    packHash(out, registers, [CURSOR_FIELD, encodeCursor(cursor)]);
  }
  out.uint32(tenants.size);
  for (const [tenant, rows] of tenants) {
    packText(out, tenant);
    packHash(out, new Map(rows.map((row) => [`${row.pattern}/${row.bucket}`, row.blob])));
  }
  return out.finish();
}

function packHash(
  out: ByteWriter,
  fields: ReadonlyMap<string, Uint8Array | null>,
  first?: readonly [field: string, value: Uint8Array],
): void {
  let deleted = 0;
  for (const value of fields.values()) if (value === null) deleted += 1;
  out.uint32(fields.size - deleted + (first === undefined ? 0 : 1));
  if (first !== undefined) packField(out, ...first);
  for (const [field, value] of fields) if (value !== null) packField(out, field, value);
  out.uint32(deleted);
  if (deleted === 0) return;
  for (const [field, value] of fields) if (value === null) packText(out, field);
}

function packField(out: ByteWriter, field: string, value: Uint8Array): void {
  out.uint32(field.length);
  out.uint32(value.length);
  out.ascii(field);
  out.raw(value);
}

function packText(out: ByteWriter, text: string): void {
  out.uint32(text.length);
  out.ascii(text);
}

/** Enough, as long as cursors have no problems to tell. */
function bytesExpected({ sums, devices }: Commit): number {
  let bytes = FIELD_BYTES;
  for (const { blob } of sums) bytes += FIELD_BYTES + (blob?.length ?? 0);
  for (const { registers } of devices) {
    bytes += DEVICE_BYTES;
    for (const blob of registers.values()) bytes += FIELD_BYTES + (blob?.length ?? 0);
  }
  return bytes;
}

function groupByTenant(rows: readonly SumRow[]): Map<string, SumRow[]> {
  const groups = new Map<string, SumRow[]>();
  for (const row of rows) {
    const group = groups.get(row.tenant);
    if (group) group.push(row);
    else groups.set(row.tenant, [row]);
  }
  return groups;
}
