/**
 * Parts that no honest server sends: each is refused by name, and what is held stays held.
 * @module
 */
import { describe, expect, it } from "vitest";
import { integerBelow, OmegaError, seededRandom } from "../../../src/core/index.ts";
import { packReleaseColumns } from "../../../src/wire/codec1/release-columns.ts";
import {
  type PartBody,
  packPart,
  partHeader,
  unpackPart,
} from "../../../src/wire/codec1/release1-body.ts";
import { transitionParts } from "../../../src/wire/codec1/release1-writer.ts";
import {
  type CborKey,
  type CborValue,
  contentHash1,
  encodeCbor,
  encodeFrame,
  type PackedBody,
  peekFrame,
  quantiseRelease1,
  type Release1,
  TransitionReader,
  toGrid,
} from "../../../src/wire/index.ts";
import { refusalOf } from "../../support/reason.ts";
import { gaussian } from "./models.ts";
import { DOWN, modelsOf, randomRelease } from "./releases1.ts";

const DIM = 24;
const STEPS = { coarse: 380, fine: 320, level: 370 };
const random = seededRandom(12);
const draw = () => toGrid(Array.from({ length: DIM }, () => gaussian(random)));
const raw = randomRelease(random, 14, DIM, draw);
const BASE = quantiseRelease1({ ...raw, trends: [{ id: "x", score: 9 }] }, null, STEPS);
const NEXT: Release1 = {
  ...quantiseRelease1(
    {
      ...raw,
      version: 2,
      patterns: raw.patterns.map((pattern) => ({ ...pattern, vector: draw() })),
    },
    null,
    STEPS,
  ),
  patterns: [
    ...BASE.patterns.slice(0, 4),
    ...quantiseRelease1(randomRelease(random, 9, DIM, draw), null, STEPS).patterns,
  ].sort((a, b) => (a.id < b.id ? -1 : 1)),
};
const noModels = modelsOf();

/** The honest parts from nothing to `BASE`. */
const honest = transitionParts(null, BASE, null, 320).map(({ body }) => unpackPart(body));
const [FIRST, ...OTHERS] = honest as [PartBody, ...PartBody[]];
const [DELTA] = transitionParts(BASE, NEXT, null, 5120).map(({ body }) => unpackPart(body)) as [
  PartBody,
];

/** Feeds bodies as the parts of one transition; answers the refusal, or the last outcome. */
function told(bodies: readonly (PartBody | PackedBody)[], held: Release1 | null = null): string {
  const target = held === null ? BASE : NEXT;
  const about = { version: target.version, contentHash: contentHash1(target, null), model: 0 };
  const reader = new TransitionReader(held, noModels);
  let last = "";
  const refusal = refusalOf(() => {
    for (const [index, body] of bodies.entries()) {
      const part = bodies.length > 1 ? { n: index + 1, of: bodies.length } : null;
      const packed = "compressed" in body ? body : packPart(body);
      const frame = encodeFrame(partHeader(about, held?.version ?? 0, null, part), packed);
      last = reader.feed(peekFrame(frame, DOWN)).kind;
    }
  });
  if (refusal !== null) expect(reader.held).toBe(held);
  return refusal ?? last;
}

/** A body with these CBOR entries. */
function body(entries: [CborKey, CborValue][]): PackedBody {
  return { compressed: false, bytes: encodeCbor(new Map(entries)) };
}

const columnsOf = (ids: readonly string[], base: readonly string[], removals: string[] = []) =>
  packReleaseColumns(
    {
      ids,
      weights: ids.map(() => 1),
      devices: ids.map(() => 1),
      kept: [],
      removals,
      trends: [],
    },
    base,
  );

