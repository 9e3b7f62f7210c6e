/**
 * A real gateway on loopback ports, with a producer and a source that a test can hold back.
 * @module
 */

import type { DownlinkSource } from "../../../gateway/index.ts";
import { Gateway, type GatewayOptions } from "../../../gateway/index.ts";
import type { DeviceKey } from "../../../src/core/index.ts";
import { createMetrics, type Metrics } from "../../../src/observe/index.ts";
import type { QueueEntry } from "../../../src/queue/index.ts";
import { emptyLadder, loadZstd } from "../../../src/wire/index.ts";

/** One `add` that waits for the test's decision. */
export interface HeldAdd {
  readonly shard: number;
  readonly entries: readonly QueueEntry[];
  resolve(): void;
  reject(error: Error): void;
}

/** Keeps what was added; answers at once, or when told. */
export class HeldProducer {
  readonly added: QueueEntry[] = [];
  readonly held: HeldAdd[] = [];
  /** What an add waits for; replace it to delay or to fail. */
  answer: (add: HeldAdd) => void = (add) => add.resolve();
  readonly #watchers: (() => void)[] = [];

  /** For tests that decide about each add themselves. */
  hold(): void {
    this.answer = (add) => {
      this.held.push(add);
    };
  }

  add(shard: number, entries: readonly QueueEntry[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let stored = false;
      this.answer({
        shard,
        entries,
        resolve: () => {
          if (!stored) this.added.push(...entries);
          stored = true;
          resolve();
        },
        reject,
      });
      for (const watcher of this.#watchers.splice(0)) watcher();
    });
  }

  /** Resolves when `count` deltas are waiting in held adds. */
  async holding(count: number): Promise<void> {
    const waiting = () => this.held.reduce((sum, add) => sum + add.entries.length, 0);
    while (waiting() < count) {
      await new Promise<void>((resolve) => {
        this.#watchers.push(resolve);
      });
    }
  }

  releaseAll(): void {
    for (const add of this.held.splice(0)) add.resolve();
  }
}

export async function silentSource(): Promise<DownlinkSource> {
  const zstd = await loadZstd();
  return {
    ladders: (tenant) => Promise.resolve({ ladder: emptyLadder(tenant, 384, zstd), ladder1: null }),
    views: (keys: readonly DeviceKey[]) =>
      Promise.resolve(keys.map(() => ({ base: 0, applied: null, problems: [] }))),
    model: () => Promise.resolve(null),
    watch: () => Promise.resolve(() => Promise.resolve()),
  };
}

export interface Fixture {
  readonly gateway: Gateway;
  readonly producer: HeldProducer;
  readonly metrics: Metrics;
  /** The TCP port. */
  readonly port: number;
}

/** Tests are faster than any device. */
export const FREE_RATES = { deltasPerDevice: null, connectsPerDevice: null };

const running: Gateway[] = [];

/** Starts a gateway; `stopGateways` in `afterEach` stops it. */
export async function startGateway(options: Partial<GatewayOptions> = {}): Promise<Fixture> {
  const producer = new HeldProducer();
  const metrics = createMetrics();
  const gateway = new Gateway({
    listeners: { tcp: { host: "127.0.0.1", port: 0 } },
    auth: { mode: "none" },
    shards: 4,
    producer,
    source: await silentSource(),
    drain: { readyGraceMs: 1, closeMs: 10, flushMs: 2_000 },
    metrics,
    ...options,
    limits: { ...FREE_RATES, ...options.limits },
  });
  running.push(gateway);
  await gateway.start();
  return { gateway, producer, metrics, port: gateway.addresses.tcp?.port ?? 0 };
}

export async function stopGateways(): Promise<void> {
  for (const gateway of running.splice(0)) await gateway.stop();
}

/** The value of one series in the rendered metrics; 0 when it was never set. */
export async function metricOf(metrics: Metrics, series: string): Promise<number> {
  const text = await metrics.render();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}
