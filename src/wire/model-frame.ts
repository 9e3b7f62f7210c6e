/**
 * The frame that carries a codec model to devices: kind 6, retained on
 * `omega/v1/{tenant}/codec/{version}`.
 *
 * The body is the encoded model as it is, neither CBOR nor compressed: it is
 * nearly random bytes, and a gateway hands on the very buffer it got from the
 * store. The hash lets a device that kept a model on disk, or got it through
 * many hands, know that it holds what the server meant; frames are coded with
 * it for months.
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { limits, ProtocolError, SerializationError, sameBytes } from "../core/index.ts";
import { encodeFrame, peekFrame, requireKind } from "./frame.ts";
import { CONTENT_HASH_BYTES } from "./header.ts";

/**
 * The frame of model `version` (1–65,535) with these encoded bytes.
 *
 * Throws `SerializationError("frame.budget")` above `limits.MODEL_FRAME_BYTES_MAX`.
 */
export function encodeModelFrame(version: number, model: Uint8Array): Uint8Array {
  const header = { kind: "model", version, contentHash: hashOf(model) } as const;
  const frame = encodeFrame(header, { compressed: false, bytes: model });
  const bytesMax = limits.MODEL_FRAME_BYTES_MAX;
  if (frame.length <= bytesMax) return frame;
  throw new SerializationError(
    "frame.budget",
    `a model frame holds at most ${bytesMax} bytes: got ${frame.length}`,
    { detail: { bytes: frame.length, bytesMax } },
  );
}

/** What a frame of kind 6 holds, verified by its hash; `model` is a view and not yet decoded. */
export interface ModelFrame {
  readonly version: number;
  readonly contentHash: Uint8Array;
  readonly model: Uint8Array;
}

/**
 * Throws `ProtocolError("frame.…" | "header.…" | "model.compressed" | "model.hash")` or
 * `SerializationError("cbor.…")`.
 */
export function readModelFrame(bytes: Uint8Array): ModelFrame {
  const frame = peekFrame(bytes, limits.MODEL_FRAME_BYTES_MAX);
  const { version, contentHash } = requireKind(frame, "model");
  const { compressed, bytes: model } = frame.body;
  if (compressed) throw new ProtocolError("model.compressed", "a model travels as it is");
  if (sameBytes(hashOf(model), contentHash)) return { version, contentHash, model };
  throw new ProtocolError("model.hash", `model ${version} is not what its frame claims`);
}

function hashOf(model: Uint8Array): Uint8Array {
  return sha256(model).slice(0, CONTENT_HASH_BYTES);
}
