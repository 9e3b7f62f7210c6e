/**
 * The frame around a baseline's bytes: the product's own prefix, header and body, so that methods
 * differ in how they code vectors and in nothing else: ids, counts and times travel in the bit-packed
 * columns of codec 1 for all. Bodies are packed by zstd at level 19.
 * @module
 */
import { roundCount } from "../../src/wire/codec1/count-grid.ts";
import { packDeltaColumns } from "../../src/wire/codec1/delta-columns.ts";
import { packReleaseColumns } from "../../src/wire/codec1/release-columns.ts";
import {
  type CborKey,
  type CborValue,
  decodeCbor,
  encodeCbor,
  encodeFrame,
  peekFrame,
} from "../../src/wire/index.ts";
import { isPull, type Job, type PullItem, type PushItem } from "./coder.ts";
import type { Compress } from "./zstd19.ts";

const KEY = { dim: 0, coded: 7, columns: 9 } as const;
/** No baseline has a codec number; theirs is as long as ours. */
const CODEC = 1;
const PERMILLE = 1000;
/** Of a device that has been at it for a while. */
export const POSITION = { epoch: 12_345_678, seq: 4_321 };
export const RELEASE_VERSION = 4_321;
const CONTENT_HASH = new Uint8Array(8).fill(0xa5);

export interface Envelope {
  wrap(job: Job, dim: number, coded: Uint8Array): Uint8Array;
  /** What `wrap` was given. */
  open(frame: Uint8Array): Uint8Array;
}

export function envelopeOf(
  compress: Compress,
  decompress: (compressed: Uint8Array) => Uint8Array,
): Envelope {
  return {
    wrap(job, dim, coded) {
      const body = new Map<CborKey, CborValue>([[KEY.dim, dim]]);
      body.set(KEY.coded, coded).set(KEY.columns, columnsOf(job));
      const raw = encodeCbor(body);
      const bytes = compress(raw);
      const compressed = bytes.length < raw.length;
      return encodeFrame(headerOf(job), { compressed, bytes: compressed ? bytes : raw });
    },
    open(frame) {
      const { body } = peekFrame(frame, frame.length);
      const map = decodeCbor(body.compressed ? decompress(body.bytes) : body.bytes);
      const coded = map instanceof Map ? map.get(KEY.coded) : undefined;
      if (coded instanceof Uint8Array) return coded;
      throw new Error("assertion failed: a frame of ours has coded vectors");
    },
  };
}

/** A pull carries the hash of its content and the device's watermark. */
function headerOf(job: Job): Parameters<typeof encodeFrame>[0] {
  if (!isPull(job.case)) return { kind: "delta", ...POSITION, base: RELEASE_VERSION, codec: CODEC };
  const version = RELEASE_VERSION;
  return {
    kind: "snapshot",
    version,
    contentHash: CONTENT_HASH,
    codec: CODEC,
    applied: POSITION,
  };
}

function columnsOf(job: Job): Uint8Array {
  return isPull(job.case)
    ? pullColumns(job.items as readonly PullItem[])
    : pushColumns(job.items as readonly PushItem[], job.case === "drift");
}

function pushColumns(items: readonly PushItem[], difference: boolean): Uint8Array {
  const { seq } = POSITION;
  return packDeltaColumns(
    {
      ids: items.map(({ id }) => id),
      weights: items.map(({ weight }) => weight),
      success: items.map(({ success }) => Math.round(success * PERMILLE)),
      samples: items.map(({ samples }) => samples),
      updatedAtS: items.map(({ updatedAtS }) => updatedAtS),
      refs: items.map(() => (difference ? seq - 1 : 0)),
      removals: [],
    },
    seq,
  );
}

function pullColumns(items: readonly PullItem[]): Uint8Array {
  return packReleaseColumns(
    {
      ids: items.map(({ id }) => id),
      weights: items.map(({ weight }) => roundCount(weight)),
      devices: items.map(({ devices }) => roundCount(devices)),
      kept: [],
      removals: [],
      trends: [],
    },
    [],
  );
}
