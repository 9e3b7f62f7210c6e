import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/index.ts";
import { partHeader } from "../../../src/wire/codec1/release1-body.ts";
import { transitionParts } from "../../../src/wire/codec1/release1-writer.ts";
import {
  buildLadder1,
  COUNTER_MAX,
  type CodecModel,
  contentHash1,
  downFrames1,
  encodeFrame,
  encodeTransition,
  layRelease1,
  type PackedBody,
  peekFrame,
  quantiseRelease1,
  type Release,
  type Release1,
  sameVector,
  TransitionReader,
  toGrid,
  vectorsOf,
} from "../../../src/wire/index.ts";
import { refusalOf } from "../../support/reason.ts";
import { gaussian, heldModel } from "./models.ts";
import { anyChain, DOWN, feedAll, modelsOf, randomRelease, received } from "./releases1.ts";

const APPLIED_MAX = { epoch: COUNTER_MAX, seq: COUNTER_MAX };
const STEPS = { coarse: 330, fine: 270, level: 0 };
const MODEL = heldModel(16, 3);
const SPACES = [
  { name: "in the space of a model", dim: 16, model: MODEL },
  { name: "without a model, in a dimension that the rotation pads", dim: 9, model: null },
] as const;
const models = modelsOf(MODEL);
const modelOf = (release: Release1) => models.get(release.space);

/** The frames of a transition cut at `frameBytes`, with the largest watermark. */
function framesOf(base: Release1 | null, next: Release1, frameBytes: number): Uint8Array[] {
  const model = modelOf(next);
  const bodies = encodeTransition(base, next, model, frameBytes);
  return framed(bodies, base, next, model);
}

function framed(
  bodies: readonly PackedBody[],
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
): Uint8Array[] {
  const contentHash = contentHash1(next, model);
  const about = { version: next.version, contentHash, model: next.space };
  return bodies.map((body, index) => {
    const part = bodies.length > 1 ? { n: index + 1, of: bodies.length } : null;
    return encodeFrame(partHeader(about, base?.version ?? 0, APPLIED_MAX, part), body);
  });
}

const anyBudget = fc.oneof(fc.integer({ min: 250, max: 700 }), fc.constant(5120));

