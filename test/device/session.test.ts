import { describe, expect, it } from "vitest";
import { REFUSALS_MAX } from "../../device/session-apply.ts";
import { codec0, decodeDelta, encodeDelta, peekFrame, toGrid } from "../../src/wire/index.ts";
import { DIM, pattern, World, zstd } from "./world.ts";

function live(options = {}): World {
  const world = new World(options);
  world.connect();
  world.settle();
  return world;
}

function lastDelta(world: World) {
  const bytes = [...world.server.seen.values()].at(-1);
  if (bytes === undefined) throw new Error("nothing was sent");
  return decodeDelta(peekFrame(bytes, 15 * 1024), zstd);
}

function lastModes(world: World): string[] {
  return lastDelta(world).upserts.map((upsert) => upsert.mode);
}

/** P6: every believed register is the server's, bit for bit. */
function expectBeliefs(world: World, count: number): void {
  const believed = world.session.believedRegisters();
  expect(believed.size).toBe(count);
  for (const [id, { epoch, seq, vector }] of believed) {
    expect(world.server.registers.get(id)).toMatchObject({ epoch, seq, vector });
  }
}

describe("session: epochs", () => {
  it("a device without memory sends nothing before its retained down frame arrived", () => {
    const world = new World();
    world.put({ upserts: [pattern("a", 1)] });
    world.connect();
    expect(world.up).toEqual([]);
    expect(world.session.epoch).toBe(0);
    world.settle();
    expect(world.session.epoch).toBeGreaterThan(0);
    expect(world.server.registers.has("a")).toBe(true);
  });

  it("a wiped device starts above the epoch that the server has heard", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    const before = world.session.epoch;
    world.wipe();
    world.connect();
    world.settle();
    expect(world.session.epoch).toBeGreaterThan(before);
  });

  it("a device keeps its epoch across a restart and goes on with the next seq", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    const { epoch } = world.session;
    world.crash(0);
    world.connect();
    world.put({ upserts: [pattern("a", 2)] });
    world.settle();
    expect(world.session.epoch).toBe(epoch);
    expect(world.server.applied).toEqual({ epoch, seq: 2 });
  });

  it("P6: when another incarnation wrote, a new epoch says everything again, absolutely", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1), pattern("b", 2)] });
    world.settle();
    world.push();
    world.settle();
    const taken = world.session.epoch + 5;
    const target = toGrid(pattern("a", 9).embedding);
    const upsert = { id: "a", weight: 1, success: 0, samples: 0, updatedAtS: 0 };
    const foreign = encodeDelta(
      { epoch: taken, seq: 1, base: 0 },
      { dim: DIM, upserts: [{ ...upsert, embedding: { mode: "absolute", target } }], removals: [] },
      codec0,
      zstd,
    );
    world.server.receive(foreign.frame);
    world.push();
    world.settle();
    expect(world.session.epoch).toBeGreaterThan(taken);
    expect(lastModes(world)).toEqual(["absolute", "absolute"]);
    world.push();
    world.settle();
    expectBeliefs(world, 2);
  });

  it("a device whose endpoint never sends a down frame pulls, then tries elsewhere", () => {
    const world = new World();
    world.put({ upserts: [pattern("a", 1)] });
    world.connect();
    world.down = [];
    for (let pulls = 1; pulls <= 3; pulls += 1) {
      world.fireTimers();
      expect(world.up.length).toBe(pulls);
    }
    world.fireTimers();
    expect(world.connected).toBe(false);
    expect(world.session.pending).toBe(1);
  });
});

