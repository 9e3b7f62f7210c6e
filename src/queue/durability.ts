/**
 * Could this server lose what it acknowledged?
 *
 * P1 is a promise about durability, so a Redis without append-only file or one
 * that may evict keys breaks it however correct our code is (measured:
 * kill -9 without AOF lost everything).
 * @module
 */
import { InvalidConfigError, type SqlPool } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";

/**
 * The faults in the text of Redis' `INFO` and its `appendfsync` setting (null when it does not
 * tell), where `replicas` must have each add, as sentences with their remedy. Empty when all is well.
 *
 * `everysec` is a fault: while an fsync is under way Redis answers before it writes to the file,
 * so that even kill -9, without any power loss, took answered writes with it.
 */
export function redisFaults(info: string, appendfsync: string | null, replicas: number): string[] {
  const field = (name: string) => info.match(new RegExp(`^${name}:([^\\r\\n]*)`, "m"))?.[1];
  const faults: string[] = [];
  const policy = field("maxmemory_policy");
  if (policy !== undefined && policy !== "noeviction") {
    faults.push(
      `Redis may evict queued deltas: maxmemory-policy is ${policy}, set it to noeviction`,
    );
  }
  if (field("aof_enabled") === "0") {
    faults.push(
      "Redis forgets acknowledged deltas when it is killed: set appendonly yes and appendfsync always",
    );
  } else if (appendfsync !== null && appendfsync !== "always") {
    faults.push(
      `Redis may forget its last acknowledged deltas when it is killed: appendfsync is ${appendfsync}, set it to always`,
    );
  }
  const linked = Number(field("connected_slaves") ?? 0);
  if (linked < replicas) {
    faults.push(
      `Redis has ${linked} replicas and ${replicas} must have each delta: until there are as many nothing is acknowledged`,
    );
  }
  return faults;
}

/** The faults in a PostgreSQL server's settings. Rejects as `pool.query` does. */
export async function postgresFaults(pool: SqlPool): Promise<string[]> {
  const { rows } = await pool.query(
    "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit",
  );
  const faults: string[] = [];
  if (rows[0]?.fsync === "off") {
    faults.push("PostgreSQL forgets acknowledged deltas when power fails: set fsync on");
  }
  if (rows[0]?.commit === "off") {
    faults.push(
      "PostgreSQL forgets acknowledged deltas when it is killed: set synchronous_commit on",
    );
  }
  return faults;
}

/** Warns about each fault, or throws `InvalidConfigError` with all of them. */
export function judgeDurability(
  faults: readonly string[],
  unsafe: "refuse" | "warn" | "ignore",
  log: Logger,
): void {
  if (faults.length === 0 || unsafe === "ignore") return;
  if (unsafe === "refuse") throw new InvalidConfigError(faults);
  for (const fault of faults) log.warn("queue.durability", { fault });
}
