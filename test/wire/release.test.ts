import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import {
  buildLadder,
  type CborKey,
  type CborValue,
  codec0,
  contentHash,
  decodeRelease,
  downFrame,
  encodeCbor,
  encodeFrame,
  encodePull,
  encodeReleaseDelta,
  encodeSnapshot,
  loadZstd,
  packBody,
  peekFrame,
  quantiseRelease,
  type Release,
} from "../../src/wire/index.ts";
import { hex, refusalOf } from "../support/reason.ts";
import { anyRelease } from "./arbitraries.ts";

const zstd = await loadZstd();
const DOWN = limits.DOWN_FRAME_BYTES_MAX;
const DIM = 8;

/** A chain of releases of which each shares patterns with the one before. */
const anyChain: fc.Arbitrary<Release[]> = fc
  .array(anyRelease(DIM), { minLength: 2, maxLength: 4 })
  .chain((releases) =>
    fc.array(fc.nat(3), { minLength: 10, maxLength: 10 }).map((fates) => {
      let previous: Release | null = null;
      return releases.map((release, index) => {
        const fresh = new Map(release.patterns.map((pattern) => [pattern.id, pattern]));
        for (const [at, pattern] of (previous?.patterns ?? []).entries()) {
          const fate = fates[at % fates.length];
          if (fate === 1) fresh.set(pattern.id, pattern);
          if (fate === 2) fresh.set(pattern.id, { ...pattern, weight: pattern.weight + 1 });
        }
        const patterns = [...fresh.values()].slice(0, 20);
        const next = quantiseRelease({ ...release, version: index + 1, patterns }, codec0);
        previous = next;
        return next;
      });
    }),
  );

function receive(frame: Uint8Array, held: Release | null): Release {
  return decodeRelease(peekFrame(frame, DOWN), held, zstd);
}

