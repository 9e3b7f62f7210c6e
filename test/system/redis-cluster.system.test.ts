/**
 * Gateway and aggregator on a Redis Cluster: what was acknowledged is applied exactly once, a killed gateway included.
 */
import { afterEach, beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { seededRandom } from "../../src/core/index.ts";
import { openRedisCluster } from "./backend-under-test.ts";
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

const KILLS = 10;

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

test(`P1 P2: ${KILLS} gateway kills on a Redis Cluster lose no acked delta and apply none twice`, async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const ports = await freePorts();
  const backend = await openRedisCluster();
  opened.add(() => backend.close());
  const aggregator = new OmegaProcess({
    args: commandOf("aggregator", [...settingsOf(ports), ...backend.settings]),
    database: null,
  });
  opened.add(() => aggregator.kill9());
  const gateway = makeGateway(backend, ports);
  opened.add(() => gateway.kill9());
  const fleet = makeFleet("brisk", ports, seed);
  opened.add(() => fleet.stop());

  await Promise.all([aggregator.start(), gateway.start()]);
  await fleet.start();
  for (let kill = 0; kill < KILLS; kill += 1) {
    await randomMoment(fleet, random);
    await gateway.kill9();
    await gateway.start();
  }
  const scene = { backend, gateway, aggregator, fleet };
  const faults = await faultsAtRest(scene);
  await expectNoFaults(`${KILLS} gateway kills on a Redis Cluster`, seed, faults, scene);
  expect(await backend.store.tenants()).not.toEqual([]);
}, 180_000);
