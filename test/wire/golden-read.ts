/**
 * How a frame is put into JSON, for the golden descriptions and the hostile frames.
 * @module
 */
import { ProtocolError } from "../../src/core/index.ts";
import {
  decodeDelta,
  decodeModel,
  decodeRefusal,
  decodeRelease,
  type Frame,
  peekFrame,
  readModelFrame,
  TransitionReader,
  vectorsOf,
  type Zstd,
} from "../../src/wire/index.ts";
import type { GoldenHeld } from "./golden-files.ts";
import { GOLDEN_CONTEXT } from "./golden-model.ts";

/** Everything that `bytes` say, in JSON. `held` is what they build on. */
export function readFrame(bytes: Uint8Array, held: GoldenHeld, zstd: Zstd): unknown {
  const frame = peekFrame(bytes, 64 * 1024);
  const { header, body } = frame;
  const common = { header, compressed: body.compressed, bodyBytes: body.bytes.length };
  switch (header.kind) {
    case "delta": {
      const { dim, space, mode, upserts, removals } = decodeDelta(frame, zstd, GOLDEN_CONTEXT);
      const coding = header.codec === 1 ? { space, mode } : {};
      return toJson({ ...common, ...coding, dim, upserts, removals });
    }
    case "pull":
      return toJson(common);
    case "snapshot":
    case "release-delta":
      if (header.codec === 1) return toJson({ ...common, ...readLayers(frame, held) });
      if (held instanceof Uint8Array) throw new ProtocolError("release.base", "holds layers");
      return toJson({ ...common, release: decodeRelease(frame, held, zstd) });
    case "refusal":
      return toJson({ ...common, problems: decodeRefusal(frame, zstd) });
    case "model":
      return toJson({ ...common, model: modelOf(bytes) });
  }
}

function modelOf(bytes: Uint8Array): object {
  const model = decodeModel(readModelFrame(bytes).model);
  return { ...model, basis: Array.from(model.basis) };
}

function readLayers(frame: Frame, held: GoldenHeld): object {
  const reader = new TransitionReader(null, { get: () => null });
  if (held instanceof Uint8Array) reader.feed(peekFrame(held, 64 * 1024));
  const step = reader.feed(frame);
  if (step.kind !== "preview" && step.kind !== "release") return { step };
  const { coarse, full } = vectorsOf(step.release, null);
  return { step, coarse, full };
}

/** Byte strings as hex, integer vectors as arrays, absent fields left out. */
export function toJson(value: unknown): unknown {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (part instanceof Uint8Array) return Buffer.from(part).toString("hex");
    if (part instanceof Int16Array || part instanceof Int32Array) return [...part];
    return part;
  });
  return JSON.parse(text);
}
