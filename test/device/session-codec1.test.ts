import { describe, expect, it } from "vitest";
import { patterns1Of, patternsOf } from "../../device/patterns.ts";
import { apply } from "../../device/session-apply.ts";
import { planFrame } from "../../device/session-frames.ts";
import { encodeCachedRelease, readCachedRelease } from "../../device/session-held.ts";
import { createOutbox } from "../../device/session-state.ts";
import { limits, seededRandom } from "../../src/core/index.ts";
import {
  decodeDelta,
  downFrame,
  emptyLadder,
  encodeModel,
  encodeModelFrame,
  encodePull,
  type FrameHeader,
  peekFrame,
  toGrid,
} from "../../src/wire/index.ts";
import { learntModel } from "../wire/codec1/models.ts";
import { DIM, pattern, World, type WorldOptions, zstd } from "./world.ts";

function live(options: WorldOptions = {}): World {
  const world = new World({ codec: 1, ...options });
  world.connect();
  world.settle();
  return world;
}

/** A live device that holds the newest release and the server's newest model. */
function withModel(version = 1): World {
  const world = live();
  world.server.learn(version);
  world.server.release(1_000);
  world.push();
  world.settle();
  return world;
}

function headersIn(frames: readonly { readonly bytes: Uint8Array }[]): FrameHeader[] {
  return frames.map(({ bytes }) => peekFrame(bytes, limits.MODEL_FRAME_BYTES_MAX).header);
}

const upHeaders = (world: World) =>
  world.up.map(({ payload }) => peekFrame(payload, limits.UP_FRAME_BYTES_MAX).header);

function lastDelta(world: World) {
  const bytes = [...world.server.seen.values()].at(-1);
  if (bytes === undefined) throw new Error("nothing was sent");
  const models = { get: (version: number) => world.server.models.get(version) ?? null };
  const context = { models, sender: "default/tv" };
  return decodeDelta(peekFrame(bytes, limits.UP_FRAME_BYTES_MAX), zstd, context);
}

/** How the last delta said its patterns, and in which space. */
const said = (world: World) => {
  const { header, space, upserts } = lastDelta(world);
  return { codec: header.codec, space, modes: upserts.map(({ mode }) => mode) };
};

const noticesOf = (world: World, kind: string) =>
  world.notices.filter((notice) => notice.kind === kind);

const errorsOf = (world: World) =>
  world.notices.flatMap((notice) => (notice.kind === "error" ? [notice.error.reason] : []));

/** P6: every believed register is the server's, bit for bit. */
function expectBeliefs(world: World, count: number): void {
  const believed = world.session.believedRegisters();
  expect(believed.size).toBe(count);
  for (const [id, register] of believed) {
    expect(world.server.registers.get(id)).toMatchObject({ ...register });
  }
}

describe("session: before it subscribes", () => {
  it("a device says what it holds and what it reads; one of codec 0 says nothing", () => {
    const world = live();
    expect(world.session.greeting()).toEqual(encodePull(0, { minor: 1 }));
    world.server.release(1_000);
    world.push();
    world.settle();
    expect(world.session.greeting()).toEqual(encodePull(1, { minor: 1 }));
    expect(new World({ codec: 0 }).session.greeting()).toBeNull();
  });
});

