import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Audience, Fanout, type FanoutLimits } from "../../gateway/fanout.ts";
import { Ladders } from "../../gateway/ladders.ts";
import { createPacer } from "../../gateway/pacer.ts";
import { seededRandom } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { type ManualClock, manualClock, settle } from "../support/manual-clock.ts";
import { ladderOf, SourceDouble, TENANT } from "./downlink-world.ts";

/** Devices that take whatever version is newest when they are served, as the downlink's do. */
class Crowd implements Audience<number> {
  readonly got: number[];
  readonly calls: { atMs: number; members: number[]; version: number }[] = [];
  failures = 0;
  readonly #clock: ManualClock;
  readonly #ladders: Ladders;

  constructor(count: number, clock: ManualClock, ladders: Ladders) {
    this.got = Array.from({ length: count }, () => 0);
    this.#clock = clock;
    this.#ladders = ladders;
  }

  tenants(): string[] {
    return [TENANT];
  }

  behind(_tenant: string, version: number): number[] {
    return [...this.got.keys()].filter((member) => (this.got[member] ?? 0) < version);
  }

  everyone(): number[] {
    return [...this.got.keys()];
  }

  async serve(members: readonly number[]): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("connection refused");
    }
    const version = this.#ladders.current(TENANT)?.version ?? 0;
    this.calls.push({ atMs: this.#clock.monotonicMs(), members: [...members], version });
    for (const member of members) this.got[member] = version;
  }
}

function setUp(count: number, given: Partial<FanoutLimits> & { ratePerS?: number } = {}) {
  const { ratePerS = 100, ...rest } = given;
  const clock = manualClock();
  const source = new SourceDouble();
  const ladders = new Ladders({ source, clock });
  const crowd = new Crowd(count, clock, ladders);
  const limits = { chunkCount: 10, jitterMsMax: 0, pollMs: 1e9, refreshMs: 1e9, ...rest };
  const fanout = new Fanout({
    audience: crowd,
    ladders,
    pacer: createPacer({ ratePerS, burstCount: limits.chunkCount, clock }),
    clock,
    random: seededRandom(3),
    log: silentLogger,
    limits,
    backoff: { delayMsBase: 100, delayMsMax: 1_000 },
  });
  fanout.start();
  return { clock, source, ladders, crowd, fanout };
}

