/**
 * A simulated TV: the production client on a simulated disk and link, and an application that speaks.
 * @module
 */
import { type Delta, FileStorage, SyncClient } from "../../../device/index.ts";
import { type DeviceKey, deviceName, limits, type Random } from "../../core/index.ts";
import type { Zstd } from "../../wire/index.ts";
import { recordClient, recordingLink, recordingReleases } from "../oracle/recorders.ts";
import type { HistorySink } from "../oracle/sinks.ts";
import type { Ambush } from "./ambush.ts";
import { between, chanceOf, happens, oneOf } from "./chance.ts";
import { linkOver } from "./device-link.ts";
import { Disk } from "./disk.ts";
import { Life, type WallClock } from "./life.ts";
import type { NetworkState } from "./pipe.ts";
import { DIM, PATTERNS, type Pace } from "./settings.ts";
import type { Timeline } from "./timeline.ts";
import type { DownPacket, EndHandlers, Wire } from "./wire.ts";

const REMOVALS = 0.15;
const BURSTS = 0.3;
const BURST_MS = 40;
const DATA_DIR = "outbox";
/** An application that starts waits this long for the disk before it speaks, at least. */
const FIRST_PUT_MS = 500;

export interface DeviceNodeOptions {
  readonly key: DeviceKey;
  readonly codec: 0 | 1;
  readonly seed: number;
  readonly endpoints: readonly string[];
  readonly putEveryMs: number;
  readonly pace: Pace;
  readonly timeline: Timeline;
  readonly zstd: Zstd;
  readonly sink: HistorySink;
  readonly ambush: Ambush;
  readonly dial: (
    node: DeviceNode,
    life: Life,
    url: string,
    handlers: EndHandlers<DownPacket>,
  ) => Wire;
}

export class DeviceNode {
  readonly key: DeviceKey;
  readonly name: string;
  readonly disk: Disk;
  readonly wall: WallClock = { skewMs: 0 };
  readonly usualJitterMs: number;
  readonly network: NetworkState;
  readonly wires = new Set<Wire>();
  life: Life | null = null;
  client: SyncClient | null = null;
  /** Connections it has tried to make. */
  dials = 0;
  /** The application has something to say. */
  speaking = true;
  readonly #options: DeviceNodeOptions;
  readonly #random: Random;
  readonly #words: Random;
  #puts = 0;
  #memory: "kept" | "wiped" | "damaged" = "wiped";

  constructor(options: DeviceNodeOptions) {
    this.#options = options;
    this.key = options.key;
    this.name = deviceName(options.key);
    this.disk = new Disk(chanceOf(options.seed, `${this.name} disk`));
    this.#random = chanceOf(options.seed, this.name);
    this.#words = chanceOf(options.seed, `${this.name} words`);
    this.usualJitterMs = between(this.#random, 5, 120);
    this.network = { delayMs: 5, jitterMs: this.usualJitterMs, cut: false };
  }

  /** Its process starts. Nothing happens when it runs already. */
  boot(): void {
    if (this.life !== null) return;
    const { timeline, sink, zstd, endpoints, codec, dial, ambush, pace } = this.#options;
    const life = new Life(this.name, timeline, this.wall);
    this.life = life;
    sink.record({ kind: "boot", device: this.name, memory: this.#memory });
    this.#memory = "kept";
    const openLink = linkOver(
      (url, handlers) => dial(this, life, url, handlers),
      () => ambush.meet(life.name, "publish"),
    );
    const client = new SyncClient({
      ...pace.device,
      dim: DIM,
      deviceId: this.key.device,
      tenant: this.key.tenant,
      endpoints: [...endpoints],
      codec,
      storage: recordingReleases(new FileStorage(DATA_DIR, this.disk.operations(life)), this.key, {
        ...{ sink, zstd },
      }),
      clock: life.clock,
      random: this.#random,
      zstd,
      openLink: recordingLink(openLink, sink),
    });
    this.client = client;
    recordClient(client, this.key, sink);
    client.on("error", (error) => {
      if (error.reason !== "outbox.damaged") return;
      sink.record({ kind: "boot", device: this.name, memory: "damaged" });
    });
    client.start().then(
      () => this.#speakLater(life, FIRST_PUT_MS),
      () => this.#startAgain(life),
    );
  }

  /** kill -9; what is in the page cache stays there. */
  kill(): void {
    this.life?.end();
    this.life = null;
    this.client = null;
    for (const wire of this.wires) wire.closeDevice();
  }

  /** The plug is pulled: nobody hears of it, and the disk loses what it had not synced. */
  losePower(): void {
    for (const wire of this.wires) wire.vanish("device");
    this.kill();
    this.disk.losePower();
  }

  wipe(): void {
    this.losePower();
    this.disk.wipe();
    this.#memory = "wiped";
  }

  /** Stops in good order and is gone when it has. */
  async stop(): Promise<void> {
    const { life, client } = this;
    await client?.stop();
    if (this.life === life) this.kill();
  }

  /** A disk that is full or broken does not even open; whoever watches over the process tries again. */
  #startAgain(life: Life): void {
    life.after(between(this.#random, 1_000, 5_000), () => {
      this.kill();
      this.boot();
    });
  }

  #speakLater(life: Life, leastMs: number): void {
    const gapMs = -Math.log(1 - this.#words.next()) * this.#options.putEveryMs;
    // Now and then a few in a row, each with a frame of its own.
    const waitMs = happens(this.#words, BURSTS) ? this.#words.next() * BURST_MS : gapMs;
    life.after(leastMs + waitMs, () => {
      if (this.speaking) this.#speak(life);
      this.#speakLater(life, 0);
    });
  }

  #speak(life: Life): void {
    const { sink } = this.#options;
    const { client } = this;
    if (client === null || this.life !== life) return;
    this.#puts += 1;
    const put = this.#puts;
    const { delta, items } = this.#compose(put);
    const device = this.name;
    sink.record({ kind: "put", device, put, items });
    client.enqueue(delta).then(
      () => sink.record({ kind: "stored", device, put }),
      () => sink.record({ kind: "unstored", device, put }),
    );
  }

  #compose(put: number) {
    const words = this.#words;
    const weight = 1 + (put % limits.WEIGHT_MAX_DEFAULT);
    const chosen = new Set([oneOf(words, PATTERNS)]);
    if (happens(words, 0.4)) chosen.add(oneOf(words, PATTERNS));
    if (happens(words, 0.05)) for (const id of PATTERNS) chosen.add(id);
    const removals = [...chosen].filter(() => happens(words, REMOVALS));
    const upserts = [...chosen]
      .filter((id) => !removals.includes(id))
      .map((id) => ({ id, weight, success: 0.5, samples: put, embedding: vectorOf(words) }));
    const items = [
      ...upserts.map(({ id }) => ({ id, weight })),
      ...removals.map((id) => ({ id, weight: null })),
    ];
    return { delta: { upserts, removals } satisfies Delta, items };
  }
}

function vectorOf(random: Random): number[] {
  return Array.from({ length: DIM }, () => (random.next() - 0.5) / 2);
}