describe("session: a release in parts", () => {
  it("shows a preview after every part but the last, and takes it with the last", () => {
    const world = live();
    world.server.release(1_000);
    const frames = world.server.downs();
    expect(frames.length).toBeGreaterThan(1);
    for (const [index, bytes] of frames.entries()) {
      expect(world.session.held?.release.version).toBe(0);
      world.tell({ kind: "down", bytes });
      const last = index === frames.length - 1;
      expect(world.session.phase).toBe(last ? "live" : "catching-up");
    }
    const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
    expect(world.session.held?.hash).toEqual(world.server.contentHash);
    expect(noticesOf(world, "preview")).toHaveLength(frames.length - 1);
    expect(noticesOf(world, "release")).toEqual([
      expect.objectContaining({ bytes, frameBytes: frames.at(-1)?.byteLength, previous: 0 }),
    ]);
    expect(world.session.stats).toMatchObject({ releases: 2, corrupted: 0, pulls: 0 });
  });

  it("a preview knows the patterns nearly, the release better, both in the pattern domain", () => {
    const world = withModel();
    const errors = (patterns: ReadonlyMap<string, { readonly embedding: Float32Array }>) =>
      Array.from({ length: 12 }, (_, index) => {
        const wanted = Array.from({ length: DIM }, (__, at) => (300 * (index + 1) - at) / 16_384);
        const got = patterns.get(`g${index + 11}`)?.embedding;
        return got === undefined
          ? Number.NaN
          : Math.max(...wanted.map((value, at) => Math.abs(value - (got[at] ?? 0))));
      });
    const { held } = world.session;
    if (held === null) throw new Error("a release is held");
    const preview = world.notices.find((notice) => notice.kind === "preview");
    if (preview?.kind !== "preview") throw new Error("a preview was shown");
    const nearly = patterns1Of(preview.preview.release, preview.preview.model);
    const shown = errors(nearly).filter((error) => !Number.isNaN(error));
    expect(shown.length).toBeGreaterThan(0);
    expect(Math.max(...shown)).toBeLessThan(0.05);
    expect(Math.max(...errors(patternsOf(held)))).toBeLessThan(0.003);
  });

  it("a part that does not come is pulled again from the start", () => {
    const world = live();
    world.server.release(1_000);
    world.push();
    world.deliverDown();
    world.down = [];
    world.fireTimers();
    expect(upHeaders(world)).toEqual([{ kind: "pull", base: 0, minor: 1 }]);
    world.settle();
    expect(world.session.held?.release.version).toBe(1);
    expect(world.session.phase).toBe("live");
  });

  it("a newer release between parts starts over, and is what is taken", () => {
    const world = live();
    world.server.release(1_000);
    world.push();
    world.deliverDown();
    world.down = [];
    world.server.release(2_000);
    world.push();
    world.settle();
    expect(world.session.held?.release.version).toBe(2);
    expect(world.session.stats.pulls).toBe(0);
    expect(errorsOf(world)).toEqual([]);
  });

  it("P5: what is held stays held when the device dies between parts", () => {
    const world = live();
    for (const fill of [1_000, 2_000]) {
      world.server.release(fill);
      world.push();
      if (fill === 1_000) world.settle();
    }
    world.deliverDown();
    world.crash(9);
    expect(world.session.held?.release.version).toBe(1);
    world.connect();
    world.settle();
    expect(world.session.held?.release.version).toBe(2);
    expect(world.session.held?.hash).toEqual(world.server.contentHash);
  });

  it("a broken part is counted, asked for again with base 0, and healed", () => {
    const world = live();
    world.server.release(1_000);
    const [first] = world.server.downs();
    if (first === undefined) throw new Error("a release has a part");
    const bytes = first.slice();
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 0xff;
    world.tell({ kind: "down", bytes });
    expect(world.session.stats.corrupted).toBe(1);
    world.fireTimers();
    expect(upHeaders(world)).toEqual([{ kind: "pull", base: 0, minor: 1 }]);
    world.settle();
    expect(world.session.held?.release.version).toBe(1);
  });

  it("every single flipped bit of its parts is refused, or changes only the watermark or a preview", () => {
    const good = live();
    good.server.release(1_000);
    const frames = good.server.downs();
    for (const [index, frame] of frames.entries()) {
      for (let bit = 0; bit < frame.length * 8; bit += 1) {
        const bytes = frame.slice();
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const fresh = live();
        for (const [at, part] of frames.entries()) {
          fresh.tell({ kind: "down", bytes: at === index ? bytes : part });
        }
        const { held } = fresh.session;
        if (held !== null && held.release.patterns.length > 0) {
          expect(held.hash).toEqual(good.server.contentHash);
        }
      }
    }
  });
});

describe("session: from one rendition to the other", () => {
  it("a device that learnt to read rendition 1 starts from nothing, once", () => {
    const world = live({ codec: 0 });
    world.server.release(1_000);
    world.push();
    world.settle();
    expect(world.session.held?.rendition).toBe(0);
    world.server.release(2_000);
    world.restartWith({ codec: 1 });
    world.connect();
    world.settle();
    expect(world.session.held).toMatchObject({ rendition: 1, release: { version: 2 } });
    expect(world.session.stats.pulls).toBe(1);
    world.server.release(3_000);
    world.push();
    world.settle();
    expect(world.session.stats.pulls).toBe(1);
    expect(world.session.held?.release.version).toBe(3);
  });

  it("the same version in the other rendition is other content: it is pulled whole", () => {
    const world = live({ codec: 0 });
    world.server.release(1_000);
    world.push();
    world.settle();
    world.restartWith({ codec: 1 });
    world.connect();
    world.settle();
    expect(world.session.held).toMatchObject({ rendition: 1, release: { version: 1 } });
    world.restartWith({ codec: 0 });
    world.connect();
    world.settle();
    expect(world.session.held).toMatchObject({ rendition: 0, release: { version: 1 } });
    expect(world.session.phase).toBe("live");
  });

  it("a server without rendition 1 is understood all the same", () => {
    const world = live();
    const bytes = downFrame(emptyLadder("default", DIM, zstd), { base: 0, applied: null });
    world.tell({ kind: "down", bytes });
    expect(world.session.phase).toBe("live");
  });
});

