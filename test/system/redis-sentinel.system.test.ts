/**
 * Gateway and aggregator behind Sentinels: fail-overs under load, and a replica that stands still.
 */
import { afterEach, beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { waitFor } from "../support/wait.ts";
import { openRedisSentinel } from "./backend-under-test.ts";
import { expectNoFaults, faultsAtRest, Opened, openScene, randomMoment } from "./scene.ts";

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

test("P1 P2 P3 P4 P5 P6: kill -9 of the master under load loses no acked delta, and with the replica frozen there is no PUBACK", async () => {
  const backend = await openRedisSentinel();
  const { redis } = backend;
  const scene = await openScene(opened, backend, "broad");
  const { fleet, random, seed } = scene;
  await fleet.next("acked", 200);
  await randomMoment(fleet, random);
  await redis.failOver();
  await fleet.next("acked", 100);

  const replica = (await redis.replica()).pid();
  process.kill(replica, "SIGSTOP");
  try {
    // What was acknowledged just before is known once something had to be said again.
    const rises = async (by: number) => {
      const before = fleet.resends();
      await waitFor(() => fleet.resends() >= before + by, { what: "frames sent again" });
    };
    await rises(fleet.devices.length);
    const acked = fleet.acked();
    await rises(fleet.devices.length);
    expect(fleet.acked()).toBe(acked);
  } finally {
    process.kill(replica, "SIGCONT");
  }
  await fleet.next("acked", 100);

  const faults = await faultsAtRest(scene);
  await expectNoFaults("a fail-over", seed, faults, scene);
}, 180_000);
