/**
 * Metrics: counters, gauges and histograms, rendered as Prometheus text.
 *
 * Names are `omega_<room>_<what>_<unit|total>`. Each product instance owns its
 * registry, so two in one process never add up by accident; asking twice for
 * one name gives the same instrument, so parts need not know of one another.
 * Labels hold reasons and codes, never ids: a million TVs must not make a
 * million series.
 * @module
 */
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from "prom-client";
import { assert } from "../core/index.ts";

type Labels = Record<string, string>;

export interface Counter {
  /** Adds `value` ≥ 0, default 1. */
  add(value?: number, labels?: Labels): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
  /** Adds `value`, which may be negative. */
  add(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  /** `buckets`: upper bounds, ascending, in the unit the name ends with. */
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[],
  ): Histogram;
  /**
   * A gauge that is asked for its value when it is rendered: for what changes far more often than
   * anybody looks. Several readings of one name add up.
   */
  readGauge(name: string, help: string, read: () => number): void;
  /** A counter read likewise: what was counted so far, ≥ 0, by the values of its one `label`. */
  readCounter(
    name: string,
    help: string,
    label: string,
    read: () => Readonly<Record<string, number>>,
  ): void;
  /** Every series in the Prometheus text format. */
  render(): Promise<string>;
  readonly contentType: string;
}

const PER_HANDLE_METRICS = [
  "process_open_fds",
  "nodejs_active_resources",
  "nodejs_active_resources_total",
  "nodejs_active_handles",
  "nodejs_active_handles_total",
] as const;
const NAME_PATTERN = /^omega_[a-z]+_[a-z0-9_]+$/;
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics with a registry of their own. `processMetrics` adds CPU, memory and event-loop series. */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics === true) collectProcessMetrics(registry);
  const known = new Map<string, { readonly shape: string; readonly instrument: unknown }>();

  function once<T>(kind: string, name: string, labels: readonly string[], make: () => T): T {
    assert(NAME_PATTERN.test(name), `a metric is named omega_<room>_<what>: got ${name}`);
    const shape = `${kind}(${labels.join(",")})`;
    const found = known.get(name);
    if (found !== undefined) {
      assert(found.shape === shape, `${name} is already a ${found.shape}, not a ${shape}`);
      // The shape names the kind, and each kind is made in one place.
      return found.instrument as T;
    }
    const instrument = make();
    known.set(name, { shape, instrument });
    return instrument;
  }

  return {
    counter: (name, help, labels = []) =>
      once("counter", name, labels, () => {
        const inner = new PromCounter(define(registry, name, help, labels));
        return { add: (value = 1, given = {}) => inner.inc(given, value) };
      }),
    gauge: (name, help, labels = []) =>
      once("gauge", name, labels, () => {
        const inner = new PromGauge(define(registry, name, help, labels));
        return {
          set: (value, given = {}) => inner.set(given, value),
          add: (value, given = {}) => inner.inc(given, value),
        };
      }),
    histogram: (name, help, buckets, labels = []) =>
      once("histogram", name, labels, () => {
        const shape = { ...define(registry, name, help, labels), buckets: [...buckets] };
        const inner = new PromHistogram(shape);
        return { observe: (value, given = {}) => inner.observe(given, value) };
      }),
    readGauge: (name, help, read) =>
      once("read gauge", name, [], () => {
        const reads: (() => number)[] = [];
        new PromGauge({
          ...define(registry, name, help, []),
          collect() {
            this.set(reads.reduce((sum, readOne) => sum + readOne(), 0));
          },
        });
        return reads;
      }).push(read),
    readCounter: (name, help, label, read) =>
      once("read counter", name, [label], () => {
        const reads: (() => Readonly<Record<string, number>>)[] = [];
        new PromCounter({
          ...define(registry, name, help, [label]),
          collect() {
            this.reset();
            for (const [value, count] of reads.flatMap((readOne) => Object.entries(readOne()))) {
              this.inc({ [label]: value }, count);
            }
          },
        });
        return reads;
      }).push(read),
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/**
 * prom-client's own process series, without those that list every handle and descriptor one by one:
 * with ten thousand sockets each look at them held everything else up for tens of milliseconds.
 */
function collectProcessMetrics(register: Registry): void {
  collectDefaultMetrics({ register });
  for (const name of PER_HANDLE_METRICS) register.removeSingleMetric(name);
}

function define(registry: Registry, name: string, help: string, labels: readonly string[]) {
  return { name, help, labelNames: [...labels], registers: [registry] };
}

/** Counts nothing and renders nothing. */
export const noMetrics: Metrics = {
  counter: () => ({ add() {} }),
  gauge: () => ({ set() {}, add() {} }),
  histogram: () => ({ observe() {} }),
  readGauge() {},
  readCounter() {},
  render: () => Promise.resolve(""),
  contentType: TEXT_FORMAT,
};
