import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import {
  encodeFrame,
  encodeModelFrame,
  encodePull,
  MODEL_VERSION_MAX,
  readModelFrame,
} from "../../src/wire/index.ts";
import { hex, refusalOf } from "../support/reason.ts";

const anyModel = fc.uint8Array({ maxLength: 300 });
const anyVersion = fc.integer({ min: 1, max: MODEL_VERSION_MAX });

describe("model frames", () => {
  it("a model comes back as it went", () => {
    fc.assert(
      fc.property(anyVersion, anyModel, (version, model) => {
        expect(readModelFrame(encodeModelFrame(version, model))).toMatchObject({ version, model });
      }),
    );
  });

  it("every proper prefix and every flipped bit behind the header is refused by name", () => {
    fc.assert(
      fc.property(anyVersion, anyModel, fc.nat(), (version, model, at) => {
        const frame = encodeModelFrame(version, model);
        for (let length = 0; length < frame.length; length += 1) {
          expect(refusalOf(() => readModelFrame(frame.subarray(0, length)))).not.toBeNull();
        }
        if (model.length === 0) return;
        const bytes = frame.slice();
        const byte = frame.length - 1 - (at % model.length);
        bytes[byte] = (bytes[byte] ?? 0) ^ (1 << (at & 7));
        expect(refusalOf(() => readModelFrame(bytes))).toBe("Protocol model.hash");
      }),
      { numRuns: 50 },
    );
  });

  it("P8: a frame above its limit is refused before it is hashed, and never made", () => {
    const large = new Uint8Array(limits.MODEL_FRAME_BYTES_MAX);
    expect(refusalOf(() => readModelFrame(new Uint8Array(large.length + 1)))).toBe(
      "Protocol frame.size",
    );
    expect(refusalOf(() => encodeModelFrame(1, large))).toBe("Serialization frame.budget");
  });

  it("a model that claims to be compressed is refused: it would be inflated for nothing", () => {
    const header = { kind: "model", version: 1, contentHash: new Uint8Array(8) } as const;
    const frame = encodeFrame(header, { compressed: true, bytes: hex("28b52ffd") });
    expect(refusalOf(() => readModelFrame(frame))).toBe("Protocol model.compressed");
  });

  it("another kind has no place on a codec topic", () => {
    expect(refusalOf(() => readModelFrame(encodePull(0)))).toBe("Protocol frame.kind");
  });
});
