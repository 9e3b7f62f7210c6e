/**
 * Heads of down frames that differ in nothing but the watermark.
 *
 * Every device on a rung gets the same body and, but for a few bytes, the same
 * head: a release to ten thousand devices encodes one head per rung and part,
 * and lays each device's (epoch, seq) into it.
 * @module
 */
import { assert } from "../core/index.ts";
import { encodeCbor } from "./cbor.ts";
import { COUNTER_MAX, type Position } from "./header.ts";

/** The head for one device; `null` before the server has accounted for anything of it. */
export type DownHead = (applied: Position | null) => Uint8Array;

const PROBE: Position = { epoch: 1, seq: 0 };
/** A frame's prefix and the first byte of its map, which counts the keys: the watermark is one more. */
const COUNTED_BYTES = 4;

/**
 * `encode` gives the head that a watermark makes, as wire's own frames have it; it is called
 * twice here and never again. The result throws an assertion for an (epoch, seq) out of range.
 */
export function downHead(encode: DownHead): DownHead {
  const without = encode(null);
  const withProbe = encode(PROBE);
  const probe = encodeCbor([PROBE.epoch, PROBE.seq]);
  const start = firstDifference(without, withProbe);
  const before = withProbe.slice(0, start + 1);
  const after = withProbe.slice(start + 1 + probe.length);
  return (applied) => {
    if (applied === null) return without;
    const { epoch, seq } = applied;
    const inRange = epoch >= 1 && epoch <= COUNTER_MAX && seq >= 0 && seq <= COUNTER_MAX;
    assert(inRange, "a watermark is a position");
    const position = encodeCbor([epoch, seq]);
    const head = new Uint8Array(before.length + position.length + after.length);
    head.set(before);
    head.set(position, before.length);
    head.set(after, before.length + position.length);
    return head;
  };
}

/** Keys stand in order, so two heads are the same up to the watermark's own key. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = COUNTED_BYTES;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at;
}
