/**
 * What a fuzz target is, and what counts as a finding.
 * @module
 */
import { integerBelow, type Random, seededRandom } from "../src/core/index.ts";

/** A target that is a function of bytes. */
export interface Target {
  readonly name: string;
  /** One input, the same for the same random numbers. */
  make(random: Random): Uint8Array;
  /**
   * Gives the input to the code under test. Returns what became of it: "read", or the reason of a
   * typed refusal. Anything else it throws is a finding.
   */
  run(input: Uint8Array): string;
}

/** The random numbers of input `index` of a run: an input can be made again without those before it. */
export function randomOf(seed: number, index: number): Random {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  random.next();
  return random;
}

const INTERESTING = [
  ...[0x00, 0x01, 0x0f, 0x10, 0x17, 0x18, 0x1b, 0x20, 0x3f, 0x40, 0x5f, 0x7f],
  ...[0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xd9, 0xf4, 0xf9, 0xfb, 0xfe, 0xff],
];
const CHANGES_MAX = 5;
const PIECE_BYTES = 12;

/** `bytes` with one to five changes: a bit, a byte, one more, one less, a piece from elsewhere, a cut, a run. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  const out = [...bytes];
  const changes = 1 + integerBelow(random, CHANGES_MAX);
  for (let change = 0; change < changes; change += 1) {
    const at = integerBelow(random, Math.max(1, out.length));
    const value = INTERESTING[integerBelow(random, INTERESTING.length)] ?? 0;
    switch (integerBelow(random, 8)) {
      case 0:
      case 1:
        out[at] = (out[at] ?? 0) ^ (1 << integerBelow(random, 8));
        break;
      case 2:
        out[at] = value;
        break;
      case 3:
        out.splice(at, 0, value);
        break;
      case 4:
        out.splice(at, 1);
        break;
      case 5: {
        const from = integerBelow(random, Math.max(1, out.length));
        out.splice(at, PIECE_BYTES, ...out.slice(from, from + PIECE_BYTES));
        break;
      }
      case 6:
        out.length = at;
        break;
      default:
        out.splice(at, 0, ...new Array<number>(1 + integerBelow(random, 64)).fill(value));
    }
  }
  return Uint8Array.from(out);
}

/** `count` random bytes. */
export function randomBytes(random: Random, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => integerBelow(random, 256));
}

/** One of `choices`, which must not be empty. */
export function oneOf<T>(random: Random, choices: readonly T[]): T {
  return choices[integerBelow(random, choices.length)] as T;
}
