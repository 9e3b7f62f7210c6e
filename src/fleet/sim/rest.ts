/**
 * Rest: whether a world has come to it, and what there is when it has.
 * @module
 */
import type { DeviceCursor } from "../../store/index.ts";
import type { FinalDevice, Finals } from "../oracle/finals.ts";
import { hexOf } from "../oracle/recorders.ts";
import { believedRegisters, newestRelease, storedRegisters, wrongSums } from "../oracle/stored.ts";
import type { DeviceNode } from "./device-node.ts";
import { TENANT } from "./settings.ts";
import type { World } from "./world.ts";

export interface Rest {
  readonly drained: boolean;
  readonly converged: boolean;
}

interface Newest {
  readonly version: number;
  readonly hashes: readonly string[];
}

/** Outboxes and queue are empty and no device is overtaken; every device is live with the newest release. */
export async function restOf(world: World): Promise<Rest> {
  const { devices, queue } = world;
  const newest = await newestOf(world);
  const drained =
    queue.depth() === 0 && devices.every(({ client }) => client !== null && client.pending === 0);
  const converged = devices.every(({ client }) => {
    if (client === null || client.version !== newest.version) return false;
    return newest.version === 0 || newest.hashes.includes(hexOf(client.contentHash ?? NOTHING));
  });
  const cursors = await world.store.store.cursors(devices.map(({ key }) => key));
  const overtaken = devices.some((device, index) => isOvertaken(device, cursors[index] ?? null));
  return { drained: drained && !overtaken, converged };
}

/**
 * Whether a device has yet to hear of a higher epoch under its name. Deltas of
 * one that was wiped may have waited in the queue under an epoch above that of
 * the new incarnation. They win, until it hears of them with its next down frame
 * and says everything again above them: until then it has something to say, and
 * what it believes is that of its own incarnation.
 */
function isOvertaken({ client }: DeviceNode, cursor: DeviceCursor | null): boolean {
  return (client?.epoch ?? 0) < (cursor?.epochs.at(-1)?.epoch ?? 0);
}

const NOTHING = new Uint8Array(0);

function newestOf({ store }: World): Promise<Newest> {
  return newestRelease(store.store, TENANT);
}

/** What the oracle judges; read from the store itself, past every network. */
export async function finalsOf(
  world: World,
  rested: Rest,
  crashes: readonly string[],
): Promise<Finals> {
  const { devices, store, queue, frames } = world;
  const keys = devices.map(({ key }) => key);
  return {
    devices: await Promise.all(devices.map((node) => finalDevice(world, node))),
    newest: await newestOf(world),
    queued: queue.depth(),
    wrongSums: await wrongSums(store.store, keys, world.pace.retention, world.nowMs()),
    ...{ rested, crashes },
    frameOf: (hash) => frames.get(hash),
  };
}

/** What the running devices believe that have heard of every epoch, beside what the store holds of them. */
export async function beliefsOf(world: World): Promise<FinalDevice[]> {
  const running = world.devices.filter(({ client }) => client !== null);
  const asked = await Promise.all(
    running.map(async (node) => ({ node, found: await finalDevice(world, node) })),
  );
  return asked.flatMap(({ node, found }) => (isOvertaken(node, found.cursor) ? [] : [found]));
}

async function finalDevice({ store }: World, { key, client }: DeviceNode): Promise<FinalDevice> {
  const registers = await storedRegisters(store.store, key);
  const believed = believedRegisters(client?.believedRegisters() ?? new Map());
  const [cursor = null] = await store.store.cursors([key]);
  return {
    key,
    pending: client?.pending ?? 0,
    version: client?.version ?? 0,
    hash: hexOf(client?.contentHash ?? NOTHING),
    ...{ believed, registers, cursor },
  };
}
