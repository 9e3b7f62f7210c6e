/**
 * kill -9 of a gateway in mid-publish, twenty times in `npm run soak`: nothing acknowledged is missing, nothing is applied twice.
 *
 * The embedded database lives in the test's process here, as in the demo, so
 * that a gateway can die alone; kill-everything.system.test.ts kills it too.
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { soak } from "../support/soak.ts";
import { openBackend } from "./backend-under-test.ts";
import { expectNoFaults, faultsAtRest, killGateway, Opened, openScene } from "./scene.ts";

const KILLS = soak(20, 6);

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

describe("kill -9 of a gateway", () => {
  it.each(["redis", "embedded"] as const)(
    `P1 P2 P3 P4 P5 P6: ${KILLS} kills in mid-publish on %s lose no acked delta and apply none twice`,
    async (kind) => {
      const scene = await openScene(opened, await openBackend(kind), "brisk");
      const { fleet, seed } = scene;
      await killGateway(scene, KILLS);
      const faults = await faultsAtRest(scene);

      await expectNoFaults(`${KILLS} gateway kills on ${kind}`, seed, faults, scene);
      expect(fleet.resends(), "kills came in mid-publish").toBeGreaterThan(KILLS / 2);
    },
    600_000,
  );
});
