import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import { napiZstd, type Zstd, zlibZstd } from "../../src/wire/zstd.ts";
import { hex, refusalOf } from "../support/reason.ts";

const MAX = limits.BODY_BYTES_MAX;
const MAGIC = "28b52ffd";
/** Single segment, one-byte content size of 3, one last raw block with `abc`. */
const ABC = `${MAGIC} 20 03 190000 616263`;
const EMPTY_FRAME = `${MAGIC} 20 00 010000`;
const SKIPPABLE = "502a4d18 00000000";

/** A frame that says it holds `bytes` zeros in run-length blocks of 128 KiB. */
function zeros(bytes: number): Uint8Array {
  const block = 128 * 1024;
  const count = Math.ceil(bytes / block);
  const head = Buffer.concat([hex(`${MAGIC} a0`), Buffer.alloc(4)]);
  head.writeUInt32LE(bytes, 5);
  const blocks = Array.from({ length: count }, (_, index) => {
    const size = index === count - 1 ? bytes - block * index : block;
    const word = (size << 3) | 2 | (index === count - 1 ? 1 : 0);
    return Buffer.from([word & 0xff, (word >> 8) & 0xff, word >> 16, 0]);
  });
  return new Uint8Array(Buffer.concat([head, ...blocks]));
}

const napi = await napiZstd().catch((error: unknown) => {
  console.log(`zstd: no native package here: ${String(error)}`);
  return null;
});
const zlib = zlibZstd();
if (zlib === null) {
  console.log(`zstd: node:zlib of Node ${process.version} has no zstd (needs 22.15): not tested`);
}

describe("zstd", () => {
  it("this machine has at least one", () => {
    expect(napi ?? zlib).not.toBeNull();
  });

  it.runIf(napi !== null && zlib !== null)("each reads what the other writes", () => {
    const raw = new Uint8Array(5000).fill(7);
    expect(zlib?.decompress((napi as Zstd).compress(raw), MAX)).toEqual(raw);
    expect(napi?.decompress((zlib as Zstd).compress(raw), MAX)).toEqual(raw);
  });
});