describe("session: how an embedding is said", () => {
  it("absolutely at first, as a difference once confirmed, not at all when unchanged", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    expect(lastModes(world)).toEqual(["absolute"]);
    world.put({ upserts: [pattern("a", 1.01)] });
    world.settle();
    expect(lastModes(world)).toEqual(["absolute"]); // acknowledged, but not yet confirmed
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.02)] });
    world.settle();
    expect(lastModes(world)).toEqual(["difference"]);
    world.push();
    world.settle();
    world.put({ upserts: [pattern("a", 1.02, 77)] });
    world.settle();
    expect(lastModes(world)).toEqual(["kept"]);
    expect(world.server.registers.get("a")?.weight).toBe(77);
    world.push();
    world.settle();
    expectBeliefs(world, 1);
  });

  it("P6: quantisation error does not add up over fifty differences", () => {
    const world = live();
    for (let step = 0; step < 50; step += 1) {
      world.put({ upserts: [pattern("a", 1 + step / 200)] });
      world.settle();
      world.push();
      world.settle();
      expectBeliefs(world, 1);
    }
    const held = world.server.registers.get("a")?.vector ?? new Int16Array();
    const target = toGrid(pattern("a", 1 + 49 / 200).embedding);
    const error = target.reduce(
      (sum, level, index) => sum + Math.abs(level - (held[index] ?? 0)),
      0,
    );
    // An absolute int8 frame would be off by up to its step of 43 grid units per component.
    expect(error / target.length).toBeLessThan(4);
  });

  it("an unrelated new embedding is said absolutely, because its difference would be larger", () => {
    const world = live();
    const opposite = (sign: number) => ({
      id: "a",
      weight: 1,
      embedding: Array.from({ length: 8 }, () => sign * 0.3),
    });
    world.put({ upserts: [opposite(1)] });
    world.settle();
    world.push();
    world.settle();
    world.put({ upserts: [opposite(-1)] });
    world.settle();
    expect(lastModes(world)).toEqual(["absolute"]);
  });

  it("a removal becomes a tombstone, and what comes after it is absolute again", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.push();
    world.settle();
    world.put({ upserts: [], removals: ["a"] });
    world.settle();
    expect(lastDelta(world).removals).toEqual(["a"]);
    world.push();
    world.settle();
    expectBeliefs(world, 0);
    expect(world.server.registers.get("a")?.vector).toBeNull();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    expect(lastModes(world)).toEqual(["absolute"]);
  });
});

