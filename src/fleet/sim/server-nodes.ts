/**
 * The processes of the server: gateways, and aggregators with their releasers.
 *
 * Each is what src/cli would make of the same parts, with a simulated network
 * between them and the backend.
 * @module
 */

import { type DownlinkSource, gatewayLimits } from "../../../gateway/index.ts";
import { Downlink, Ingest } from "../../../gateway/without-sockets.ts";
import { Aggregator, Releaser } from "../../aggregate/index.ts";
import { noMetrics, silentLogger } from "../../observe/index.ts";
import type { Store } from "../../store/index.ts";
import type { Zstd } from "../../wire/index.ts";
import { recordingProducer } from "../oracle/recorders.ts";
import type { HistorySink } from "../oracle/sinks.ts";
import { SimBroker } from "./broker.ts";
import { chanceOf } from "./chance.ts";
import { Life, type WallClock } from "./life.ts";
import type { NetworkState } from "./pipe.ts";
import { QUEUE_ERRORS, type QueueService, queueView } from "./queue.ts";
import { Connection } from "./service.ts";
import { CALL_TIMEOUT_MS, DIM, type Pace, TENANT } from "./settings.ts";
import { STORE_ERRORS, type StoreService, storeView } from "./store.ts";
import type { Timeline } from "./timeline.ts";
import type { Wire } from "./wire.ts";

/** How gateways read the store: the wire that src/cli draws between the two rooms. */
export type SourceOf = (
  store: Store,
  dims: Readonly<Record<string, number>>,
  zstd: Zstd,
) => DownlinkSource;

export interface ServerOptions {
  readonly name: string;
  readonly seed: number;
  readonly pace: Pace;
  readonly timeline: Timeline;
  readonly queue: QueueService;
  readonly store: StoreService;
  readonly zstd: Zstd;
  readonly sink: HistorySink;
  readonly sourceOf: SourceOf;
  /** Where the frames that gateways take are kept, by their hash. */
  readonly frames: Map<string, Uint8Array>;
}

/** The machine of a gateway or an aggregator: its clock, its ways to the backend, and one process at a time. */
export class Machine {
  readonly name: string;
  readonly wall: WallClock = { skewMs: 0 };
  readonly toQueue: NetworkState = { delayMs: 0.3, jitterMs: 2, cut: false };
  readonly toStore: NetworkState = { delayMs: 0.3, jitterMs: 2, cut: false };
  process: Process | null = null;
  readonly #options: ServerOptions;
  #lives = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.name = options.name;
  }

  /** A new process; there must be none. */
  begin(): Process {
    const { timeline, queue, store, seed } = this.#options;
    this.#lives += 1;
    const name = `${this.name}-${this.#lives}`;
    const life = new Life(name, timeline, this.wall);
    const random = chanceOf(seed, name);
    const shared = { life, timeline, random, timeoutMs: CALL_TIMEOUT_MS };
    this.process = {
      life,
      queue: new Connection({
        ...{ ...shared, network: this.toQueue, service: queue.state, errors: QUEUE_ERRORS },
      }),
      store: new Connection({
        ...{ ...shared, network: this.toStore, service: store.state, errors: STORE_ERRORS },
      }),
    };
    return this.process;
  }

  /** kill -9. */
  end(): void {
    this.process?.life.end();
    this.process = null;
  }
}

/** One process on a machine, with its connections to the backend. */
interface Process {
  readonly life: Life;
  readonly queue: Connection;
  readonly store: Connection;
}

export class GatewayNode {
  readonly machine: Machine;
  readonly wires = new Set<Wire>();
  readonly #options: ServerOptions;
  #broker: SimBroker | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.machine = new Machine(options);
  }

  /** Its process starts. Nothing happens when it runs already. */
  boot(): void {
    if (this.machine.process !== null) return;
    const { life, queue, store } = this.machine.begin();
    const { seed, pace, zstd, sink, sourceOf, frames } = this.#options;
    const { queue: service, store: storeService } = this.#options;
    const random = chanceOf(seed, `${life.name} gateway`);
    const shared = { clock: life.clock, random, log: silentLogger, metrics: noMetrics };
    const view = storeView(storeService, store, random);
    const downlink = new Downlink({
      ...shared,
      source: sourceOf(view, { [TENANT]: DIM }, zstd),
      limits: pace.downlink,
    });
    const producer = queueView(service, queue, random).producer();
    const ingest = new Ingest({
      ...shared,
      limits: gatewayLimits(pace.gateway),
      producer: recordingProducer(producer, sink, frames),
      shards: service.shards.length,
      downlink,
    });
    this.#broker = new SimBroker({ gateway: life.name, life, ingest, downlink, sink });
    void downlink.start();
  }

  /** A connection reaches the machine: false when nobody listens. */
  accept(wire: Wire): boolean {
    if (this.machine.process === null || this.#broker === null) return false;
    this.wires.add(wire);
    this.#broker.accept(wire);
    return true;
  }

  kill(): void {
    this.machine.end();
    for (const wire of this.wires) wire.closeGateway();
    this.wires.clear();
  }

  /** The machine is gone without a word to its devices. */
  vanish(): void {
    for (const wire of this.wires) wire.vanish("gateway");
    this.kill();
  }
}

export class AggregatorNode {
  readonly machine: Machine;
  readonly #options: ServerOptions;
  #aggregator: Aggregator | null = null;
  #releaser: Releaser | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.machine = new Machine(options);
  }

  /** Its process starts. Nothing happens when it runs already. */
  boot(): void {
    if (this.machine.process !== null) return;
    const { life, queue, store } = this.machine.begin();
    const { seed, pace, zstd, queue: service, store: storeService } = this.#options;
    const owner = life.name;
    const random = chanceOf(seed, `${owner} aggregator`);
    const shared = { clock: life.clock, random, log: silentLogger, metrics: noMetrics, zstd };
    const view = storeView(storeService, store, random);
    this.#aggregator = new Aggregator({
      ...shared,
      queue: queueView(service, queue, random),
      store: view,
      owner,
      policy: { ...pace.retention, dimOf: () => DIM },
      settings: pace.aggregator,
    });
    this.#releaser = new Releaser({
      ...shared,
      store: view,
      owner,
      tenants: [TENANT],
      dimOf: () => DIM,
      policy: pace.version,
      settings: pace.releaser,
    });
    void this.#aggregator.start();
    void this.#releaser.start();
  }

  /** Stops in good order and is gone when it has. */
  async stop(): Promise<void> {
    const { process } = this.machine;
    await this.#releaser?.stop();
    await this.#aggregator?.stop();
    if (this.machine.process === process) this.kill();
  }

  kill(): void {
    this.machine.end();
  }
}
