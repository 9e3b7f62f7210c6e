import { describe, expect, it } from "vitest";
import { parseOptions } from "../../bench/connections/options.ts";
import { Releases } from "../../bench/connections/release.ts";
import { atMost, reportOf, textOf } from "../../bench/support/report.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore } from "../../src/store/index.ts";
import { startRedis } from "../support/redis.ts";

describe("bench: connections", () => {
  it("bench: a floor is judged by the exact value, whatever the table shows of it", () => {
    const kept = atMost("kept", 50, 50, "µs");
    const missed = atMost("missed", 50.04, 50, "µs");
    expect([kept.met, missed.met]).toEqual([true, false]);
    expect(missed.value).toBe(50);
    const row = { scenario: "idle", name: "base", value: 141.42, unit: "MiB" };
    const report = reportOf([row], [kept, missed]);
    expect(report.rows[0]?.value).toBe(141);
    expect(textOf(report)).toMatch(/idle +base +141 +MiB/);
    expect(textOf(report)).toMatch(/missed +50 +≤ 50 +µs +MISSED/);
  });

  it("bench: scenarios are chosen by name, and a wrong name is told the right ones", () => {
    expect(parseOptions([]).scenarios).toEqual(["idle", "cost", "known", "storm", "release"]);
    expect(parseOptions(["--only", "storm,idle"]).scenarios).toEqual(["storm", "idle"]);
    expect(() => parseOptions(["--only", "typo"])).toThrow(/idle, cost, known, storm, release/);
  });

  it("bench: its releases are real ones, whose ladders gain a rung with every version", async () => {
    const redis = await startRedis();
    const store = await redisStore({ url: redis.url, shards: 1, log: silentLogger });
    try {
      const releases = new Releases(store);
      const first = await releases.prepare();
      expect(await store.currentRelease("default")).toBeNull();
      await first.publish();
      const second = await releases.prepare();
      await second.publish();
      const current = await store.currentRelease("default");
      expect(current?.ladder).toMatchObject({ version: 2 });
      expect([...(current?.ladder1?.deltas.keys() ?? [])]).toEqual([1]);
      expect(second.bodies).toBeGreaterThan(first.bodies);
    } finally {
      await store.close();
      await redis.stop();
    }
  }, 60_000);
});
