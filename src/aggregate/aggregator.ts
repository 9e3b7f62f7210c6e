/**
 * The aggregator: as many shards as its fair share, each with a writer and a queue consumer.
 *
 * Shards are found by trying: whoever takes a shard's lease owns it. Once per
 * tick an aggregator counts its peers (seats.ts), takes free shards up to its
 * share ⌈shards / aggregators⌉, and hands back what is above it, so that a new
 * one gets its part. Handing back is orderly: the consumer stops fetching, the
 * writer commits what is open, the lease is freed. A lost lease is not: every
 * open job rejects at once and comes again at the new owner.
 * @module
 */
import { randomUUID } from "node:crypto";
import {
  assert,
  type Clock,
  type DeviceKey,
  type Health,
  messageOf,
  type Random,
  type Readiness,
  type Service,
  shardOf,
  systemClock,
  systemRandom,
  type Timer,
  TransportError,
} from "../core/index.ts";
import { type Logger, type Metrics, noMetrics, silentLogger } from "../observe/index.ts";
import type { DeltaConsumer, QueueBackend } from "../queue/index.ts";
import type { Commit, Store } from "../store/index.ts";
import type { Zstd } from "../wire/index.ts";
import { shardsHeldGauge, writerMetrics } from "./aggregate-metrics.ts";
import { requireRetention } from "./buckets.ts";
import { DeviceCache } from "./device-cache.ts";
import { DEFAULT_FOLD_POLICY, type FoldPolicy } from "./fold-policy.ts";
import { ModelShelf } from "./model-shelf.ts";
import type { Register } from "./register.ts";
import { Seats } from "./seats.ts";
import { ShardWriter } from "./shard-writer.ts";
import {
  DEFAULT_WRITER_SETTINGS,
  type WriterContext,
  type WriterSettings,
} from "./writer-context.ts";

interface AggregatorSettings extends WriterSettings {
  /** Memory for devices seen lately, of all shards together, bytes. */
  readonly cachedBytesMax: number;
  /** About how often shards are looked for, milliseconds; each wait is 0.5–1.5 of it. */
  readonly tickMs: number;
}

export const DEFAULT_AGGREGATOR_SETTINGS: AggregatorSettings = {
  ...DEFAULT_WRITER_SETTINGS,
  // 1,400 devices of ten patterns: enough for the samples that codec models are learnt from.
  cachedBytesMax: 16 * 1024 * 1024,
  tickMs: 1_000,
};

export interface AggregatorOptions {
  readonly queue: Pick<QueueBackend, "consumer" | "jobsAtOnce">;
  readonly store: Store;
  readonly zstd: Zstd;
  /** The shards it may write; default: all of the store's. */
  readonly shards?: readonly number[];
  /** Unique per process incarnation; default: random. */
  readonly owner?: string;
  readonly policy?: Partial<FoldPolicy>;
  readonly settings?: Partial<AggregatorSettings>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  readonly metrics?: Metrics;
  /** Runs between fold and commit: where fault tests end the process. */
  readonly beforeCommit?: (shard: number, commit: Commit) => Promise<void>;
}

/** Ticks without one that succeeded, until an aggregator is not ready. */
const TICKS_MISSED_MAX = 3;

/** Peers beyond this many are not counted one by one. */
const SEATS_MAX = 64;

interface Holding {
  readonly writer: ShardWriter;
  readonly consumer: DeltaConsumer;
}

