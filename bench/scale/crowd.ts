/**
 * The devices of one world: up to 5,000 of them online at a time, taking turns when there are more.
 *
 * Nothing is measured here but that the load was what was asked for.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { assert, shardOf } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { type DeltaProducer, type QueueEntry, redisQueue } from "../../src/queue/index.ts";
import type { PackedBody } from "../../src/wire/index.ts";
import { Connection } from "./connection.ts";
import { type DeviceSets, deviceSetsOf, keyOf, setOf } from "./device-sets.ts";
import { bodyAt, type CodecId, frameOf, readPool } from "./frame-pool.ts";
import type { CrowdOptions, Done, Order } from "./orders.ts";

const ONLINE_MAX = 5_000;
/** Logins under way at once; a gateway lets 2,000 in that have not said who they are. */
const LOGINS_AT_ONCE = 100;
const FILL_BATCH = 64;
/** Jobs in the queue while it is filled. */
const FILL_JOBS_MAX = 100;
const POLL_MS = 5;
const TICK_MS = 1;
const ACK_MS_MAX = 30_000;
const NOTHING: Done = { acked: 0, elapsedS: 0 };

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #sets: DeviceSets;
  /** The last seq of each device; deltas are numbered from 1 as they leave. */
  readonly #seqs: Uint32Array;
  #codec: CodecId = 0;
  #bodies: readonly PackedBody[] = [];
  #online: { readonly device: number; readonly connection: Connection }[] = [];
  #nextDevice = 0;
  #nextOnline = 0;
  #acked = 0;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#sets = deviceSetsOf(options.shape);
    this.#seqs = new Uint32Array(options.shape.devices);
  }

  async obey(order: Order): Promise<Done> {
    switch (order.kind) {
      case "frames":
        this.#codec = order.codec;
        this.#bodies = readPool(order.file);
        return NOTHING;
      case "fill":
        return await this.#fill();
      case "take-turns":
        return await this.#takeTurns();
      case "publish":
        return await this.#publish(order.deltas, order.ratePerS);
    }
  }

  #nextFrame(device: number): Uint8Array {
    const turn = this.#seqs[device] ?? 0;
    this.#seqs[device] = turn + 1;
    const round = Math.floor(turn / this.#sets.setsPerDevice);
    const body = this.#bodies[bodyAt(setOf(this.#sets, device, turn), round)];
    assert(body !== undefined, "the pool has a body for every set");
    return frameOf(this.#codec, turn + 1, body);
  }

  async #fill(): Promise<Done> {
    const { redisUrl, shape } = this.#options;
    const startedMs = performance.now();
    const queue = await redisQueue({ url: redisUrl, shards: shape.shards, log: silentLogger });
    const producer = await queue.producer();
    for (let turn = 0; turn < this.#sets.setsPerDevice; turn += 1) await this.#fillOnce(producer);
    await queue.close();
    const acked = shape.devices * this.#sets.setsPerDevice;
    return { acked, elapsedS: (performance.now() - startedMs) / 1_000 };
  }

  /** One delta of every device. */
  async #fillOnce(producer: DeltaProducer): Promise<void> {
    const { devices, shards } = this.#options.shape;
    const waiting = Array.from({ length: shards }, (): QueueEntry[] => []);
    for (let device = 0; device < devices; device += 1) {
      const key = keyOf(this.#sets, device);
      const shard = shardOf(key, shards);
      const entries = waiting[shard] as QueueEntry[];
      entries.push({ key, receivedAtMs: Date.now(), frame: this.#nextFrame(device) });
      if (entries.length < FILL_BATCH) continue;
      while ((await producer.depth()) > FILL_JOBS_MAX) await sleep(POLL_MS);
      await producer.add(shard, entries.splice(0));
    }
    for (const [shard, entries] of waiting.entries()) await producer.add(shard, entries);
  }

  async #takeTurns(): Promise<Done> {
    const { devices } = this.#options.shape;
    const count = Math.min(devices, ONLINE_MAX);
    if (this.#online.length === devices) return NOTHING;
    for (const { connection } of this.#online.splice(0)) connection.leave();
    while (this.#online.length < count) {
      const logins = Math.min(LOGINS_AT_ONCE, count - this.#online.length);
      await Promise.all(Array.from({ length: logins }, () => this.#login()));
    }
    return NOTHING;
  }

  #login(): Promise<void> {
    const device = this.#nextDevice;
    this.#nextDevice = (device + 1) % this.#options.shape.devices;
    const onAck = () => {
      this.#acked += 1;
    };
    const key = keyOf(this.#sets, device);
    const connection = new Connection(this.#options.gatewayPort, key, onAck);
    this.#online.push({ device, connection });
    return connection.greeted();
  }

  /** Open loop: a slow server does not slow it. */
  async #publish(deltas: number, ratePerS: number): Promise<Done> {
    const startedMs = performance.now();
    const expected = this.#acked + deltas;
    for (let sent = 0; sent < deltas; ) {
      const due = Math.min(
        deltas,
        Math.floor(((performance.now() - startedMs) * ratePerS) / 1_000),
      );
      for (; sent < due; sent += 1) this.#send();
      await sleep(TICK_MS);
    }
    const untilMs = performance.now() + ACK_MS_MAX;
    while (this.#acked < expected) {
      if (performance.now() > untilMs) throw new Error(`${expected - this.#acked} acks never came`);
      await sleep(TICK_MS);
    }
    return { acked: deltas, elapsedS: (performance.now() - startedMs) / 1_000 };
  }

  #send(): void {
    const sender = this.#online[this.#nextOnline % this.#online.length];
    assert(sender !== undefined, "devices are online before they publish");
    this.#nextOnline += 1;
    sender.connection.publish(this.#nextFrame(sender.device));
  }
}
