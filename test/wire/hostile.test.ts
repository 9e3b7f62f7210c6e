import { describe, expect, it } from "vitest";
import { integerBelow, limits, OmegaError, seededRandom } from "../../src/core/index.ts";
import { loadZstd, type Zstd } from "../../src/wire/index.ts";
import { goldenBytes, goldenHeld, goldenNames } from "./golden-files.ts";
import { readFrame } from "./golden-read.ts";

const SEED = 20_261_122;
const MUTATIONS_PER_FRAME = 2_000;
const INTERESTING = [
  0x00, 0x01, 0x17, 0x18, 0x1b, 0x5f, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xf9, 0xff,
];

const real = await loadZstd();
let calls = 0;
let produced = 0;
/** Counts what a frame makes zstd do. */
const zstd: Zstd = {
  ...real,
  decompress(compressed, bytesMax) {
    calls += 1;
    const raw = real.decompress(compressed, bytesMax);
    produced += raw.length;
    return raw;
  },
};

/** Up to four changes: a flipped bit, another byte, a byte more, a byte less, a piece from elsewhere. */
function mutate(frame: Uint8Array, random: { next(): number }): Uint8Array {
  const bytes = [...frame];
  const changes = 1 + integerBelow(random, 4);
  for (let change = 0; change < changes; change += 1) {
    const at = integerBelow(random, bytes.length);
    const interesting = INTERESTING[integerBelow(random, INTERESTING.length)] ?? 0;
    switch (integerBelow(random, 5)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << integerBelow(random, 8));
        break;
      case 1:
        bytes[at] = interesting;
        break;
      case 2:
        bytes.splice(at, 0, interesting);
        break;
      case 3:
        if (bytes.length > 1) bytes.splice(at, 1);
        break;
      default: {
        const from = integerBelow(random, bytes.length);
        bytes.splice(at, 8, ...bytes.slice(from, from + 8));
      }
    }
  }
  return Uint8Array.from(bytes);
}

/** The reason of a typed refusal, or null when the frame was read. Anything else fails the test. */
function answer(bytes: Uint8Array, name: string): string | null {
  calls = 0;
  produced = 0;
  let reason: string | null = null;
  try {
    readFrame(bytes, held.get(name) ?? null, zstd);
  } catch (error) {
    if (!(error instanceof OmegaError)) throw error;
    expect(error.reason).toMatch(
      /^(frame|header|cbor|zstd|codec|columns|delta|release|refusal|pattern|model)\./,
    );
    reason = error.reason;
  }
  expect(calls).toBeLessThanOrEqual(1);
  expect(produced).toBeLessThanOrEqual(limits.BODY_BYTES_MAX);
  return reason;
}

const names = goldenNames();
const held = new Map(names.map((name) => [name, goldenHeld(name, real)]));

describe("P8: hostile frames", () => {
  it.each(names)("every proper prefix of %s is refused by name", (name) => {
    const frame = goldenBytes(name);
    // A pull has no body, and an unchanged release delta has an empty one: nothing to cut after the header.
    for (let length = 0; length < frame.length; length += 1) {
      expect(answer(frame.subarray(0, length), name)).not.toBeNull();
    }
  });

  it.each(names)(
    `${MUTATIONS_PER_FRAME} mutations of %s (seed ${SEED}) are refused by name or read, at a bounded cost`,
    (name) => {
      const random = seededRandom(SEED);
      const frame = goldenBytes(name);
      const reasons = new Set<string>();
      for (let round = 0; round < MUTATIONS_PER_FRAME; round += 1) {
        const reason = answer(mutate(frame, random), name);
        if (reason !== null) reasons.add(reason);
      }
      expect(reasons.size).toBeGreaterThan(3);
    },
  );

  it("that is at least 20,000 mutations in all", () => {
    expect(names.length * MUTATIONS_PER_FRAME).toBeGreaterThanOrEqual(20_000);
  });

  it("a golden frame is still read after all of them", () => {
    for (const name of names) expect(answer(goldenBytes(name), name)).toBeNull();
  });
});
