/**
 * A commit as the keys and arguments of the commit script, in the order it takes them.
 * @module
 */

import { devicesToTell, problemEvents } from "./events.ts";
import type { Commit, SumRow } from "./port.ts";
import { shardLease } from "./port.ts";
import { encodeCursor, encodeDeadLetter } from "./records.ts";
import type { RedisArgument } from "./redis-connection.ts";
import { CURSOR_FIELD, type RedisKeys } from "./redis-keys.ts";

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
  args.push(applied, duplicates, deadLettered, commit.devices.length);
  for (const { cursor, registers } of commit.devices) {
    pushHash(args, [[CURSOR_FIELD, encodeCursor(cursor)], ...registers]);
  }
  args.push(tenants.size);
  for (const [tenant, rows] of tenants) {
    args.push(tenant);
    pushHash(
      args,
      rows.map((row) => [`${row.pattern}/${row.bucket}`, row.blob]),
    );
  }
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

/** The values set, then the fields deleted, each with its count in front. */
function pushHash(
  args: RedisArgument[],
  fields: readonly (readonly [field: string, value: Uint8Array | null])[],
): void {
  const set = fields.filter((entry): entry is [string, Uint8Array] => entry[1] !== null);
  const deleted = fields.filter(([, value]) => value === null);
  args.push(set.length * 2);
  for (const [field, value] of set) args.push(field, value);
  args.push(deleted.length);
  for (const [field] of deleted) args.push(field);
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
