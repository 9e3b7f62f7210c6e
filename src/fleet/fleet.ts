/**
 * A fleet of TVs in one process: real SDK clients, real outboxes, real MQTT.
 *
 * Each TV lives through its viewer's history in compressed time, learns, and
 * pushes what changed at its own jittered sync times. Nothing here is a short
 * cut: what a TV knows of the server it knows through `SyncClient`.
 * @module
 */
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { SyncClient, type SyncClientOptions } from "../../device/index.ts";
import { type Clock, type DeviceKey, type Random, type Service, sleep } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import type { Position, Zstd } from "../wire/index.ts";
import type { Anchors } from "./anchors.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Viewer } from "./history.ts";
import { Learner } from "./learner.ts";
import { newScoreboard, type Scoreboard } from "./scoreboard.ts";

export interface FleetOptions {
  readonly tenant: string;
  /** `mqtt://host:port`, one or more. */
  readonly endpoints: readonly string[];
  readonly viewers: readonly Viewer[];
  readonly catalogue: Catalogue;
  readonly anchors: Anchors;
  /** Every TV keeps its outbox in a directory of its own below this one. */
  readonly dataDir: string;
  /** Real time into which the whole history is compressed, milliseconds. */
  readonly activeMs: number;
  /** How often each TV syncs in that time. */
  readonly syncsPerDevice: number;
  /** Further client options, such as credentials. */
  readonly client?: (key: DeviceKey) => Partial<SyncClientOptions>;
  readonly clock: Clock;
  readonly random: Random;
  readonly zstd: Zstd;
  readonly log: Logger;
}

/** One TV and what it has been acknowledged. */
export interface FleetDevice {
  readonly key: DeviceKey;
  readonly client: SyncClient;
  /** `epoch/seq` of every PUBACK. */
  readonly acked: Set<string>;
}

interface Tv extends FleetDevice {
  readonly viewer: Viewer;
  readonly learner: Learner;
  next: number;
}

/** TVs that may be connecting at once when the fleet starts. */
const STARTS_AT_ONCE = 32;

export class Fleet implements Service {
  readonly name = "fleet";
  readonly scoreboard: Scoreboard = newScoreboard();
  readonly #options: FleetOptions;
  readonly #tvs: Tv[];
  readonly #stopping = new AbortController();
  #lives: Promise<void>[] = [];

  constructor(options: FleetOptions) {
    this.#options = options;
    // Every TV's sleep listens for the end.
    setMaxListeners(0, this.#stopping.signal);
    this.#tvs = options.viewers.map((viewer) => this.#makeTv(viewer));
  }

  get devices(): readonly FleetDevice[] {
    return this.#tvs;
  }

  /** Connects every TV, a bounded number at a time. Resolves when all were started, online or not. */
  async start(): Promise<void> {
    const waiting = [...this.#tvs];
    const starter = async () => {
      for (let tv = waiting.shift(); tv !== undefined; tv = waiting.shift()) {
        await tv.client.start();
      }
    };
    await Promise.all(Array.from({ length: STARTS_AT_ONCE }, starter));
  }

  /** Lets every TV live through its history. Resolves when the last has pushed its last delta. */
  async live(): Promise<void> {
    this.#lives = this.#tvs.map((tv) => this.#live(tv));
    await Promise.all(this.#lives);
  }

  /** Deltas that are in some outbox and not acknowledged. */
  pending(): number {
    return this.#tvs.reduce((sum, tv) => sum + tv.client.pending, 0);
  }

  online(): number {
    return this.#tvs.filter((tv) => tv.client.phase === "live").length;
  }

  /** How many TVs hold release `version`. */
  holding(version: number): number {
    return this.#tvs.filter((tv) => tv.client.version === version).length;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the fleet stops"));
    await Promise.allSettled(this.#lives);
    await Promise.all(this.#tvs.map((tv) => tv.client.stop()));
  }

  #makeTv(viewer: Viewer): Tv {
    const { options, key } = { options: this.#options, key: this.#keyOf(viewer) };
    const client = new SyncClient({
      deviceId: key.device,
      tenant: key.tenant,
      endpoints: [...options.endpoints],
      dim: options.catalogue.dim,
      dataDir: join(options.dataDir, key.device),
      // A fleet lives in compressed time: its reconnects do too.
      backoff: { delayMsBase: 100, delayMsMax: 2_000 },
      clock: options.clock,
      random: options.random,
      zstd: options.zstd,
      ...options.client?.(key),
    });
    const learner = new Learner(options.catalogue, options.anchors);
    const tv: Tv = { key, client, acked: new Set(), viewer, learner, next: 0 };
    this.#listen(tv);
    return tv;
  }

  #keyOf(viewer: Viewer): DeviceKey {
    return { tenant: this.#options.tenant, device: viewer.id };
  }

  #listen(tv: Tv): void {
    const { scoreboard } = this;
    const rawBytes = new Map<string, number>();
    tv.client.on("sent", (sent) => rawBytes.set(positionName(sent.position), sent.rawBytes));
    tv.client.on("acked", ({ position, bytes, ms }) => {
      const name = positionName(position);
      if (tv.acked.has(name)) return;
      tv.acked.add(name);
      scoreboard.acked += 1;
      scoreboard.rawBytes += rawBytes.get(name) ?? 0;
      rawBytes.delete(name);
      scoreboard.pushBytes.add(bytes);
      if (ms !== null) scoreboard.ackMs.add(ms);
    });
    // Every frame counts by itself: a release in parts has its bound in each of them.
    tv.client.on("preview", ({ frameBytes }) => scoreboard.pullBytes.add(frameBytes));
    tv.client.on("release", ({ frameBytes }) => scoreboard.pullBytes.add(frameBytes));
    tv.client.on("refused", () => {
      scoreboard.refused += 1;
    });
    tv.client.on("error", (error) =>
      this.#options.log.debug("fleet.device.error", {
        device: tv.key.device,
        reason: error.reason,
      }),
    );
  }

  async #live(tv: Tv): Promise<void> {
    const { clock, random, activeMs, syncsPerDevice } = this.#options;
    const signal = this.#stopping.signal;
    const stepMs = activeMs / syncsPerDevice;
    let waitMs = random.next() * stepMs;
    for (let step = 1; step <= syncsPerDevice; step += 1) {
      await sleep(clock, waitMs, signal).catch(() => {});
      if (signal.aborted) return;
      this.#watch(tv, step / syncsPerDevice);
      const delta = tv.learner.takeDelta();
      // Durable is enough here: acknowledgements are counted as they come.
      if (delta !== null) await tv.client.enqueue(delta);
      waitMs = stepMs;
    }
  }

  /** The viewer's ratings up to `share` (0 … 1) of its own history. */
  #watch(tv: Tv, share: number): void {
    const until = Math.round(share * tv.viewer.ratings.length);
    for (; tv.next < until; tv.next += 1) {
      const rating = tv.viewer.ratings[tv.next];
      if (rating !== undefined) tv.learner.rate(rating.item, rating.rating, rating.timeS);
    }
  }
}

function positionName({ epoch, seq }: Position): string {
  return `${epoch}/${seq}`;
}
