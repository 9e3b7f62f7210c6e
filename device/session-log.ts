/**
 * The records of the outbox log, and their bytes.
 *
 *   0      1..n
 *   kind   fields, little endian; strings are u8 length + ASCII (ids need no more);
 *          vectors are `dim` int16 on the grid
 *
 * A record is one thing that happened; replaying them in order rebuilds the
 * state. Compaction writes the same vocabulary: identity, base, shadow, put,
 * frame. Framing, checksums and disks are the storage's business.
 * @module
 */
import { ProtocolError, unreachable } from "../src/core/index.ts";
import type { GridVector, Position } from "../src/wire/index.ts";
import { ByteReader, ByteWriter } from "./session-bytes.ts";
import type { OutboxState, PatternValue } from "./session-state.ts";

export interface PutItem {
  readonly id: string;
  /** null removes the pattern. */
  readonly value: PatternValue | null;
  readonly attempts: number;
}

/** What a sent frame makes of one register. */
export interface SentRegister {
  readonly id: string;
  /** Null for a removal. */
  readonly held: GridVector | null;
  /** The space of `held`, 0 or a codec model's version. */
  readonly space: number;
}

export type LogRecord =
  | { readonly kind: "identity"; readonly device: string; readonly dim: number }
  | { readonly kind: "put"; readonly items: readonly PutItem[] }
  | { readonly kind: "drop"; readonly ids: readonly string[] }
  | {
      readonly kind: "sent";
      readonly position: Position;
      readonly frame: Uint8Array;
      /** The register of each pattern after this frame. */
      readonly items: readonly SentRegister[];
    }
  | { readonly kind: "released"; readonly position: Position }
  | { readonly kind: "applied"; readonly position: Position }
  | { readonly kind: "refused"; readonly position: Position }
  | { readonly kind: "epoch"; readonly epoch: number; readonly keepFrames: boolean }
  | { readonly kind: "floor"; readonly version: number }
  | {
      readonly kind: "base";
      readonly position: Position;
      readonly appliedSeq: number;
      readonly floor: number;
      readonly refused: readonly Position[];
    }
  | {
      readonly kind: "shadow";
      readonly id: string;
      readonly value: PatternValue | null;
      readonly held: GridVector | null;
      readonly space: number;
      readonly seq: number;
      readonly attempts: number;
    }
  | {
      readonly kind: "frame";
      readonly position: Position;
      readonly frame: Uint8Array;
      readonly ids: readonly string[];
    };

// Numbers are for ever: a log written by an older version must stay readable. Such a log knows one
// space only, so what is in it is still written in its words.
const KIND = {
  identity: 1,
  put: 2,
  drop: 3,
  sent: 4,
  released: 5,
  applied: 6,
  refused: 7,
  epoch: 8,
  floor: 9,
  base: 10,
  shadow: 11,
  frame: 12,
} as const satisfies Record<LogRecord["kind"], number>;
const KIND_IN_SPACE = { sent: 13, shadow: 14 } as const;

/** The bytes of one record. */
export function encodeRecord(record: LogRecord): Uint8Array {
  const out = new ByteWriter();
  const spaced = namesSpace(record);
  out.u8(spaced === null ? KIND[record.kind] : KIND_IN_SPACE[spaced]);
  switch (record.kind) {
    case "identity":
      out.text(record.device);
      out.u16(record.dim);
      break;
    case "put":
      out.list(record.items, (item) => {
        out.text(item.id);
        out.u8(item.attempts);
        writeValue(out, item.value);
      });
      break;
    case "drop":
      out.list(record.ids, (id) => out.text(id));
      break;
    case "sent":
      writePosition(out, record.position);
      out.bytes(record.frame);
      out.list(record.items, (item) => {
        out.text(item.id);
        out.vector(item.held);
        if (spaced !== null) out.u16(item.space);
      });
      break;
    case "released":
    case "applied":
    case "refused":
      writePosition(out, record.position);
      break;
    case "epoch":
      out.u53(record.epoch);
      out.u8(record.keepFrames ? 1 : 0);
      break;
    case "floor":
      out.u53(record.version);
      break;
    case "base":
      writePosition(out, record.position);
      out.u53(record.appliedSeq);
      out.u53(record.floor);
      out.list(record.refused, (position) => writePosition(out, position));
      break;
    case "shadow":
      out.text(record.id);
      out.u8(record.attempts);
      out.u53(record.seq);
      writeValue(out, record.value);
      out.vector(record.held);
      if (spaced !== null) out.u16(record.space);
      break;
    case "frame":
      writePosition(out, record.position);
      out.bytes(record.frame);
      out.list(record.ids, (id) => out.text(id));
      break;
    default:
      unreachable(record);
  }
  return out.done();
}

