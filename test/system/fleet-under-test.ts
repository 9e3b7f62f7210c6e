/**
 * TVs that push without a pause and remember what they were promised: real sync clients over real sockets.
 * @module
 */
import { setMaxListeners } from "node:events";
import { type OutboxStorage, type Pattern, SyncClient } from "../../device/index.ts";
import {
  type DeviceKey,
  integerBelow,
  limits,
  type Random,
  seededRandom,
  sleep,
  systemClock,
} from "../../src/core/index.ts";
import type { Position } from "../../src/wire/index.ts";

export interface TestDevice {
  readonly key: DeviceKey;
  readonly client: SyncClient;
  readonly random: Random;
  /** Distinct `epoch/seq`, as sent and as acknowledged. */
  readonly sent: Map<string, Position>;
  readonly acked: Map<string, Position>;
  /** What a device must never be told: versions that fall, refusals, drops. */
  readonly complaints: string[];
}

export interface FleetUnderTestOptions {
  readonly port: number;
  readonly count: number;
  /** A device rests up to this long after a push, milliseconds. */
  readonly pauseMsMax: number;
  readonly seed: number;
  readonly storageOf: (device: string) => OutboxStorage;
}

export const TENANT = "default";
export const DIM = 32;
/** Few ids, so that many devices share each and every device rewrites its own all the time. */
const PATTERN_COUNT = 12;

type Seen = "sent" | "acked";

export class FleetUnderTest {
  readonly devices: readonly TestDevice[];
  readonly #pauseMsMax: number;
  readonly #pushing = new AbortController();
  #pushes: Promise<void>[] = [];
  readonly #counts: Record<Seen, number> = { sent: 0, acked: 0 };
  #waiting: { readonly seen: Seen; readonly at: number; readonly resolve: () => void }[] = [];

  constructor(options: FleetUnderTestOptions) {
    this.#pauseMsMax = options.pauseMsMax;
    setMaxListeners(0, this.#pushing.signal);
    this.devices = Array.from({ length: options.count }, (_, index) => {
      const key = { tenant: TENANT, device: `tv-${index + 1}` };
      const random = seededRandom(options.seed + index);
      const client = new SyncClient({
        deviceId: key.device,
        tenant: key.tenant,
        endpoints: `mqtt://127.0.0.1:${options.port}`,
        dim: DIM,
        storage: options.storageOf(key.device),
        backoff: { delayMsBase: 50, delayMsMax: 500 },
        random,
      });
      const device: TestDevice = {
        ...{ key, client, random, complaints: [] },
        ...{ sent: new Map(), acked: new Map() },
      };
      this.#listen(device);
      return device;
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.devices.map(({ client }) => client.start()));
    this.#pushes = this.devices.map((device) => this.#push(device));
  }

  /** Resolves when `count` more frames of all devices were sent, or acknowledged. */
  next(seen: Seen, count: number): Promise<void> {
    const at = this.#counts[seen] + count;
    return new Promise((resolve) => {
      this.#waiting.push({ seen, at, resolve });
    });
  }

  async stopPushing(): Promise<void> {
    this.#pushing.abort(new Error("enough was pushed"));
    await Promise.all(this.#pushes);
  }

  async stop(): Promise<void> {
    await this.stopPushing();
    await Promise.all(this.devices.map(({ client }) => client.stop()));
  }

  /** Changes in some outbox that nobody acknowledged. */
  pending(): number {
    return this.#sum(({ client }) => client.pending);
  }

  /** Distinct deltas with a PUBACK. */
  acked(): number {
    return this.#sum(({ acked }) => acked.size);
  }

  /** Frames that were published again. */
  resends(): number {
    return this.#sum(({ client }) => client.stats.resends);
  }

  #sum(of: (device: TestDevice) => number): number {
    return this.devices.reduce((sum, device) => sum + of(device), 0);
  }

  #listen(device: TestDevice): void {
    const { client, complaints } = device;
    const note = (seen: Seen) => (event: { readonly position: Position }) => {
      const { epoch, seq } = event.position;
      device[seen].set(`${epoch}/${seq}`, event.position);
      this.#counts[seen] += 1;
      const due = this.#waiting.filter((one) => this.#counts[one.seen] >= one.at);
      this.#waiting = this.#waiting.filter((one) => !due.includes(one));
      for (const { resolve } of due) resolve();
    };
    client.on("sent", note("sent"));
    client.on("acked", note("acked"));
    client.on("release", ({ version, previous }) => {
      // Version 0, the empty release before the first, is taken by whoever holds nothing.
      if (version <= previous && version > 0) {
        complaints.push(`P5: version ${version} came after ${previous}`);
      }
    });
    client.on("refused", ({ reason }) => complaints.push(`a delta was refused: ${reason}`));
    client.on("dropped", ({ ids }) => complaints.push(`P3: ${ids.join(", ")} were given up`));
  }

  async #push({ client, random }: TestDevice): Promise<void> {
    const { signal } = this.#pushing;
    while (!signal.aborted) {
      await client.enqueue(inventDelta(random));
      await sleep(systemClock, integerBelow(random, this.#pauseMsMax), signal).catch(() => {});
    }
  }
}

/** One to three patterns anew, and now and then one removed. */
function inventDelta(random: Random): { upserts: Pattern[]; removals: string[] } {
  const ids = new Set<string>();
  while (ids.size < 4) ids.add(`pattern-${integerBelow(random, PATTERN_COUNT)}`);
  const [removed = "", ...told] = ids;
  const upserts = told.slice(integerBelow(random, 3)).map((id) => ({
    id,
    embedding: Array.from({ length: DIM }, () => random.next() - 0.4),
    weight: 1 + integerBelow(random, limits.WEIGHT_MAX_DEFAULT),
    success: random.next(),
    samples: integerBelow(random, 1_000),
  }));
  return { upserts, removals: random.next() < 0.2 ? [removed] : [] };
}