describe("session: sending", () => {
  it("P7: a large delta is split into frames within the budget, and nothing is dropped", () => {
    const world = live({ budgetBytes: 300 });
    const upserts = Array.from({ length: 100 }, (_, index) => pattern(`p${index}`, index));
    world.put({ upserts });
    world.settle();
    expect(world.server.seen.size).toBeGreaterThan(5);
    for (const frame of world.server.seen.values())
      expect(frame.byteLength).toBeLessThanOrEqual(300);
    expect(world.server.registers.size).toBe(100);
    expect(world.session.stats.dropped).toBe(0);
  });

  it("never more than 16 frames are unanswered", () => {
    const world = live({ budgetBytes: 264 });
    const upserts = Array.from({ length: 400 }, (_, index) => pattern(`p${index}`, index));
    world.put({ upserts });
    expect(world.up.length).toBe(16);
    world.deliverUp();
    world.deliverAck();
    expect(world.up.length).toBe(16);
    world.settle();
    expect(world.session.pending).toBe(0);
  });

  it("P3: after a cut, unacknowledged frames are resent first, in order, byte for byte", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.put({ upserts: [pattern("b", 2)] });
    const first = world.up.map(({ payload }) => payload);
    world.disconnect(0);
    world.put({ upserts: [pattern("a", 3)] });
    world.connect();
    expect(world.up.slice(0, 2).map(({ payload }) => payload)).toEqual(first);
    expect(world.up.length).toBe(3);
    expect(world.session.stats.resends).toBe(2);
  });

  it("P3: a delta survives a crash between append and send, and one between send and PUBACK", () => {
    const world = live();
    world.disconnect(0);
    world.put({ upserts: [pattern("a", 1)] });
    world.crash(0);
    expect(world.session.pending).toBe(1);
    world.connect();
    const sent = world.up.map(({ payload }) => payload);
    expect(sent.length).toBe(1);
    world.disconnect(0);
    world.crash(0);
    world.connect();
    expect(world.up.map(({ payload }) => payload)).toEqual(sent);
    world.settle();
    expect(world.server.registers.has("a")).toBe(true);
  });

  it("P3: after media damage everything that survived is said again in a new epoch", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.put({ upserts: [pattern("b", 2)] });
    const { epoch } = world.session;
    world.crash(0, true);
    world.connect();
    world.settle();
    world.push();
    world.settle();
    expect(world.session.epoch).toBeGreaterThan(epoch);
    expect(world.session.pending).toBe(0);
    expectBeliefs(world, 2);
  });

  it("changes made offline coalesce per pattern, and the seqs have no gap", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.disconnect(0);
    for (let step = 0; step < 20; step += 1)
      world.put({ upserts: [pattern("a", step), pattern("b", step)] });
    world.put({ upserts: [], removals: ["b"] });
    expect(world.session.pending).toBe(2);
    world.connect();
    world.settle();
    expect(world.server.applied?.seq).toBe(2);
    expect(world.server.registers.get("b")?.vector).toBeNull();
    expect(world.session.stats.coalesced).toBe(39);
  });

  it("a full outbox gives up the oldest unsent changes and counts them", () => {
    const world = new World({ outboxBytesMax: 64 * 10 });
    for (let index = 0; index < 20; index += 1)
      world.put({ upserts: [pattern(`p${index}`, index)] });
    const dropped = world.session.stats.dropped;
    expect(dropped).toBeGreaterThan(0);
    expect(world.session.pending).toBe(20 - dropped);
    world.crash(9);
    expect(world.session.pending).toBe(20 - dropped);
    world.connect();
    world.settle();
    expect([...world.server.registers.keys()]).toContain("p19");
    expect([...world.server.registers.keys()]).not.toContain("p0");
  });

  it("an acknowledgement that never comes ends the connection", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.fireTimers();
    expect(world.connected).toBe(false);
    expect(world.session.pending).toBe(1);
  });

  it("P3: nothing is published while the log cannot be written, everything afterwards", () => {
    const world = live();
    world.tell({ kind: "unstored", unpublished: [] });
    world.put({ upserts: [pattern("a", 1)] });
    expect(world.up).toEqual([]);
    world.tell({ kind: "stored-again" });
    expect(world.up.length).toBe(1);
  });
});

describe("session: refusals", () => {
  it("P6: what the server does not hold is said again, absolutely, once", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1), pattern("b", 2)] });
    world.settle();
    world.push();
    world.settle();
    world.server.registers.delete("a");
    world.put({ upserts: [pattern("a", 1.01), pattern("b", 2.01)] });
    world.settle();
    expect(world.server.problems.map(({ reason }) => reason)).toEqual(["reference.missing"]);
    expect(lastModes(world)).toEqual(["absolute", "absolute"]);
    world.push();
    world.settle();
    expectBeliefs(world, 2);
    expect(world.session.stats.refused).toBe(1);
    expect(world.server.applied?.seq).toBe(3);
  });

  it("a pattern refused for good ends alone and is given up; its companions get through", () => {
    const world = live();
    world.server.poison.set("bad", "pattern.norm");
    world.put({ upserts: [pattern("a", 1), pattern("bad", 2), pattern("c", 3)] });
    world.settle();
    expect(world.server.registers.has("a")).toBe(true);
    expect(world.server.registers.has("c")).toBe(true);
    expect(world.server.problems.length).toBe(REFUSALS_MAX);
    expect(world.session.stats.abandoned).toBe(1);
    expect(world.session.pending).toBe(0);
    world.server.poison.clear();
    world.put({ upserts: [pattern("bad", 2)] });
    world.settle();
    expect(world.server.registers.has("bad")).toBe(true);
  });

  it("a refused removal is said again", () => {
    const world = live();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.server.poison.set("bad", "pattern.norm");
    world.put({ upserts: [pattern("bad", 1)], removals: ["a"] });
    world.settle();
    expect(world.server.registers.get("a")?.vector).toBeNull();
  });

  it("a problem told twice, even across a restart, is acted upon once", () => {
    const world = live();
    world.server.poison.set("a", "pattern.norm");
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    const sent = world.server.seen.size;
    world.crash(9);
    world.connect();
    world.settle();
    world.push();
    world.settle();
    expect(world.server.seen.size).toBe(sent);
    expect(world.session.stats.refused).toBe(0);
  });

  it("a broken err frame is counted and changes nothing", () => {
    const world = live();
    world.tell({ kind: "err", bytes: new Uint8Array([1, 2, 3]) });
    expect(world.session.stats.corrupted).toBe(1);
  });
});

