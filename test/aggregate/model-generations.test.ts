/**
 * Which of many generations of models are published. A server has never seen an embedding: it learns
 * its models from registers, which are what is left of embeddings after coding with the model before.
 * What that one left out, the next cannot know.
 */
import { describe, expect, it } from "vitest";
import { type TrainedCodec, trainCodec } from "../../src/aggregate/codec-training.ts";
import { isBetter } from "../../src/aggregate/model-policy.ts";
import { encodeCodec1 } from "../../src/wire/codec1/codec1.ts";
import { fromSpace } from "../../src/wire/codec1/klt.ts";
import type { CodecModel, GridVector } from "../../src/wire/index.ts";
import { drawn, population } from "./embeddings.ts";

const DIM = 64;
const PER_PUSH = 10;
/** About the bits per coefficient that 1,024 bytes leave for ten patterns of 384. */
const BYTES_MAX = 145;
const PATTERNS = 2_000;
const GENERATIONS = 6;
const POPULATION = population(DIM);

/** What a server holds of `targets` after one push each, and the error that is left of them. */
function pushed(targets: readonly GridVector[], model: CodecModel | null) {
  const registers: GridVector[] = [];
  let [error, energy] = [0, 0];
  for (let from = 0; from < targets.length; from += PER_PUSH) {
    const vectors = targets
      .slice(from, from + PER_PUSH)
      .map((target) => ({ target, reference: null }));
    const encoded = encodeCodec1(
      vectors,
      { dim: DIM, bytesMax: BYTES_MAX, states: 8, mode: "tracking", model },
      { models: { get: () => model }, sender: "default/tv", epoch: 1, seq: from + 1 },
    );
    if (encoded === null) throw new Error("ten patterns fit");
    const { reconstructions, nmse } = encoded;
    registers.push(...(model === null ? reconstructions : backToGrid(model, reconstructions)));
    const share = vectors.reduce((sum, { target }) => sum + squares(target), 0);
    error += nmse * share;
    energy += share;
  }
  return { registers, nmse: error / energy };
}

/** Whole grid steps of space 0, which models are learnt from. */
function backToGrid(model: CodecModel, vectors: readonly GridVector[]): GridVector[] {
  return fromSpace(model, vectors).map((vector) => Int16Array.from(vector, Math.round));
}

function squares(vector: GridVector): number {
  return vector.reduce((sum, component) => sum + component * component, 0);
}

describe("models learnt from what earlier models left", () => {
  const fresh = drawn(POPULATION, 1_000, 99);
  const ideal = trainCodec(drawn(POPULATION, PATTERNS, 1), 1, DIM, null).model;
  const best = pushed(fresh, ideal).nmse;

  /** The last of many models, each learnt from what came by the one before; and which were taken. */
  function generations(takes: (trained: TrainedCodec) => boolean) {
    let model: CodecModel | null = null;
    const taken: number[] = [];
    for (let generation = 1; generation <= GENERATIONS; generation += 1) {
      const { registers } = pushed(drawn(POPULATION, PATTERNS, generation), model);
      const trained = trainCodec(registers, generation, DIM, model);
      if (!takes(trained)) continue;
      model = trained.model;
      taken.push(generation);
    }
    return { model, taken };
  }

  it("are as good as one learnt from the embeddings themselves, and soon not worth a download", () => {
    const { model, taken } = generations(({ gainDb, currentGainDb }) =>
      isBetter(gainDb, currentGainDb),
    );
    expect(taken[0]).toBe(1);
    expect(taken.length).toBeLessThanOrEqual(2);
    expect(pushed(fresh, model).nmse).toBeLessThan(1.05 * best);
    expect(pushed(fresh, null).nmse).toBeGreaterThan(1.5 * best);
  });

  it("would lose a decibel of their tail if every one of them were published, which is why they are not", () => {
    const { model, taken } = generations(() => true);
    expect(taken.length).toBe(GENERATIONS);
    expect(pushed(fresh, model).nmse).toBeLessThan(1.3 * best);
  });
});
