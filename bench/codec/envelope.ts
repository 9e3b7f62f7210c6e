/**
 * The frame around a baseline's bytes: the product's own prefix, header and body, so that methods
 * differ in how they code vectors and in nothing else. Bodies are packed by zstd at level 19.
 * @module
 */
import { idToCbor } from "../../src/wire/fields.ts";
import {
  type CborKey,
  type CborValue,
  decodeCbor,
  encodeCbor,
  encodeFrame,
  type FrameHeader,
  peekFrame,
} from "../../src/wire/index.ts";
import { isPull, type Job, type PullItem, type PushItem } from "./coder.ts";
import type { Compress } from "./zstd19.ts";

/** The keys of a delta's body; the coded vectors of a release stand at 4, which a delta uses too. */
const KEY = { dim: 0, ids: 1, weights: 2, third: 3, samples: 4, updatedAt: 5, coded: 7 } as const;
const CODEC = 0;
const PERMILLE = 1000;

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
      const columns = isPull(job.case)
        ? pullColumns(job.items as readonly PullItem[])
        : pushColumns(job.items as readonly PushItem[]);
      const body: (readonly [CborKey, CborValue])[] = [[KEY.dim, dim], ...columns];
      const raw = encodeCbor(new Map([...body, [KEY.coded, coded]]));
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

/** Of a device that has been at it for a while; a pull carries hash and watermark. */
function headerOf(job: Job): FrameHeader {
  const position = { epoch: 12_345_678, seq: 4_321 };
  const version = 4_321;
  if (!isPull(job.case)) return { kind: "delta", ...position, base: version, codec: CODEC };
  const contentHash = new Uint8Array(8).fill(0xa5);
  return { kind: "snapshot", version, contentHash, codec: CODEC, applied: position };
}

function pushColumns(items: readonly PushItem[]): [CborKey, CborValue][] {
  return [
    [KEY.ids, items.map(({ id }) => idToCbor(id))],
    [KEY.weights, items.map(({ weight }) => weight)],
    [KEY.third, items.map(({ success }) => Math.round(success * PERMILLE))],
    [KEY.samples, items.map(({ samples }) => samples)],
    [
      KEY.updatedAt,
      items.map(({ updatedAtS }, at) => updatedAtS - (items[at - 1]?.updatedAtS ?? 0)),
    ],
  ];
}

function pullColumns(items: readonly PullItem[]): [CborKey, CborValue][] {
  return [
    [KEY.ids, items.map(({ id }) => idToCbor(id))],
    [KEY.weights, items.map(({ weight }) => weight)],
    [KEY.third, items.map(({ devices }) => devices)],
  ];
}