describe.each([
  ["zstd-napi", napi],
  ["node:zlib", zlib],
])("zstd from %s", (_name, found) => {
  const zstd = found as Zstd;

  it.skipIf(found === null)("reads back what it writes, with the size stated", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(20), (raw, times) => {
        const long = new Uint8Array(raw.length * times);
        for (let index = 0; index < times; index += 1) long.set(raw, index * raw.length);
        const compressed = zstd.compress(long);
        expect(zstd.decompress(compressed, long.length)).toEqual(long);
        if (long.length > 0) {
          expect(refusalOf(() => zstd.decompress(compressed, long.length - 1))).toBe(
            "Compression zstd.too-large",
          );
        }
      }),
    );
  });

  it.skipIf(found === null)("every proper prefix is refused", () => {
    const text = new TextEncoder().encode("the same words over and over, ".repeat(40));
    for (const frame of [zstd.compress(text), hex(ABC), zstd.compress(new Uint8Array(0))]) {
      for (let length = 0; length < frame.length; length += 1) {
        expect(refusalOf(() => zstd.decompress(frame.subarray(0, length), MAX))).toBe(
          "Compression zstd.truncated",
        );
      }
    }
  });

  // THREATS 18, item by item.
  const attacks: [string, Uint8Array, string][] = [
    ["a content size that is a lie upwards", hex(`${MAGIC} 20 ff 190000 616263`), "zstd.corrupt"],
    ["a content size that is a lie downwards", hex(`${MAGIC} 20 02 190000 616263`), "zstd.block"],
    ["1 GB of zeros in 32 KB", zeros(2 ** 30), "zstd.too-large"],
    ["run-length blocks beyond the size", hex(`${MAGIC} 20 ff 020010 00 030010 00`), "zstd.block"],
    ["a content size of 4e9", hex(`${MAGIC} a0 00286bee 010000`), "zstd.too-large"],
    ["a content size of 2^64 − 1", hex(`${MAGIC} e0 ffffffffffffffff 010000`), "zstd.too-large"],
    ["an unknown content size", hex(`${MAGIC} 00 38 190000 616263`), "zstd.content-size"],
    ["window 2^28, the nine poisonous bytes", hex("28b52ffd0090010000"), "zstd.window"],
    ["window 2^28 with a content size", hex(`${MAGIC} 40 90 0000 010000`), "zstd.window"],
    ["window 2^41", hex(`${MAGIC} 40 f8 0000 010000`), "zstd.window"],
    ["100,000 empty frames", hex(EMPTY_FRAME.repeat(100_000)), "zstd.trailing"],
    ["100,000 skippable frames", hex(SKIPPABLE.repeat(100_000)), "zstd.skippable"],
    ["a skippable frame before a good one", hex(SKIPPABLE + ABC), "zstd.skippable"],
    ["a skippable frame after a good one", hex(ABC + SKIPPABLE), "zstd.trailing"],
    ["two frames", hex(ABC + ABC), "zstd.trailing"],
    ["a dictionary id", hex(`${MAGIC} 21 07 03 190000 616263`), "zstd.dictionary"],
    ["a dictionary id of four bytes", hex(`${MAGIC} 23 07000000 03 190000`), "zstd.dictionary"],
    ["one trailing byte", hex(`${ABC} 00`), "zstd.trailing"],
    ["the reserved bit", hex(`${MAGIC} 28 03 190000 616263`), "zstd.reserved"],
    ["the unused bit", hex(`${MAGIC} 30 03 190000 616263`), "zstd.reserved"],
    ["a reserved block type", hex(`${MAGIC} 20 03 1f0000 616263`), "zstd.block"],
    ["a compressed block of rubbish", hex(`${MAGIC} 20 03 1d0000 ffffff`), "zstd.corrupt"],
    ["a wrong checksum", hex(`${MAGIC} 24 03 190000 616263 00000000`), "zstd.corrupt"],
    ["another magic", hex("27b52ffd 20 03 190000 616263"), "zstd.magic"],
    ["gzip", hex("1f8b080000000000"), "zstd.magic"],
    ["nothing", new Uint8Array(0), "zstd.truncated"],
  ];

  it.skipIf(found === null).each(attacks)(
    "THREATS 18: %s is refused with its reason",
    (_what, frame, reason) => {
      expect(refusalOf(() => zstd.decompress(frame, MAX))).toBe(`Compression ${reason}`);
    },
  );

  it.skipIf(found === null)("THREATS 18: no refused frame harms the next call", () => {
    const raw = new TextEncoder().encode("still here ".repeat(30));
    const good = zstd.compress(raw);
    for (const [, frame] of attacks) {
      refusalOf(() => zstd.decompress(frame, MAX));
      expect(zstd.decompress(good, MAX)).toEqual(raw);
      expect(zstd.compress(raw)).toEqual(good);
    }
  });

  it.skipIf(found === null)("what it returns stays as it is when it is called again", () => {
    const first = zstd.decompress(zstd.compress(new Uint8Array(1000).fill(1)), MAX);
    zstd.decompress(zstd.compress(new Uint8Array(1000).fill(2)), MAX);
    expect(first).toEqual(new Uint8Array(1000).fill(1));
  });

  it.skipIf(found === null)("mutated frames are refused by name or hold what they state", () => {
    const raw = new TextEncoder().encode("some words, some more words, some words ".repeat(8));
    const frame = zstd.compress(raw);
    const mutation = fc.tuple(fc.nat(frame.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        const bytes = frame.slice();
        for (const [at, byte] of mutations) bytes[at] = byte;
        const refusal = refusalOf(() => {
          expect(zstd.decompress(bytes, MAX).length).toBeLessThanOrEqual(MAX);
        });
        expect(refusal ?? "Compression zstd.").toMatch(/^Compression zstd\./);
      }),
      { numRuns: 5000 },
    );
  });
});
