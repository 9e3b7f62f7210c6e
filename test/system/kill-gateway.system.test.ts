/**
 * kill -9 of a gateway in mid-publish, twenty times: nothing acknowledged is missing, nothing is applied twice.
 *
 * The embedded database lives in the test's process here, as in the demo, so
 * that a gateway can die alone; kill-everything.system.test.ts kills it too.
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { seededRandom } from "../../src/core/index.ts";
import { type BackendUnderTest, openBackend } from "./backend-under-test.ts";
import { OmegaProcess } from "./omega-process.ts";
import {
  commandOf,
  expectNoFaults,
  faultsAtRest,
  freePorts,
  makeAggregator,
  makeFleet,
  makeGateway,
  newSeed,
  Opened,
  type Ports,
  randomMoment,
  settingsOf,
} from "./scene.ts";

const KILLS = 20;

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

describe("kill -9 of a gateway", () => {
  it.each(["redis", "embedded"] as const)(
    `P1 P2 P3 P4 P5 P6: ${KILLS} kills in mid-publish on %s lose no acked delta and apply none twice`,
    async (kind) => {
      const seed = newSeed();
      const random = seededRandom(seed);
      const ports = await freePorts();
      const backend = await openBackend(kind);
      opened.add(() => backend.close());
      const aggregator = aggregatorFor(backend, ports);
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

      await expectNoFaults(`${KILLS} gateway kills on ${kind}`, seed, faults, scene);
      expect(fleet.resends(), "kills came in mid-publish").toBeGreaterThan(KILLS / 2);
    },
    600_000,
  );
});

/** The command as it is deployed, where it can reach the backend by itself. */
function aggregatorFor(backend: BackendUnderTest, ports: Ports): OmegaProcess {
  if (backend.database !== null) return makeAggregator(backend, ports, null);
  const args = commandOf("aggregator", [...settingsOf(ports), ...backend.settings]);
  return new OmegaProcess({ args, database: null });
}
