/**
 * SUBSCRIBE with its retained release where few devices are known and where many are: two gateways
 * on two Redis, asked in turn.
 * @module
 */
import { type DeviceKey, shardOf } from "../../src/core/index.ts";
import { type DeviceWrite, type Store, shardLease } from "../../src/store/index.ts";
import { atMost } from "../support/report.ts";
import { nameOf, TENANT } from "./bench-device.ts";
import type { CrowdProcess } from "./crowd-process.ts";
import { Releases } from "./release.ts";
import { type Findings, OPEN_DOOR, type Scale } from "./scenarios.ts";
import { SHARDS, startWorld, type World } from "./world.ts";

const FEW = 1_000;
const MANY = 100_000;
const ASKING = 1_000;
/** A session may subscribe sixteen times at once. */
const ROUNDS = 12;
const AT_ONCE_MAX = 25;
const RATIO_MAX = 1.2;
const LEASE_MS = 60_000;

interface Side {
  readonly world: World;
  readonly crowd: CrowdProcess;
  us: number;
}

export async function known({ share, say }: Scale): Promise<Findings> {
  const counts = [FEW, Math.round(MANY * share)] as const;
  const sides: Side[] = [];
  try {
    for (const count of counts) sides.push(await sideOf(count));
    const range = { from: 0, to: ASKING };
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const side of sides) {
        const { gateway, redis } = side.world;
        const before = gateway.cpuUs() + redis.cpuUs();
        await side.crowd.subscribe({ ...range, atOnceMax: AT_ONCE_MAX });
        // The first round fills caches.
        if (round > 0) side.us += (gateway.cpuUs() + redis.cpuUs() - before) / (ASKING * ROUNDS);
      }
    }
    const rows = sides.map(({ us }, at) => {
      const name = `SUBSCRIBE with its retained release, ${counts[at]} known devices`;
      say(`${name}: ${us.toFixed(0)} µs`);
      return { scenario: "known", name, value: us, unit: "µs of gateway + Redis CPU" };
    });
    const ratio = (sides[1]?.us ?? Number.NaN) / (sides[0]?.us ?? Number.NaN);
    return { rows, floors: [atMost("SUBSCRIBE, 100,000 known / 1,000", ratio, RATIO_MAX, "")] };
  } finally {
    for (const { world } of sides) await world.end();
  }
}

async function sideOf(count: number): Promise<Side> {
  const world = await startWorld(OPEN_DOOR);
  await introduce(world.store, count);
  await (await new Releases(world.store).prepare()).publish();
  const crowd = world.crowd();
  const open = { way: "tcp", subscribes: true, atOnceMax: AT_ONCE_MAX } as const;
  await crowd.open({ from: 0, to: ASKING, ...open });
  return { world, crowd, us: 0 };
}

/** Devices of which the store has a cursor, as after their first delta. */
async function introduce(store: Store, count: number): Promise<void> {
  const shards: DeviceWrite[][] = Array.from({ length: SHARDS }, () => []);
  for (let index = 0; index < count; index += 1) {
    const key: DeviceKey = { tenant: TENANT, device: nameOf(index) };
    const epochs = [{ epoch: 1, low: 1, ahead: new Uint8Array(32) }];
    const cursor = { epochs, base: 0, patterns: 0, problems: [] };
    shards[shardOf(key, SHARDS)]?.push({ key, cursor, registers: new Map() });
  }
  const stats = { applied: 0, duplicates: 0, deadLettered: 0 };
  for (const [shard, devices] of shards.entries()) {
    const token = await store.acquireLease(shardLease(shard), "bench", LEASE_MS);
    if (token === null) throw new Error("another writer has the lease");
    await store.commit(shard, token, 1, { sums: [], devices, deadLetters: [], stats });
  }
}
