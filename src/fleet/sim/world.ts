/**
 * A world: TVs, gateways, aggregators, a queue and a store, from one seed.
 *
 *   active: deltas and faults ──▶ healing: all faults end, nobody speaks ──▶ at rest, or too late
 * @module
 */
import { type DeviceKey, shardOf } from "../../core/index.ts";
import { memoryStore } from "../../store/index.ts";
import type { Zstd } from "../../wire/index.ts";
import { recordingStore } from "../oracle/recorders.ts";
import { MemorySink } from "../oracle/sinks.ts";
import { Ambush } from "./ambush.ts";
import { chanceOf } from "./chance.ts";
import { DeviceNode } from "./device-node.ts";
import { Life } from "./life.ts";
import type { WorldPlan } from "./plan.ts";
import { QueueService } from "./queue.ts";
import { AggregatorNode, GatewayNode, type Machine, type SourceOf } from "./server-nodes.ts";
import { PACES, type Pace, TENANT } from "./settings.ts";
import { StoreService } from "./store.ts";
import { Timeline } from "./timeline.ts";
import { type DownPacket, type EndHandlers, Wire } from "./wire.ts";

export interface WorldOptions {
  readonly plan: WorldPlan;
  readonly zstd: Zstd;
  readonly sourceOf: SourceOf;
}

const REFUSED_MS = 2;

export class World {
  readonly plan: WorldPlan;
  readonly pace: Pace;
  readonly timeline = new Timeline();
  readonly ambush = new Ambush(this.timeline);
  readonly sink: MemorySink;
  readonly devices: readonly DeviceNode[];
  readonly gateways: readonly GatewayNode[];
  readonly aggregators: readonly AggregatorNode[];
  readonly queue: QueueService;
  readonly store: StoreService;
  /** Every frame that was sent, by its hash. */
  readonly frames = new Map<string, Uint8Array>();
  /** The right time, milliseconds since 1970. */
  readonly nowMs: () => number;
  #wires = 0;

  constructor({ plan, zstd, sourceOf }: WorldOptions) {
    const { timeline } = this;
    const { seed, shards } = plan;
    this.plan = plan;
    const pace = PACES[plan.pace];
    this.pace = pace;
    this.sink = new MemorySink(() => Math.round(timeline.nowMs * 1_000) / 1_000);
    this.queue = new QueueService(shards, timeline, this.ambush);
    const { clock } = new Life("store", timeline, { skewMs: 0 });
    this.nowMs = clock.nowMs;
    const inner = memoryStore({ shards, releasesKept: 3, clock });
    this.store = new StoreService(recordingStore(inner, this.sink), this.ambush);
    const server = (name: string) => {
      const { queue, store, sink, frames } = this;
      return { name, seed, pace, timeline, queue, store, zstd, sink, sourceOf, frames };
    };
    this.gateways = range(plan.gateways).map((n) => new GatewayNode(server(`gateway${n}`)));
    this.aggregators = range(plan.aggregators).map(
      (n) => new AggregatorNode(server(`aggregator${n}`)),
    );
    const endpoints = this.gateways.map((_, n) => `mqtt://gateway${n}`);
    const { putEveryMs } = plan;
    this.devices = keysOf(plan).map((key, n) => {
      const { sink } = this;
      const codec = n < plan.codec1Devices ? 1 : 0;
      return new DeviceNode({
        ...{ key, codec, seed, endpoints, putEveryMs, pace, timeline, zstd, sink },
        ambush: this.ambush,
        dial: (node, life, url, handlers) => this.#dial(node, life, url, handlers),
      });
    });
  }

  /** Everything starts. */
  boot(): void {
    for (const node of this.aggregators) node.boot();
    for (const node of this.gateways) node.boot();
    for (const node of this.devices) node.boot();
  }

  get machines(): readonly Machine[] {
    return [...this.gateways, ...this.aggregators].map(({ machine }) => machine);
  }

  #dial(node: DeviceNode, life: Life, url: string, handlers: EndHandlers<DownPacket>): Wire {
    this.#wires += 1;
    node.dials += 1;
    const wire = new Wire({
      number: this.#wires,
      timeline: this.timeline,
      random: chanceOf(this.plan.seed, `${node.name} wire ${node.dials}`),
      network: node.network,
      life,
      handlers,
    });
    for (const old of node.wires) if (old.over) node.wires.delete(old);
    node.wires.add(wire);
    const gateway = this.gateways.find((_, n) => url === `mqtt://gateway${n}`);
    wire.knock(() => {
      if (gateway?.accept(wire) !== true) life.after(REFUSED_MS, () => wire.cut());
    });
    return wire;
  }
}

/** Devices of as many shards as there are, where chance lets them. */
function keysOf({ devices, shards }: WorldPlan): DeviceKey[] {
  const keys = range(devices * 4).map((n) => ({ tenant: TENANT, device: `tv${n}` }));
  const byShard = range(shards).map((shard) =>
    keys.filter((key) => shardOf(key, shards) === shard),
  );
  return range(devices).map(
    (n) => byShard[n % shards]?.[Math.floor(n / shards)] ?? (keys[n] as DeviceKey),
  );
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
