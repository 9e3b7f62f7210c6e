/**
 * The plan of a world: its size, its network, and what goes wrong when; all from the seed.
 * @module
 */
import { integerBelow, type Random } from "../../core/index.ts";
import { between, chanceOf, happens, oneOf } from "./chance.ts";
import { PACES, type Pace, type PaceName } from "./settings.ts";

export interface WorldPlan {
  readonly seed: number;
  readonly pace: PaceName;
  readonly devices: number;
  readonly gateways: number;
  readonly aggregators: number;
  readonly shards: number;
  /** Until faults and deltas end, milliseconds. */
  readonly activeMs: number;
  /** Mean time between two deltas of a device. */
  readonly putEveryMs: number;
  /** Devices that speak codec 1 and read rendition 1; the first ones. */
  readonly codec1Devices: number;
  readonly faults: readonly Fault[];
}

/** One thing that goes wrong at `atMs`, and until when, where it lasts. */
export interface Fault {
  readonly atMs: number;
  readonly lastsMs: number;
  readonly kind: FaultKind;
  /** Which of its kind, counted from 0; taken modulo what there is. */
  readonly which: number;
  /** 0 … 1, for what differs from one to the next. */
  readonly how: number;
}

/** What can go wrong, with how often it does. */
const FAULT_WEIGHTS = {
  /** A device's process is killed and starts again. */
  "device.kill": 6,
  /** A device loses its power, and with it what was not synced. */
  "device.power": 5,
  /** A device loses its whole memory. */
  "device.wipe": 4,
  /** A device stops and starts in good order. */
  "device.restart": 1,
  /** Both at the moment when a frame leaves. */
  "device.kill-in-publish": 3,
  "device.power-in-publish": 4,
  /** A device's process stands still, and then goes on. */
  "device.halt": 2,
  "device.disk-full": 2,
  "device.sync-fails": 2,
  /** A device's connection is reset: what was under way is lost. */
  "link.reset": 8,
  /** A device is cut off. */
  "link.cut": 5,
  /** A device's network gets slow. */
  "link.slow": 3,
  "gateway.kill": 5,
  /** A gateway's machine is gone without a word. */
  "gateway.vanish": 2,
  /** A batch is in the queue, and no PUBACK has left. */
  "gateway.kill-in-add": 3,
  "gateway.reset-in-add": 2,
  /** It starts again and reads from a replica that lags. */
  "gateway.reads-old": 4,
  "gateway.halt": 3,
  "gateway.queue-cut": 4,
  "gateway.queue-reset": 4,
  "gateway.store-cut": 3,
  "gateway.store-reset": 2,
  "aggregator.kill": 6,
  "aggregator.restart": 2,
  /** Beyond its leases and locks, mostly. */
  "aggregator.halt": 5,
  /** A commit is kept, and its writer never learns it. */
  "aggregator.kill-in-commit": 6,
  "aggregator.reset-in-commit": 5,
  /** A commit is on its way and arrives after everybody has given its writer up. */
  "aggregator.cut-in-commit": 5,
  /** A writer is stopped in the middle of a batch. */
  "aggregator.halt-in-commit": 4,
  "aggregator.queue-cut": 3,
  "aggregator.queue-reset": 3,
  "aggregator.store-cut": 4,
  "aggregator.store-reset": 5,
  "queue.restart": 3,
  "store.restart": 3,
  /** The queue puts a job among the failed ones for reasons of its own. */
  "queue.fails-job": 5,
  "store.loses-notices": 2,
  /** A machine's clock is wrong by up to an hour. */
  "clock.jump": 4,
} as const;
export type FaultKind = keyof typeof FAULT_WEIGHTS;

const KINDS = Object.keys(FAULT_WEIGHTS) as FaultKind[];
const WEIGHT_SUM = KINDS.reduce((sum, kind) => sum + FAULT_WEIGHTS[kind], 0);
const MINUTE_MS = 60_000;

/** The world of `seed` at a pace; the same every time. */
export function planOf(seed: number, name: PaceName = "dense"): WorldPlan {
  const pace: Pace = PACES[name];
  const random = chanceOf(seed, "plan");
  const activeMs = between(random, ...pace.activeMinutes) * MINUTE_MS;
  const [devicesMin, devicesMax] = pace.devices;
  return {
    seed,
    pace: name,
    devices: devicesMin + integerBelow(random, devicesMax - devicesMin + 1),
    gateways: 1 + integerBelow(random, 2),
    aggregators: 1 + integerBelow(random, 2),
    shards: 1 + integerBelow(random, 2),
    activeMs,
    putEveryMs: oneOf(random, pace.putEveryMs),
    codec1Devices: happens(random, 0.4) ? 1 : 0,
    faults: faultsOf(chanceOf(seed, "faults"), activeMs, pace),
  };
}

function faultsOf(random: Random, activeMs: number, pace: Pace): Fault[] {
  // One world in ten has no faults at all: it must be right too.
  const count = happens(random, 0.1) ? 0 : 2 + integerBelow(random, 13);
  const faults = Array.from({ length: count }, (): Fault => {
    return {
      atMs: Math.round(between(random, 5_000, activeMs)),
      lastsMs: Math.round(lengthOf(random, pace)),
      kind: kindOf(random),
      which: integerBelow(random, 64),
      how: random.next(),
    };
  });
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** Short ones mostly; some outlast every lock, lease and keepalive there is. */
function lengthOf(random: Random, { shortFaultMs, longFaultMs }: Pace): number {
  return between(random, ...(happens(random, 0.6) ? shortFaultMs : longFaultMs));
}

function kindOf(random: Random): FaultKind {
  let left = random.next() * WEIGHT_SUM;
  for (const kind of KINDS) {
    left -= FAULT_WEIGHTS[kind];
    if (left < 0) return kind;
  }
  return "link.reset";
}
