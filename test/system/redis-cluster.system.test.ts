/**
 * Gateway and aggregator on a Redis Cluster: what was acknowledged is applied exactly once, a killed gateway included.
 */
import { afterEach, beforeAll, expect, test } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { soak } from "../support/soak.ts";
import { openRedisCluster } from "./backend-under-test.ts";
import { expectNoFaults, faultsAtRest, killGateway, Opened, openScene } from "./scene.ts";

const KILLS = soak(10, 4);

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

test(`P1 P2: ${KILLS} gateway kills on a Redis Cluster lose no acked delta and apply none twice`, async () => {
  const backend = await openRedisCluster();
  const scene = await openScene(opened, backend, "brisk");
  await killGateway(scene, KILLS);
  const faults = await faultsAtRest(scene);
  await expectNoFaults(`${KILLS} gateway kills on a Redis Cluster`, scene.seed, faults, scene);
  expect(await backend.store.tenants()).not.toEqual([]);
}, 180_000);
