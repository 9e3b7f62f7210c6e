/**
 * The bodies of all deltas, encoded before anything is measured.
 *
 * For each set of patterns there are two bodies, sent in turn, so that a register never takes the
 * very vector it holds. Bodies of codec 0 are the encoder's own. Those of codec 1 cost it
 * milliseconds each, so the vectors of 64 encoded deltas serve all sets, under ids packed by the
 * product's own column writer: to whoever decodes and folds them they are as good as any.
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Random, seededRandom } from "../../src/core/index.ts";
import { packDeltaColumns } from "../../src/wire/codec1/delta-columns.ts";
import { DELTA_KEY } from "../../src/wire/delta.ts";
import {
  type CborKey,
  type CborMap,
  type CborValue,
  COUNTER_MAX,
  codec0,
  decodeCbor,
  encodeCbor,
  encodeDelta,
  encodeDelta1,
  encodeFrame,
  type PackedBody,
  packBody,
  peekFrame,
  toGrid,
  type Upsert,
  unpackBody,
  unpackDeltaColumns,
  type Zstd,
} from "../../src/wire/index.ts";
import { patternsOf } from "./device-sets.ts";

export type CodecId = 0 | 1;

export interface PoolPlan {
  readonly codec: CodecId;
  readonly perDelta: number;
  readonly setCount: number;
}

const DIM = 384;
const SEED = 1;
const VARIANTS = 2;
const ENCODED_VECTORS = 64;
/** Codec 1 takes a budget: 1,024 bytes for ten patterns, as a device has by default. */
const BUDGET = { bytes: 64, bytesPerPattern: 96 } as const;
const AT = { epoch: 1, seq: 1, base: 0 } as const;
const MINOR = 1;
const UPDATED_AT_S = 1_790_000_000;
/** Before each body in a file: its bytes, and whether they are compressed. */
const PREFIX_BYTES = 5;

/** Bodies in the order of `bodyAt`. */
export function makePool(plan: PoolPlan, zstd: Zstd): PackedBody[] {
  const random = seededRandom(SEED);
  const coded = plan.codec === 1 ? codedBodies(plan.perDelta, random, zstd) : [];
  return Array.from({ length: plan.setCount * VARIANTS }, (_, at) => {
    const ids = patternsOf(plan.perDelta, Math.floor(at / VARIANTS));
    const body = coded[at % ENCODED_VECTORS];
    return body === undefined ? body0(ids, random, zstd) : renamed(body, ids, zstd);
  });
}

/** Where the body of `set` is for the time number `round` that a device sends it. */
export function bodyAt(set: number, round: number): number {
  return set * VARIANTS + (round % VARIANTS);
}

/** The frame of one delta of minor 1; its body depends neither on the device nor on the seq. */
export function frameOf(codec: CodecId, seq: number, body: PackedBody): Uint8Array {
  return encodeFrame({ ...AT, kind: "delta", minor: MINOR, seq, codec }, body);
}

export function writePool(file: string, bodies: readonly PackedBody[]): void {
  const parts = bodies.flatMap(({ compressed, bytes }) => {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt8(compressed ? 1 : 0, prefix.writeUInt32BE(bytes.length));
    return [prefix, bytes];
  });
  writeFileSync(file, Buffer.concat(parts));
}

export function readPool(file: string): PackedBody[] {
  const all = readFileSync(file);
  const bodies: PackedBody[] = [];
  for (let at = 0; at < all.length; ) {
    const from = at + PREFIX_BYTES;
    const end = from + all.readUInt32BE(at);
    bodies.push({ compressed: all[from - 1] === 1, bytes: all.subarray(from, end) });
    at = end;
  }
  return bodies;
}

function body0(ids: readonly string[], random: Random, zstd: Zstd): PackedBody {
  const content = { dim: DIM, upserts: upsertsOf(ids, random), removals: [] };
  return bodyOf(encodeDelta(AT, content, codec0, zstd).frame);
}

function codedBodies(perDelta: number, random: Random, zstd: Zstd): CborMap[] {
  const at = { epoch: COUNTER_MAX, seq: COUNTER_MAX, base: COUNTER_MAX };
  const bytesMax = BUDGET.bytes + BUDGET.bytesPerPattern * perDelta;
  return Array.from({ length: ENCODED_VECTORS }, () => {
    const encoded = encodeDelta1(
      at,
      { dim: DIM, upserts: upsertsOf(patternsOf(perDelta, 0), random), removals: [] },
      { bytesMax, model: null, mode: "tracking", states: 8, sender: "bench/scale" },
      zstd,
    );
    if (encoded === null) throw new Error(`${perDelta} patterns do not fit ${bytesMax} bytes`);
    return decodeCbor(unpackBody(bodyOf(encoded.frame), zstd)) as CborMap;
  });
}

function renamed(body: CborMap, ids: readonly string[], zstd: Zstd): PackedBody {
  const columns = unpackDeltaColumns(body.get(DELTA_KEY.columns) as Uint8Array, AT.seq);
  const packed = packDeltaColumns({ ...columns, ids }, AT.seq);
  const changed = new Map<CborKey, CborValue>([...body, [DELTA_KEY.columns, packed]]);
  return packBody(encodeCbor(changed), zstd);
}

function bodyOf(frame: Uint8Array): PackedBody {
  return peekFrame(frame, frame.length).body;
}

/** Their times rise, so that an encoder that sorts by time keeps the order of the ids. */
function upsertsOf(ids: readonly string[], random: Random): Upsert[] {
  return ids.map((id, at) => ({
    id,
    weight: 1 + Math.floor(random.next() * 50),
    success: 0.8,
    samples: 1 + Math.floor(random.next() * 200),
    updatedAtS: UPDATED_AT_S + at,
    embedding: { mode: "absolute", target: toGrid(unitVector(random)) },
  }));
}

function unitVector(random: Random): Float32Array {
  const vector = Float32Array.from({ length: DIM }, () => random.next() - 0.5);
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}
