/**
 * Registers: what the server holds of one pattern of one device.
 *
 *   offset  bytes  field (little-endian)
 *   0       1      format, 2
 *   1       1      kind: 0 live, 1 tombstone
 *   2       8      epoch, float64 holding an integer
 *   10      8      seq, float64 holding an integer
 *   18      8      bucket, float64 holding an integer
 *   26      8      updatedAtS, float64 holding an integer; 0 in a tombstone
 *   34      4      samples, uint32; 0 in a tombstone
 *   38      2      weight, uint16, 1–1023; 0 in a tombstone
 *   40      2      success, uint16 permille; 0 in a tombstone
 *   42      2      space, uint16: the codec model whose coordinates these are; 0 the pattern's own
 *   44      2·dim  vector, int16 grid steps; nothing in a tombstone
 *
 * The higher (epoch, seq) wins (ARCHITECTURE.md, "Merging"). A removal is a tombstone that
 * keeps its position, so that a late, older upsert does not bring the pattern
 * back. The vector is also what the device's next difference is coded against
 * (P6), so it is kept exactly, in the space it came in: turning it would round.
 * @module
 */
import { assert, limits, SerializationError } from "../core/index.ts";
import type { GridVector, Position } from "../wire/index.ts";

interface Written extends Position {
  /** The time bucket it counts in, stamped from the gateway's arrival time. */
  readonly bucket: number;
}

export interface LiveRegister extends Written {
  readonly kind: "live";
  /** 1 … WEIGHT_MAX. */
  readonly weight: number;
  /** 0 … 1000. */
  readonly successPermille: number;
  /** 0 … 2^32 − 1. */
  readonly samples: number;
  /** Seconds since 1970, as the device said. */
  readonly updatedAtS: number;
  /** 0: the pattern's own coordinates; else the version of the codec model that turned them. */
  readonly space: number;
  /** Grid steps; never changed in place. */
  readonly vector: GridVector;
}

export interface Tombstone extends Written {
  readonly kind: "tombstone";
}

export type Register = LiveRegister | Tombstone;

const FORMAT = 2;
const HEAD_BYTES = 44;
const KIND_LIVE = 0;
const KIND_TOMBSTONE = 1;
/** Whether the machine has numbers in memory as registers have them: then vectors are copied whole. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
export const SUCCESS_PERMILLE_MAX = 1_000;
export const SAMPLES_MAX = 0xffffffff;
/** A space is named in two bytes, here and on the wire. */
export const SPACE_MAX = 0xffff;

assert(limits.WEIGHT_MAX <= 0xffff, "a weight fits its field");

/**
 * The bytes of every register by pattern id, null for null; {@link decodeRegister} gives back an
 * equal one. They lie in one buffer: a buffer each is what encoding would mostly cost.
 */
export function encodeRegisters(
  registers: ReadonlyMap<string, Register | null>,
): Map<string, Uint8Array | null> {
  let length = 0;
  registers.forEach((register) => {
    length += bytesOf(register);
  });
  const buffer = new ArrayBuffer(length);
  const view = new DataView(buffer);
  const halves = new Int16Array(buffer);
  const encoded = new Map<string, Uint8Array | null>();
  let at = 0;
  registers.forEach((register, id) => {
    if (register === null) {
      encoded.set(id, null);
      return;
    }
    const bytes = bytesOf(register);
    writeHead(register, view, at);
    if (register.kind === "live") writeVector(register.vector, view, halves, at + HEAD_BYTES);
    encoded.set(id, new Uint8Array(buffer, at, bytes));
    at += bytes;
  });
  return encoded;
}

function bytesOf(register: Register | null): number {
  if (register === null) return 0;
  return HEAD_BYTES + (register.kind === "live" ? 2 * register.vector.length : 0);
}

