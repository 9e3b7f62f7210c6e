import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Releaser } from "../../src/aggregate/releaser.ts";
import { seededRandom } from "../../src/core/index.ts";
import { createMetrics } from "../../src/observe/index.ts";
import { type CurrentLadders, memoryStore, type Store } from "../../src/store/index.ts";
import {
  contentHash,
  downFrames1,
  encodeModel,
  type Release,
  type Release1,
} from "../../src/wire/index.ts";
import { type ManualClock, manualClock, settle } from "../support/manual-clock.ts";
import { learntModel } from "../wire/codec1/models.ts";
import { modelsOf, received } from "../wire/codec1/releases1.ts";
import { type Fault, faultyStore } from "./faults.ts";
import {
  absolute,
  deltaFrame,
  keyOf,
  modelOf,
  NOW_MS,
  queued,
  stockModels,
  vectorOf,
  zstd,
} from "./frames.ts";
import { openWriter, watchOutcome } from "./writers.ts";

const TENANT = "acme";

function setUp(shards = 1) {
  const clock = manualClock(NOW_MS);
  const faulty = faultyStore(memoryStore({ shards, clock }));
  return { clock, faulty, store: faulty.store };
}

function releaserOn(store: Store, clock: ManualClock, owner = "releaser-1"): Releaser {
  return new Releaser({
    store,
    zstd,
    owner,
    clock,
    dimOf: () => 8,
    random: seededRandom(1),
    policy: { minDevices: 2, shrinkage: 0 },
    settings: { cadenceMs: 10_000, leaseTtlMs: 3_000 },
  });
}

/** Every device says the same pattern; `seed` decides which vector. */
async function push(
  store: Store,
  clock: ManualClock,
  {
    seed,
    seq,
    devices = 3,
    pattern = "a",
  }: { seed: number; seq: number; devices?: number; pattern?: string },
) {
  const writer = await openWriter(store, clock, { owner: `writer-${seed}-${seq}` });
  const job = writer.handle(
    Array.from({ length: devices }, (_, index) =>
      queued(
        keyOf(`tv-${index}`),
        deltaFrame({ seq, upserts: [absolute(pattern, seed)] }),
        clock.nowMs(),
      ),
    ),
  );
  await clock.advance(100);
  await job;
  await writer.stop();
}

/** Frees the tenant's lease behind its holder's back, whatever its token. */
async function expire(store: Store): Promise<void> {
  for (let token = 1; token <= 60; token += 1) {
    await store.releaseLease(`releaser-${TENANT}`, token);
  }
}

