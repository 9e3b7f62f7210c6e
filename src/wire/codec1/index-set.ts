/**
 * Which of a known list: a set of indexes, as the distances between them.
 *
 * A count, an order k, then for each index a Rice code of how many were left
 * out since the one before. With k = 0 that is a bitmap up to its last one;
 * sparse sets take a larger k. A set of more than half is told by what it
 * leaves out, so neither "nearly none" nor "nearly all" costs much.
 * @module
 */
import { ProtocolError } from "../../core/index.ts";
import type { BitReader, BitWriter } from "./bits.ts";
import { cheapest, ORDER_BITS, ORDERS } from "./number-column.ts";

/** `indexes` ascend within 0…`universe` − 1. */
export function writeIndexSet(
  writer: BitWriter,
  indexes: readonly number[],
  universe: number,
): void {
  writer.uniform(indexes.length, universe);
  const told = isMost(indexes.length, universe) ? complement(indexes, universe) : indexes;
  if (told.length === 0) return;
  const gaps = told.map((index, at) => index - (at === 0 ? 0 : (told[at - 1] as number) + 1));
  const k = cheapest(ORDERS, (order) =>
    gaps.reduce((bits, gap) => bits + Math.floor(gap / 2 ** order) + order, 0),
  );
  writer.bits(k, ORDER_BITS);
  for (const gap of gaps) writer.rice(gap, k);
}

/** Ascending. Throws `ProtocolError("columns.index")` for one that is not in the list. */
export function readIndexSet(reader: BitReader, universe: number): number[] {
  const count = reader.uniform(universe);
  const most = isMost(count, universe);
  const toldCount = most ? universe - count : count;
  const told: number[] = [];
  const k = toldCount === 0 ? 0 : reader.bits(ORDER_BITS);
  let next = 0;
  for (let at = 0; at < toldCount; at += 1) {
    const index = next + reader.rice(k, universe);
    if (index >= universe) {
      throw new ProtocolError("columns.index", `an index beyond a list of ${universe}`);
    }
    told.push(index);
    next = index + 1;
  }
  return most ? complement(told, universe) : told;
}

function isMost(count: number, universe: number): boolean {
  return count * 2 > universe;
}

function complement(indexes: readonly number[], universe: number): number[] {
  const others: number[] = [];
  let at = 0;
  for (let index = 0; index < universe; index += 1) {
    if (indexes[at] === index) at += 1;
    else others.push(index);
  }
  return others;
}
