/** Deltas of codec 1 on their way through a shard's writer: with, before and without their model. */
import { describe, expect, it } from "vitest";
import { decodeRegister } from "../../src/aggregate/register.ts";
import { Releaser } from "../../src/aggregate/releaser.ts";
import { verifyShards } from "../../src/aggregate/verify.ts";
import { deviceName } from "../../src/core/index.ts";
import { memoryStore } from "../../src/store/index.ts";
import { type EncodedDelta, encodeDelta1, GRID } from "../../src/wire/index.ts";
import { manualClock, settle } from "../support/manual-clock.ts";
import { faultyStore } from "./faults.ts";
import {
  absolute,
  deltaFrame,
  keyOf,
  modelOf,
  NOW_MS,
  POLICY,
  queued,
  stockModels,
  vectorOf,
  zstd,
} from "./frames.ts";
import { openWriter, watchOutcome } from "./writers.ts";

const TV = keyOf("tv-1");
const OTHER = keyOf("tv-2");

async function setUp() {
  const clock = manualClock(NOW_MS);
  const faulty = faultyStore(memoryStore({ shards: 1, clock }));
  await stockModels(faulty.store);
  return { clock, faulty, store: faulty.store };
}

const frameOf = (model: number, seed = 1, seq = 1) =>
  deltaFrame({ seq, model, upserts: [absolute("a", seed)] });

