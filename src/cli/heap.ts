/**
 * How a process collects its garbage.
 *
 * Left to itself V8 lets a heap of 100 MB grow to several times that before it collects what has
 * become old, and gives nothing back for half a minute. Connections that ended in a storm are old
 * by then: thousands of dead ones would be held beside the live ones that take their place.
 *
 * And it shares each collection of the young out to helper threads. Pauses are shorter for it where
 * processors idle, which a gateway's devices feel. Nobody waits for an aggregator's pause; but where
 * every process of a machine is busy, its helpers cost more than they spare.
 * @module
 */
import { setFlagsFromString } from "node:v8";

const GROWTH_PERCENT = 30;

/** From now on a full collection follows when the heap has grown by a third; they are concurrent. */
export function keepHeapTight(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}

/** From now on the young are collected, and the buffers of the dead freed, by the thread itself: V8 reads both flags at each collection. */
export function collectWithoutHelpers(): void {
  setFlagsFromString("--no-parallel-scavenge");
  setFlagsFromString("--no-concurrent-array-buffer-sweeping");
}
