import { describe, expect, it } from "vitest";
import { pushItems } from "../../bench/codec/items.ts";
import { learnFrom, meanOf } from "../../bench/codec/knowledge.ts";
import { fidelityOf } from "../../bench/codec/metrics.ts";
import { encodePush } from "../../bench/codec/omega-push.ts";
import { syntheticSet } from "../../bench/codec/sets.ts";
import { seededRandom } from "../../src/core/index.ts";
import { type CodecModel, loadZstd } from "../../src/wire/index.ts";

const DIM = 384;
const PUSH = 10 * DIM;
const zstd = await loadZstd();
const set = syntheticSet({ train: 1500, test: 100, query: 10 }, 5);

/** What a server holds of `vectors` after pushes of 1,024 bytes in the space of `model`. */
function held(vectors: Float32Array, model: CodecModel | null): Float32Array {
  const random = seededRandom(1);
  const registers = new Float32Array(vectors.length);
  for (let at = 0; at < vectors.length; at += PUSH) {
    const job = {
      case: "push",
      vectors: vectors.slice(at, at + PUSH),
      items: pushItems(10, random),
      budget: 1024,
      sender: "tv-1",
      on: null,
    } as const;
    const setting = { dim: DIM, model, mode: "tracking", states: 8, zstd } as const;
    registers.set(encodePush(job, null, setting).decoded, at);
  }
  return registers;
}

function cosineWith(model: CodecModel | null): number {
  const { cosine, count } = fidelityOf(set.test, held(set.test, model), meanOf(set.test, DIM));
  return cosine / count;
}

/** Models that learn from what the model before left of the train split, beginning with `first`. */
function generations(first: CodecModel | null, count: number): number[] {
  let model = first;
  return Array.from({ length: count }, () => {
    model = learnFrom(held(set.train, model), DIM).model;
    return cosineWith(model);
  });
}

describe("bench: models learnt from registers that models have coded", () => {
  const pristine = learnFrom(set.train, DIM).model;

  it("bench: stay as good as one that saw the vectors themselves", () => {
    const best = cosineWith(pristine);
    for (const cosine of generations(pristine, 3)) expect(cosine).toBeGreaterThan(best - 0.002);
  });

  it("bench: rise to it from registers that only the rotation had coded", () => {
    const [first = 0, second = 0] = generations(null, 2);
    expect(first).toBeGreaterThan(cosineWith(null) + 0.02);
    expect(second).toBeGreaterThan(first);
    expect(second).toBeGreaterThan(cosineWith(pristine) - 0.003);
  });
});
