/**
 * Gateway and aggregator behind Sentinels: fail-overs under load, and a replica that stands still.
 */
import { afterEach, beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { seededRandom } from "../../src/core/index.ts";
import { waitFor } from "../support/wait.ts";
import { openRedisSentinel } from "./backend-under-test.ts";
import { OmegaProcess } from "./omega-process.ts";
import {
  commandOf,
  expectNoFaults,
  faultsAtRest,
  freePorts,
  makeFleet,
  makeGateway,
  newSeed,
  Opened,
  randomMoment,
  settingsOf,
} from "./scene.ts";

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

test("P1 P2 P3 P4 P5 P6: kill -9 of the master under load loses no acked delta, and with the replica frozen there is no PUBACK", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const ports = await freePorts();
  const backend = await openRedisSentinel();
  opened.add(() => backend.close());
  const { redis } = backend;
  const aggregator = new OmegaProcess({
    args: commandOf("aggregator", [...settingsOf(ports), ...backend.settings]),
    database: null,
  });
  opened.add(() => aggregator.kill9());
  const gateway = makeGateway(backend, ports);
  opened.add(() => gateway.kill9());
  const fleet = makeFleet("broad", ports, seed);
  opened.add(() => fleet.stop());

  await Promise.all([aggregator.start(), gateway.start()]);
  await fleet.start();
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

  const scene = { backend, gateway, aggregator, fleet };
  const faults = await faultsAtRest(scene);
  await expectNoFaults("a fail-over", seed, faults, scene);
}, 180_000);
