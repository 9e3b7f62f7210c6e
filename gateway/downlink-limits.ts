/**
 * Every bound of the downlink, with its default, checked against one another.
 *
 * P8: what a device does, or does not read, costs a bounded amount of memory;
 * what a release does costs the source a bounded rate of questions.
 * @module
 */
import { assert, InvalidConfigError, limits } from "../src/core/index.ts";
import type { FanoutLimits } from "./fanout.ts";
import type { LinkLimits } from "./link.ts";

export interface DownlinkLimits extends LinkLimits, FanoutLimits {
  /** Devices per second that a release fan-out serves. */
  readonly fanoutPerS: number;
  /** How long the source may take for one answer. */
  readonly sourceMsMax: number;
  /** Round trips under way at once for devices that are due now. */
  readonly parallelCountMax: number;
  /** How long devices that are due now gather for one round trip, when another has just begun. */
  readonly gatherMs: number;
  /** clean=0 sessions remembered, and for how long after their last use. */
  readonly sessionCountMax: number;
  readonly sessionTtlMs: number;
  /** Bytes of codec models sent per second to all devices together; one is some 150 KB. */
  readonly modelBytesPerS: number;
  /** Codec models held in memory. */
  readonly modelCountMax: number;
  /** How long it is believed that a model does not exist. */
  readonly modelAbsentMs: number;
}

export const DEFAULT_DOWNLINK_LIMITS: DownlinkLimits = {
  bufferBytesMax: 256 * 1024,
  ackMsMax: 30_000,
  chunkCount: 256,
  jitterMsMax: 250,
  pollMs: 5_000,
  refreshMs: 300_000,
  fanoutPerS: 5_000,
  sourceMsMax: 5_000,
  parallelCountMax: 4,
  gatherMs: 10,
  sessionCountMax: 50_000,
  sessionTtlMs: 24 * 3_600_000,
  modelBytesPerS: 16 * 1024 * 1024,
  modelCountMax: 4,
  modelAbsentMs: 10_000,
};

/** A timer holds at most 2^31 − 1 ms, and a mean time is waited for twice at most. */
const TIMER_MS_MAX = 2 ** 30;

/** The defaults with `given` over them. Throws `InvalidConfigError` with every fault. */
export function downlinkLimits(given: Partial<DownlinkLimits> = {}): DownlinkLimits {
  const chosen = { ...DEFAULT_DOWNLINK_LIMITS, ...given };
  const faults: string[] = [];
  for (const [name, value] of Object.entries(chosen)) {
    const least = name === "jitterMsMax" || name === "gatherMs" ? 0 : 1;
    if (!Number.isFinite(value) || value < least) {
      faults.push(`downlinkLimits.${name} must be ≥ ${least}: got ${value}`);
    }
  }
  for (const name of [
    "ackMsMax",
    "gatherMs",
    "jitterMsMax",
    "pollMs",
    "refreshMs",
    "sourceMsMax",
  ] as const) {
    if (chosen[name] > TIMER_MS_MAX) {
      faults.push(`downlinkLimits.${name} must be ≤ ${TIMER_MS_MAX}: got ${chosen[name]}`);
    }
  }
  if (chosen.bufferBytesMax < BUFFER_BYTES_MIN) {
    faults.push(
      `downlinkLimits.bufferBytesMax must be ≥ ${BUFFER_BYTES_MIN}, two of the largest frames: got ${chosen.bufferBytesMax}`,
    );
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return chosen;
}

/** A device that reads may have a refusal and a release before it; neither must cut it. */
const BUFFER_BYTES_MIN = 2 * limits.DOWN_FRAME_BYTES_MAX;
assert(
  DEFAULT_DOWNLINK_LIMITS.bufferBytesMax >= BUFFER_BYTES_MIN,
  "a device that reads is not cut for one release",
);
