import { describe, expect, it } from "vitest";
import { limitOf } from "../../bench/codec/bound.ts";
import { type Bench, casesOf, pullTasks, pushTasks } from "../../bench/codec/cases.ts";
import { learnFrom } from "../../bench/codec/knowledge.ts";
import { nmseOfMean } from "../../bench/codec/many-devices.ts";
import { omegaCoders } from "../../bench/codec/omega.ts";
import { decodePull } from "../../bench/codec/omega-pull.ts";
import { encodePush, receive } from "../../bench/codec/omega-push.ts";
import { iidSet, type VectorSet } from "../../bench/codec/sets.ts";
import { loadZstd19 } from "../../bench/codec/zstd19.ts";
import { loadZstd } from "../../src/wire/index.ts";

const dim = 48;
const zstd = await loadZstd();
const compress = await loadZstd19();

/** White vectors squeezed along most axes, so that there is something to learn. */
function colouredSet(): VectorSet {
  const sizes = { train: 600, test: 100, query: 20 };
  const white = iidSet(sizes, 3, dim);
  const squeeze = (vectors: Float32Array) =>
    vectors.map((x, at) => x * (at % dim < 8 ? 1 : 0.25) + (at % dim === 40 ? 0.3 : 0));
  const { train, test, query } = white;
  return {
    ...white,
    name: "coloured",
    train: squeeze(train),
    test: squeeze(test),
    query: squeeze(query),
  };
}

const set = colouredSet();
const knowledge = learnFrom(set.train, dim);
const bench: Bench = {
  set,
  mean: knowledge.mean,
  limit: limitOf(new Float64Array(dim).fill(1), true),
  pushes: 1,
  pulls: 1,
  timing: { runsMin: 1, runsMax: 1, msMax: 0 },
  costTiming: { runsMin: 1, runsMax: 1, msMax: 0 },
};
const { all } = omegaCoders({ dim, knowledge, zstd, compress });

describe("bench: ours", () => {
  it("bench: frames keep their budgets, in every mode and case", () => {
    const rows = all.flatMap((coder) => casesOf({ ...coder, costs: () => COSTS }, bench));
    expect(rows.map(({ states, mode, case: name }) => `${states} ${mode} ${name}`)).toEqual([
      "8 tracking push",
      "8 tracking drift",
      "64 tracking push",
      "64 tracking drift",
      "64 tracking pull",
      "64 tracking pull2",
      "8 unbiased push",
      "64 unbiased push",
    ]);
    for (const row of rows) {
      expect(row.bytes).toBeLessThanOrEqual(row.budget);
      expect(row.cosine).toBeGreaterThan(0.9);
    }
    expect(rows[0]).toMatchObject(COSTS);
  });

  it("bench: what the sender believes is what the aggregator makes of the frame", () => {
    const [task] = pushTasks(bench);
    if (task === undefined) throw new Error("a task");
    for (const mode of ["tracking", "unbiased"] as const) {
      const setting = { dim, model: knowledge.model, mode, states: 8, zstd } as const;
      const first = encodePush({ ...task, on: null }, null, setting);
      const again = encodePush({ ...task, on: null }, first, setting);
      const received = receive(again.frame, { ...task, on: null }, first.registers, setting);
      expect(received.length).toBe(10);
      for (const { id, vector } of received) expect(vector).toEqual(again.registers.get(id));
    }
  });

  it("bench: the second pull is the rest of the first one's release", () => {
    const [task] = pullTasks(bench);
    const best = all[1];
    if (task === undefined || best === undefined) throw new Error("a task and a coder");
    const pull = best.encode({ ...task, on: null });
    const pull2 = best.encode({ ...task, case: "pull2", on: pull });
    expect(pull2.decoded.length).toBe(task.vectors.length);
    expect(pull2.decoded).not.toEqual(pull.decoded);
    expect(() => decodePull([], dim, null)).toThrow("follow each other");
  });

  it("bench: unbiased errors of many devices cancel, tracking errors do not", () => {
    const [tracking, , unbiased] = all;
    if (tracking === undefined || unbiased === undefined) throw new Error("coders");
    const squeezed = {
      ...unbiased,
      encode: (job: Parameters<typeof unbiased.encode>[0]) =>
        unbiased.encode({ ...job, budget: 300 }),
    };
    const many = nmseOfMean(squeezed, bench, 100);
    expect((many?.n1 ?? 0) / (many?.n100 ?? 1)).toBeGreaterThan(40);
    const alone = nmseOfMean(tracking, bench, 100);
    expect(alone?.n100).toBe(alone?.n1);
  });

  it("bench: costs are ratios of two times", () => {
    const [task] = pushTasks(bench);
    if (task === undefined) throw new Error("a task");
    const costs = all[0]?.costs?.([{ ...task, on: null }], bench.costTiming);
    expect(costs?.encodeVsZstd19).toBeGreaterThan(0);
    expect(costs?.decodeVsInt8).toBeGreaterThan(0);
  });
});

const COSTS = { encodeVsZstd19: 1, decodeVsInt8: 1 };
