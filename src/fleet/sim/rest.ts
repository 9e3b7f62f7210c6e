/**
 * Rest: whether a world has come to it, and what there is when it has.
 * @module
 */
import { decodeRegister, verifyShards } from "../../aggregate/index.ts";
import type { FinalDevice, FinalRegister, Finals } from "../oracle/finals.ts";
import { hexOf } from "../oracle/recorders.ts";
import type { DeviceNode } from "./device-node.ts";
import { RETENTION, TENANT } from "./settings.ts";
import type { World } from "./world.ts";

export interface Rest {
  readonly drained: boolean;
  readonly converged: boolean;
}

interface Newest {
  readonly version: number;
  readonly hashes: readonly string[];
}

/** Outboxes and queue are empty; every device is live with the newest release. */
export function restOf(world: World, newest: Newest): Rest {
  const { devices, queue } = world;
  const drained =
    queue.depth() === 0 && devices.every(({ client }) => client !== null && client.pending === 0);
  const converged = devices.every(({ client }) => {
    if (client === null || client.version !== newest.version) return false;
    return newest.version === 0 || newest.hashes.includes(hexOf(client.contentHash ?? NOTHING));
  });
  return { drained, converged };
}

const NOTHING = new Uint8Array(0);

export async function newestOf({ store }: World): Promise<Newest> {
  const current = await store.store.currentRelease(TENANT);
  if (current === null) return { version: 0, hashes: [] };
  const { ladder, ladder1 } = current;
  const hashes = [ladder.contentHash, ...(ladder1 === null ? [] : [ladder1.contentHash])];
  return { version: ladder.version, hashes: hashes.map(hexOf) };
}

/** What the oracle judges; read from the store itself, past every network. */
export async function finalsOf(
  world: World,
  rested: Rest,
  crashes: readonly string[],
): Promise<Finals> {
  const { devices, store, queue, frames } = world;
  const keys = devices.map(({ key }) => key);
  const verdicts = await verifyShards(store.store, keys, RETENTION, world.nowMs());
  const wrongSums = verdicts.flatMap(({ shard, mismatches }) =>
    mismatches.map(
      ({ pattern, bucket, kind }) => `${pattern} in bucket ${bucket} of shard ${shard} is ${kind}`,
    ),
  );
  return {
    devices: await Promise.all(devices.map((node) => finalDevice(world, node))),
    newest: await newestOf(world),
    queued: queue.depth(),
    ...{ wrongSums, rested, crashes },
    frameOf: (hash) => frames.get(hash),
  };
}

/** What the running devices believe, beside what the store holds of them. */
export async function beliefsOf(world: World): Promise<FinalDevice[]> {
  const running = world.devices.filter(({ client }) => client !== null);
  return await Promise.all(running.map((node) => finalDevice(world, node)));
}

async function finalDevice({ store }: World, { key, client }: DeviceNode): Promise<FinalDevice> {
  const registers = new Map<string, FinalRegister>();
  for (const [id, blob] of await store.store.registers(key)) {
    const register = decodeRegister(blob);
    const live = register.kind === "live" ? register : null;
    registers.set(id, {
      ...{ epoch: register.epoch, seq: register.seq, bucket: register.bucket },
      ...{ space: live?.space ?? 0, vector: live?.vector ?? null, weight: live?.weight ?? null },
    });
  }
  const believed = new Map<string, FinalRegister>();
  for (const [id, belief] of client?.believedRegisters() ?? []) {
    believed.set(id, { ...belief, weight: null, bucket: null });
  }
  const [cursor = null] = await store.store.cursors([key]);
  return {
    key,
    pending: client?.pending ?? 0,
    version: client?.version ?? 0,
    hash: hexOf(client?.contentHash ?? NOTHING),
    ...{ believed, registers, cursor },
  };
}
