/**
 * How a frame is put into JSON, for the golden descriptions and the hostile frames.
 * @module
 */
import {
  decodeDelta,
  decodeRefusal,
  decodeRelease,
  peekFrame,
  type Release,
  readModelFrame,
  type Zstd,
} from "../../src/wire/index.ts";

/** Everything that `bytes` say, in JSON. `held` is what a release delta builds on. */
export function readFrame(bytes: Uint8Array, held: Release | null, zstd: Zstd): unknown {
  const frame = peekFrame(bytes, 64 * 1024);
  const { header, body } = frame;
  const common = { header, compressed: body.compressed, bodyBytes: body.bytes.length };
  switch (header.kind) {
    case "delta": {
      const { dim, upserts, removals } = decodeDelta(frame, zstd);
      return toJson({ ...common, dim, upserts, removals });
    }
    case "pull":
      return toJson(common);
    case "snapshot":
    case "release-delta":
      return toJson({ ...common, release: decodeRelease(frame, held, zstd) });
    case "refusal":
      return toJson({ ...common, problems: decodeRefusal(frame, zstd) });
    case "model":
      return toJson({ ...common, ...readModelFrame(bytes) });
  }
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
