/**
 * The frames that are folded: encoded before the clock starts, the same for every hundredth device
 * but for the seq. All vectors are absolute. A difference costs the fold one addition a number more;
 * the old register must be found for either, to be taken back from the sums.
 * @module
 */
import { trainCodec } from "../../src/aggregate/codec-training.ts";
import { seededRandom } from "../../src/core/index.ts";
import {
  type CodecModel,
  codec0,
  encodeDelta,
  encodeDelta1,
  encodeModel,
  type GridVector,
  type Zstd,
} from "../../src/wire/index.ts";
import { gridRows } from "../codec/knowledge.ts";
import { syntheticSet } from "../codec/sets.ts";
import { type FrameTemplate, templateOf } from "../ingest/frames.ts";

export type CaseName = "codec0-2" | "codec0-10" | "codec1-10";

/** What kind of delta, and what a child process needs to make its frames. */
export interface FoldCase {
  readonly name: CaseName;
  readonly patterns: number;
  readonly frames: readonly FrameTemplate[];
  /** The codec model that the frames name, as stored; null: none. */
  readonly model: Uint8Array | null;
  /** Of a mean frame. */
  readonly frameBytes: number;
}

export const CASE_NAMES = ["codec0-2", "codec0-10", "codec1-10"] as const;

const DIM = 384;
const FRAME_COUNT = 100;
const PATTERN_COUNT = 500;
const CODEC1_BYTES_MAX = 1_024;
const SEED = 7;
const UPDATED_AT_S = 1_780_000_000;
const TRAIN_COUNT = 1_600;

/** Makes the cases of these names; learns a codec model when one of them needs it. */
export function makeCases(names: readonly CaseName[], zstd: Zstd): FoldCase[] {
  const set = syntheticSet({ train: TRAIN_COUNT, test: FRAME_COUNT * 10, query: 1 }, SEED);
  const vectors = gridRows(set.test, DIM);
  const learns = names.includes("codec1-10");
  const model = learns ? trainCodec(gridRows(set.train, DIM), 1, DIM, null).model : null;
  return names.map((name) => caseOf(name, vectors, model, zstd));
}

function caseOf(
  name: CaseName,
  vectors: readonly GridVector[],
  model: CodecModel | null,
  zstd: Zstd,
): FoldCase {
  const patterns = name === "codec0-2" ? 2 : 10;
  const random = seededRandom(SEED);
  const encoded = Array.from({ length: FRAME_COUNT }, (_, index) => {
    const content = contentOf(index, vectors.slice(index * 10, index * 10 + patterns), random);
    const place = { epoch: 1, seq: 1, base: 0 };
    if (name !== "codec1-10") return encodeDelta(place, content, codec0, zstd).frame;
    const options = { bytesMax: CODEC1_BYTES_MAX, model, mode: "tracking", states: 8 } as const;
    const delta = encodeDelta1(place, content, { ...options, sender: "" }, zstd);
    if (delta === null) throw new Error("assertion failed: ten patterns fit 1,024 bytes");
    return delta.frame;
  });
  const bytes = encoded.reduce((sum, frame) => sum + frame.length, 0);
  return {
    ...{ name, patterns, frames: encoded.map(templateOf) },
    model: name === "codec1-10" && model !== null ? encodeModel(model) : null,
    frameBytes: bytes / encoded.length,
  };
}

function contentOf(
  index: number,
  targets: readonly GridVector[],
  random: { next(): number },
): Parameters<typeof encodeDelta>[1] {
  const upserts = targets.map((target, at) => ({
    id: `p${(index * 7 + at) % PATTERN_COUNT}`,
    weight: 1 + Math.floor(random.next() * 100),
    success: 0.7 + Math.floor(random.next() * 300) / 1_000,
    samples: Math.floor(random.next() * 5_000),
    updatedAtS: UPDATED_AT_S + at,
    embedding: { mode: "absolute" as const, target },
  }));
  return { dim: DIM, upserts, removals: [] };
}
