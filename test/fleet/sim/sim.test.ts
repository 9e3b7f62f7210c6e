import { describe, expect, it } from "vitest";
import { downlinkSource } from "../../../src/cli/compose/downlink-source.ts";
import { lineOf, planOf, runWorld, shrink, traceOf } from "../../../src/fleet/sim/index.ts";
import type { FaultKind, WorldPlan } from "../../../src/fleet/sim/plan.ts";
import { loadZstd } from "../../../src/wire/index.ts";
import { runCli } from "../../cli/run-cli.ts";

const context = { zstd: await loadZstd(), sourceOf: downlinkSource };
/** A whole world takes a tenth of a second of an idle machine. */
const TIMEOUT_MS = 60_000;
/** Found by looking through some 46,000 worlds: the old incarnation's deltas are folded last, and win at first. */
const OVERTAKEN = [204_233, 207_356, 218_757, 21_034];

async function historyOf(seed: number): Promise<string> {
  const { history } = await runWorld(planOf(seed), context);
  return history.map(lineOf).join("\n");
}

async function expectNoViolations(seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const { violations } = await runWorld(planOf(seed), context);
    expect({ seed, violations }).toEqual({ seed, violations: [] });
  }
}

describe("simulation", () => {
  it(
    "worlds with faults of every kind break no invariant",
    () => expectNoViolations(Array.from({ length: 24 }, (_, index) => index + 1)),
    TIMEOUT_MS,
  );

  it(
    "a TV wiped while its deltas wait under a higher epoch: its last word arrives all the same",
    () => expectNoViolations(OVERTAKEN),
    TIMEOUT_MS,
  );

  it(
    "a world at the real pace lives for hours under the product's defaults, and breaks no invariant",
    async () => {
      const { violations, virtualMs } = await runWorld(planOf(1, "real"), context);
      expect(violations).toEqual([]);
      expect(virtualMs).toBeGreaterThan(3_600_000);
    },
    TIMEOUT_MS,
  );

  it(
    "the same seed lives the same history, byte for byte, whatever was lived in between",
    async () => {
      const [first, other] = [await historyOf(7), await historyOf(8)];
      expect(await historyOf(7)).toBe(first);
      expect(other).not.toBe(first);
    },
    TIMEOUT_MS,
  );

  it(
    "a failure is told with the shortest beginning of its faults that still fails",
    async () => {
      const plan = withFaults(3, ["link.reset", "device.kill", "device.wipe", "link.reset"]);
      const outcome = await runWorld(plan, context);
      expect(outcome.violations).toEqual([]);
      const failing = { ...outcome, violations: [{ invariant: "I3" as const, what: "made up" }] };
      const { faults, outcome: best } = await shrink(failing, "I3", context);
      // Nothing smaller fails, so the whole plan is what is told.
      expect(faults).toEqual({ all: 4, prefix: 4, left: 4 });
      expect(traceOf(best.history, 5).filter((line) => line.includes("FAULT"))).toHaveLength(5);
    },
    TIMEOUT_MS,
  );

  it("sim: prints one JSON object and ends with 0", async () => {
    const { code, stdout } = await runCli(["sim", "--seed", "5", "--seeds", "2", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ seeds: 2, violations: [], planted: null });
    expect(code).toBe(0);
  });
});

function withFaults(seed: number, kinds: readonly FaultKind[]): WorldPlan {
  const faults = kinds.map((kind, index) => {
    return { atMs: 10_000 * (index + 1), lastsMs: 2_000, kind, which: index, how: 0.5 };
  });
  return { ...planOf(seed), faults };
}
