import { describe, expect, it } from "vitest";
import type { FoldPolicy } from "../../src/aggregate/fold-policy.ts";
import {
  codec0,
  encodeCbor,
  encodeFrame,
  encodePull,
  packBody,
  type Upsert,
} from "../../src/wire/index.ts";
import {
  absolute,
  type DeltaSpec,
  deltaFrame,
  FoldBench,
  foldable,
  kept,
  keyOf,
  NOW_MS,
  POLICY,
  queued,
  zstd,
} from "./frames.ts";

const TV = keyOf("tv-1");

/** A delta frame with any raw body bytes. */
function withBody(bytes: Uint8Array, compressed = false, codec = 0): Uint8Array {
  const header = { kind: "delta", epoch: 1, seq: 1, base: 0, codec } as const;
  return encodeFrame(header, { compressed, bytes });
}

/** A delta frame whose body is this CBOR map. */
function withFields(fields: readonly (readonly [number, unknown])[]): Uint8Array {
  const map = new Map(fields) as Parameters<typeof encodeCbor>[0];
  const { bytes, compressed } = packBody(encodeCbor(map), zstd);
  return withBody(bytes, compressed);
}

/** An absolute upsert whose vector is `factor` in every component, in grid steps. */
function flat(id: string, factor: number): Upsert {
  const target = new Int16Array(8).fill(factor);
  return absolute(id, 1, { embedding: { mode: "absolute", target } });
}

const levels = (step: number, level: number) =>
  Uint8Array.from([step & 0xff, step >> 8, ...Array.from({ length: 8 }, () => level & 0xff)]);
const item = (coded: Uint8Array, weight = 1) =>
  [
    [0, 8],
    [1, ["a"]],
    [2, [weight]],
    [3, [500]],
    [4, [1]],
    [5, [1]],
    [6, [0]],
    [7, coded],
  ] as const;

const ONE_UNIT = new Uint8Array(levels(129, 127));