describe("releaser", () => {
  it("publishes what the shards say, and nothing when nothing changed", async () => {
    const { clock, store } = setUp();
    const versions: number[] = [];
    await store.watch({ onRelease: (_tenant, version) => versions.push(version), onProblems() {} });
    const releaser = releaserOn(store, clock);
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 0 });
    await push(store, clock, { seed: 1, seq: 1 });
    expect(await releaser.releaseNow(TENANT)).toEqual({
      kind: "published",
      version: 1,
      patterns: 1,
    });
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 1 });
    await push(store, clock, { seed: 2, seq: 2 });
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 2 });
    expect(versions).toEqual([1, 2]);
    const [newest, before] = await store.recentReleases(TENANT);
    expect(newest?.release.version).toBe(2);
    const ladders = await store.currentRelease(TENANT);
    expect(ladders?.ladder.contentHash).toEqual(contentHash(newest?.release as Release));
    expect(before?.release.version).toBe(1);
    await releaser.stop();
    expect(clock.pending).toBe(0);
  });

  it("publishes rendition 1 beside it, of the same version, with a rung from the one before", async () => {
    const { clock, store } = setUp();
    await stockModels(store);
    const releaser = releaserOn(store, clock);
    const models = modelsOf(modelOf(2));
    let held: Release1 | null = null;
    for (const [index, patterns] of [["a", "b", "c"], ["d"]].entries()) {
      for (const pattern of patterns) {
        const seed = 10 * index + pattern.charCodeAt(0);
        await push(store, clock, { seed, seq: seed, pattern });
      }
      await releaser.releaseNow(TENANT);
      const { ladder, ladder1 } = (await store.currentRelease(TENANT)) as CurrentLadders;
      if (ladder1 === null) throw new Error("rendition 1 is published");
      expect([ladder1.version, ladder1.model]).toEqual([ladder.version, 2]);
      expect([...ladder1.deltas.keys()]).toEqual(index === 0 ? [] : [1]);
      const frames = downFrames1(ladder1, { base: held === null ? 0 : 1, applied: null });
      held = received(frames, held, models);
      const [newest] = await store.recentReleases(TENANT);
      expect(held).toEqual(newest?.release1);
      expect(held.patterns.map(({ id }) => id)).toEqual(
        newest?.release.patterns.map(({ id }) => id),
      );
    }
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 2 });
    await releaser.stop();
  });

  it("a new model alone makes a new version", async () => {
    const { clock, store } = setUp();
    await push(store, clock, { seed: 1, seq: 1 });
    const releaser = releaserOn(store, clock);
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 1 });
    expect((await store.currentRelease(TENANT))?.ladder1?.model).toBe(0);
    const bytes = encodeModel(learntModel(8, 1));
    const model = { version: 1, bytes, samples: 1, learntAtMs: 1 };
    await store.putModel(TENANT, releaser.tokenOf(TENANT) ?? 0, model);
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 2 });
    const after = await store.currentRelease(TENANT);
    expect(after?.ladder1).toMatchObject({ version: 2, model: 1, deltas: new Map() });
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 2 });
    await releaser.stop();
  });

  it("keeps its pace: a round at the start and one per cadence", async () => {
    const { clock, store } = setUp();
    await push(store, clock, { seed: 1, seq: 1 });
    const releaser = releaserOn(store, clock);
    await releaser.start();
    await settle();
    expect((await store.currentRelease(TENANT))?.ladder.version).toBe(1);
    await push(store, clock, { seed: 2, seq: 2 });
    expect((await store.currentRelease(TENANT))?.ladder.version).toBe(1);
    await clock.advance(11_000);
    expect((await store.currentRelease(TENANT))?.ladder.version).toBe(2);
    await releaser.stop();
    expect(clock.pending).toBe(0);
  });

  it("P5: one releaser at a time; when it stops the other takes over at once", async () => {
    const { clock, store } = setUp();
    await push(store, clock, { seed: 1, seq: 1 });
    const [first, second] = [releaserOn(store, clock, "r1"), releaserOn(store, clock, "r2")];
    expect(await first.releaseNow(TENANT)).toMatchObject({ kind: "published" });
    expect(await second.releaseNow(TENANT)).toEqual({ kind: "elsewhere" });
    await push(store, clock, { seed: 2, seq: 2 });
    await first.stop();
    expect(await second.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 2 });
    await second.stop();
  });

  it("P5: an unknown outcome is asked again and makes one version, not two", async () => {
    const { clock, store, faulty } = setUp();
    await push(store, clock, { seed: 1, seq: 1 });
    const releaser = releaserOn(store, clock);
    faulty.plan("publishRelease", "done-unheard", "unavailable");
    const round = watchOutcome(releaser.releaseNow(TENANT).then(() => {}));
    await clock.advance(1_000);
    expect(round.state).toBe("done");
    expect(faulty.calls("publishRelease")).toBe(3);
    const kept = await store.recentReleases(TENANT);
    expect(kept.map(({ release }) => release.version)).toEqual([1]);
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 1 });
    await releaser.stop();
  });

  it("P5: versions strictly rise with two releasers fighting over a failing store", async () => {
    const step = fc.record({
      who: fc.integer({ min: 0, max: 1 }),
      act: fc.constantFrom("release", "release", "push", "expire", "fault"),
      fault: fc.constantFrom<Fault>("unavailable", "done-unheard"),
      on: fc.constantFrom(
        "publishRelease" as const,
        "renewLease" as const,
        "acquireLease" as const,
        "loadTenantSums" as const,
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (script) => {
        const clock = manualClock(NOW_MS);
        const inner = memoryStore({ shards: 1, clock });
        const faulty = faultyStore(inner);
        const published: number[] = [];
        await inner.watch({
          onRelease: (_tenant, version) => published.push(version),
          onProblems() {},
        });
        const releasers = [
          releaserOn(faulty.store, clock, "r1"),
          releaserOn(faulty.store, clock, "r2"),
        ];
        const rounds: Promise<unknown>[] = [];
        let seq = 0;
        for (const { who, act, fault, on } of script) {
          if (act === "release") rounds.push((releasers[who] as Releaser).releaseNow(TENANT));
          if (act === "fault") faulty.plan(on, fault);
          if (act === "expire") await expire(inner);
          if (act === "push") {
            seq += 1;
            await push(inner, clock, { seed: seq + 7, seq });
          }
          await clock.advance(act === "expire" ? 3_500 : 50);
        }
        await clock.advance(60_000);
        await Promise.all(rounds);
        for (const releaser of releasers) await releaser.stop();
        expect(published).toEqual(published.map((_, index) => index + 1));
        const kept = await inner.recentReleases(TENANT);
        expect(kept.map(({ release }) => release.version)).toEqual(
          [...published].reverse().slice(0, 8),
        );
      }),
      { numRuns: 50 },
    );
  }, 30_000);

  it("a failing round is left to the next one", async () => {
    const { clock, store, faulty } = setUp();
    await push(store, clock, { seed: 1, seq: 1 });
    const releaser = releaserOn(store, clock);
    faulty.plan("loadTenantSums", "unavailable");
    expect(await releaser.releaseNow(TENANT)).toEqual({
      kind: "failed",
      reason: "store.unavailable",
    });
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 1 });
    await releaser.stop();
  });

  it("after a deletion the next release is free of the device, however little that moved it", async () => {
    const { clock, store } = setUp();
    await push(store, clock, { seed: 1, seq: 1, devices: 40 });
    const writer = await openWriter(store, clock, { owner: "w" });
    const odd = keyOf("odd");
    const job = writer.handle([
      queued(
        odd,
        deltaFrame({ seq: 1, upserts: [absolute("a", 99, { weight: 4 })] }),
        clock.nowMs(),
      ),
    ]);
    await clock.advance(100);
    await job;
    const releaser = releaserOn(store, clock);
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 1 });
    const before = (await store.recentReleases(TENANT))[0]?.release;
    await writer.forget(odd);
    await writer.stop();
    expect(await releaser.releaseNow(TENANT)).toMatchObject({ kind: "published", version: 2 });
    const after = (await store.recentReleases(TENANT))[0]?.release;
    expect(after?.patterns[0]?.devices).toBe(40);
    expect(before?.patterns[0]?.devices).toBe(41);
    // All who are left say exactly this, so a mean that is free of the forgotten one is exactly it.
    const said = vectorOf(1);
    const error = Math.max(
      ...said.map((value, at) => Math.abs(value - (after?.patterns[0]?.vector[at] ?? 0))),
    );
    expect(error).toBeLessThanOrEqual(64);
    expect(await releaser.releaseNow(TENANT)).toEqual({ kind: "unchanged", version: 2 });
    await releaser.stop();
  });

  it("each tenant has its own versions, and counts are kept", async () => {
    const { clock, store } = setUp();
    const metrics = createMetrics();
    await push(store, clock, { seed: 1, seq: 1 });
    const releaser = new Releaser({
      store,
      zstd,
      clock,
      metrics,
      dimOf: () => 8,
      policy: { minDevices: 2 },
    });
    await releaser.start();
    await settle();
    expect(await releaser.releaseNow("nobody")).toEqual({ kind: "unchanged", version: 0 });
    expect(await metrics.render()).toContain("omega_aggregate_releases_total 1");
    await releaser.stop();
  });
});
