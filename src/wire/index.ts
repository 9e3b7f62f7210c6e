export {
  type CborKey,
  type CborMap,
  type CborValue,
  decodeCbor,
  encodeCbor,
} from "./cbor.ts";
export { CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, walkCbor } from "./cbor-walk.ts";
export type { Codec, CodedVectors } from "./codec.ts";
export { codec0 } from "./codec0.ts";
export { unpackDeltaColumns } from "./codec1/delta-columns.ts";
export { fromSpace, toSpace } from "./codec1/klt.ts";
export {
  buildingLadder1,
  buildLadder1,
  downFrames1,
  emptyLadder1,
  hollowLadder1,
  type Ladder1,
  type LadderView,
  rungOf,
} from "./codec1/ladder1.ts";
export {
  type CodecModel,
  type CodecModels,
  decodeModel,
  encodeModel,
  MODEL_BYTES_MAX,
  MODEL_DIMENSION_MAX,
  MODEL_VERSION_MAX,
  modelBytes,
  prepareModel,
  SPECTRUM_MAX,
} from "./codec1/model.ts";
export {
  type LayerSteps,
  type Layers,
  type Preview1,
  type PreviewPattern,
  RELEASE1_FRAME_BYTES_MAX,
  type Release1,
  type Release1Pattern,
} from "./codec1/release1.ts";
export { CODEC1 } from "./codec1/release1-body.ts";
export { sharesRows } from "./codec1/release1-difference.ts";
export { contentHash1 } from "./codec1/release1-hash.ts";
export { layingRelease1, layRelease1 } from "./codec1/release1-lay.ts";
export { TransitionReader, type TransitionStep } from "./codec1/release1-reader.ts";
export { chooseSteps } from "./codec1/release1-steps.ts";
export {
  embeddingsOf,
  NO_STEPS,
  quantiseRelease1,
  vectorsOf,
} from "./codec1/release1-vectors.ts";
export { encodeTransition } from "./codec1/release1-writer.ts";
export { inSlices, type Slices } from "./codec1/slices.ts";
export { codecById } from "./codecs.ts";
export { contentHash } from "./content-hash.ts";
export type {
  DecodedDelta,
  DecodedUpsert,
  DeltaContent,
  DeltaHeader,
  EncodedDelta,
  Upsert,
  UpsertEmbedding,
} from "./delta.ts";
export { type DeltaContext, decodeDelta } from "./delta-decode.ts";
export { type DeltaPlace, encodeDelta, encodePull } from "./delta-encode.ts";
export { type Delta1Options, encodeDelta1 } from "./delta-encode1.ts";
export { type DownHead, downHead } from "./down-head.ts";
export {
  bodyBytesMax,
  encodeFrame,
  type Frame,
  type PackedBody,
  packBody,
  peekFrame,
  peekHeader,
  unpackBody,
} from "./frame.ts";
export {
  type CodingMode,
  fromGrid,
  GRID,
  type GridVector,
  isZero,
  normWithin,
  reconstruct,
  residualOf,
  sameVector,
  toGrid,
} from "./grid.ts";
export { COUNTER_MAX, type FrameHeader, type FrameKind, type Position } from "./header.ts";
export { buildLadder, downFrame, emptyLadder, type Ladder } from "./ladder.ts";
export { encodeModelFrame, type ModelFrame, readModelFrame } from "./model-frame.ts";
export { decodeRefusal, encodeRefusal, PROBLEMS_MAX, type Problem } from "./refusal.ts";
export {
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  type Release,
  type ReleasePattern,
  type Trend,
} from "./release.ts";
export { decodeRelease } from "./release-decode.ts";
export { encodeReleaseDelta, encodeSnapshot, quantiseRelease } from "./release-encode.ts";
export {
  codecTopicOf,
  type Direction,
  type ModelKey,
  parseCodecTopic,
  parseTopic,
  topicOf,
} from "./topics.ts";
export { VERSION_LOG, type VersionEntry, WIRE_MINOR, WIRE_VERSION } from "./version.ts";
export { loadZstd, type Zstd } from "./zstd.ts";
