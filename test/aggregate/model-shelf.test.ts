import { describe, expect, it } from "vitest";
import { ModelShelf, type ModelShelfSettings } from "../../src/aggregate/model-shelf.ts";
import { TransportError } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { encodeModel } from "../../src/wire/index.ts";
import { manualClock, settle } from "../support/manual-clock.ts";
import { learntModel } from "../wire/codec1/models.ts";
import { modelOf } from "./frames.ts";

/** What one model of eight dimensions counts. */
const MODEL_BYTES = 8 * 8 * 4;

function setUp(settings: Partial<ModelShelfSettings> = {}) {
  const clock = manualClock();
  const asked: string[] = [];
  const stored = new Map<string, Uint8Array>();
  const state = { answer: async () => {} };
  const store = {
    async model(tenant: string, version: number) {
      asked.push(`${tenant}/${version}`);
      await state.answer();
      return stored.get(`${tenant}/${version}`) ?? null;
    },
    async models(tenant: string) {
      return [4, 3, 2, 1].flatMap((version) => {
        const bytes = stored.get(`${tenant}/${version}`);
        return bytes === undefined ? [] : [{ version, bytes, samples: 1, learntAtMs: 1 }];
      });
    },
  };
  for (const version of [1, 2, 3, 4]) {
    stored.set(`acme/${version}`, encodeModel(learntModel(8, version)));
  }
  const shelf = new ModelShelf({ store, clock, log: silentLogger, settings });
  return { clock, asked, stored, state, shelf };
}

describe("model shelf", () => {
  it("has nothing at hand until it is loaded, then what everybody else computes with", async () => {
    const { shelf, asked } = setUp();
    expect(shelf.of("acme").get(1)).toBeNull();
    expect(await shelf.load("acme", 1)).toEqual(modelOf(1));
    expect(shelf.of("acme").get(1)).toEqual(modelOf(1));
    expect(shelf.of("other").get(1)).toBeNull();
    await shelf.load("acme", 1);
    expect(asked).toEqual(["acme/1"]);
  });

  it("finds the newest there is", async () => {
    const { shelf, stored } = setUp();
    expect((await shelf.newest("acme"))?.version).toBe(4);
    stored.delete("acme/4");
    expect((await shelf.newest("acme"))?.version).toBe(3);
    expect(await shelf.newest("other")).toBeNull();
  });

  it("many who ask at the same time make one call", async () => {
    const { shelf, asked } = setUp();
    const models = await Promise.all(Array.from({ length: 9 }, () => shelf.load("acme", 2)));
    expect(new Set(models).size).toBe(1);
    expect(asked).toEqual(["acme/2"]);
  });

  it("P8: a version that is not there is not asked for again for a while, however many are named", async () => {
    const { shelf, asked, stored, clock } = setUp({ absentMs: 1_000, absentMax: 3 });
    for (let round = 0; round < 5; round += 1) expect(await shelf.load("acme", 9)).toBeNull();
    expect(asked).toEqual(["acme/9"]);
    stored.set("acme/9", encodeModel(learntModel(8, 9)));
    expect(await shelf.load("acme", 9)).toBeNull();
    await clock.advance(1_000);
    expect((await shelf.load("acme", 9))?.version).toBe(9);
    // Only so many are remembered: the oldest is asked for again.
    for (const version of [100, 101, 102, 103]) await shelf.load("acme", version);
    const before = asked.length;
    await shelf.load("acme", 103);
    expect(asked.length).toBe(before);
    await shelf.load("acme", 100);
    expect(asked.length).toBe(before + 1);
  });

  it("P8: the least recently used models make room, and the newest always has some", async () => {
    const { shelf } = setUp({ bytesMax: 2 * MODEL_BYTES });
    const held = () => [1, 2, 3].filter((version) => shelf.of("acme").get(version) !== null);
    await shelf.load("acme", 1);
    await shelf.load("acme", 2);
    shelf.of("acme").get(1);
    await shelf.load("acme", 3);
    expect(held()).toEqual([1, 3]);
    const tiny = setUp({ bytesMax: 1 }).shelf;
    await tiny.load("acme", 1);
    await tiny.load("acme", 2);
    expect([1, 2].map((version) => tiny.of("acme").get(version)?.version)).toEqual([undefined, 2]);
  });

  it("a store that fails is not taken for one that has no model", async () => {
    const { shelf, state, asked } = setUp();
    state.answer = async () => {
      throw new TransportError("store.unavailable", "as planned");
    };
    await expect(shelf.load("acme", 1)).rejects.toMatchObject({ reason: "store.unavailable" });
    state.answer = async () => {};
    expect((await shelf.load("acme", 1))?.version).toBe(1);
    expect(asked.length).toBe(2);
  });

  it("the wait is bounded, and a late answer is still kept", async () => {
    const { shelf, state, clock } = setUp({ loadMs: 500 });
    let arrive = () => {};
    state.answer = () => new Promise((resolve) => (arrive = resolve));
    const loading = expect(shelf.load("acme", 1)).rejects.toMatchObject({ reason: "model.late" });
    await clock.advance(500);
    await loading;
    arrive();
    await settle();
    expect(shelf.of("acme").get(1)?.version).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it("a stored model that cannot be read, or says that it is another, is as good as none", async () => {
    const { shelf, stored } = setUp();
    stored.set("acme/1", Uint8Array.of(1, 2, 3));
    stored.set("acme/2", encodeModel(learntModel(8, 3)));
    expect(await shelf.load("acme", 1)).toBeNull();
    expect(await shelf.load("acme", 2)).toBeNull();
  });
});