describe("session: codec models", () => {
  it("one that a release needs is asked for, kept, and the release pulled again", () => {
    const world = live();
    world.server.learn(1);
    world.server.release(1_000);
    world.push();
    world.deliverDown();
    expect(headersIn(world.down).map(({ kind }) => kind)).toContain("model");
    world.settle();
    expect(world.session.held?.release).toMatchObject({ version: 1, space: 1 });
    expect(world.session.phase).toBe("live");
    expect(world.storedModels).toEqual([1]);
    expect(world.session.stats).toMatchObject({ models: 1, pulls: 1, corrupted: 0 });
    expect(errorsOf(world)).toEqual([]);
  });

  it("from the disk it serves after a restart, without asking", () => {
    const world = withModel();
    world.crash(9);
    world.server.modelFrames.clear();
    world.server.release(2_000);
    world.connect();
    world.settle();
    expect(world.session.held?.release).toMatchObject({ version: 2, space: 1 });
  });

  it("P8: at most two are kept: that of the release in hand and the newest", () => {
    const world = withModel(1);
    for (const version of [2, 3, 4]) {
      world.server.learn(version);
      world.server.release(version * 1_000);
      world.push();
      world.settle();
      expect(world.storedModels).toEqual([version - 1, version]);
      expect(world.session.held?.release).toMatchObject({ space: version });
    }
  });

  it("one that never comes is asked for three times; then the release comes without models", () => {
    const world = live();
    world.server.learn(1);
    const frame = world.server.modelFrames.get(1);
    world.server.modelFrames.clear();
    world.server.release(1_000);
    world.push();
    world.settle();
    for (let round = 0; round < 3; round += 1) {
      expect(world.session.held?.release.version).toBe(0);
      world.fireTimers();
      world.settle();
    }
    expect(world.session.held).toMatchObject({ rendition: 0, release: { version: 1 } });
    expect(world.session.phase).toBe("live");
    expect(errorsOf(world)).toEqual(["model.missing"]);
    // The next connection may lead to a server that has it.
    if (frame !== undefined) world.server.modelFrames.set(1, frame);
    world.disconnect(0);
    world.connect();
    world.settle();
    expect(world.session.held).toMatchObject({ rendition: 1, release: { version: 1, space: 1 } });
  });

  const spoilt: [string, (frame: Uint8Array) => Uint8Array, RegExp][] = [
    ["a flipped bit", (frame) => frame.with(40, (frame[40] ?? 0) ^ 4), /^model\.hash$/],
    ["half of it", (frame) => frame.slice(0, 50), /^(model\.hash|cbor\.)/],
    ["nothing", () => new Uint8Array(0), /^frame\.truncated$/],
    ["another kind", () => encodePull(0), /^frame\.kind$/],
    [
      "random bytes under a good hash",
      () => encodeModelFrame(1, new Uint8Array(90).fill(7)),
      /^model\./,
    ],
    ["a basis that is none", () => encodeModelFrame(1, flatModel()), /^model\.basis$/],
    [
      "another dimension",
      () => encodeModelFrame(1, encodeModel(learntModel(16, 1))),
      /^model\.dim$/,
    ],
  ];
  it.each(spoilt)("%s instead is a typed error; a good one heals it", (_what, spoil, reason) => {
    const world = live();
    world.server.learn(1);
    const good = world.server.modelFrames.get(1) ?? new Uint8Array(0);
    world.server.modelFrames.set(1, spoil(good));
    world.server.release(1_000);
    world.push();
    world.settle();
    expect(errorsOf(world).join()).toMatch(reason);
    expect(world.session.stats.corrupted).toBe(1);
    expect(world.session.held?.release.version).toBe(0);
    world.server.modelFrames.set(1, good);
    world.fireTimers();
    world.settle();
    expect(world.session.held?.release).toMatchObject({ version: 1, space: 1 });
    expect(world.storedModels).toEqual([1]);
  });

  it("one that nobody asked for is left alone", () => {
    const world = live();
    world.server.learn(3);
    world.down.push({ kind: "model", bytes: world.server.modelFrames.get(3) ?? new Uint8Array(0) });
    world.settle();
    expect(world.storedModels).toEqual([]);
    expect(world.session.phase).toBe("live");
  });
});

