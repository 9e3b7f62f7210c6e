import { describe, expect, it } from "vitest";
import { trainCodec } from "../../src/aggregate/codec-training.ts";
import { ModelKeeper, type ModelKeeperOptions } from "../../src/aggregate/model-keeper.ts";
import type { Register } from "../../src/aggregate/register.ts";
import { contribute, emptySums, encodeSums } from "../../src/aggregate/sums.ts";
import { seededRandom } from "../../src/core/index.ts";
import { createMetrics } from "../../src/observe/index.ts";
import { memoryStore, releaserLease, type Store, shardLease } from "../../src/store/index.ts";
import { type CodecModel, decodeModel, type GridVector, toSpace } from "../../src/wire/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { drawn, population } from "./embeddings.ts";
import { faultyStore } from "./faults.ts";
import { modelOf, NOW_MS, vectorOf } from "./frames.ts";

const TENANT = "acme";
const DAY = 86_400_000;
const PEOPLE = population(8);

async function setUp(change: Partial<ModelKeeperOptions> = {}) {
  const clock = manualClock(NOW_MS);
  const faulty = faultyStore(memoryStore({ shards: 2, clock }));
  const { store } = faulty;
  const metrics = createMetrics();
  const state = {
    token: await store.acquireLease(releaserLease(TENANT), "releaser", 1e12),
    /** Devices with the registers of each. */
    devices: [] as Register[][],
    /** What the trainings were given. */
    trainings: [] as { samples: readonly GridVector[]; version: number; judged: boolean }[],
  };
  const keeper = new ModelKeeper({
    store,
    registers: { inMemory: () => [state.devices.slice(0, 20), state.devices.slice(20)] },
    leases: { tokenOf: () => state.token },
    tenants: [TENANT],
    dimOf: () => 8,
    policy: { minSamples: 200, minDevices: 10, minAgeMs: DAY },
    settings: { cadenceMs: 1_000 },
    train: async (samples, version, dim, _signal, { current } = {}) => {
      state.trainings.push({ samples, version, judged: current !== undefined });
      return trainCodec(samples, version, dim, current ?? null);
    },
    clock,
    random: seededRandom(5),
    metrics,
    ...change,
  });
  return { clock, faulty, store, metrics, state, keeper };
}

/** `count` devices with ten patterns each. */
function devicesOf(count: number, { from = PEOPLE, space = 0, seed = 1 } = {}): Register[][] {
  const vectors = drawn(from, count * 10, seed);
  const placed = space === 0 ? vectors : toSpace(modelOf(space), vectors);
  return Array.from({ length: count }, (_, device) =>
    placed.slice(device * 10, device * 10 + 10).map(
      (vector): Register => ({
        kind: "live",
        ...{ epoch: 1, seq: 1, bucket: 1, weight: 1, successPermille: 1, samples: 1 },
        updatedAtS: 1,
        space,
        vector,
      }),
    ),
  );
}

const versionsOf = async (store: Store) =>
  (await store.models(TENANT)).map(({ version }) => version);