describe("releases", () => {
  it("P5: a snapshot and any chain of differences give the same bits and the same hash", () => {
    fc.assert(
      fc.property(anyChain, (releases) => {
        const newest = releases.at(-1) as Release;
        let held: Release | null = null;
        for (const [index, release] of releases.entries()) {
          const ladder = buildLadder("acme", release, releases.slice(0, index), codec0, zstd);
          held = receive(downFrame(ladder, { base: held?.version ?? 0, applied: null }), held);
          expect(held).toEqual(release);
        }
        const ladder = buildLadder("acme", newest, releases.slice(0, -1), codec0, zstd);
        for (const base of releases.slice(0, -1)) {
          const skipped = receive(downFrame(ladder, { base: base.version, applied: null }), base);
          expect(skipped).toEqual(newest);
          expect(contentHash(skipped)).toEqual(ladder.contentHash);
        }
        const whole = receive(downFrame(ladder, { base: 0, applied: null }), null);
        expect(whole).toEqual(newest);
        expect(contentHash(held as Release)).toEqual(contentHash(whole));
      }),
    );
  });

  it("P5: a difference reaches the same bits even where it is no smaller than the snapshot", () => {
    fc.assert(
      fc.property(anyChain, ([base, next]) => {
        if (base === undefined || next === undefined) throw new Error("a chain has two releases");
        const raw = encodeReleaseDelta(base, next, codec0);
        const header = {
          kind: "release-delta" as const,
          version: next.version,
          base: base.version,
          contentHash: contentHash(next),
          codec: 0,
          applied: null,
        };
        expect(receive(encodeFrame(header, packBody(raw, zstd)), base)).toEqual(next);
      }),
    );
  });

  it("the content hash does not depend on the order of anything, nor on the version", () => {
    fc.assert(
      fc.property(anyRelease(DIM), fc.integer(), (release, version) => {
        const shuffled = {
          version,
          dim: release.dim,
          patterns: [...release.patterns].reverse(),
          trends: [...release.trends].reverse(),
        };
        expect(contentHash(shuffled)).toEqual(contentHash(release));
      }),
    );
  });

  it("the content hash notices every change", () => {
    const [first] = fc.sample(
      anyRelease(DIM).filter(({ patterns, trends }) => patterns.length > 1 && trends.length > 0),
      { numRuns: 1, seed: 1 },
    );
    const release = first as Release;
    const [pattern, ...others] = release.patterns;
    if (pattern === undefined) throw new Error("the sample has patterns");
    const vector = pattern.vector.map((component, at) => (at === 3 ? component ^ 1 : component));
    const changed: Release[] = [
      { ...release, patterns: others },
      { ...release, trends: [] },
      ...[{ id: "other" }, { weight: pattern.weight + 1 }, { devices: 1e9 }, { vector }].map(
        (change) => ({ ...release, patterns: [{ ...pattern, ...change }, ...others] }),
      ),
    ];
    const hashes = [release, ...changed].map((one) =>
      Buffer.from(contentHash(one)).toString("hex"),
    );
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("quantising twice changes nothing, and the wire changes nothing after that (P5)", () => {
    fc.assert(
      fc.property(anyRelease(DIM), (release) => {
        expect(quantiseRelease(release, codec0)).toEqual(release);
      }),
    );
    const raw = quantiseRelease(
      {
        version: 1,
        dim: 8,
        patterns: [
          {
            id: "b",
            weight: 2.6,
            devices: 1,
            vector: Int16Array.from([32767, -32768, 7, 1, 0, 0, 0, 0]),
          },
          { id: "a", weight: 1, devices: 1, vector: Int16Array.from([16130, 3, 0, 0, 0, 0, 0, 0]) },
        ],
        trends: [
          { id: "y", score: 1 },
          { id: "x", score: 9 },
        ],
      },
      codec0,
    );
    expect(raw.patterns.map(({ id, weight }) => [id, weight])).toEqual([
      ["a", 1],
      ["b", 3],
    ]);
    expect(raw.trends.map(({ id }) => id)).toEqual(["x", "y"]);
    const ladder = buildLadder("acme", raw, [], codec0, zstd);
    expect(receive(downFrame(ladder, { base: 0, applied: null }), null)).toEqual(raw);
  });

  it("a release that the wire would change is not encoded", () => {
    const vector = Int16Array.from([16130, 3, 0, 0, 0, 0, 0, 0]);
    const release = {
      version: 1,
      dim: 8,
      patterns: [{ id: "a", weight: 1, devices: 1, vector }],
      trends: [],
    };
    expect(refusalOf(() => encodeSnapshot(release, codec0))).toBe(
      "Serialization release.not-quantised",
    );
  });
});

describe("a release that breaks the rules is refused by name", () => {
  const held: Release = quantiseRelease(
    {
      version: 2,
      dim: 8,
      patterns: ["a", "b"].map((id) => ({
        id,
        weight: 1,
        devices: 1,
        vector: Int16Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
      })),
      trends: [],
    },
    codec0,
  );
  const header = {
    kind: "release-delta" as const,
    version: 3,
    base: 2,
    contentHash: new Uint8Array(8),
    codec: 0,
    applied: null,
  };
  const CODED = hex("0100 0102030405060708");

  function delta(...columns: [number, CborValue][]): Uint8Array {
    const body = new Map<CborKey, CborValue>([[0, 8], ...columns]);
    return encodeFrame(header, packBody(encodeCbor(body), zstd));
  }
  const patterns = (ids: string[], coded: Uint8Array): [number, CborValue][] => [
    [1, ids],
    [2, ids.map(() => 1)],
    [3, ids.map(() => 1)],
    [4, coded],
  ];

  it.each<[string, Uint8Array, string]>([
    ["content that differs from its hash", delta(...patterns(["c"], CODED)), "release.hash"],
    [
      "ids out of order",
      delta(...patterns(["d", "c"], new Uint8Array([1, 0, 1, 0, ...new Array(16).fill(1)]))),
      "release.order",
    ],
    [
      "an id twice",
      delta(...patterns(["c", "c"], new Uint8Array([1, 0, 1, 0, ...new Array(16).fill(1)]))),
      "release.order",
    ],
    ["no vectors", delta(...patterns(["c"], CODED).slice(0, 3)), "release.coded"],
    ["vectors for nothing", delta([4, CODED]), "release.coded"],
    ["a removal of what is not there", delta([7, ["z"]]), "release.removals"],
    ["a removal twice", delta([7, ["a", "a"]]), "release.removals"],
    [
      "a removal of what it changes",
      delta(...patterns(["a"], CODED), [7, ["a"]]),
      "release.removals",
    ],
    [
      "a kept vector that is not held",
      delta(...patterns(["c"], CODED).slice(0, 3), [8, [0]]),
      "release.kept",
    ],
    [
      "a kept index beyond the ids",
      delta(...patterns(["a"], CODED).slice(0, 3), [8, [1]]),
      "release.kept",
    ],
    [
      "kept indexes that fall",
      delta(...patterns(["a", "b"], CODED).slice(0, 3), [8, [1, 0]]),
      "release.kept",
    ],
    [
      "a kept index in words",
      delta(...patterns(["a"], CODED).slice(0, 3), [8, ["0"]]),
      "release.kept",
    ],
    [
      "another dimension",
      encodeFrame(header, packBody(encodeCbor(new Map([[0, 9]])), zstd)),
      "release.dim",
    ],
    ["an unknown column", delta([9, [1]]), "release.unknown-key"],
    ["a trend score above 1000", delta([5, ["t"]], [6, [1001]]), "release.trend-scores"],
    ["trends out of order", delta([5, ["t", "u"]], [6, [1, 2]]), "release.order"],
    ["a trend twice", delta([5, ["t", "t"]], [6, [2, 1]]), "release.trend-ids"],
    [
      "an empty body for a new version",
      encodeFrame(header, { compressed: false, bytes: new Uint8Array(0) }),
      "release.body",
    ],
    [
      "a body for the same version",
      encodeFrame({ ...header, version: 2 }, { compressed: false, bytes: hex("a10008") }),
      "release.body",
    ],
    [
      "a base above the version",
      encodeFrame({ ...header, version: 1 }, { compressed: false, bytes: hex("a10008") }),
      "release.version",
    ],
    [
      "another base",
      encodeFrame({ ...header, base: 1 }, { compressed: false, bytes: hex("a10008") }),
      "release.base",
    ],
    [
      "an unknown codec",
      encodeFrame({ ...header, codec: 9 }, { compressed: false, bytes: hex("a10008") }),
      "codec.unknown",
    ],
    ["a pull", encodePull(0), "frame.kind"],
  ])("%s", (_what, frame, reason) => {
    expect(refusalOf(() => receive(frame, held))).toBe(`Protocol ${reason}`);
  });

  it("kept and removals have no place in a snapshot", () => {
    const snapshot = {
      kind: "snapshot" as const,
      version: 3,
      contentHash: new Uint8Array(8),
      codec: 0,
      applied: null,
    };
    for (const key of [7, 8]) {
      const body = encodeCbor(
        new Map<CborKey, CborValue>([
          [0, 8],
          [key, [1]],
        ]),
      );
      expect(
        refusalOf(() => receive(encodeFrame(snapshot, { compressed: false, bytes: body }), held)),
      ).toBe("Protocol release.unknown-key");
    }
  });

  it("a difference to a device that holds nothing is refused", () => {
    expect(refusalOf(() => receive(delta(), null))).toBe("Protocol release.base");
  });

  it("the same version with other content is noticed even by the watermark frame", () => {
    const ladder = buildLadder(
      "acme",
      { ...held, patterns: held.patterns.slice(1) },
      [],
      codec0,
      zstd,
    );
    const frame = downFrame(ladder, { base: 2, applied: null });
    expect(refusalOf(() => receive(frame, held))).toBe("Protocol release.hash");
  });
});
