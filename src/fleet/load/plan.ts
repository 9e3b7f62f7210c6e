/**
 * What a run is asked to do, as plain data: it travels to the processes that do it.
 * @module
 */
import type { HistogramData } from "./histogram.ts";
import type { NetworkName } from "./network.ts";
import type { ScenarioName } from "./scenario.ts";
import type { Counts } from "./tally.ts";
import type { Target } from "./wire.ts";

export interface LoadPlan {
  readonly target: Target;
  readonly tenant: string;
  readonly devices: number;
  /** After the ramp. */
  readonly durationMs: number;
  /** New connections per second of the whole fleet during the ramp. */
  readonly connectRate: number;
  /** Mean time between two deltas of a device. */
  readonly intervalMs: number;
  /** Each gap is uniform within ± this share of the interval, 0–1. */
  readonly jitter: number;
  /** Share of the devices that leave per minute and come back seconds later, 0–1. */
  readonly churnPerMinute: number;
  readonly network: NetworkName;
  readonly scenario: ScenarioName;
  /** Of the gateways' password mode; null: log in without one. */
  readonly secret: string | null;
  readonly dim: number;
  /** Patterns in a delta. */
  readonly patterns: number;
  readonly frameBytes: number;
  readonly seed: number;
  /** Of every device's deltas: milliseconds since 1970, so that a later run is above an earlier one. */
  readonly epoch: number;
}

/** Which devices of the plan one process plays. */
export interface Share {
  readonly first: number;
  readonly count: number;
}

/** How well a generator kept its own schedule. */
interface GeneratorHealth {
  /** 99 % of the event loop's turns came at most so late, milliseconds. */
  readonly loopLagMsP99: number;
  /** Share of the time in which the event loop was busy, 0–1. */
  readonly utilisation: number;
}

/** What one process measured, beside its samples. */
export interface RunPart {
  readonly counts: Counts;
  readonly ackMs: HistogramData;
  readonly connectMs: HistogramData;
  /** From when an act was due to when it ran. */
  readonly lateMs: HistogramData;
  readonly tlsResumed: number;
  readonly health: GeneratorHealth;
}

/** The devices of a fleet cut into `processes` shares as equal as can be; none is empty. */
export function sharesOf(devices: number, processes: number): Share[] {
  const count = Math.min(devices, processes);
  return Array.from({ length: count }, (_, index) => {
    const first = Math.floor((devices * index) / count);
    return { first, count: Math.floor((devices * (index + 1)) / count) - first };
  });
}
