/**
 * One input given to a target, timed, and judged.
 * @module
 */
import { messageOf } from "../src/core/index.ts";
import type { Target } from "./target.ts";

/** No input may hold an event loop longer, milliseconds. */
export const STALL_MS_MAX = 50;
/** A machine that is busy makes one run slow; an input that is slow is so each time. */
const ATTEMPTS = 4;

export interface Trial {
  /** "read", or the reason of a typed refusal; of a finding, what is wrong. */
  readonly outcome: string;
  readonly isFinding: boolean;
  /** The quickest of the attempts, milliseconds. */
  readonly tookMs: number;
}

export function tryInput(target: Target, input: Uint8Array): Trial {
  let tookMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && tookMs > STALL_MS_MAX; attempt += 1) {
    const startedAtMs = performance.now();
    let outcome: string;
    try {
      outcome = target.run(input);
    } catch (error) {
      return { outcome: `threw ${messageOf(error)}`, isFinding: true, tookMs: 0 };
    }
    tookMs = Math.min(tookMs, performance.now() - startedAtMs);
    if (tookMs <= STALL_MS_MAX) return { outcome, isFinding: false, tookMs };
  }
  return { outcome: `took ${tookMs.toFixed(0)} ms`, isFinding: true, tookMs };
}