describe("deltas of codec 1", () => {
  it("the model is fetched once, when the first frame names it, and its space is kept", async () => {
    const { clock, store, faulty } = await setUp();
    const writer = await openWriter(store, clock);
    const entries = [TV, OTHER].map((key) => queued(key, frameOf(2)));
    const jobs = [writer.handle(entries), writer.handle(entries)];
    await clock.advance(100);
    await Promise.all(jobs);
    await Promise.all([writer.handle([queued(TV, frameOf(2, 5, 2))]), clock.advance(100)]);
    expect(faulty.calls("model")).toBe(1);
    const blob = (await store.registers(TV)).get("a") as Uint8Array;
    expect(decodeRegister(blob)).toMatchObject({ kind: "live", space: 2, seq: 2 });
    const [verdict] = await verifyShards(store, [TV, OTHER], POLICY, NOW_MS);
    expect(verdict).toMatchObject({ mismatches: [], stats: { applied: 3, duplicates: 2 } });
    await writer.stop();
    expect(clock.pending).toBe(0);
  });

  it.each([
    ["tracking", 0],
    ["tracking", 1],
    ["unbiased", 0],
    ["unbiased", 1],
  ] as const)(
    "P6: what a device was told is what the server holds, bit for bit (%s, model %i)",
    async (mode, version) => {
      const { clock, store } = await setUp();
      const writer = await openWriter(store, clock);
      const model = version === 0 ? null : modelOf(version);
      const options = { mode, states: 8, model, sender: deviceName(TV), bytesMax: 200 } as const;
      let told: EncodedDelta | null = null;
      for (let seq = 1; seq <= 4; seq += 1) {
        const upserts = ["a", "b"].map((id, index) => {
          const target = vectorOf(10 * seq + index);
          const reference = told?.reconstructions.get(id);
          const known = { reference, referenceSpace: told?.space ?? 0, referenceSeq: seq - 1 };
          return absolute(id, 1, {
            embedding:
              known.reference === undefined
                ? { mode: "absolute", target }
                : { mode: "difference", target, ...known, reference: known.reference },
          });
        });
        const at = { epoch: 3, seq, base: 0 };
        told = encodeDelta1(at, { dim: 8, upserts, removals: [] }, options, zstd);
        const job = writer.handle([queued(TV, told?.frame ?? new Uint8Array(0))]);
        await clock.advance(100);
        await job;
        const held = await store.registers(TV);
        for (const [id, vector] of told?.reconstructions ?? []) {
          const register = decodeRegister(held.get(id) ?? new Uint8Array(0));
          expect(register).toMatchObject({ kind: "live", seq, space: told?.space, vector });
        }
        expect(told?.reconstructions.size).toBe(2);
      }
      expect((await store.stats(0)).applied).toBe(4);
      await writer.stop();
    },
  );

  it("P8: a model that nobody has costs the delta that names it, by name, and nothing else", async () => {
    const { clock, store, faulty } = await setUp();
    const writer = await openWriter(store, clock);
    const job = writer.handle([queued(TV, frameOf(77)), queued(OTHER, frameOf(1))]);
    await clock.advance(100);
    await job;
    const again = writer.handle([queued(TV, frameOf(77, 1, 2))]);
    await clock.advance(100);
    await again;
    expect(await store.deadLetters(0, 9)).toMatchObject([
      { reason: "codec.model", position: { epoch: 1, seq: 2 } },
      { reason: "codec.model", position: { epoch: 1, seq: 1 } },
    ]);
    expect(await store.stats(0)).toEqual({ applied: 1, duplicates: 0, deadLettered: 2 });
    expect(faulty.calls("model")).toBe(2);
    await writer.stop();
  });

  it("P2: while the store cannot say whether there is a model the job stays in the queue", async () => {
    const { clock, store, faulty } = await setUp();
    const writer = await openWriter(store, clock);
    faulty.plan("model", "unavailable", "hangs");
    const entry = queued(TV, frameOf(1));
    const first = watchOutcome(writer.handle([entry]));
    await settle();
    expect(first.state).toBe("store.unavailable");
    const second = watchOutcome(writer.handle([entry]));
    for (let passed = 0; passed < 10_000; passed += 500) await clock.advance(500);
    expect(second.state).toBe("model.late");
    expect(await store.stats(0)).toEqual({ applied: 0, duplicates: 0, deadLettered: 0 });
    await writer.stop();
  });

  it("a shard that is given back while a model is on its way leaves the job to the next owner", async () => {
    const { clock, store, faulty } = await setUp();
    const writer = await openWriter(store, clock);
    faulty.plan("model", "hangs");
    const waiting = watchOutcome(writer.handle([queued(TV, frameOf(1))]));
    await writer.stop();
    await clock.advance(10_000);
    expect(waiting.state).not.toBe("done");
    const next = await openWriter(store, clock, { owner: "writer-2" });
    const job = next.handle([queued(TV, frameOf(1))]);
    await clock.advance(100);
    await job;
    expect((await store.stats(0)).applied).toBe(1);
    await next.stop();
  });

  it("a release is of all spaces together", async () => {
    const { clock, store } = await setUp();
    const writer = await openWriter(store, clock);
    const said = vectorOf(3);
    const models = [undefined, 0, 1, 2, 1];
    const job = writer.handle(
      models.map((model, index) => {
        const upserts = [absolute("a", 3)];
        const spec = model === undefined ? { seq: 1, upserts } : { seq: 1, model, upserts };
        return queued(keyOf(`tv-${index}`), deltaFrame(spec));
      }),
    );
    await clock.advance(100);
    await job;
    await writer.stop();
    const policy = { minDevices: 5, shrinkage: 0 };
    const releaser = new Releaser({ store, zstd, clock, dimOf: () => 8, policy });
    expect(await releaser.releaseNow("acme")).toMatchObject({ kind: "published", patterns: 1 });
    const [recent] = await store.recentReleases("acme");
    const [pattern] = recent?.release.patterns ?? [];
    expect(pattern).toMatchObject({ devices: 5, weight: 50 });
    const apart = Math.hypot(...said.map((value, at) => value - (pattern?.vector[at] ?? 0)));
    // What the codecs lost on the way, in hundredths of the vector's length.
    expect(apart / GRID).toBeLessThan(0.02);
    await releaser.stop();
  });

  it("a pattern whose sums are in the space of a lost model stays out of the release, the others do not", async () => {
    const { clock, store } = await setUp();
    const writer = await openWriter(store, clock);
    const job = writer.handle([
      queued(TV, deltaFrame({ seq: 1, model: 1, upserts: [absolute("a", 1)] })),
      queued(OTHER, deltaFrame({ seq: 1, model: 2, upserts: [absolute("b", 2)] })),
    ]);
    await clock.advance(100);
    await job;
    await writer.stop();
    const token = await store.acquireLease("releaser-acme", "operator", 1_000);
    await store.dropModels("acme", token ?? 0, [1]);
    await clock.advance(1_000);
    const policy = { minDevices: 1, shrinkage: 0 };
    const releaser = new Releaser({ store, zstd, clock, dimOf: () => 8, policy });
    expect(await releaser.releaseNow("acme")).toMatchObject({ kind: "published", patterns: 1 });
    const [recent] = await store.recentReleases("acme");
    expect(recent?.release.patterns.map(({ id }) => id)).toEqual(["b"]);
    await releaser.stop();
  });
});