describe("P8: parts of a release in layers", () => {
  it("the honest ones bring the release", () => {
    expect(honest.length).toBeGreaterThan(1);
    expect(told(honest)).toBe("release");
    expect(told([DELTA], BASE)).toBe("release");
  });

  const nothing: PartBody = {
    dim: DIM,
    coarse: null,
    columns: null,
    steps: null,
    fine: null,
    sameTrends: false,
  };
  const idsOfFirst = BASE.patterns.map(({ id }) => id);
  it.each<[string, () => string, string]>([
    ["compressed", () => told([{ compressed: true, bytes: new Uint8Array(9) }]), "release.body"],
    [
      "no CBOR",
      () => told([{ compressed: false, bytes: new Uint8Array([0xff]) }]),
      "cbor.indefinite",
    ],
    ["no map", () => told([{ compressed: false, bytes: new Uint8Array([0x80]) }]), "release.shape"],
    [
      "an unknown column",
      () =>
        told([
          body([
            [0, DIM],
            [1, 1],
          ]),
        ]),
      "release.unknown-key",
    ],
    ["no dimension", () => told([body([[10, [1, 1, 1]]])]), "release.dim"],
    [
      "a level beyond the range",
      () =>
        told([
          body([
            [0, DIM],
            [10, [1, 1, 1024]],
          ]),
        ]),
      "release.steps",
    ],
    [
      "a step beyond the range",
      () =>
        told([
          body([
            [0, DIM],
            [10, [1, -1, 0]],
          ]),
        ]),
      "release.steps",
    ],
    [
      "two steps",
      () =>
        told([
          body([
            [0, DIM],
            [10, [1, 1]],
          ]),
        ]),
      "release.steps",
    ],
    [
      "same trends that are false",
      () =>
        told([
          body([
            [0, DIM],
            [13, false],
          ]),
        ]),
      "release.same-trends",
    ],
    [
      "a count of fine rows alone",
      () =>
        told([
          body([
            [0, DIM],
            [12, 1],
          ]),
        ]),
      "release.fine-count",
    ],
    [
      "fine rows without a count",
      () =>
        told([
          body([
            [0, DIM],
            [11, new Uint8Array(4)],
          ]),
        ]),
      "release.fine-count",
    ],
    ["no steps in a snapshot", () => told([{ ...FIRST, steps: null }, ...OTHERS]), "release.steps"],
    ["steps again", () => told([FIRST, { ...nothing, steps: STEPS }]), "release.steps"],
    ["steps in a difference", () => told([{ ...DELTA, steps: STEPS }], BASE), "release.steps"],
    ["another dimension later", () => told([FIRST, { ...nothing, dim: 25 }]), "release.dim"],
    ["a difference of another dimension", () => told([{ ...DELTA, dim: 25 }], BASE), "release.dim"],
    [
      "same trends without a base",
      () => told([{ ...FIRST, sameTrends: true }, ...OTHERS]),
      "release.same-trends",
    ],
    [
      "same trends in the second part",
      () => told([FIRST, { ...nothing, sameTrends: true }]),
      "release.same-trends",
    ],
    [
      "same trends and others",
      () => told([{ ...nothing, sameTrends: true, columns: trendColumns() }], BASE),
      "release.same-trends",
    ],
    [
      "coarse rows of nobody",
      () => told([{ ...FIRST, columns: null }, ...OTHERS]),
      "release.coarse",
    ],
    [
      "ids without coarse rows",
      () => told([{ ...FIRST, coarse: null }, ...OTHERS]),
      "release.coarse",
    ],
    [
      "coarse rows cut off",
      () => told([{ ...FIRST, coarse: (FIRST.coarse as Uint8Array).slice(0, -2) }]),
      "codec.",
    ],
    [
      "columns cut off",
      () => told([{ ...FIRST, columns: (FIRST.columns as Uint8Array).slice(0, -2) }]),
      "columns.",
    ],
    [
      "more fine rows than wait",
      () => told([{ ...FIRST, fine: { count: 2048, bytes: new Uint8Array(40) } }]),
      "release.fine-count",
    ],
    ["fine rows missing at the end", () => told([FIRST, nothing]), "release.fine"],
    [
      "an id twice",
      () =>
        told([
          FIRST,
          { ...nothing, columns: columnsOf([], idsInFirst(), [idsInFirst()[0] as string]) },
        ]),
      "release.removals",
    ],
    ["an id again after its removal", () => told(removedAndBack(), BASE), "release.ids"],
    ["patterns without steps", () => told([{ ...nothing, steps: STEPS }]), "release.steps"],
    [
      "other content than the hash says",
      () => told([{ ...DELTA, sameTrends: true }], BASE),
      "release.",
    ],
  ])("%s", (_, outcome, reason) => {
    expect(outcome()).toMatch(new RegExp(`^(Protocol|Serialization) ${reason}`));
  });

  /** The ids that the first part brings. */
  function idsInFirst(): string[] {
    const reader = new TransitionReader(null, noModels);
    const about = { version: 1, contentHash: new Uint8Array(8), model: 0 };
    const frame = encodeFrame(partHeader(about, 0, null, { n: 1, of: 9 }), packPart(FIRST));
    const step = reader.feed(peekFrame(frame, DOWN));
    return step.kind === "preview" ? step.release.patterns.map(({ id }) => id) : [];
  }

  function trendColumns(): Uint8Array {
    return packReleaseColumns(
      {
        ids: [],
        weights: [],
        devices: [],
        kept: [],
        removals: [],
        trends: [{ id: "x", score: 8 }],
      },
      idsOfFirst,
    );
  }

  function removedAndBack(): PartBody[] {
    const [gone, ...rest] = idsOfFirst as [string, ...string[]];
    return [
      { ...nothing, columns: columnsOf([], idsOfFirst, [gone]) },
      { ...nothing, columns: columnsOf([gone], rest), coarse: FIRST.coarse },
    ];
  }

  it("trends that do not fall over the parts", () => {
    const trend = (id: string, score: number): PartBody => ({
      ...nothing,
      columns: packReleaseColumns(
        { ids: [], weights: [], devices: [], kept: [], removals: [], trends: [{ id, score }] },
        idsOfFirst,
      ),
    });
    expect(told([trend("u", 5), trend("v", 5), trend("w", 4), nothing], BASE)).toMatch(
      /release\.hash/,
    );
    expect(told([trend("u", 5), trend("v", 6)], BASE)).toBe("Protocol release.order");
    expect(told([trend("v", 5), trend("u", 5)], BASE)).toBe("Protocol release.order");
    expect(told([trend("u", 5), trend("v", 4), trend("u", 3)], BASE)).toBe(
      "Protocol release.trend-ids",
    );
  });

  it("a chain of parts cannot grow a release beyond 2,048 patterns", () => {
    const hex = (n: number) => n.toString(16).padStart(16, "0");
    const ids = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => hex(from + index));
    const dim = 8;
    const rows = (count: number): Uint8Array => {
      const flat = { version: 1, dim, trends: [], patterns: [] as Release1["patterns"] };
      const patterns = ids(0, count).map((id) => ({
        id,
        weight: 1,
        devices: 1,
        vector: new Int16Array(dim),
      }));
      const laid = quantiseRelease1({ ...flat, patterns }, null, STEPS);
      const [part] = transitionParts(null, laid, null, 64 * 1024);
      return unpackPart(part?.body as PackedBody).coarse as Uint8Array;
    };
    const part = (from: number, count: number, base: string[]): PartBody => ({
      ...nothing,
      dim,
      columns: columnsOf(ids(from, count), base),
      coarse: rows(count),
    });
    const parts = [{ ...part(0, 2048, []), steps: STEPS }, part(2048, 1, ids(0, 2048))];
    expect(told(parts)).toMatch(/^Protocol (columns|release)\./);
  });

  it("20,000 mutations of honest parts (seed 5) are refused by name, or read", () => {
    const random = seededRandom(5);
    const bytes = honest.map((part) => packPart(part).bytes);
    const reasons = new Set<string>();
    for (let round = 0; round < 20_000; round += 1) {
      const bodies = bytes.map((part) => Uint8Array.from(part));
      const victim = bodies[integerBelow(random, bodies.length)] as Uint8Array;
      const changes = 1 + integerBelow(random, 3);
      for (let change = 0; change < changes; change += 1) {
        const at = integerBelow(random, victim.length);
        victim[at] = (victim[at] as number) ^ (1 << integerBelow(random, 8));
      }
      try {
        reasons.add(told(bodies.map((part) => ({ compressed: false, bytes: part }))));
      } catch (error) {
        if (!(error instanceof OmegaError)) throw error;
      }
    }
    for (const reason of reasons) {
      expect(reason).toMatch(
        /^(release|(Protocol|Serialization) (release|columns|codec|cbor)\.[a-z0-9-]+)$/,
      );
    }
    expect(reasons.size).toBeGreaterThan(8);
  }, 60_000);
});