describe("session: how codec 1 says an embedding", () => {
  it("with the rotation before there is a model, then in its space, as differences once confirmed", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    expect(said(world)).toEqual({ codec: 1, space: 0, modes: ["absolute"] });
    world.server.learn(1);
    world.server.release(1_000);
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.02)] });
    world.settle();
    expect(said(world)).toEqual({ codec: 1, space: 1, modes: ["absolute"] });
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.04)] });
    world.settle();
    expect(said(world)).toEqual({ codec: 1, space: 1, modes: ["difference"] });
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.04, 77)] });
    world.settle();
    expect(said(world).modes).toEqual(["kept"]);
    world.push();
    world.settle();
    expectBeliefs(world, 1);
    expect(world.server.problems).toEqual([]);
  });

  it("P6: a register in the space of an older model is written anew, and kept where it is unchanged", () => {
    const world = withModel(1);
    world.put({ upserts: [pattern("a", 1), pattern("b", 2)] });
    world.settle();
    world.push();
    world.settle();
    world.server.learn(2);
    world.server.release(2_000);
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.01), pattern("b", 2, 9)] });
    world.settle();
    expect(said(world)).toMatchObject({ space: 2, modes: ["absolute", "kept"] });
    world.push();
    world.settle();
    const spaces = [...world.session.believedRegisters()].map(([id, { space }]) => [id, space]);
    expect(Object.fromEntries(spaces)).toEqual({ a: 2, b: 1 });
    expectBeliefs(world, 2);
  });

  it("P6: what it believes survives a restart, spaces and all", () => {
    const world = withModel();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.push();
    world.settle();
    world.crash(9);
    expectBeliefs(world, 1);
    world.compact();
    world.crash(0);
    expectBeliefs(world, 1);
    world.connect();
    world.put({ upserts: [pattern("a", 1.01)] });
    world.settle();
    expect(said(world)).toEqual({ codec: 1, space: 1, modes: ["difference"] });
  });

  it("P6: without bias too, since both ends draw the same seeds", () => {
    const world = live({ mode: "unbiased" });
    world.server.learn(1);
    world.server.release(1_000);
    world.push();
    world.settle();
    for (let step = 0; step < 4; step += 1) {
      world.put({ upserts: [pattern("a", 1 + step / 9), pattern("b", 2 - step / 9)] });
      world.settle();
      world.push();
      world.settle();
      expectBeliefs(world, 2);
    }
    expect(said(world).modes).toContain("difference");
    expect(world.server.problems).toEqual([]);
  });

  it("a model that the server does not know: the rotation next, and nothing is lost", () => {
    const world = withModel();
    world.server.models.clear();
    world.put({ upserts: [pattern("a", 1), pattern("b", 2)] });
    world.settle();
    expect(world.server.problems.map(({ reason }) => reason)).toEqual(["codec.model"]);
    expect(said(world)).toMatchObject({ codec: 1, space: 0, modes: ["absolute", "absolute"] });
    world.push();
    world.settle();
    expectBeliefs(world, 2);
    world.put({ upserts: [pattern("c", 3)] });
    world.settle();
    expect(world.server.problems).toHaveLength(1);
    world.server.learn(2);
    world.server.release(2_000);
    world.push();
    world.settle();
    world.put({ upserts: [pattern("c", 4)] });
    world.settle();
    expect(said(world)).toMatchObject({ codec: 1, space: 2 });
  });

  it("frames under way that are refused for one cause are one step down, not several", () => {
    const world = withModel();
    world.server.models.clear();
    for (const id of ["a", "b", "c"]) world.put({ upserts: [pattern(id, 1)] });
    expect(world.up).toHaveLength(3);
    world.settle();
    expect(world.server.problems).toHaveLength(3);
    expect(said(world)).toMatchObject({ codec: 1, space: 0 });
    expect(world.server.registers.size).toBe(3);
  });

  it("a server that refuses codec 1 altogether gets codec 0, and what it refuses even then is given up", () => {
    const world = withModel();
    world.server.refusesCodec1 = true;
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    expect(world.server.problems.map(({ reason }) => reason)).toEqual([
      "codec.unknown",
      "codec.unknown",
    ]);
    expect(said(world)).toEqual({ codec: 0, space: 0, modes: ["absolute"] });
    expect(world.server.registers.has("a")).toBe(true);
    world.server.poison.set("b", "codec.level");
    world.put({ upserts: [pattern("b", 1)] });
    world.settle();
    expect(world.session.stats.abandoned).toBe(1);
    expect(world.session.pending).toBe(0);
    // Another connection may lead to a server that understands.
    world.server.refusesCodec1 = false;
    world.disconnect(0);
    world.connect();
    world.settle();
    world.put({ upserts: [pattern("a", 2)] });
    world.settle();
    expect(said(world)).toMatchObject({ codec: 1, space: 1 });
  });
});

