/**
 * kill -9 of everything: gateway, aggregator, releaser and database die at once in mid-publish, and go on in the same directory.
 */
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { FileStorage } from "../../device/index.ts";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { seededRandom } from "../../src/core/index.ts";
import { tempDir } from "../support/disk.ts";
import { openEmbeddedIn } from "./backend-under-test.ts";
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
  randomMoment,
  settingsOf,
} from "./scene.ts";

const KILLS = 5;

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

describe("kill -9 of everything", () => {
  it(`P1 P2 P3 P4 P5 P6: ${KILLS} kills of omega-sync start lose no acked delta and apply none twice`, async () => {
    const seed = newSeed();
    const random = seededRandom(seed);
    const ports = await freePorts();
    const dir = tempDir("omega-kill-all-");
    opened.add(() => dir.remove());
    const database = join(dir.path, "database");
    const args = commandOf("start", [...settingsOf(ports), `dataDir=${database}`]);
    const everything = new OmegaProcess({ args, database: null });
    opened.add(() => everything.kill9());
    const fleet = makeFleet(
      "broad",
      ports,
      seed,
      (device) => new FileStorage(join(dir.path, device)),
    );
    opened.add(() => fleet.stop());

    await everything.start();
    await fleet.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      if (kill > 0) await everything.start();
      await randomMoment(fleet, random);
      await everything.kill9();
    }
    // Whoever opens the directory next goes on: here the test, to look at what is stored.
    const backend = await openEmbeddedIn(database, async () => {});
    opened.add(() => backend.close());
    const gateway = makeGateway(backend, ports);
    opened.add(() => gateway.kill9());
    const aggregator = makeAggregator(backend, ports, null);
    opened.add(() => aggregator.kill9());
    await Promise.all([aggregator.start(), gateway.start()]);
    const scene = { backend, gateway, aggregator, fleet };
    const faults = await faultsAtRest(scene);

    await expectNoFaults(`${KILLS} kills of everything`, seed, faults, scene);
    expect(fleet.resends(), "kills came in mid-publish").toBeGreaterThan(0);
  }, 600_000);
});
