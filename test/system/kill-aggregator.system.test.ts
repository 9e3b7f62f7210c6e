/**
 * kill -9 of an aggregator around its commit: between fold and commit, and between commit and the end of its jobs.
 *
 * Before the commit, the batch was never folded and its jobs come again. After
 * it, they come again too and must find the cursors ahead. A new aggregator
 * follows each death, as soon as the dead one's lease has run out.
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { integerBelow, seededRandom, systemClock, within } from "../../src/core/index.ts";
import { soak } from "../support/soak.ts";
import { totalsOf } from "./at-rest.ts";
import { type BackendKind, openBackend } from "./backend-under-test.ts";
import {
  expectNoFaults,
  faultsAtRest,
  freePorts,
  makeAggregator,
  makeFleet,
  makeGateway,
  newSeed,
  Opened,
  type Strike,
} from "./scene.ts";

/** A process dies at one of its first commits. */
const NTH_MAX = 4;
const STRIKE_TIMEOUT_MS = 60_000;

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

const CASES: readonly (readonly [number, Strike["moment"], BackendKind])[] = [
  [soak(20, 6), "before-commit", "redis"],
  [soak(10, 3), "after-commit", "redis"],
  [soak(20, 4), "before-commit", "embedded"],
  [soak(4, 2), "after-commit", "embedded"],
  [soak(8, 2), "before-commit", "postgres"],
];

describe("kill -9 of an aggregator", () => {
  it.each(CASES)(
    "P2 P4 P5 P6: %i kills %s on %s lose no acked delta and apply none twice",
    async (kills, moment, kind) => {
      const seed = newSeed();
      const random = seededRandom(seed);
      const ports = await freePorts();
      const backend = await openBackend(kind);
      opened.add(() => backend.close());
      const gateway = makeGateway(backend, ports);
      opened.add(() => gateway.kill9());
      const fleet = makeFleet("broad", ports, seed);
      opened.add(() => fleet.stop());

      await gateway.start();
      await fleet.start();
      for (let kill = 0; kill < kills; kill += 1) {
        const strike = { moment, nth: 1 + integerBelow(random, NTH_MAX) };
        const victim = makeAggregator(backend, ports, strike);
        opened.add(() => victim.kill9());
        victim.launch();
        const survived = () => new Error(`the aggregator never came to strike: ${victim.stderr}`);
        expect(await within(systemClock, STRIKE_TIMEOUT_MS, victim.ended, survived)).toBe(
          "SIGKILL",
        );
      }
      const aggregator = makeAggregator(backend, ports, null);
      opened.add(() => aggregator.kill9());
      await aggregator.start();
      const scene = { backend, gateway, aggregator, fleet };
      const faults = await faultsAtRest(scene);

      await expectNoFaults(`${kills} aggregator kills ${moment} on ${kind}`, seed, faults, scene);
      if (moment === "after-commit") {
        const { duplicates } = await totalsOf(backend.store);
        expect(duplicates, "committed jobs came again").toBeGreaterThanOrEqual(kills);
      }
    },
    600_000,
  );
});
