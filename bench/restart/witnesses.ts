/**
 * Full devices among the light ones: they push, take releases, and prove what they hold by its hash.
 * @module
 */

import { MemoryStorage, SyncClient } from "../../device/index.ts";
import { devicePassword } from "../../gateway/index.ts";
import { isConsumed } from "../../src/aggregate/dedup.ts";
import { limits } from "../../src/core/index.ts";
import type { Store } from "../../src/store/index.ts";
import type { Position } from "../../src/wire/index.ts";
import { until } from "../support/processes.ts";
import type { Topology } from "./topology.ts";

interface Witness {
  readonly device: string;
  readonly client: SyncClient;
  /** By `epoch/seq`. */
  readonly acked: Map<string, Position>;
}

export interface Witnesses {
  /** No more deltas; resolves when all outboxes are empty. */
  rest(): Promise<void>;
  /** Distinct deltas with a PUBACK. */
  acked(): number;
  /** Acknowledged deltas that the store does not know as consumed. */
  lost(): Promise<number>;
  /** Devices that do not hold the newest release, bit for bit, within `msMax`. */
  behind(msMax: number): Promise<number>;
  end(): Promise<void>;
}

const PUSH_MS = 500;
const DIM = 384;
const REST_MS_MAX = 60_000;

export async function startWitnesses(topology: Topology, count: number): Promise<Witnesses> {
  const { store } = topology;
  const witnesses = Array.from({ length: count }, (_, index) => makeWitness(topology, index));
  await Promise.all(witnesses.map(({ client }) => client.start()));
  const pushers = witnesses.map(({ client }) => pushFor(client));
  const quiet = () => {
    for (const pusher of pushers) clearInterval(pusher);
  };
  return {
    async rest() {
      quiet();
      const empty = () => witnesses.every(({ client }) => client.pending === 0);
      await until("the outboxes to run empty", empty, REST_MS_MAX);
    },
    acked: () => witnesses.reduce((sum, { acked }) => sum + acked.size, 0),
    lost: () => lostOf(store, witnesses),
    async behind(msMax) {
      let behind = count;
      const none = async () => {
        behind = await behindOf(store, witnesses);
        return behind === 0;
      };
      await until("every device to converge", none, msMax).catch(() => {});
      return behind;
    },
    async end() {
      quiet();
      await Promise.all(witnesses.map(({ client }) => client.stop()));
    },
  };
}

function makeWitness({ url, secret }: Topology, index: number): Witness {
  const device = `witness-${index}`;
  const client = new SyncClient({
    ...{ deviceId: device, endpoints: url, dim: DIM, storage: new MemoryStorage() },
    credentials: { password: () => devicePassword(secret, { tenant: "default", device }) },
  });
  const acked = new Map<string, Position>();
  client.on("acked", ({ position }) => {
    acked.set(`${position.epoch}/${position.seq}`, position);
  });
  return { device, client, acked };
}

function pushFor(client: SyncClient): NodeJS.Timeout {
  let pushes = 0;
  return setInterval(() => {
    pushes += 1;
    const embedding = Float32Array.from(
      { length: DIM },
      (_, at) => Math.sin(at + pushes / 10) / 20,
    );
    void client.enqueue({
      upserts: [
        {
          id: `witness-${pushes % 3}`,
          embedding,
          weight: 1 + (pushes % limits.WEIGHT_MAX_DEFAULT),
        },
      ],
    });
  }, PUSH_MS);
}

async function lostOf(store: Store, witnesses: readonly Witness[]): Promise<number> {
  const keys = witnesses.map(({ device }) => ({ tenant: "default", device }));
  const cursors = await store.cursors(keys);
  return witnesses.reduce((sum, { acked }, index) => {
    const epochs = cursors[index]?.epochs ?? [];
    return sum + [...acked.values()].filter((position) => !isConsumed(epochs, position)).length;
  }, 0);
}

async function behindOf(store: Store, witnesses: readonly Witness[]): Promise<number> {
  const ladder = (await store.currentRelease("default"))?.ladder1 ?? null;
  if (ladder === null) return witnesses.length;
  const hash = Buffer.from(ladder.contentHash);
  return witnesses.filter(({ client }) => {
    const held = client.contentHash;
    return client.version !== ladder.version || held === null || !hash.equals(held);
  }).length;
}
