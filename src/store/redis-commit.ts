/**
 * A commit as commands of Redis.
 *
 *   WATCH lease, commit, fence → guard → MULTI → a HSET for each device and each tenant's sums → end → EXEC
 *
 * The registers and sums are most of it, and a HSET takes them as they come from the socket. In a
 * script each would be copied twice more, and while one commit's run Redis answers nobody else:
 * that is several times as long as the EXEC takes. Both scripts are small (commit-script.ts).
 * @module
 */
import { commitEndScript, commitGuardScript } from "./commit-script.ts";
import { devicesToTell, problemEvents } from "./events.ts";
import type { Commit, SumRow } from "./port.ts";
import { shardLease } from "./port.ts";
import { encodeCursor, encodeDeadLetter } from "./records.ts";
import type { GuardedCommands, RedisArgument, RedisCommand } from "./redis-connection.ts";
import { CURSOR_FIELD, type RedisKeys } from "./redis-keys.ts";

export interface CommitAt {
  readonly shard: number;
  readonly token: number;
  readonly number: number;
  readonly deadLettersKept: number;
}

/** Pure; the commit must have been checked. */
export function commitCommands(keys: RedisKeys, at: CommitAt, commit: Commit): GuardedCommands {
  const { shard, token, number } = at;
  const [lease, fence] = keys.lease(shardLease(shard));
  const commands: RedisCommand[] = [];
  for (const { key, cursor, registers } of commit.devices) {
    const fields = [[CURSOR_FIELD, encodeCursor(cursor)] as const, ...registers];
    pushHash(commands, keys.device(shard, key), fields);
  }
  const tenants = groupByTenant(commit.sums);
  for (const [tenant, rows] of tenants) {
    const fields = rows.map((row) => [`${row.pattern}/${row.bucket}`, row.blob] as const);
    pushHash(commands, keys.sums(shard, tenant), fields);
  }
  commands.push(endOf(keys, at, commit, [...tenants.keys()]));
  commands.push(["HSET", keys.commit(shard), "number", number, "token", token]);
  for (const event of problemEvents(devicesToTell(commit))) {
    commands.push(["PUBLISH", keys.channel, event]);
  }
  return {
    guard: commitGuardScript,
    keys: [lease, keys.commit(shard), fence],
    args: [token, number, number - 1],
    commands,
  };
}

/** A HSET of `fields`, and a HDEL of those that are null; neither when it would be empty. */
function pushHash(
  commands: RedisCommand[],
  key: string,
  fields: Iterable<readonly [field: string, value: Uint8Array | null]>,
): void {
  const set: RedisArgument[] = [];
  const deleted: string[] = [];
  for (const [field, value] of fields) {
    if (value === null) deleted.push(field);
    else set.push(field, value);
  }
  if (set.length > 0) commands.push(["HSET", key, ...set]);
  if (deleted.length > 0) commands.push(["HDEL", key, ...deleted]);
}

function endOf(
  keys: RedisKeys,
  { shard, deadLettersKept }: CommitAt,
  { stats, deadLetters }: Commit,
  tenants: readonly string[],
): RedisCommand {
  const ofEnd = [
    ...[keys.stats(shard), keys.dead(shard), keys.deadOrder(shard), keys.tenants(shard)],
    ...tenants.map((tenant) => keys.sums(shard, tenant)),
  ];
  return [
    ...(["EVAL", commitEndScript.text, ofEnd.length, ...ofEnd] as const),
    ...[deadLettersKept, stats.applied, stats.duplicates, stats.deadLettered],
    ...[...tenants, deadLetters.length],
    ...deadLetters.flatMap((letter) => [letter.id, encodeDeadLetter(letter)]),
  ];
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