export class Aggregator implements Service {
  readonly name = "aggregator";
  readonly #queue: Pick<QueueBackend, "consumer">;
  readonly #shards: readonly number[];
  readonly #context: WriterContext;
  readonly #tickMs: number;
  readonly #seats: Seats;
  readonly #held = new Map<number, Holding>();
  /** Consumers of lost shards that are still stopping. */
  readonly #stopping = new Set<Promise<void>>();
  readonly #heldGauge: { set(value: number): void };
  #phase: "idle" | "running" | "stopped" = "idle";
  #share = Number.POSITIVE_INFINITY;
  #timer: Timer | null = null;
  #tick: Promise<void> = Promise.resolve();
  /** On the monotonic clock: when a look for shards last succeeded, store and queue answering. */
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** Throws `InvalidConfigError` on a retention out of range. */
  constructor(options: AggregatorOptions) {
    const { store, clock = systemClock, log = silentLogger, metrics = noMetrics } = options;
    const settings = { ...DEFAULT_AGGREGATOR_SETTINGS, ...options.settings };
    const policy = { ...DEFAULT_FOLD_POLICY, ...options.policy };
    requireRetention(policy);
    const owner = options.owner ?? `aggregator-${randomUUID()}`;
    this.#queue = options.queue;
    this.#shards = options.shards ?? Array.from({ length: store.shards }, (_, shard) => shard);
    this.#tickMs = settings.tickMs;
    this.#heldGauge = shardsHeldGauge(metrics);
    this.#seats = new Seats(
      { store, owner, ttlMs: settings.leaseTtlMs, clock, log },
      Math.min(this.#shards.length, SEATS_MAX),
    );
    this.#context = {
      store,
      zstd: options.zstd,
      devices: new DeviceCache(settings.cachedBytesMax),
      models: new ModelShelf({ store, clock, log }),
      policy,
      settings,
      jobsAtOnce: options.queue.jobsAtOnce,
      owner,
      clock,
      random: options.random ?? systemRandom,
      log,
      metrics: writerMetrics(metrics),
      ...(options.beforeCommit === undefined ? {} : { beforeCommit: options.beforeCommit }),
    };
  }

  /** Ready while it looks for shards with success: it may hold none, when its peers have them all. */
  readonly health: Health = {
    live: () => true,
    ready: () => this.#readiness(),
  };

  /** The shards it writes now, ascending. */
  get held(): number[] {
    return [...this.#held.keys()].sort((a, b) => a - b);
  }

  /** Resolves after the first look for shards, whatever it found; a store that fails is tried again. */
  async start(): Promise<void> {
    assert(this.#phase === "idle", "an aggregator starts once");
    this.#phase = "running";
    this.#look();
    await this.#tick;
  }

  /** Hands every shard back in order and leaves its seat. Bounded by the writers' `stopMs`. Idempotent. */
  async stop(): Promise<void> {
    this.#phase = "stopped";
    this.#timer?.cancel();
    await this.#tick;
    await Promise.all(this.held.map((shard) => this.#handBack(shard)));
    await Promise.all(this.#stopping);
    await this.#seats.leave();
  }

  /**
   * Forgets a device whose shard is held here. Rejects with `TransportError("shard.elsewhere")`
   * when another aggregator writes that shard.
   */
  async forget(key: DeviceKey): Promise<void> {
    const shard = shardOf(key, this.#context.store.shards);
    const holding = this.#held.get(shard);
    if (holding === undefined) {
      const message = `shard ${shard} is not written by this aggregator`;
      throw new TransportError("shard.elsewhere", message, { detail: { shard } });
    }
    await holding.writer.forget(key);
  }

  /** Shard by shard, the registers of each device of `tenant` that is in memory. */
  *inMemory(tenant: string): Generator<Iterable<Iterable<Register | null>>> {
    for (const { writer } of [...this.#held.values()]) yield writer.registersOf(tenant);
  }

  #look(): void {
    const { log, clock, random } = this.#context;
    this.#tick = this.#balance()
      .then(() => {
        this.#lookedMs = clock.monotonicMs();
      })
      .catch((error: unknown) => {
        log.warn("aggregator.tick-failed", { message: messageOf(error) });
      })
      .then(() => {
        this.#heldGauge.set(this.#held.size);
        if (this.#phase !== "running") return;
        const delayMs = this.#tickMs * (0.5 + random.next());
        this.#timer = clock.after(delayMs, () => this.#look());
      });
  }

  #readiness(): Readiness {
    if (this.#phase !== "running") return { ready: false, reasons: [`aggregator.${this.#phase}`] };
    const sinceMs = this.#context.clock.monotonicMs() - this.#lookedMs;
    const late = sinceMs > TICKS_MISSED_MAX * this.#tickMs;
    return { ready: !late, reasons: late ? ["aggregator.tick-late"] : [] };
  }

  async #balance(): Promise<void> {
    const members = await this.#seats.countMembers();
    const share = Math.ceil(this.#shards.length / members);
    // Nothing is given up on one count: a peer may only have knocked, or just died.
    const keep = Math.max(share, this.#share);
    this.#share = share;
    while (this.#phase === "running" && this.#held.size > keep) {
      await this.#handBack(this.held.at(-1) as number);
    }
    const start = Math.floor(this.#context.random.next() * this.#shards.length);
    const order = [...this.#shards.slice(start), ...this.#shards.slice(0, start)];
    for (const shard of order) {
      if (this.#phase !== "running" || this.#held.size >= share) return;
      if (!this.#held.has(shard)) await this.#take(shard);
    }
  }

  async #take(shard: number): Promise<void> {
    const writer = await ShardWriter.open(shard, this.#context);
    if (writer === null) return;
    const consumer = this.#queue.consumer(shard, (entries) => writer.handle(entries), {
      onPoison: (job) => writer.bury(job),
    });
    try {
      await consumer.start();
    } catch (error) {
      await writer.stop();
      await this.#stopConsumer(shard, consumer);
      throw error;
    }
    this.#held.set(shard, { writer, consumer });
    this.#context.log.info("shard.taken", { shard });
    const onLost = () => {
      this.#held.delete(shard);
      const stopped = this.#stopConsumer(shard, consumer);
      this.#stopping.add(stopped);
      void stopped.then(() => this.#stopping.delete(stopped));
    };
    if (writer.signal.aborted) onLost();
    else writer.signal.addEventListener("abort", onLost);
  }

  async #handBack(shard: number): Promise<void> {
    const holding = this.#held.get(shard);
    if (holding === undefined) return;
    this.#held.delete(shard);
    await this.#stopConsumer(shard, holding.consumer);
    await holding.writer.stop();
    this.#context.log.info("shard.handed-back", { shard });
  }

  async #stopConsumer(shard: number, consumer: DeltaConsumer): Promise<void> {
    try {
      await consumer.stop();
    } catch (error) {
      this.#context.log.warn("consumer.stop-failed", { shard, message: messageOf(error) });
    }
  }
}