function writeHead(register: Register, view: DataView, at: number): void {
  view.setUint8(at, FORMAT);
  view.setUint8(at + 1, register.kind === "live" ? KIND_LIVE : KIND_TOMBSTONE);
  view.setFloat64(at + 2, register.epoch, true);
  view.setFloat64(at + 10, register.seq, true);
  view.setFloat64(at + 18, register.bucket, true);
  if (register.kind === "tombstone") return;
  view.setFloat64(at + 26, register.updatedAtS, true);
  view.setUint32(at + 34, register.samples, true);
  view.setUint16(at + 38, register.weight, true);
  view.setUint16(at + 40, register.successPermille, true);
  view.setUint16(at + 42, register.space, true);
}

/** Every register has an even number of bytes, so that `halves` has the same numbers as `view`. */
function writeVector(vector: GridVector, view: DataView, halves: Int16Array, at: number): void {
  if (LITTLE_ENDIAN) {
    halves.set(vector, at / 2);
    return;
  }
  for (let index = 0; index < vector.length; index += 1) {
    view.setInt16(at + 2 * index, vector[index] as number, true);
  }
}

/** Throws `SerializationError("record.register")` on anything {@link encodeRegisters} would not write. */
export function decodeRegister(bytes: Uint8Array): Register {
  const [format = FORMAT] = bytes;
  demand(format === FORMAT, `has format ${format}; this version reads ${FORMAT}`, bytes);
  demand(bytes.length >= HEAD_BYTES, "is cut short", bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const epoch = view.getFloat64(2, true);
  const seq = view.getFloat64(10, true);
  const bucket = view.getFloat64(18, true);
  const updatedAtS = view.getFloat64(26, true);
  const samples = view.getUint32(34, true);
  const weight = view.getUint16(38, true);
  const successPermille = view.getUint16(40, true);
  const space = view.getUint16(42, true);
  demand(Number.isSafeInteger(epoch) && epoch >= 1, "has no epoch", bytes);
  demand(Number.isSafeInteger(seq) && seq >= 1, "has no seq", bytes);
  demand(Number.isSafeInteger(bucket), "has no bucket", bytes);
  const kind = view.getUint8(1);
  if (kind === KIND_TOMBSTONE) {
    const bare = bytes.length === HEAD_BYTES && updatedAtS === 0 && samples === 0;
    const none = weight === 0 && successPermille === 0 && space === 0;
    demand(bare && none, "is a tombstone with a value", bytes);
    return { kind: "tombstone", epoch, seq, bucket };
  }
  demand(kind === KIND_LIVE, "has an unknown kind", bytes);
  demand(Number.isSafeInteger(updatedAtS), "has no time", bytes);
  demand(weight >= 1 && weight <= limits.WEIGHT_MAX, "has a wrong weight", bytes);
  demand(successPermille <= SUCCESS_PERMILLE_MAX, "has a wrong success rate", bytes);
  const vector = decodeVector(bytes, view);
  return {
    kind: "live",
    epoch,
    seq,
    bucket,
    weight,
    successPermille,
    samples,
    updatedAtS,
    space,
    vector,
  };
}

function decodeVector(bytes: Uint8Array, view: DataView): GridVector {
  const dim = (bytes.length - HEAD_BYTES) / 2;
  const whole = Number.isInteger(dim);
  demand(whole && dim >= 1 && dim <= limits.DIMENSION_MAX, "has a wrong length", bytes);
  const vector = new Int16Array(dim);
  if (LITTLE_ENDIAN) {
    new Uint8Array(vector.buffer).set(bytes.subarray(HEAD_BYTES));
    return vector;
  }
  for (let index = 0; index < dim; index += 1) {
    vector[index] = view.getInt16(HEAD_BYTES + 2 * index, true);
  }
  return vector;
}

function demand(condition: boolean, what: string, bytes: Uint8Array): void {
  if (condition) return;
  throw new SerializationError("record.register", `a stored register ${what}`, {
    detail: { bytes: bytes.length },
  });
}
