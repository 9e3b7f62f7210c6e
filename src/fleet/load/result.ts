/**
 * What a run comes to: numbers, whether the generator kept up with itself, and what may be said of the server. Pure.
 * @module
 */
import { histogramOf, type Quantiles } from "./histogram.ts";
import type { LoadPlan, RunPart } from "./plan.ts";
import { rampMs } from "./scenario.ts";
import { addCounts, type Counts } from "./tally.ts";
import { type Judged, judgeThresholds, type MetricValues, type Threshold } from "./threshold.ts";
import type { Moment } from "./timeline.ts";

/** A generator that is later than this cannot tell its own lateness from the server's. */
const LATE_MS_MAX = 20;
const UTILISATION_MAX = 0.9;
/** Below this share of what was offered, the server did not keep up. */
const KEPT_UP_SHARE = 0.95;

interface Generator {
  readonly processes: number;
  /** The worst of the processes. */
  readonly loopLagMsP99: number;
  readonly utilisation: number;
  readonly scheduleLagMs: Quantiles;
  /** Whether the generator itself was too slow for what it measured to be the server's. */
  readonly saturated: boolean;
  /** Why, one line each. */
  readonly reasons: readonly string[];
}

export interface FleetResult {
  /** The shape of this object. */
  readonly format: 1;
  readonly target: string;
  readonly scenario: string;
  readonly network: string;
  readonly devices: number;
  readonly seed: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly rampS: number;
  readonly durationS: number;
  /** Stopped before its time. */
  readonly interrupted: boolean;
  readonly counts: Counts;
  readonly ackMs: Quantiles;
  readonly connectMs: Quantiles;
  readonly tlsResumed: number;
  readonly metrics: MetricValues;
  readonly generator: Generator;
  /** Deltas per second at which the server no longer kept up; null: it did, or nothing can be said. */
  readonly serverLimitPerS: number | null;
  readonly serverLimitNote: string;
  readonly thresholds: readonly Judged[];
  readonly moments: readonly Moment[];
}

export interface ResultInput {
  readonly plan: LoadPlan;
  readonly startedAtMs: number;
  readonly interrupted: boolean;
  readonly parts: readonly RunPart[];
  readonly moments: readonly Moment[];
  readonly thresholds: readonly Threshold[];
}

export function resultOf(input: ResultInput): FleetResult {
  const { plan, parts, moments, thresholds, interrupted } = input;
  const { host, port, protocol } = plan.target;
  const ramp = rampMs(plan.scenario, plan.devices, plan.connectRate);
  const counts = addCounts(parts.map((part) => part.counts));
  const ackMs = histogramOf(parts.map((part) => part.ackMs)).quantiles();
  const connectMs = histogramOf(parts.map((part) => part.connectMs)).quantiles();
  const generator = judgeGenerator(parts);
  const rates = ratesAfter(moments, ramp, plan.durationMs);
  const metrics = metricsOf({ counts, ackMs, connectMs, rates, generator });
  return {
    format: 1,
    target: `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    scenario: plan.scenario,
    network: plan.network,
    devices: plan.devices,
    seed: plan.seed,
    startedAt: new Date(input.startedAtMs).toISOString(),
    rampS: ramp / 1_000,
    durationS: plan.durationMs / 1_000,
    interrupted,
    ...{ counts, ackMs, connectMs, metrics, generator },
    tlsResumed: parts.reduce((sum, part) => sum + part.tlsResumed, 0),
    ...limitOf(rates, generator.saturated),
    thresholds: judgeThresholds(thresholds, metrics),
    moments,
  };
}

/** Whether the generator was fast enough for its own schedule, and why not. */
export function judgeGenerator(parts: readonly RunPart[]): Generator {
  const scheduleLagMs = histogramOf(parts.map((part) => part.lateMs)).quantiles();
  const utilisation = Math.max(...parts.map((part) => part.health.utilisation));
  const reasons = [
    ...(scheduleLagMs.p99 > LATE_MS_MAX
      ? [`1 % of the schedule ran more than ${LATE_MS_MAX} ms late: ${scheduleLagMs.p99} ms`]
      : []),
    ...(utilisation > UTILISATION_MAX
      ? [`a process was busy ${utilisation} of the time, more than ${UTILISATION_MAX}`]
      : []),
  ];
  return {
    processes: parts.length,
    loopLagMsP99: Math.max(...parts.map((part) => part.health.loopLagMsP99)),
    ...{ utilisation, scheduleLagMs, reasons, saturated: reasons.length > 0 },
  };
}

interface Rates {
  readonly offeredPerS: number;
  readonly ackedPerS: number;
}

/** Means over the whole seconds between the ramp and the end of the schedule. */
function ratesAfter(moments: readonly Moment[], ramp: number, durationMs: number): Rates {
  const steady = moments.filter(
    ({ second }) => (second - 1) * 1_000 >= ramp && second * 1_000 <= ramp + durationMs,
  );
  const mean = (pick: (moment: Moment) => number) =>
    steady.length === 0 ? 0 : steady.reduce((sum, moment) => sum + pick(moment), 0) / steady.length;
  const rounded = (value: number) => Math.round(value * 10) / 10;
  return {
    offeredPerS: rounded(mean((moment) => moment.offered)),
    ackedPerS: rounded(mean((moment) => moment.acked)),
  };
}

function limitOf(
  { offeredPerS, ackedPerS }: Rates,
  saturated: boolean,
): Pick<FleetResult, "serverLimitPerS" | "serverLimitNote"> {
  if (saturated) {
    const serverLimitNote =
      "the generator was saturated: no server limit can be stated; raise --processes or lower the load";
    return { serverLimitPerS: null, serverLimitNote };
  }
  if (ackedPerS >= offeredPerS * KEPT_UP_SHARE) {
    return {
      serverLimitPerS: null,
      serverLimitNote: `the server kept up with ${offeredPerS} deltas/s: its limit is above`,
    };
  }
  return {
    serverLimitPerS: ackedPerS,
    serverLimitNote: `of ${offeredPerS} deltas/s offered the server took ${ackedPerS}`,
  };
}

function metricsOf({
  counts,
  ackMs,
  connectMs,
  rates,
  generator,
}: Pick<FleetResult, "counts" | "ackMs" | "connectMs" | "generator"> & {
  readonly rates: Rates;
}): MetricValues {
  const { loginsRefused, connectFailures, disconnects, wrongAnswers, refused } = counts;
  return {
    ack_p50: ackMs.p50,
    ack_p90: ackMs.p90,
    ack_p99: ackMs.p99,
    ack_p999: ackMs.p999,
    ack_max: ackMs.max,
    connect_p50: connectMs.p50,
    connect_p99: connectMs.p99,
    connect_max: connectMs.max,
    offered_per_s: rates.offeredPerS,
    acked_per_s: rates.ackedPerS,
    errors: loginsRefused + connectFailures + disconnects + wrongAnswers + refused,
    lost: counts.offered - counts.acked,
    busy: counts.busy,
    resent: counts.resent,
    refused,
    schedule_lag_p99: generator.scheduleLagMs.p99,
  };
}
