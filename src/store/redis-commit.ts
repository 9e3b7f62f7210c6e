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
import type { HashWriter } from "./hash-write.ts";
import type { Commit, SumRow } from "./port.ts";
import { shardLease } from "./port.ts";
import { encodeCursor, encodeDeadLetter } from "./records.ts";
import type { GuardedCommand, GuardedCommands, RedisCommand } from "./redis-connection.ts";
import { CURSOR_FIELD, type RedisKeys } from "./redis-keys.ts";

export interface CommitAt {
  readonly shard: number;
  readonly token: number;
  readonly number: number;
  readonly deadLettersKept: number;
}

/** The commands are good until `writer` is released; the commit must have been checked. */
export function commitCommands(
  keys: RedisKeys,
  at: CommitAt,
  commit: Commit,
  writer: HashWriter,
): GuardedCommands {
  const { shard, token, number } = at;
  const [lease, fence] = keys.lease(shardLease(shard));
  const commands: GuardedCommand[] = [];
  for (const { key, cursor, registers } of commit.devices) {
    const hash = new Hash(keys.device(shard, key));
    hash.put(CURSOR_FIELD, encodeCursor(cursor));
    registers.forEach((blob, pattern) => {
      hash.put(pattern, blob);
    });
    hash.pushTo(commands, writer);
  }
  const tenants = groupByTenant(commit.sums);
  for (const [tenant, rows] of tenants) {
    const hash = new Hash(keys.sums(shard, tenant));
    for (const { pattern, bucket, blob } of rows) hash.put(`${pattern}/${bucket}`, blob);
    hash.pushTo(commands, writer);
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

/** What a commit does to one hash. */
class Hash {
  readonly #key: string;
  readonly #fields: string[] = [];
  /** One for each field. */
  readonly #values: Uint8Array[] = [];
  readonly #deleted: string[] = [];

  constructor(key: string) {
    this.#key = key;
  }

  /** Null deletes the field. */
  put(field: string, value: Uint8Array | null): void {
    if (value === null) {
      this.#deleted.push(field);
      return;
    }
    this.#fields.push(field);
    this.#values.push(value);
  }

  /** A HSET and a HDEL; neither when it would be empty. */
  pushTo(commands: GuardedCommand[], writer: HashWriter): void {
    const write = writer.write(this.#key, this.#fields, this.#values);
    if (write !== null) commands.push(write);
    if (this.#deleted.length > 0) commands.push(["HDEL", this.#key, ...this.#deleted]);
  }
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
