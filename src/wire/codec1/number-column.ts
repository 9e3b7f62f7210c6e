/**
 * Columns of numbers: a parameter that suits the column, then one code per number.
 *
 * Two kinds. `writeSizes` is for numbers of any magnitude in short columns:
 * four bits say the order k, then each number is exp-Golomb coded; on numbers
 * whose logarithm is spread evenly it stays within a third of a bit of their
 * entropy, and one that is a thousand times larger costs 20 bits, not 1000.
 * `writeLevels` is for numbers within a known range in long columns: it says
 * where they begin, and whether they are spread evenly or fall off from there.
 *
 * The encoder takes the cheapest parameter, the least of equal ones. Another
 * choice means the same numbers, so a decoder accepts it.
 * @module
 */
import { type BitReader, type BitWriter, bitLength, POWERS, uniformBits } from "./bits.ts";

/** An order k takes four bits. */
export const ORDER_BITS = 4;
export const ORDERS: readonly number[] = Array.from({ length: 2 ** ORDER_BITS }, (_, k) => k);

/** Integers from 0 to 2^52; nothing at all for an empty column. */
export function writeSizes(writer: BitWriter, values: readonly number[]): void {
  if (values.length === 0) return;
  const k = cheapest(ORDERS, (order) => {
    const power = POWERS[order] as number;
    let bits = 0;
    for (const value of values) bits += 2 * bitLength(Math.floor(value / power) + 1) + order;
    return bits;
  });
  writer.bits(k, ORDER_BITS);
  for (const value of values) writer.expGolomb(value, k);
}

export function readSizes(reader: BitReader, count: number): number[] {
  if (count === 0) return [];
  const k = reader.bits(ORDER_BITS);
  const values: number[] = [];
  for (let index = 0; index < count; index += 1) values.push(reader.expGolomb(k));
  return values;
}

/** Integers from 0 to `max` < 2^15; nothing at all for an empty column. */
export function writeLevels(writer: BitWriter, values: readonly number[], max: number): void {
  if (values.length === 0) return;
  const least = Math.min(...values);
  const span = Math.max(...values) - least;
  const room = max - least;
  const orders = ORDERS.slice(0, bitLength(room) + 1);
  const k = cheapest(orders, (order) => riceBits(values, least, order));
  const even = values.reduce(
    (bits, value) => bits + uniformBits(value - least, span),
    uniformBits(span, room),
  );
  writer.uniform(least, max);
  if (even < riceBits(values, least, k)) {
    writer.bits(1, 1);
    writer.uniform(span, room);
    for (const value of values) writer.uniform(value - least, span);
  } else {
    writer.bits(0, 1);
    writer.bits(k, ORDER_BITS);
    for (const value of values) writer.rice(value - least, k);
  }
}

/** Integers from 0; a Rice code may pass `max`, so the caller checks. */
export function readLevels(reader: BitReader, count: number, max: number): number[] {
  if (count === 0) return [];
  const least = reader.uniform(max);
  const room = max - least;
  const even = reader.bits(1) === 1;
  const span = even ? reader.uniform(room) : 0;
  const k = even ? 0 : reader.bits(ORDER_BITS);
  const values: number[] = [];
  for (let index = 0; index < count; index += 1) {
    values.push(least + (even ? reader.uniform(span) : reader.rice(k, room)));
  }
  return values;
}

function riceBits(values: readonly number[], least: number, k: number): number {
  const power = POWERS[k] as number;
  let bits = ORDER_BITS;
  for (const value of values) bits += Math.floor((value - least) / power) + 1 + k;
  return bits;
}

/** The candidate of the least cost, the first of equal ones. */
export function cheapest(candidates: readonly number[], cost: (k: number) => number): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const bits = cost(candidate);
    if (bits < least) [best, least] = [candidate, bits];
  }
  return best;
}
