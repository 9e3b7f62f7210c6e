/**
 * Whether a commit may be written at all, decided before any backend sees it.
 *
 * Neither a Lua script nor a MULTI … EXEC rolls back when it fails half-way, so nothing that could
 * make it fail may enter it; and the three adapters must refuse alike.
 * @module
 */
import { type DeviceKey, deviceName, isId, SerializationError, shardOf } from "../core/index.ts";
import {
  type Commit,
  CURSOR_AHEAD_BYTES,
  CURSOR_EPOCHS_MAX,
  CURSOR_PROBLEMS_MAX,
  type DeadLetter,
  type DeviceCursor,
  type DeviceWrite,
  type SumRow,
} from "./port.ts";

/** The blobs and frames of one commit together; Redis and PostgreSQL are blocked while they take them. */
const COMMIT_BYTES_MAX = 64 * 1024 * 1024;
/** Rows, registers, devices and dead letters of one commit together (Redis allows 2^20 arguments). */
const COMMIT_ITEMS_MAX = 200_000;

const DEAD_LETTER_ID = /^[\x21-\x7e]{1,128}$/;

interface Load {
  bytes: number;
  items: number;
}

/**
 * Throws `SerializationError`: "commit.id", "commit.duplicate", "commit.shard",
 * "commit.cursor", "commit.number" or "commit.size", with what was wrong in its detail.
 */
export function checkCommit(shard: number, shards: number, commit: Commit): void {
  const load: Load = { bytes: 0, items: 0 };
  checkSums(commit.sums, load);
  checkDevices(shard, shards, commit.devices, load);
  for (const letter of commit.deadLetters) checkDeadLetter(shard, shards, letter, load);
  requireNatural("stats.applied", commit.stats.applied);
  requireNatural("stats.duplicates", commit.stats.duplicates);
  requireNatural("stats.deadLettered", commit.stats.deadLettered);
  if (load.bytes > COMMIT_BYTES_MAX || load.items > COMMIT_ITEMS_MAX) {
    throw wrong("commit.size", `a commit holds at most ${COMMIT_BYTES_MAX} bytes`, { ...load });
  }
}

/** Throws `SerializationError("commit.shard")` when `shard` is none of the store's. */
export function requireShard(shard: number, shards: number): void {
  if (Number.isInteger(shard) && shard >= 0 && shard < shards) return;
  throw wrong("commit.shard", `shard must be in 0 … ${shards - 1}`, { shard });
}

/** Throws `SerializationError("commit.id")` when either half of the key is no id. */
export function requireKey(key: DeviceKey): void {
  if (isId(key.tenant) && isId(key.device)) return;
  throw wrong("commit.id", "a device key must hold ids", { ...key });
}

/** Throws `SerializationError("commit.id")` when `value` is no id. */
export function requireName(what: string, value: string): void {
  if (!isId(value)) throw wrong("commit.id", `${what} must be an id`, { [what]: value });
}

function checkSums(sums: readonly SumRow[], load: Load): void {
  const seen = new Set<string>();
  for (const { tenant, pattern, bucket, blob } of sums) {
    requireName("tenant", tenant);
    requireName("pattern", pattern);
    if (!Number.isSafeInteger(bucket)) {
      throw wrong("commit.number", "a bucket must be a safe integer", { pattern, bucket });
    }
    const name = `${tenant}/${pattern}/${bucket}`;
    if (seen.has(name)) throw wrong("commit.duplicate", "a sum row is there twice", { row: name });
    seen.add(name);
    load.items += 1;
    load.bytes += blob?.length ?? 0;
  }
}

function checkDevices(
  shard: number,
  shards: number,
  devices: readonly DeviceWrite[],
  load: Load,
): void {
  const seen = new Set<string>();
  for (const { key, cursor, registers } of devices) {
    requireMember(shard, shards, key);
    const name = deviceName(key);
    if (seen.has(name))
      throw wrong("commit.duplicate", "a device is there twice", { device: name });
    seen.add(name);
    checkCursor(name, cursor);
    load.items += 1 + registers.size;
    registers.forEach((blob, pattern) => {
      requireName("pattern", pattern);
      load.bytes += blob?.length ?? 0;
    });
  }
}

function checkCursor(device: string, cursor: DeviceCursor): void {
  const refuse = (message: string) => wrong("commit.cursor", message, { device });
  if (cursor.epochs.length > CURSOR_EPOCHS_MAX) throw refuse("a cursor has too many epochs");
  if (cursor.problems.length > CURSOR_PROBLEMS_MAX) throw refuse("a cursor has too many problems");
  let last = 0;
  for (const { epoch, low, ahead } of cursor.epochs) {
    requireNatural("epoch", epoch);
    requireNatural("low", low);
    if (epoch <= last) throw refuse("a cursor's epochs must ascend from 1");
    if (ahead.length !== CURSOR_AHEAD_BYTES) {
      throw refuse(`a cursor's ahead must be ${CURSOR_AHEAD_BYTES} bytes`);
    }
    last = epoch;
  }
  requireNatural("base", cursor.base);
  requireNatural("patterns", cursor.patterns);
  for (const { position } of cursor.problems) checkPosition(position);
}

function checkDeadLetter(shard: number, shards: number, letter: DeadLetter, load: Load): void {
  requireMember(shard, shards, letter.key);
  if (!DEAD_LETTER_ID.test(letter.id)) {
    throw wrong("commit.id", "a dead letter's id must be 1–128 printable ASCII characters", {
      id: letter.id,
    });
  }
  requireNatural("receivedAtMs", letter.receivedAtMs);
  checkPosition(letter.position);
  load.items += 1;
  load.bytes += letter.frame.length + letter.detail.length;
}

function checkPosition(position: { readonly epoch: number; readonly seq: number } | null): void {
  if (position === null) return;
  requireNatural("epoch", position.epoch);
  requireNatural("seq", position.seq);
}

function requireMember(shard: number, shards: number, key: DeviceKey): void {
  requireKey(key);
  const home = shardOf(key, shards);
  if (home === shard) return;
  throw wrong("commit.shard", "a device belongs to another shard", {
    device: deviceName(key),
    shard,
    home,
  });
}

function requireNatural(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw wrong("commit.number", `${what} must be an integer in 0 … 2^53 − 1: got ${value}`, {});
}

function wrong(
  reason: string,
  message: string,
  detail: Record<string, unknown>,
): SerializationError {
  return new SerializationError(reason, message, { detail });
}