describe("model keeper", () => {
  it("learns the first model when there is enough in memory, and says so", async () => {
    const { keeper, state, store, metrics } = await setUp();
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "devices" });
    state.devices = devicesOf(19);
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "samples" });
    state.devices = devicesOf(60);
    const heard: number[] = [];
    await store.watch({
      ...{ onRelease() {}, onProblems() {} },
      onModel: (_tenant, version) => heard.push(version),
    });
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "published", version: 1 });
    expect(heard).toEqual([1]);
    expect(await store.models(TENANT)).toMatchObject([
      { version: 1, samples: 600, learntAtMs: NOW_MS },
    ]);
    const text = await metrics.render();
    expect(text).toContain("omega_codec_model_version 1");
    expect(text).toContain("omega_codec_trainings_total 1");
    expect(text).toMatch(/omega_codec_gain_db [1-9]/);
    await keeper.stop();
  });

  it("registers of every space are learnt from as the patterns they are", async () => {
    const { keeper, state, store } = await setUp();
    const token = state.token ?? 0;
    const plain = devicesOf(40);
    state.devices = plain;
    await keeper.tendNow(TENANT);
    const [first] = await store.models(TENANT);
    expect(first?.version).toBe(1);
    // Half of the same people speak in space 1 now, and there are twice as many; a lost space is left out.
    const model = await firstModel(store);
    const all = devicesOf(100, { seed: 2 });
    state.devices = all.map((device, index) =>
      device.map((register): Register => {
        if (register.kind !== "live" || index % 2 === 0) return register;
        if (index % 10 === 9) return { ...register, space: 44 };
        const [vector] = toSpace(model, [register.vector]);
        return { ...register, space: 1, vector: vector as GridVector };
      }),
    );
    await keeper.stop();
    const later = await setUp({ store, leases: { tokenOf: () => token } });
    later.state.devices = state.devices;
    await later.clock.advance(8 * DAY);
    expect((await later.keeper.tendNow(TENANT)).kind).not.toBe("failed");
    const [training] = later.state.trainings;
    expect(training).toMatchObject({ version: 2, judged: true });
    expect(training?.samples.length).toBe(900);
    // Rounded twice on the way, so a step or two off.
    const wanted = new Set(all.flat().map((register) => printed(register)));
    const exact = training?.samples.filter((sample) => wanted.has([...sample].join())).length;
    expect(exact).toBeGreaterThan(600);
    for (const sample of training?.samples ?? []) {
      const near = all.flat().some((register) => apart(register, sample) <= 2);
      expect(near).toBe(true);
    }
    await later.keeper.stop();
  });

  it("another model wants a day, twice as much, and a clear gain", async () => {
    const { keeper, state, store, clock } = await setUp();
    state.devices = devicesOf(40);
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "published" });
    state.devices = devicesOf(100);
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "age" });
    await clock.advance(DAY);
    // More of the same says nothing new.
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "no-gain" });
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "growth" });
    // Other people do.
    const others = { ...PEOPLE, basis: population(8).basis.slice().reverse() };
    state.devices = devicesOf(210, { from: others, seed: 3 });
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "published", version: 2 });
    expect(await versionsOf(store)).toEqual([2, 1]);
    await keeper.stop();
  });

  it("nothing is learnt without the tenant's lease, for dimensions without models, or from noise", async () => {
    const { keeper, state, store } = await setUp();
    const token = state.token;
    state.devices = devicesOf(60);
    state.token = null;
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "lease" });
    state.token = token;
    const wide = await setUp({ dimOf: () => 2_048 });
    wide.state.devices = state.devices;
    expect(await wide.keeper.tendNow(TENANT)).toEqual({ kind: "waiting", for: "dimension" });
    state.devices = Array.from({ length: 60 }, (_, device) =>
      Array.from({ length: 10 }, (_, index): Register => {
        const [[register]] = devicesOf(1) as [[Register]];
        if (register.kind !== "live") throw new Error("it is live");
        return { ...register, vector: vectorOf(device * 10 + index + 1) };
      }),
    );
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "no-gain", currentGainDb: null });
    expect(await versionsOf(store)).toEqual([]);
    await keeper.stop();
    await wide.keeper.stop();
  });

  it("a lease that was lost meanwhile publishes nothing, and the next round is as good as new", async () => {
    const { keeper, state, store } = await setUp();
    state.devices = devicesOf(60);
    await store.acquireLease(releaserLease(TENANT), "releaser", 1e12);
    expect(await keeper.tendNow(TENANT)).toEqual({ kind: "failed", reason: "lease.lost" });
    expect(await versionsOf(store)).toEqual([]);
    state.token = await store.acquireLease(releaserLease(TENANT), "releaser", 1e12);
    state.devices = devicesOf(120);
    expect(await keeper.tendNow(TENANT)).toMatchObject({ kind: "published", version: 1 });
    await keeper.stop();
  });

  it("an unknown outcome is asked again and makes one model, not two", async () => {
    const { keeper, state, store, faulty, clock } = await setUp();
    state.devices = devicesOf(60);
    faulty.plan("putModel", "done-unheard", "unavailable");
    const tending = keeper.tendNow(TENANT);
    await clock.advance(5_000);
    expect(await tending).toMatchObject({ kind: "published", version: 1 });
    expect(faulty.calls("putModel")).toBe(3);
    expect(await versionsOf(store)).toEqual([1]);
    await keeper.stop();
  });

  it("drops what nothing is in any more: neither the newest two nor a space with sums", async () => {
    const { keeper, store, state, clock } = await setUp();
    const token = state.token ?? 0;
    for (const version of [1, 2, 3, 4]) {
      const bytes = Uint8Array.of(version);
      await store.putModel(TENANT, token, { version, bytes, samples: 1, learntAtMs: NOW_MS });
    }
    await commitSums(store, [0, 2]);
    await keeper.tendNow(TENANT);
    expect(await versionsOf(store)).toEqual([4, 3, 2]);
    await commitSums(store, [0]);
    // All sums are read for it, so not at every look.
    await keeper.tendNow(TENANT);
    expect(await versionsOf(store)).toEqual([4, 3, 2]);
    await clock.advance(3_600_000);
    await keeper.tendNow(TENANT);
    expect(await versionsOf(store)).toEqual([4, 3]);
    await keeper.stop();
  });

  it("keeps its pace, and a stop ends the training under way", async () => {
    let aborted = false;
    const { keeper, state, clock, faulty } = await setUp({
      train: (_samples, _version, _dim, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(signal.reason);
          });
        }),
    });
    await keeper.start();
    expect(faulty.calls("models")).toBe(0);
    await clock.advance(2_300);
    expect(faulty.calls("models")).toBe(2);
    state.devices = devicesOf(60);
    await clock.advance(1_200);
    await keeper.stop();
    await keeper.stop();
    expect(aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });
});

/** The model of version 1 as everybody holds it. */
async function firstModel(store: Store): Promise<CodecModel> {
  const bytes = await store.model(TENANT, 1);
  if (bytes === null) throw new Error("there is one");
  return decodeModel(bytes);
}

function printed(register: Register): string {
  return register.kind === "live" ? [...register.vector].join() : "";
}

function apart(register: Register, sample: GridVector): number {
  if (register.kind !== "live") return Number.POSITIVE_INFINITY;
  return Math.max(...register.vector.map((value, at) => Math.abs(value - (sample[at] ?? 0))));
}

/** One row of sums on shard 1 with a part for each of `spaces`. */
async function commitSums(store: Store, spaces: readonly number[]): Promise<void> {
  const sums = emptySums(8);
  for (const space of spaces) {
    const vector = vectorOf(space + 1);
    contribute(sums, { weight: 1, successPermille: 1, samples: 1, space, vector }, 1);
  }
  const token = (await store.acquireLease(shardLease(1), "writer", 1_000)) ?? 0;
  const { commitNumber } = await store.loadShard(1);
  await store.commit(1, token, commitNumber + 1, {
    sums: [{ tenant: TENANT, pattern: "a", bucket: 1, blob: encodeSums(sums) }],
    devices: [],
    deadLetters: [],
    stats: { applied: 0, duplicates: 0, deadLettered: 0 },
  });
}
