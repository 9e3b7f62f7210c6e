/**
 * What one shard has to do: jobs as the queue hands them out, so many open at once, the next when
 * one is done. Devices take turns in a shuffled order, so that with many of them each finds its
 * registers longest unused: the worst case for what is kept in memory.
 * @module
 */
import { type DeviceKey, integerBelow, seededRandom, shardOf } from "../../src/core/index.ts";
import { decodeBatch, encodeBatch } from "../../src/queue/batch.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import { frameOf } from "../ingest/frames.ts";
import type { FoldCase } from "./frames.ts";

/** What the gateways' batches average under a saturated load. */
const JOB_DELTAS = 58;
/** Jobs that the queue hands out at once. */
const JOBS_AT_ONCE = 32;
const TENANT = "default";

interface Device {
  readonly key: DeviceKey;
  /** Which of the frames it sends. */
  readonly frame: number;
  seq: number;
}

export class ShardLoad {
  readonly #case: FoldCase;
  readonly #devices: Device[];
  #next = 0;
  #jobs: Uint8Array[] = [];

  /** Of `devices` devices in all, those on `shard`. */
  constructor(foldCase: FoldCase, shard: number, shards: number, devices: number) {
    this.#case = foldCase;
    const keys = Array.from({ length: devices }, (_, at) => ({
      tenant: TENANT,
      device: `tv-${at}`,
    }));
    const own = keys.filter((key) => shardOf(key, shards) === shard);
    this.#devices = own.map((key, at) => ({ key, frame: at % foldCase.frames.length, seq: 0 }));
    shuffle(this.#devices);
  }

  get devices(): number {
    return this.#devices.length;
  }

  /** Makes the jobs of `deltas` deltas. */
  prepare(deltas: number): void {
    for (let left = deltas; left > 0; left -= JOB_DELTAS) {
      const entries = Array.from({ length: Math.min(left, JOB_DELTAS) }, () => this.#entry());
      this.#jobs.push(encodeBatch(entries));
    }
  }

  /** Works off every job. */
  async run(handle: (entries: readonly QueueEntry[]) => Promise<void>): Promise<void> {
    const jobs = this.#jobs.values();
    this.#jobs = [];
    const workOff = async () => {
      for (const job of jobs) await handle(decodeBatch(job));
    };
    await Promise.all(Array.from({ length: JOBS_AT_ONCE }, workOff));
  }

  #entry(): QueueEntry {
    const device = this.#devices[this.#next++ % this.#devices.length];
    const template = this.#case.frames[device?.frame ?? 0];
    if (device === undefined || template === undefined) throw new Error("a shard has devices");
    device.seq += 1;
    return { key: device.key, receivedAtMs: Date.now(), frame: frameOf(template, device.seq) };
  }
}

function shuffle(list: unknown[]): void {
  const random = seededRandom(list.length);
  for (let at = list.length - 1; at > 0; at -= 1) {
    const other = integerBelow(random, at + 1);
    [list[at], list[other]] = [list[other], list[at]];
  }
}