/** The kind of a record with a vector outside space 0; null for any other record. */
function namesSpace(record: LogRecord): keyof typeof KIND_IN_SPACE | null {
  if (record.kind === "shadow") return record.space === 0 ? null : "shadow";
  if (record.kind !== "sent") return null;
  return record.items.every(({ space }) => space === 0) ? null : "sent";
}

/** Inverse of {@link encodeRecord}. Throws `ProtocolError("log.record")` on anything else. */
export function decodeRecord(bytes: Uint8Array): LogRecord {
  const input = new ByteReader(bytes);
  const record = readRecord(input);
  input.end();
  return record;
}

function readRecord(input: ByteReader): LogRecord {
  const kind = input.u8();
  switch (kind) {
    case KIND.identity:
      return { kind: "identity", device: input.text(), dim: input.u16() };
    case KIND.put:
      return {
        kind: "put",
        items: input.list(() => {
          const id = input.text();
          const attempts = input.u8();
          return { id, attempts, value: readValue(input) };
        }),
      };
    case KIND.drop:
      return { kind: "drop", ids: input.list(() => input.text()) };
    case KIND.sent:
      return readSent(input, () => 0);
    case KIND_IN_SPACE.sent:
      return readSent(input, () => input.u16());
    case KIND.released:
      return { kind: "released", position: readPosition(input) };
    case KIND.applied:
      return { kind: "applied", position: readPosition(input) };
    case KIND.refused:
      return { kind: "refused", position: readPosition(input) };
    case KIND.epoch:
      return { kind: "epoch", epoch: input.u53(), keepFrames: input.u8() === 1 };
    case KIND.floor:
      return { kind: "floor", version: input.u53() };
    case KIND.base:
      return {
        kind: "base",
        position: readPosition(input),
        appliedSeq: input.u53(),
        floor: input.u53(),
        refused: input.list(() => readPosition(input)),
      };
    case KIND.shadow:
      return readShadow(input, () => 0);
    case KIND_IN_SPACE.shadow:
      return readShadow(input, () => input.u16());
    case KIND.frame:
      return {
        kind: "frame",
        position: readPosition(input),
        frame: input.bytes(),
        ids: input.list(() => input.text()),
      };
    default:
      throw new ProtocolError("log.record", `unknown outbox record kind ${kind}`);
  }
}

function readSent(input: ByteReader, space: () => number): LogRecord {
  return {
    kind: "sent",
    position: readPosition(input),
    frame: input.bytes(),
    items: input.list(() => ({ id: input.text(), held: input.vector(), space: space() })),
  };
}

function readShadow(input: ByteReader, space: () => number): LogRecord {
  const id = input.text();
  const attempts = input.u8();
  const seq = input.u53();
  const value = readValue(input);
  const held = input.vector();
  return { kind: "shadow", id, attempts, seq, value, held, space: space() };
}

function writePosition(out: ByteWriter, position: Position): void {
  out.u53(position.epoch);
  out.u53(position.seq);
}

function readPosition(input: ByteReader): Position {
  return { epoch: input.u53(), seq: input.u53() };
}

function writeValue(out: ByteWriter, value: PatternValue | null): void {
  out.vector(value?.target ?? null);
  if (value === null) return;
  out.u16(value.weight);
  out.f64(value.success);
  out.u53(value.samples);
  out.u53(value.updatedAtS);
}

function readValue(input: ByteReader): PatternValue | null {
  const target = input.vector();
  if (target === null) return null;
  return {
    target,
    weight: input.u16(),
    success: input.f64(),
    samples: input.u53(),
    updatedAtS: input.u53(),
  };
}

/** Changes per put record of a snapshot, so that no record grows past a few tens of kilobytes. */
const SNAPSHOT_ITEMS_PER_RECORD = 32;

/** The shortest log that replays to `state`; what compaction writes. */
export function snapshotRecords(state: OutboxState): LogRecord[] {
  const records: LogRecord[] = [
    { kind: "identity", device: state.device, dim: state.dim },
    {
      kind: "base",
      position: { epoch: state.epoch, seq: state.nextSeq },
      appliedSeq: state.appliedSeq,
      floor: state.floor,
      refused: state.refused,
    },
  ];
  for (const [id, shadow] of state.shadows) {
    const { value, held, space, seq, attempts } = shadow;
    records.push({ kind: "shadow", id, value, held, space, seq, attempts });
  }
  for (const sent of state.unacked.values()) {
    const ids = sent.items.map((item) => item.id);
    records.push({ kind: "frame", position: sent.position, frame: sent.frame, ids });
  }
  const queued = [...state.queued.values()];
  for (let start = 0; start < queued.length; start += SNAPSHOT_ITEMS_PER_RECORD) {
    records.push({ kind: "put", items: queued.slice(start, start + SNAPSHOT_ITEMS_PER_RECORD) });
  }
  return records;
}