describe("session: what goes first, and how much", () => {
  /** Forty patterns of 384 components in the queue of a device, and frames planned from it. */
  function queueOf384() {
    const state = createOutbox("default/tv", 384);
    state.epoch = 5;
    const random = seededRandom(11);
    const targets = Array.from({ length: 40 }, () =>
      toGrid(Float64Array.from({ length: 384 }, () => random.next() - 0.5)),
    );
    const put = (weight: number) =>
      apply(state, {
        kind: "put",
        items: targets.map((target, index) => ({
          id: `00c0ffee${index.toString(16).padStart(8, "0")}`,
          value: { target, weight, success: 0.8, samples: 40 + index, updatedAtS: 1_790_000_000 },
          attempts: 0,
        })),
      });
    const plan = (budgetBytes: number) => {
      const planned = planFrame(state, {
        ...{ budgetBytes, budgetBytesMax: 1_024, mode: "tracking", zstd, base: 0 },
        ...{ voice: { codec: 1, model: null }, vectorBytes: 400 },
      });
      if (planned?.kind !== "frame") throw new Error("a frame was planned");
      apply(state, planned.record);
      const { encoded, record } = planned;
      return { bytes: encoded.frame.length, count: record.items.length, nmse: encoded.nmse };
    };
    return { state, put, plan };
  }

  it("P7: ten embeddings to a kilobyte, and on a bad link the same ten in less, only coarser", () => {
    const { put, plan } = queueOf384();
    put(5);
    const frames = [1_024, 768, 512].map(plan);
    expect(frames.map(({ count }) => count)).toEqual([10, 10, 10]);
    expect(frames[0]?.bytes).toBeGreaterThan(900);
    for (const [index, { bytes, nmse }] of frames.entries()) {
      expect(bytes).toBeLessThanOrEqual([1_024, 768, 512][index] ?? 0);
      if (index > 0) expect(nmse).toBeGreaterThan(frames[index - 1]?.nmse ?? 1);
    }
    // Of embeddings without any structure: a cosine of .945.
    expect(frames[0]?.nmse).toBeLessThan(0.11);
  });

  it("the closed loop: what was said coarsely is mended when it is said again, then only named", () => {
    const { state, put, plan } = queueOf384();
    const errors: number[] = [];
    for (let round = 1; round <= 12; round += 1) {
      put(round);
      const frames = [];
      while (state.queued.size > 0) frames.push(plan(1_024));
      errors.push(Math.max(...frames.map(({ nmse }) => nmse)));
      apply(state, { kind: "applied", position: { epoch: 5, seq: state.nextSeq - 1 } });
      expect(frames.reduce((sum, { count }) => sum + count, 0)).toBe(40);
      if (errors.at(-1) !== 0) continue;
      expect(frames, "all forty fit one frame when they are kept").toHaveLength(1);
      break;
    }
    expect(errors.at(-1)).toBe(0);
    for (const [index, error] of errors.entries()) {
      if (index > 0) expect(error).toBeLessThan(errors[index - 1] ?? 0);
    }
  });

  it("P7: the heaviest patterns first, the rest in further frames, nothing dropped", () => {
    const world = live({ budgetBytes: 300 });
    const upserts = Array.from({ length: 60 }, (_, index) => {
      return pattern(`p${index}`, index, 1 + ((index * 37) % 60));
    });
    world.put({ upserts });
    world.settle();
    const models = { get: () => null };
    const weights = [...world.server.seen.values()].map((bytes) => {
      expect(bytes.byteLength).toBeLessThanOrEqual(300);
      const frame = peekFrame(bytes, limits.UP_FRAME_BYTES_MAX);
      return decodeDelta(frame, zstd, { models, sender: "default/tv" }).upserts.map(
        ({ weight }) => weight,
      );
    });
    expect(weights.length).toBeGreaterThan(2);
    for (const [index, later] of weights.slice(1).entries()) {
      expect(Math.max(...later)).toBeLessThanOrEqual(Math.min(...(weights[index] ?? [])));
    }
    expect(world.server.registers.size).toBe(60);
    expect(world.session.stats.dropped).toBe(0);
  });

  it("a lost connection with frames under way takes bytes off the next frames, and says so", () => {
    const world = live({ budgetBytes: 1_024 });
    const budgets = () =>
      world.notices.flatMap((notice) => (notice.kind === "sent" ? [notice.budgetBytes] : []));
    world.put({ upserts: [pattern("a", 1)] });
    world.disconnect(0);
    world.connect();
    world.put({ upserts: [pattern("b", 2)] });
    world.settle();
    expect(budgets()).toEqual([1_024, 768]);
    expect(world.session.stats.budgetBytes).toBe(768);
    for (let index = 0; index < 8; index += 1) {
      world.put({ upserts: [pattern("a", index)] });
      world.settle();
    }
    expect(world.session.stats.budgetBytes).toBe(1_024);
  });

  it("an idle connection that ends is no trouble", () => {
    const world = live({ budgetBytes: 1_024 });
    world.disconnect(0);
    world.connect();
    world.settle();
    expect(world.session.stats.budgetBytes).toBe(1_024);
  });

  it("a data cap that is used up keeps new deltas in the outbox until the day is over", () => {
    const world = live({ budgetBytes: 1_024, dailyBytesMax: 3_000 });
    for (let index = 0; index < 60; index += 1) {
      world.put({ upserts: [pattern(`p${index}`, index)] });
      world.settle();
    }
    const { pending, stats } = world.session;
    expect(pending).toBeGreaterThan(0);
    // The frame that passes it is not taken back.
    expect(stats.sentBytes).toBeLessThan(3_000 + 1_024);
    expect(stats.dropped).toBe(0);
    expect(world.timers.has("rest")).toBe(true);
    world.fireTimers();
    world.settle();
    expect(world.session.pending).toBeLessThan(pending);
    expect(world.nowMs).toBeGreaterThan(23 * 3_600_000);
  });
});