describe("fan-out", () => {
  test("reaches everyone at the pace, in chunks of one round trip each", async () => {
    const { clock, source, crowd, fanout } = setUp(100);
    source.release(ladderOf(1));
    fanout.released(TENANT);
    await clock.advance(0);
    expect(crowd.calls).toHaveLength(1);
    await clock.advance(450);
    expect(crowd.calls).toHaveLength(5);
    await clock.advance(450);
    expect(crowd.got.every((version) => version === 1)).toBe(true);
    expect(crowd.calls.map(({ members }) => members.length)).toEqual(Array(10).fill(10));
    expect(crowd.calls.map(({ atMs }) => atMs)).toEqual(
      Array.from({ length: 10 }, (_, index) => index * 100),
    );
    await fanout.stop();
  });

  test("P5: a release in mid-walk: the rest gets the newest at once, the others afterwards, nobody twice the same", async () => {
    const { clock, source, crowd, fanout } = setUp(50);
    source.release(ladderOf(1));
    fanout.released(TENANT);
    await clock.advance(150);
    expect(crowd.calls.map(({ version }) => version)).toEqual([1, 1]);
    source.release(ladderOf(2));
    fanout.released(TENANT);
    // Somebody's SUBSCRIBE, or the next chunk, has refreshed the ladder meanwhile.
    await clock.advance(10_000);
    expect(crowd.got.every((version) => version === 2)).toBe(true);
    const served = crowd.calls.flatMap(({ members, version }) =>
      members.map((member) => `${member}@${version}`),
    );
    expect(new Set(served).size).toBe(served.length);
    await fanout.stop();
  });

  test("a hundred notices in one walk are one more look, and no walk when it finds nothing new", async () => {
    const { clock, source, crowd, fanout } = setUp(30);
    source.release(ladderOf(1));
    fanout.released(TENANT);
    await clock.advance(150);
    for (let count = 0; count < 100; count += 1) fanout.released(TENANT);
    await clock.advance(10_000);
    expect(source.ladderCalls).toBe(2);
    expect(crowd.calls).toHaveLength(3);
    await fanout.stop();
  });

  test("finds by polling what no notice told, and walks once for it", async () => {
    const { clock, source, crowd, fanout } = setUp(5, { pollMs: 5_000 });
    await clock.advance(20_000);
    expect(crowd.calls).toEqual([]);
    source.release(ladderOf(1), { silently: true });
    await clock.advance(60_000);
    expect(crowd.calls).toHaveLength(1);
    await fanout.stop();
  });

  test("walks what a SUBSCRIBE's refresh found before the poll did", async () => {
    const { clock, source, ladders, crowd, fanout } = setUp(5, { pollMs: 5_000 });
    source.release(ladderOf(1), { silently: true });
    await ladders.refresh(TENANT);
    await clock.advance(20_000);
    expect(crowd.got).toEqual([1, 1, 1, 1, 1]);
    await fanout.stop();
  });

  test("visits everyone for watermarks, slowly", async () => {
    const { clock, crowd, fanout } = setUp(20, { refreshMs: 60_000 });
    await clock.advance(120_001);
    const visits = crowd.calls.reduce((sum, { members }) => sum + members.length, 0);
    expect(visits).toBeGreaterThanOrEqual(20);
    expect(visits % 20).toBe(0);
    await fanout.stop();
  });

  test("survives a source that fails, and forgets nobody", async () => {
    const { clock, source, crowd, fanout } = setUp(30);
    source.release(ladderOf(1));
    source.failure = new Error("connection refused");
    crowd.failures = 3;
    fanout.released(TENANT);
    await clock.advance(2_000);
    expect(crowd.calls).toEqual([]);
    source.failure = null;
    await clock.advance(10_000);
    expect(crowd.got.every((version) => version === 1)).toBe(true);
    await fanout.stop();
  });

  test("starts within the jitter, not at once", async () => {
    const { clock, source, crowd, fanout } = setUp(5, { jitterMsMax: 1_000 });
    source.release(ladderOf(1));
    fanout.released(TENANT);
    await clock.advance(0);
    expect(source.ladderCalls).toBe(0);
    await clock.advance(1_000);
    expect(crowd.got).toEqual([1, 1, 1, 1, 1]);
    await fanout.stop();
  });

  test("stops in mid-walk and leaves no timer", async () => {
    const { clock, source, crowd, fanout } = setUp(1_000, { pollMs: 5_000, refreshMs: 5_000 });
    source.release(ladderOf(1));
    fanout.released(TENANT);
    await clock.advance(150);
    await fanout.stop();
    const served = crowd.calls.length;
    fanout.released(TENANT);
    await clock.advance(60_000);
    expect(crowd.calls).toHaveLength(served);
    expect(clock.pending).toBe(0);
  });
});

describe("pacer", () => {
  test("never lets more pass than the rate and one burst allow, in order of asking", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30, size: "max" }),
        async (counts) => {
          const clock = manualClock();
          const pacer = createPacer({ ratePerS: 50, burstCount: 20, clock });
          const passed: { index: number; atMs: number; count: number }[] = [];
          counts.forEach((count, index) => {
            void pacer.take(count).then(() => {
              passed.push({ index, atMs: clock.monotonicMs(), count });
            });
          });
          await clock.advance(60_000);
          expect(passed.map(({ index }) => index)).toEqual(counts.map((_, index) => index));
          let total = 0;
          for (const { atMs, count } of passed) {
            total += count;
            expect(total).toBeLessThanOrEqual(20 + (atMs / 1_000) * 50 + 1e-6);
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test("an aborted wait rejects with the reason and leaves no timer", async () => {
    const clock = manualClock();
    const pacer = createPacer({ ratePerS: 1, burstCount: 1, clock });
    const stop = new AbortController();
    await pacer.take(1, stop.signal);
    const waiting = pacer.take(1, stop.signal);
    stop.abort(new Error("stopped"));
    await expect(waiting).rejects.toThrow("stopped");
    await expect(pacer.take(1, stop.signal)).rejects.toThrow("stopped");
    await settle();
    expect(clock.pending).toBe(0);
  });
});
