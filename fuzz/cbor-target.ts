/**
 * CBOR: items with the lies that decoders believe, then bytes changed at random.
 *
 * What is read must encode back to the very same bytes, because only deterministic CBOR
 * (RFC 8949 §4.2.1) is read at all.
 * @module
 */
import { integerBelow, OmegaError, type Random, sameBytes } from "../src/core/index.ts";
import { decodeCbor, encodeCbor } from "../src/wire/index.ts";
import { mutate, oneOf, randomBytes, type Target } from "./target.ts";

const LIE_SHARE = 0.04;
const DEPTH_MAX = 9;
const ARGUMENTS = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1];
/** Heads that are not allowed: tags, floats, undefined, indefinite lengths, reserved values. */
const FORBIDDEN = [
  ...["c2", "c3", "d81b", "d81c", "d81d", "d9dfff", "d9d9f7", "f97e00", "f97c00", "fa7f800000"],
  ...["fb3ff199999999999a", "fb7ff8000000000000", "f7", "f0", "f8ff", "9f", "bf", "5f", "7f", "ff"],
  ...["1c", "1b0020000000000000", "1bffffffffffffffff", "3bffffffffffffffff"],
].map((text) => Buffer.from(text, "hex"));
const TEXTS = ["", "a", "b", "__proto__", "constructor", "ä", "\u{10151}"].map((text) =>
  Buffer.from(text),
);

export function cborTarget(corpus: readonly Uint8Array[]): Target {
  return {
    name: "cbor",
    make(random) {
      if (corpus.length > 0 && random.next() < 0.2) return mutate(oneOf(random, corpus), random);
      const bytes = Buffer.concat(item(random, 1));
      return random.next() < 0.5 ? bytes : mutate(bytes, random);
    },
    run(input) {
      let value: ReturnType<typeof decodeCbor>;
      try {
        value = decodeCbor(input);
      } catch (error) {
        if (error instanceof OmegaError && error.reason.startsWith("cbor.")) return error.reason;
        throw error;
      }
      if (sameBytes(encodeCbor(value), input)) return "read";
      throw new Error("was read, but encodes to other bytes");
    },
  };
}

function item(random: Random, depth: number): Uint8Array[] {
  if (random.next() < LIE_SHARE) return [oneOf(random, FORBIDDEN)];
  const kind = integerBelow(random, depth > DEPTH_MAX ? 4 : 7);
  switch (kind) {
    case 0:
      return [head(random, 0, oneOf(random, ARGUMENTS))];
    case 1:
      return [head(random, 1, oneOf(random, ARGUMENTS))];
    case 2:
      return string(random, 2, randomBytes(random, integerBelow(random, 30)));
    case 3:
      return string(random, 3, oneOf(random, TEXTS));
    case 4:
      return [
        oneOf(
          random,
          [0xf4, 0xf5, 0xf6].map((byte) => Uint8Array.of(byte)),
        ),
      ];
    case 5: {
      const count = integerBelow(random, 5);
      const items = Array.from({ length: count }, () => item(random, depth + 1));
      return [head(random, 4, lied(random, count)), ...items.flat()];
    }
    default:
      return map(random, depth);
  }
}

/** Keys rise, as they must, unless a lie or a changed byte sees to it that they do not. */
function map(random: Random, depth: number): Uint8Array[] {
  const count = integerBelow(random, 5);
  const pairs = Array.from({ length: count }, (_, key) => [
    ...(random.next() < 0.9 ? [head(random, 0, key)] : item(random, depth + 1)),
    ...item(random, depth + 1),
  ]);
  return [head(random, 5, lied(random, count)), ...pairs.flat()];
}

function string(random: Random, major: number, bytes: Uint8Array): Uint8Array[] {
  return [head(random, major, lied(random, bytes.length)), bytes];
}

function lied(random: Random, length: number): number {
  return random.next() < LIE_SHARE ? oneOf(random, ARGUMENTS) : length;
}

/** The head of an item (RFC 8949 §3), the shortest form unless it lies about that too. */
function head(random: Random, major: number, argument: number): Uint8Array {
  const least = argument < 24 ? 0 : argument < 2 ** 8 ? 1 : argument < 2 ** 16 ? 2 : 4;
  const bytes = random.next() < LIE_SHARE ? oneOf(random, [1, 2, 4, 8]) : least;
  if (bytes === 0) return Uint8Array.of((major << 5) | argument);
  const out = Buffer.alloc(1 + bytes);
  out[0] = (major << 5) | (24 + Math.log2(bytes));
  const value = BigInt(argument) & ((1n << BigInt(8 * bytes)) - 1n);
  for (let at = 0; at < bytes; at += 1) out[bytes - at] = Number((value >> BigInt(8 * at)) & 0xffn);
  return out;
}