describe("the release on disk", () => {
  it("comes back in either rendition, bit for bit", () => {
    for (const codec of [0, 1] as const) {
      const world = live({ codec });
      if (codec === 1) world.server.learn(1);
      world.server.release(1_000);
      world.push();
      world.settle();
      const { held } = world.session;
      if (held === null) throw new Error("a release is held");
      const models = { get: (version: number) => world.server.models.get(version) ?? null };
      const bytes = encodeCachedRelease(held, zstd);
      expect(readCachedRelease(bytes, models, zstd)).toEqual(held);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(readCachedRelease(bytes.slice(0, length), models, zstd)).toBeNull();
      }
      expect(readCachedRelease(new Uint8Array([...bytes, 0]), models, zstd)).toBeNull();
      const rotten = bytes.with(bytes.length - 5, (bytes.at(-5) ?? 0) ^ 1);
      expect(readCachedRelease(rotten, models, zstd)).toBeNull();
    }
  });

  it("is the frames it came in, and a snapshot again before they become too many", () => {
    const world = withModel();
    const models = { get: (version: number) => world.server.models.get(version) ?? null };
    const sizes: number[] = [];
    for (let fill = 1; fill <= 250; fill += 1) {
      world.server.release(fill * 30);
      world.push();
      world.settle();
      const { held } = world.session;
      if (held === null) throw new Error("a release is held");
      const bytes = encodeCachedRelease(held, zstd);
      sizes.push(bytes.length);
      if (fill % 25 === 0) {
        expect(readCachedRelease(bytes, models, zstd)?.hash).toEqual(world.server.contentHash);
      }
    }
    expect(Math.max(...sizes)).toBeLessThan(34 * 1024);
    const shrunk = sizes.filter((size, index) => index > 0 && size < (sizes[index - 1] ?? 0));
    expect(shrunk.length).toBeGreaterThan(0);
  });

  it("is none when its model is gone", () => {
    const world = withModel();
    const { held } = world.session;
    if (held === null) throw new Error("a release is held");
    const bytes = encodeCachedRelease(held, zstd);
    expect(readCachedRelease(bytes, { get: () => null }, zstd)).toBeNull();
  });
});

/** The bytes of a model whose rows are all alike. */
function flatModel(): Uint8Array {
  const bytes = encodeModel(learntModel(DIM, 1));
  bytes.fill(100, bytes.length - DIM * DIM);
  return bytes;
}