describe("session: releases", () => {
  it("P5: a snapshot first, then differences to what is held", () => {
    const world = live();
    const sizes: number[] = [];
    for (let fill = 1; fill <= 3; fill += 1) {
      world.server.release(fill * 1000);
      world.push();
      world.settle();
      sizes.push(world.session.held?.release.version ?? 0);
    }
    expect(sizes).toEqual([1, 2, 3]);
    expect(world.session.held?.hash).toEqual(world.server.contentHash);
    expect(world.session.phase).toBe("live");
  });

  it("P5: an older release is ignored, but its watermark counts", () => {
    const world = live();
    world.server.release(1000);
    const twin = world.server.down();
    world.put({ upserts: [pattern("a", 1)] });
    world.settle();
    world.server.release(2000);
    world.push();
    world.settle();
    expect(world.session.held?.release.version).toBe(2);
    world.tell({ kind: "down", bytes: twin });
    expect(world.session.held?.release.version).toBe(2);
    expect(world.session.stats.outdated).toBe(1);
  });

  it("P5: versions do not fall across a restart that lost the cached release", () => {
    const world = live();
    world.server.release(1000);
    const old = world.server.down();
    world.server.release(2000);
    world.push();
    world.settle();
    world.loseCache();
    world.crash(9);
    world.connect();
    world.down = [];
    world.tell({ kind: "down", bytes: old });
    expect(world.session.held).toBeNull();
    world.push();
    world.settle();
    expect(world.session.held?.release.version).toBe(2);
  });

  it("a difference to another base makes the device pull with the base it truly holds", () => {
    const world = live();
    world.server.release(1000);
    world.push();
    world.settle();
    world.server.release(2000);
    world.server.base = 2;
    world.server.release(3000);
    world.push();
    world.deliverDown();
    expect(world.session.held?.release.version).toBe(1);
    expect(world.session.phase).toBe("catching-up");
    expect(world.session.stats.pulls).toBe(1);
    world.settle();
    expect(world.session.held?.release.version).toBe(3);
    expect(world.session.held?.hash).toEqual(world.server.contentHash);
  });

  it("a corrupted frame is counted, asked for again with base 0, and healed", () => {
    const world = live();
    world.server.release(1000);
    const bytes = world.server.down().slice();
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0xff;
    world.tell({ kind: "down", bytes });
    expect(world.session.stats.corrupted).toBe(1);
    expect(world.session.phase).toBe("catching-up");
    world.fireTimers();
    world.settle();
    expect(world.session.held?.release.version).toBe(1);
    expect(world.session.phase).toBe("live");
  });

  it("every single flipped bit of a down frame is refused or changes only its watermark", () => {
    const world = live();
    world.server.release(1000);
    const good = world.server.down();
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bytes = good.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const fresh = live();
      fresh.tell({ kind: "down", bytes });
      const held = fresh.session.held;
      if (held !== null && held.release.patterns.length > 0) {
        expect(held.hash).toEqual(world.server.contentHash);
      }
    }
  });
});
