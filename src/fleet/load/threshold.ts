/**
 * Thresholds: `ack_p99<500` and the like, the condition under which a run counts as good. Pure.
 * @module
 */

const METRICS = {
  ack_p50: "ms from the scheduled time to the PUBACK, median",
  ack_p90: "the same, 90 %",
  ack_p99: "the same, 99 %",
  ack_p999: "the same, 99.9 %",
  ack_max: "the same, the worst",
  connect_p50: "ms from the scheduled connect to CONNACK 0, median",
  connect_p99: "the same, 99 %",
  connect_max: "the same, the worst",
  offered_per_s: "deltas scheduled per second after the ramp",
  acked_per_s: "deltas acknowledged per second after the ramp",
  errors: "connections refused or ended by the server, wrong answers, refused deltas",
  lost: "deltas scheduled and not acknowledged in the end",
  busy: "logins answered with CONNACK 3, try again later",
  resent: "deltas sent again after a connection was lost",
  refused: "deltas that the server refused on the err topic",
  schedule_lag_p99: "ms by which the generator itself was late, 99 %",
} as const;

export type MetricName = keyof typeof METRICS;
export type MetricValues = Readonly<Record<MetricName, number>>;
/** What each metric is, for help and for the report. */
export const METRIC_HELP: Readonly<Record<MetricName, string>> = METRICS;

const HOLDS = {
  "<": (value: number, bound: number) => value < bound,
  "<=": (value: number, bound: number) => value <= bound,
  ">": (value: number, bound: number) => value > bound,
  ">=": (value: number, bound: number) => value >= bound,
  "=": (value: number, bound: number) => value === bound,
} as const;

export interface Threshold {
  readonly expression: string;
  readonly metric: MetricName;
  readonly holds: keyof typeof HOLDS;
  readonly bound: number;
}

export interface Judged {
  readonly expression: string;
  readonly value: number;
  readonly ok: boolean;
}

/** The threshold that `text` spells, or why it spells none, naming what is wrong. */
export function parseThreshold(text: string): Threshold | { readonly fault: string } {
  const [, metric = "", holds = "", bound = ""] =
    /^\s*(\w+)\s*(<=|>=|<|>|=)\s*(\d+(?:\.\d+)?)\s*$/.exec(text) ?? [];
  if (metric === "") return { fault: `'${text}' is no threshold: write METRIC<NUMBER` };
  if (!Object.hasOwn(METRICS, metric)) {
    return {
      fault: `'${text}': no metric ${metric}; there are ${Object.keys(METRICS).join(", ")}`,
    };
  }
  return {
    expression: text.trim(),
    metric: metric as MetricName,
    holds: holds as keyof typeof HOLDS,
    bound: Number(bound),
  };
}

export function judgeThresholds(thresholds: readonly Threshold[], values: MetricValues): Judged[] {
  return thresholds.map(({ expression, metric, holds, bound }) => {
    const value = values[metric];
    return { expression, value, ok: HOLDS[holds](value, bound) };
  });
}