describe("THREATS 18–21: every hostile frame is dead-lettered by name and costs only itself", () => {
  it.each<[string, string, Uint8Array, boolean]>([
    ["no frame at all", "frame.magic", Uint8Array.of(0, 1, 2, 3), false],
    ["an empty payload", "frame.truncated", new Uint8Array(0), false],
    ["a frame above the limit", "frame.size", new Uint8Array(15 * 1024 + 1), false],
    ["a version of the future", "frame.version", Uint8Array.of(0xce, 9, 0), false],
    ["a reserved flag", "frame.flags", Uint8Array.of(0xce, 1, 2, 0xa0), false],
    ["a pull in the queue", "frame.kind", encodePull(0), false],
    [
      "18: the nine bytes that poison zstd",
      "zstd.",
      withBody(Uint8Array.from(Buffer.from("28b52ffd0090010000", "hex")), true),
      true,
    ],
    [
      "18: a lying content size",
      "zstd.",
      withBody(Uint8Array.from(Buffer.from("28b52ffda0ffffffff010000", "hex")), true),
      true,
    ],
    [
      "18: zeros that inflate beyond the bound",
      "zstd.",
      withBody(zstd.compress(new Uint8Array(10_000_000)), true),
      true,
    ],
    [
      "18: bytes after the zstd frame",
      "zstd.",
      withBody(Uint8Array.from([...zstd.compress(new Uint8Array(64)), 0]), true),
      true,
    ],
    ["19: a body that ends early", "cbor.", withBody(Uint8Array.of(0xa1)), true],
    ["19: depth", "cbor.", withBody(new Uint8Array(100).fill(0x81)), true],
    ["19: a bignum tag", "cbor.", withBody(Uint8Array.of(0xc2, 0x41, 1)), true],
    ["19: a function tag", "cbor.", withBody(Uint8Array.of(0xd8, 27, 0x80)), true],
    ["19: a duplicate key", "cbor.", withBody(Uint8Array.of(0xa2, 0, 8, 0, 8)), true],
    ["19: not a number", "cbor.", withBody(Uint8Array.of(0xa1, 0, 0xf9, 0x7e, 0)), true],
    ["19: invalid UTF-8", "cbor.", withBody(Uint8Array.of(0xa1, 0, 0x61, 0xff)), true],
    ["a body that is no map", "delta.shape", withBody(Uint8Array.of(0x80)), true],
    ["nothing to do", "delta.items", withFields([[0, 8]]), true],
    ["an unknown codec", "codec.unknown", withBody(Uint8Array.of(0xa0), false, 77), true],
    [
      "a coded column of the wrong length",
      "codec.length",
      withFields(item(new Uint8Array(3))),
      true,
    ],
    ["20: a weight of 0", "delta.weights", withFields(item(ONE_UNIT, 0)), true],
    ["20: a weight above the cap", "delta.weights", withFields(item(ONE_UNIT, 1_024)), true],
    ["20: a negative weight", "delta.weights", withFields(item(ONE_UNIT, -1)), true],
    ["21: all zero", "pattern.zero", withFields(item(levels(1, 0))), true],
    [
      "21: a norm 1000 times too large",
      "pattern.norm",
      withFields(item(levels(65_000, 127))),
      true,
    ],
    [
      "21: a norm of 2.8",
      "pattern.norm",
      deltaFrame({ seq: 1, upserts: [flat("a", 16_000)] }),
      true,
    ],
    [
      "21: the wrong dimension",
      "pattern.dimension",
      deltaFrame({
        seq: 1,
        dim: 16,
        upserts: [
          absolute("a", 1, { embedding: { mode: "absolute", target: new Int16Array(16).fill(9) } }),
        ],
      }),
      true,
    ],
    [
      "one id twice",
      "delta.duplicate-id",
      withFields([
        [0, 8],
        [8, ["a", "a"]],
      ]),
      true,
    ],
    [
      "20: a seq far beyond the window",
      "seq.window",
      deltaFrame({ seq: 4 * 256 + 1, upserts: [absolute("a", 1)] }),
      false,
    ],
  ])("%s", (_name, reason, frame, consumed) => {
    const bench = new FoldBench();
    const good = keyOf("tv-2");
    const { outcomes, commit } = bench.fold([
      foldable(queued(TV, frame)),
      foldable(queued(good, deltaFrame({ seq: 1, upserts: [absolute("a", 1)] }))),
    ]);
    expect(outcomes[0]?.kind).toBe("dead-lettered");
    expect(commit.stats).toEqual({ applied: 1, duplicates: 0, deadLettered: 1 });
    const [letter] = commit.deadLetters;
    expect(letter?.reason.startsWith(reason), letter?.reason).toBe(true);
    expect(letter?.frame).toEqual(frame);
    // The device is told, with the position when there is one.
    const cursor = bench.device(TV).cursor;
    expect(cursor?.problems).toMatchObject([
      { reason: letter?.reason, position: letter?.position },
    ]);
    expect(cursor?.epochs.length).toBe(consumed ? 1 : 0);
    expect(bench.device(TV).registers.size).toBe(0);
  });

  const three: DeltaSpec = {
    seq: 1,
    upserts: [absolute("a", 1), absolute("b", 2), absolute("c", 3)],
  };
  it.each<[string, string, Partial<FoldPolicy>, DeltaSpec]>([
    ["too many patterns of one device", "device.patterns", { devicePatternsMax: 2 }, three],
    ["too many patterns of one tenant", "tenant.patterns", { tenantPatternsMax: 2 }, three],
    ["too many tenants", "tenant.count", { tenantsMax: 0 }, three],
    ["a reference that was never written", "reference.missing", {}, { seq: 1, removals: ["a"] }],
  ])("P8: %s", (_name, reason, policy, spec) => {
    const bench = new FoldBench(policy);
    bench.send(TV, spec);
    const last = bench.send(TV, { seq: 2, upserts: [kept("a", 1)] });
    const cursor = bench.device(TV).cursor;
    expect(cursor?.problems[0]?.reason).toBe(reason);
    // What refers to a refused delta is refused at once: that seq will not come again.
    expect(last.outcomes).toEqual([{ kind: "dead-lettered", reason: "reference.missing" }]);
    expect(bench.sums.tenants.size).toBe(0);
  });

  it("P8: a device at its cap may still change and remove what it has", () => {
    const bench = new FoldBench({ devicePatternsMax: 2 });
    const kinds = [
      bench.send(TV, { seq: 1, upserts: [absolute("a", 1), absolute("b", 2)] }),
      bench.send(TV, { seq: 2, upserts: [absolute("c", 3)] }),
      bench.send(TV, { seq: 3, upserts: [absolute("a", 4)] }),
      bench.send(TV, { seq: 4, upserts: [absolute("c", 3)], removals: ["b"] }),
    ].map((folded) => folded.outcomes[0]?.kind);
    expect(kinds).toEqual(["applied", "dead-lettered", "applied", "applied"]);
    expect(bench.device(TV).cursor?.patterns).toBe(2);
  });

  it("a delta that waited in the queue longer than a contribution lives is refused", () => {
    const bench = new FoldBench();
    const old = NOW_MS - POLICY.bucketsKept * POLICY.bucketMs;
    const entry = queued(TV, deltaFrame({ seq: 1, upserts: [absolute("a", 1)] }), old);
    expect(bench.fold([foldable(entry)], NOW_MS).outcomes).toEqual([
      { kind: "dead-lettered", reason: "delta.expired" },
    ]);
  });

  it("an incarnation older than the four remembered is refused by name", () => {
    const bench = new FoldBench();
    for (const epoch of [5, 6, 7, 8]) bench.send(TV, { epoch, seq: 1, removals: ["a"] });
    const { outcomes } = bench.send(TV, { epoch: 4, seq: 1, removals: ["a"] });
    expect(outcomes).toEqual([{ kind: "dead-lettered", reason: "epoch.expired" }]);
  });

  it("a cursor remembers the eight newest problems, and texts are bounded", () => {
    const bench = new FoldBench();
    for (let seq = 1; seq <= 10; seq += 1) {
      bench.fold([foldable(queued(TV, Uint8Array.of(seq, 1, 2)))]);
    }
    expect(bench.device(TV).cursor?.problems.length).toBe(8);
    const reasons = bench.device(TV).cursor?.problems.map((problem) => problem.reason);
    expect(new Set(reasons)).toEqual(new Set(["frame.magic"]));
  });

  it("the codec's own bound is what norm checks meet: one unit passes", () => {
    const bench = new FoldBench();
    const unit = codec0.encode([Int32Array.from([16_384, 0, 0, 0, 0, 0, 0, 0])], 8).bytes;
    const { outcomes } = bench.fold([foldable(queued(TV, withFields(item(unit))))]);
    expect(outcomes).toEqual([{ kind: "applied" }]);
  });
});
