/**
 * What the backends keep of devices: cursors and dead letters as bytes.
 *
 * Every record starts with its version, so that a later release can read what
 * this one wrote; an unknown version, an unknown flag or a value out of its range
 * is refused (`SerializationError("record.*")`) rather than guessed at. Sums and
 * registers are the aggregator's own blobs and pass through untouched.
 *
 *   cursor      = 1  n{epoch low ahead[32]}  base  patterns  n{problem}
 *   problem     = flags(1 detail, 2 position)  reason  title  [detail]  [epoch seq]
 *   dead letter = 1  id  tenant  device  flags(2 position)  [epoch seq]  reason  detail  receivedAtMs  frame
 * @module
 */
import { assert, limits } from "../core/index.ts";
import type { Position, Problem } from "../wire/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import {
  CURSOR_AHEAD_BYTES,
  CURSOR_EPOCHS_MAX,
  CURSOR_PROBLEMS_MAX,
  type DeadLetter,
  type DeviceCursor,
  type EpochCursor,
} from "./port.ts";

const CURSOR_VERSION = 1;
const DEAD_LETTER_VERSION = 1;
const FLAG_DETAIL = 1;
const FLAG_POSITION = 2;

assert(CURSOR_AHEAD_BYTES * 8 === limits.DEDUP_WINDOW, "one bit per seq of the dedup window");

/** Throws `SerializationError("record.integer")` on a number that is not 0 … 2^53 − 1. */
export function encodeCursor(cursor: DeviceCursor): Uint8Array {
  const out = new ByteWriter();
  out.byte(CURSOR_VERSION);
  out.varint(cursor.epochs.length);
  for (const epoch of cursor.epochs) {
    out.varint(epoch.epoch);
    out.varint(epoch.low);
    out.raw(epoch.ahead);
  }
  out.varint(cursor.base);
  out.varint(cursor.patterns);
  out.varint(cursor.problems.length);
  for (const problem of cursor.problems) writeProblem(out, problem);
  return out.finish();
}

/** Inverse of {@link encodeCursor}; strict. */
export function decodeCursor(bytes: Uint8Array): DeviceCursor {
  const from = new ByteReader(bytes, "cursor");
  requireVersion(from, CURSOR_VERSION);
  const epochCount = from.count(2 + CURSOR_AHEAD_BYTES);
  if (epochCount > CURSOR_EPOCHS_MAX) throw from.wrong("record.range", "has too many epochs");
  const epochs: EpochCursor[] = [];
  for (let index = 0; index < epochCount; index += 1) {
    const epoch = from.varint();
    if (epoch <= (epochs.at(-1)?.epoch ?? 0)) {
      throw from.wrong("record.range", "has epochs that do not ascend from 1");
    }
    epochs.push({ epoch, low: from.varint(), ahead: from.raw(CURSOR_AHEAD_BYTES) });
  }
  const base = from.varint();
  const patterns = from.varint();
  const problemCount = from.count(3);
  if (problemCount > CURSOR_PROBLEMS_MAX) throw from.wrong("record.range", "has too many problems");
  const problems: Problem[] = [];
  for (let index = 0; index < problemCount; index += 1) problems.push(readProblem(from));
  from.end();
  return { epochs, base, patterns, problems };
}

/** Throws `SerializationError("record.integer")` on a number that is not 0 … 2^53 − 1. */
export function encodeDeadLetter(letter: DeadLetter): Uint8Array {
  const out = new ByteWriter();
  out.byte(DEAD_LETTER_VERSION);
  out.text(letter.id);
  out.text(letter.key.tenant);
  out.text(letter.key.device);
  out.byte(letter.position === null ? 0 : FLAG_POSITION);
  writePosition(out, letter.position);
  out.text(letter.reason);
  out.text(letter.detail);
  out.varint(letter.receivedAtMs);
  out.bytes(letter.frame);
  return out.finish();
}

/** Inverse of {@link encodeDeadLetter}; strict. */
export function decodeDeadLetter(bytes: Uint8Array): DeadLetter {
  const from = new ByteReader(bytes, "dead letter");
  requireVersion(from, DEAD_LETTER_VERSION);
  const id = from.text();
  const key = { tenant: from.text(), device: from.text() };
  const position = readPosition(from, readFlags(from, FLAG_POSITION));
  const letter: DeadLetter = {
    id,
    key,
    position,
    reason: from.text(),
    detail: from.text(),
    receivedAtMs: from.varint(),
    frame: from.bytes(),
  };
  from.end();
  return letter;
}

/** Reads the version byte of any record and refuses others than `version`. */
export function requireVersion(from: ByteReader, version: number): void {
  const found = from.byte();
  if (found !== version) throw from.wrong("record.version", `has version ${found}, not ${version}`);
}

function writeProblem(out: ByteWriter, problem: Problem): void {
  const { detail, position } = problem;
  out.byte((detail === undefined ? 0 : FLAG_DETAIL) | (position === null ? 0 : FLAG_POSITION));
  out.text(problem.reason);
  out.text(problem.title);
  if (detail !== undefined) out.text(detail);
  writePosition(out, position);
}

function readProblem(from: ByteReader): Problem {
  const flags = readFlags(from, FLAG_DETAIL | FLAG_POSITION);
  const reason = from.text();
  const title = from.text();
  const detail = flags & FLAG_DETAIL ? { detail: from.text() } : {};
  return { reason, title, ...detail, position: readPosition(from, flags) };
}

function writePosition(out: ByteWriter, position: Position | null): void {
  if (position === null) return;
  out.varint(position.epoch);
  out.varint(position.seq);
}

function readPosition(from: ByteReader, flags: number): Position | null {
  return flags & FLAG_POSITION ? { epoch: from.varint(), seq: from.varint() } : null;
}

function readFlags(from: ByteReader, known: number): number {
  const flags = from.byte();
  if (flags & ~known) throw from.wrong("record.flags", `has unknown flags ${flags}`);
  return flags;
}
