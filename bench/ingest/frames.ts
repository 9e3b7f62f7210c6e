/**
 * The bytes a device sends, cheap enough that the generator is not what is measured: bodies are
 * encoded before the clock starts, and a publish only writes packet id and seq between them.
 * @module
 */
import {
  codec0,
  encodeDelta,
  encodeFrame,
  peekFrame,
  toGrid,
  type Zstd,
} from "../../src/wire/index.ts";

const DIM = 384;
const PATTERNS_PER_DELTA = 2;
const PATTERN_COUNT = 500;
const FRAME_BYTES_MAX = 4_096;
/** A seq that CBOR writes in five bytes and that nothing else in a header looks like. */
const MARKER_SEQ = 0x5a3c5a3c;
const MARKER = Buffer.from([0x1a, 0x5a, 0x3c, 0x5a, 0x3c]);
const UPDATED_AT_S = 1_764_000_000;

/** A delta frame without its seq. */
export interface FrameTemplate {
  readonly head: Buffer;
  readonly tail: Buffer;
}

/** Device `device`'s delta of `epoch`, codec 0, absolute: two patterns, about 1 KB. */
export function frameTemplate(
  { device, epoch, variant }: { device: number; epoch: number; variant: number },
  random: () => number,
  zstd: Zstd,
): FrameTemplate {
  const upserts = Array.from({ length: PATTERNS_PER_DELTA }, (_, at) => ({
    id: `p${(device * 7 + at) % PATTERN_COUNT}`,
    weight: 3,
    success: 0.5,
    samples: 10,
    updatedAtS: UPDATED_AT_S + epoch * 100 + variant,
    embedding: { mode: "absolute" as const, target: toGrid(unitVector(random)) },
  }));
  const content = { dim: DIM, upserts, removals: [] };
  return templateOf(encodeDelta({ epoch, seq: 1, base: 0 }, content, codec0, zstd).frame);
}

/** A delta frame as a template: its body is what it is, its seq is open. */
export function templateOf(frame: Uint8Array): FrameTemplate {
  const { header, body } = peekFrame(frame, FRAME_BYTES_MAX);
  if (header.kind !== "delta") throw new Error(`a delta was encoded as a ${header.kind}`);
  const marked = Buffer.from(encodeFrame({ ...header, seq: MARKER_SEQ }, body));
  const at = marked.indexOf(MARKER);
  return { head: marked.subarray(0, at), tail: marked.subarray(at + MARKER.length) };
}

function unitVector(random: () => number): Float32Array {
  const vector = Float32Array.from({ length: DIM }, () => random() - 0.5);
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

/** The complete frame with `seq` in CBOR's shortest form. */
export function frameOf({ head, tail }: FrameTemplate, seq: number): Buffer {
  return Buffer.concat([head, cborUint(seq), tail]);
}

function cborUint(value: number): Buffer {
  if (value < 24) return Buffer.from([value]);
  if (value < 0x100) return Buffer.from([0x18, value]);
  if (value < 0x10000) return Buffer.from([0x19, value >> 8, value & 0xff]);
  const bytes = Buffer.alloc(5);
  bytes[0] = 0x1a;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}