describe.each(SPACES)("transitions $name", ({ dim, model }) => {
  const chain = anyChain(dim, model, STEPS);

  it("P5: a snapshot and any chain of differences give the same bits and the same hash", () => {
    fc.assert(
      fc.property(chain, anyBudget, (releases, frameBytes) => {
        const newest = releases.at(-1) as Release1;
        let held: Release1 | null = null;
        for (const release of releases) {
          held = received(framesOf(held, release, frameBytes), held, models);
          expect(held).toEqual(release);
        }
        for (const base of releases.slice(0, -1)) {
          expect(received(framesOf(base, newest, frameBytes), base, models)).toEqual(newest);
        }
        const whole = received(framesOf(null, newest, frameBytes), null, models);
        expect(whole).toEqual(newest);
        expect(contentHash1(held as Release1, model)).toEqual(contentHash1(whole, model));
      }),
      { numRuns: 60 },
    );
  });

  it("P5: the ladder takes a device from every base to the same release", () => {
    fc.assert(
      fc.property(chain, (releases) => {
        const newest = releases.at(-1) as Release1;
        const ladder = buildLadder1("acme", newest, releases, model);
        for (const base of [null, ...releases]) {
          const view = { base: base?.version ?? 0, applied: null };
          expect(received(downFrames1(ladder, view), base, models)).toEqual(newest);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("P7: no frame is larger than it may be, whatever the watermark; every row is said once", () => {
    fc.assert(
      fc.property(chain, fc.integer({ min: 250, max: 1200 }), ([base, next], frameBytes) => {
        if (base === undefined || next === undefined) throw new Error("a chain has two releases");
        for (const from of [null, base]) {
          for (const frame of framesOf(from, next, frameBytes)) {
            expect(frame.length).toBeLessThanOrEqual(frameBytes);
          }
          const parts = transitionParts(from, next, model, frameBytes);
          const sum = (layer: "coarse" | "fine") =>
            parts.reduce((total, part) => total + part[layer], 0);
          expect(sum("coarse")).toBe(sum("fine"));
        }
        expect(
          transitionParts(null, next, model, frameBytes).reduce((all, { fine }) => all + fine, 0),
        ).toBe(next.patterns.length);
      }),
      { numRuns: 40 },
    );
  });

  it("a vector has the same rows in any company", () => {
    fc.assert(
      fc.property(chain, ([release]) => {
        if (release === undefined) throw new Error("a chain has releases");
        const { full } = vectorsOf(release, model);
        const alone = release.patterns.map((pattern, index): Release => {
          const vector = full[index] as Int16Array;
          return { version: 1, dim, patterns: [{ ...pattern, vector }], trends: [] };
        });
        const together = {
          version: 1,
          dim,
          patterns: alone.flatMap(({ patterns }) => patterns),
          trends: [],
        };
        const rows = quantiseRelease1(together, model, STEPS).patterns;
        for (const [index, one] of alone.entries()) {
          expect(quantiseRelease1(one, model, STEPS).patterns[0]).toEqual(rows[index]);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("a transition, part by part", () => {
  const random = seededRandom(11);
  const dim = 64;
  const model = heldModel(dim, 5);
  const at = modelsOf(model);
  const draw = () =>
    Int16Array.from({ length: dim }, (_, index) =>
      Math.round((model.mean[index] as number) + 200 * gaussian(random)),
    );
  const raw = randomRelease(random, 40, dim, draw);
  const trends = raw.patterns.slice(0, 30).map(({ id }, index) => ({ id, score: 1000 - index }));
  const steps = { coarse: 200, fine: 140, level: 0 };
  const release = quantiseRelease1({ ...raw, trends }, model, steps);
  const frames = (bodies: readonly PackedBody[], base: Release1 | null, next: Release1) =>
    framed(bodies, base, next, model);
  const parts = frames(encodeTransition(null, release, model, 700), null, release);

  it("shows the most important patterns first, then all of them, then their fine rows", () => {
    const steps = feedAll(new TransitionReader(null, at), parts);
    const { full } = vectorsOf(release, model);
    let before = -1;
    for (const step of steps.slice(0, -1)) {
      if (step.kind !== "preview") throw new Error(`a ${step.kind} before the last part`);
      const known = vectorsOf(step.release, model);
      const rows = step.release.patterns.reduce(
        (sum, { layers }) => sum + (layers[1] === null ? 1 : 2),
        0,
      );
      expect(rows).toBeGreaterThan(before);
      before = rows;
      for (const [index, { id, layers }] of step.release.patterns.entries()) {
        const place = release.patterns.findIndex((pattern) => pattern.id === id);
        const same = sameVector(known.full[index] as Int16Array, full[place] as Int16Array);
        if (layers[1] !== null) expect(same).toBe(true);
      }
    }
    const [first] = steps;
    if (first?.kind !== "preview") throw new Error("several parts begin with a preview");
    const shown = new Set(first.release.patterns.map(({ id }) => id));
    expect(shown.size).toBeGreaterThan(2);
    expect(shown.size).toBeLessThan(40);
    const worth = (pattern: { weight: number }) => pattern.weight;
    const inside = release.patterns.filter(({ id }) => shown.has(id)).map(worth);
    const outside = release.patterns.filter(({ id }) => !shown.has(id)).map(worth);
    expect(mean(inside)).toBeGreaterThan(mean(outside));
    expect(steps.at(-1)).toMatchObject({ kind: "release", release });
  });

  it("trends take at most a fifth of the first part, and all arrive", () => {
    const many = Array.from({ length: 200 }, (_, index) => ({
      id: `${(index * 7919) % 1009}-a-title-of-thirty-characters`,
      score: 999 - index,
    }));
    const busy = { ...release, trends: many };
    const bodies = encodeTransition(null, busy, model, 1500);
    const [first] = feedAll(new TransitionReader(null, at), frames(bodies, null, busy));
    if (first?.kind !== "preview") throw new Error("several parts begin with a preview");
    expect(first.release.trends.length).toBeGreaterThan(3);
    expect(first.release.trends.length).toBeLessThan(40);
    expect(first.release.patterns.length).toBeGreaterThan(5);
    expect(received(frames(bodies, null, busy), null, at)).toEqual(busy);
  });

  it("a small change is one frame with both layers; unchanged trends cost nothing", () => {
    const next = quantiseRelease1(
      {
        ...raw,
        version: 2,
        trends,
        patterns: raw.patterns.map((pattern, index) =>
          index === 7 ? { ...pattern, vector: draw() } : pattern,
        ),
      },
      model,
      steps,
    );
    const bodies = encodeTransition(release, next, model);
    expect(bodies).toHaveLength(1);
    expect(bodies[0]?.bytes.length).toBeLessThan(130);
    expect(received(frames(bodies, release, next).slice(0, 1), release, at)).toEqual(next);
  });

  it("a changed weight or a removal costs a few bytes", () => {
    const [gone, ...rest] = release.patterns;
    if (gone === undefined) throw new Error("the release has patterns");
    const patterns = rest.map((pattern, index) =>
      index % 5 === 0 ? { ...pattern, weight: 2 * pattern.weight } : pattern,
    );
    const kept = release.trends.filter(({ id }) => id !== gone.id);
    const before = { ...release, trends: kept };
    const next = { ...before, version: 2, patterns };
    const bodies = encodeTransition(before, next, model);
    expect(bodies).toHaveLength(1);
    expect(bodies[0]?.bytes.length).toBeLessThan(40);
    expect(received(frames(bodies, before, next), before, at)).toEqual(next);
  });

  it("a part twice is noticed; one out of order, or of another transition, is a stray", () => {
    const [first, second, third] = parts as [Uint8Array, Uint8Array, Uint8Array];
    const kinds = (...given: Uint8Array[]) =>
      feedAll(new TransitionReader(null, at), given).map(({ kind }) => kind);
    expect(kinds(first, first, second, first)).toEqual([
      "preview",
      "duplicate",
      "preview",
      "duplicate",
    ]);
    expect(kinds(second)).toEqual(["stray"]);
    expect(kinds(first, third, second)).toEqual(["preview", "stray", "stray"]);
    expect(kinds(first, third, first, second)).toEqual(["preview", "stray", "preview", "preview"]);
    expect(kinds(...parts, ...parts).slice(parts.length)).toEqual(parts.map(() => "same"));
    const newer = { ...release, version: 2 };
    const overtaking = frames(encodeTransition(null, newer, model, 700), null, newer);
    expect(kinds(first, ...overtaking).at(-1)).toBe("release");
  });

  it("a difference to something else than what is held is a stray; the release held is the same", () => {
    const next = { ...release, version: 5, trends: [] };
    const ladder = buildLadder1("acme", next, [release], model);
    const [delta] = downFrames1(ladder, { base: 1, applied: null }) as [Uint8Array];
    const [same] = downFrames1(ladder, { base: 5, applied: null }) as [Uint8Array];
    const feed = (held: Release1 | null, frame: Uint8Array) =>
      new TransitionReader(held, at).feed(peekFrame(frame, DOWN)).kind;
    expect(feed(null, delta)).toBe("stray");
    expect(feed({ ...release, version: 3 }, delta)).toBe("stray");
    expect(feed(release, delta)).toBe("release");
    expect(feed(next, delta)).toBe("same");
    expect(feed(next, same)).toBe("same");
    expect(feed({ ...next, trends: release.trends }, same)).toBe("stray");
    expect(feed(null, same)).toBe("stray");
  });

  it("without the model it says which one is missing", () => {
    const reader = new TransitionReader(null, modelsOf());
    expect(reader.feed(peekFrame(parts[0] as Uint8Array, DOWN))).toEqual({
      kind: "model",
      version: 5,
    });
    expect(feedAll(reader, parts.slice(1)).map(({ kind }) => kind)).toEqual(
      parts.slice(1).map(() => "stray"),
    );
  });

  it("another model under the same number is found out by the hash", () => {
    const other = { ...heldModel(dim, 6), version: 5, spectrum: model.spectrum };
    expect(refusalOf(() => received(parts, null, modelsOf(other)))).toBe("Protocol release.hash");
  });

  it("a frame of another codec or kind has no place here", () => {
    const reader = new TransitionReader(null, at);
    const body = { compressed: false, bytes: new Uint8Array(0) };
    const feed = (header: Parameters<typeof encodeFrame>[0]) =>
      refusalOf(() => reader.feed(peekFrame(encodeFrame(header, body), DOWN)));
    const contentHash = new Uint8Array(8);
    expect(feed({ kind: "refusal" })).toBe("Protocol frame.kind");
    expect(feed({ kind: "snapshot", version: 1, contentHash, codec: 0, applied: null })).toBe(
      "Protocol codec.unknown",
    );
  });

  it("a pattern that fits no frame, or a frame without room, is refused and not dropped (P7)", () => {
    expect(refusalOf(() => encodeTransition(null, release, model, 90))).toBe(
      "Serialization frame.budget",
    );
    expect(refusalOf(() => encodeTransition(null, release, model, 60))).toBe(
      "Serialization frame.budget",
    );
  });

  it("nothing at all is a release too", () => {
    const nothing = layRelease1({ version: 9, dim, patterns: [], trends: [] }, model, release);
    const ladder = buildLadder1("acme", nothing, [release], model);
    expect([...ladder.deltas]).toEqual([]);
    for (const held of [null, release]) {
      const frames = downFrames1(ladder, { base: held?.version ?? 0, applied: null });
      expect(frames).toHaveLength(1);
      expect(received(frames, held, at)).toEqual(nothing);
    }
  });
});

describe("a release of 2,048 patterns", () => {
  it("takes more parts, each within its budget", () => {
    const random = seededRandom(4);
    const dim = 16;
    const raw = randomRelease(random, 2048, dim, () =>
      toGrid(Array.from({ length: dim }, () => gaussian(random))),
    );
    const release = layRelease1(raw, null, null);
    const ladder = buildLadder1("acme", release, [], null);
    const frames = downFrames1(ladder, { base: 0, applied: APPLIED_MAX });
    expect(frames.length).toBeGreaterThan(4);
    for (const frame of frames) expect(frame.length).toBeLessThanOrEqual(5120);
    expect(received(frames, null, modelsOf())).toEqual(release);
  });
});

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
