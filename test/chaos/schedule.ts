/**
 * The schedule: which fault comes when, drawn from a seed, and plain data so that it can be kept and
 * played again. Pure.
 * @module
 */
import { integerBelow, type Random, seededRandom } from "../../src/core/index.ts";
import type { Mischief } from "./messages.ts";
import type { Direction } from "./proxy.ts";

export const BACKENDS = ["aof", "replicated", "embedded", "postgres"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Sentinel is told to, or the master is killed, or stopped for a while. */
export type FailOver = "order" | "kill" | "freeze";

type Fault =
  | { readonly kind: "slow"; readonly link: string; readonly latencyMs: number }
  | { readonly kind: "rate"; readonly link: string; readonly bytesPerS: number }
  | { readonly kind: "hole"; readonly link: string; readonly directions: readonly Direction[] }
  | { readonly kind: "refuse"; readonly link: string }
  | {
      readonly kind: "cut";
      readonly link: string;
      readonly share: number;
      readonly direction: Direction;
    }
  | { readonly kind: "reset"; readonly link: string; readonly share: number }
  | { readonly kind: "kill"; readonly part: string }
  | { readonly kind: "freeze"; readonly part: string }
  | { readonly kind: "terminate"; readonly part: string }
  /** A server has its clock set, a part of ours runs on with one that is wrong by so much. */
  | { readonly kind: "clock"; readonly part: string; readonly shiftMs: number }
  /** The real devices of `part` die at a file operation of an outbox. */
  | {
      readonly kind: "die";
      readonly part: string;
      readonly operation: number;
      readonly after: boolean;
    }
  | { readonly kind: "disk-full"; readonly disk: string }
  | { readonly kind: "fail-over"; readonly by: FailOver }
  | { readonly kind: "poison-job" }
  | {
      readonly kind: "mischief";
      readonly part: string;
      readonly what: Mischief;
      readonly devices: number;
    };

export type FaultEvent = Fault & {
  /** From the beginning of the trouble. */
  readonly atMs: number;
  /** How long it lasts; 0: it is over at once. */
  readonly forMs: number;
};

/** What there is to be hurt. */
export interface Targets {
  readonly links: readonly string[];
  readonly gateways: readonly string[];
  readonly aggregators: readonly string[];
  readonly haproxy: string;
  readonly crowds: readonly string[];
  readonly devices: readonly string[];
  /** Servers of the backend that can be killed and stopped; none where it lives in the gateway. */
  readonly stores: readonly string[];
  /** Those of them whose clock can be set. */
  readonly clocks: readonly string[];
  readonly disks: readonly string[];
  readonly canFailOver: boolean;
  readonly takesJobs: boolean;
}

export interface Schedule {
  readonly backend: BackendName;
  readonly seed: number;
  readonly troubleMs: number;
  readonly events: readonly FaultEvent[];
}

/** Between two faults, in the mean. */
const GAP_MS_MEAN = 800;
/** Each life of a light device is an epoch, and the store remembers four. */
const CROWD_DEATHS_MAX = 3;
const HOUR_MS = 3_600_000;
/** Nothing begins so late that it would outlast the trouble by much. */
const LAST_MS = 1_000;

type Draw = (random: Random) => Fault & { readonly forMs: number };

/** The faults of `troubleMs` milliseconds. The same arguments give the same schedule. */
export function drawSchedule(
  backend: BackendName,
  targets: Targets,
  { seed, troubleMs }: { readonly seed: number; readonly troubleMs: number },
): Schedule {
  const random = seededRandom(seed + BACKENDS.indexOf(backend));
  const draws = drawsOf(targets).filter(({ weight }) => weight > 0);
  const total = draws.reduce((sum, { weight }) => sum + weight, 0);
  const events: FaultEvent[] = [];
  const deaths = new Map<string, number>();
  let atMs = 0;
  for (;;) {
    atMs += -Math.log(1 - random.next()) * GAP_MS_MEAN;
    if (atMs > troubleMs - LAST_MS) break;
    let left = random.next() * total;
    const drawn = draws.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    const fault = drawn?.draw(random);
    if (fault === undefined) continue;
    if (fault.kind === "kill" && targets.crowds.includes(fault.part)) {
      const before = deaths.get(fault.part) ?? 0;
      if (before === CROWD_DEATHS_MAX) continue;
      deaths.set(fault.part, before + 1);
    }
    const forMs = Math.min(fault.forMs, troubleMs - atMs);
    events.push({ ...fault, atMs: Math.round(atMs), forMs: Math.round(forMs) });
  }
  return { backend, seed, troubleMs, events };
}

interface Weighted {
  readonly weight: number;
  readonly draw: Draw;
}

function drawsOf(targets: Targets): Weighted[] {
  return [...linkDraws(targets), ...partDraws(targets), ...crowdDraws(targets)];
}

function linkDraws({ links }: Targets): Weighted[] {
  const link = (random: Random) => oneOf(random, links);
  const direction = (random: Random): Direction => (random.next() < 0.5 ? "up" : "down");
  return [
    {
      weight: 12,
      draw: (r) => ({
        ...{ kind: "slow", link: link(r), latencyMs: between(r, 5, 400) },
        forMs: between(r, 500, 6_000),
      }),
    },
    {
      weight: 6,
      draw: (r) => ({
        ...{ kind: "rate", link: link(r), bytesPerS: between(r, 20_000, 300_000) },
        forMs: between(r, 500, 5_000),
      }),
    },
    {
      weight: 16,
      draw: (r) => {
        const both = r.next() < 0.3;
        const directions: Direction[] = both ? ["up", "down"] : [direction(r)];
        // Now and then longer than every lock and lease.
        const forMs = r.next() < 0.15 ? between(r, 5_000, 9_000) : between(r, 200, 3_000);
        return { kind: "hole", link: link(r), directions, forMs };
      },
    },
    {
      weight: 14,
      draw: (r) => ({
        ...{ kind: "cut", link: link(r), share: share(r), direction: direction(r) },
        forMs: 0,
      }),
    },
    { weight: 10, draw: (r) => ({ kind: "reset", link: link(r), share: share(r), forMs: 0 }) },
    {
      weight: 7,
      draw: (r) => ({ kind: "refuse", link: link(r), forMs: between(r, 200, 3_000) }),
    },
  ];
}

function partDraws(targets: Targets): Weighted[] {
  const { gateways, aggregators, devices, haproxy, crowds, stores, clocks, disks } = targets;
  const servers = [...gateways, ...aggregators];
  const kill = (parts: readonly string[], downMs: number): Draw => {
    return (r) => ({ kind: "kill", part: oneOf(r, parts), forMs: between(r, 100, downMs) });
  };
  const freeze = (parts: readonly string[], longMs: number): Draw => {
    return (r) => ({ kind: "freeze", part: oneOf(r, parts), forMs: between(r, 300, longMs) });
  };
  const clock = (parts: readonly string[]): Draw => {
    return (r) => ({
      ...{ kind: "clock", part: oneOf(r, parts), shiftMs: r.next() < 0.5 ? HOUR_MS : -HOUR_MS },
      forMs: between(r, 8_000, 25_000),
    });
  };
  return [
    { weight: 1.7 * gateways.length, draw: kill(gateways, 1_500) },
    { weight: 2.5 * aggregators.length, draw: kill(aggregators, 1_500) },
    { weight: 6, draw: kill(devices, 1_000) },
    { weight: 0.7, draw: kill([haproxy], 500) },
    { weight: 0.5, draw: kill(crowds, 500) },
    { weight: 1.5 * sign(stores), draw: kill(stores, 2_000) },
    { weight: gateways.length, draw: freeze(gateways, 7_000) },
    { weight: 2 * aggregators.length, draw: freeze(aggregators, 9_000) },
    { weight: 2, draw: freeze(devices, 7_000) },
    { weight: 0.7, draw: freeze([haproxy], 2_500) },
    { weight: 1.5 * sign(stores), draw: freeze(stores, 4_000) },
    {
      weight: 0.4 * servers.length,
      draw: (r) => ({ kind: "terminate", part: oneOf(r, servers), forMs: 0 }),
    },
    { weight: 0.4 * servers.length, draw: clock(servers) },
    { weight: 0.2 * devices.length, draw: clock(devices) },
    { weight: sign(clocks), draw: clock(clocks) },
    {
      weight: 10,
      draw: (r) => ({
        ...{ kind: "die", part: oneOf(r, devices), operation: 1 + integerBelow(r, 60) },
        ...{ after: r.next() < 0.5, forMs: 0 },
      }),
    },
    {
      weight: 2 * sign(disks),
      draw: (r) => ({ kind: "disk-full", disk: oneOf(r, disks), forMs: between(r, 500, 4_000) }),
    },
    {
      weight: targets.canFailOver ? 2 : 0,
      draw: (r) => ({
        ...{ kind: "fail-over", by: oneOf(r, ["order", "kill", "freeze"] as const) },
        forMs: between(r, 5_000, 8_000),
      }),
    },
    { weight: targets.takesJobs ? 3 : 0, draw: () => ({ kind: "poison-job", forMs: 0 }) },
  ];
}

function crowdDraws({ crowds }: Targets): Weighted[] {
  const mischief = (what: (random: Random) => Mischief, most: number): Draw => {
    return (r) => ({
      ...{ kind: "mischief", part: oneOf(r, crowds), what: what(r) },
      ...{ devices: 1 + integerBelow(r, most), forMs: 0 },
    });
  };
  return [
    { weight: 4, draw: mischief((r) => ({ kind: "stall", forMs: between(r, 1_000, 8_000) }), 20) },
    { weight: 8, draw: mischief(() => ({ kind: "replay" }), 20) },
    { weight: 8, draw: mischief(() => ({ kind: "reorder" }), 20) },
    { weight: 6, draw: mischief((r) => ({ kind: "twice", forMs: between(r, 500, 3_000) }), 10) },
    { weight: 6, draw: mischief(() => ({ kind: "cut" }), 30) },
    { weight: 3, draw: mischief(() => ({ kind: "poison" }), 3) },
  ];
}

function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[integerBelow(random, values.length)] as T;
}

function between(random: Random, from: number, to: number): number {
  return Math.round(from + random.next() * (to - from));
}

/** Mostly a few of the connections, sometimes all. */
function share(random: Random): number {
  return random.next() < 0.15 ? 1 : 0.02 + random.next() * 0.2;
}

/** 1 when there is any. */
function sign(values: readonly string[]): number {
  return Math.sign(values.length);
}
