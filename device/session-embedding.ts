/**
 * How the embedding of a changed pattern is best said, given what the server surely holds.
 *
 *   absolute     nothing confirmed, or in another space, or nothing like it
 *   difference   to the confirmed register: what earlier frames got wrong is mended (P6)
 *   kept         the register is that embedding already, as well as it need be
 *
 * A register is in the space of the frame that wrote it: the pattern's own, or
 * a codec model's. Spaces are rotations of one another, so lengths and
 * distances may be measured in any, but a difference needs both ends in one.
 * @module
 */
import {
  type CodecModel,
  type GridVector,
  residualOf,
  sameVector,
  toSpace,
  type UpsertEmbedding,
} from "../src/wire/index.ts";
import type { CodecMode } from "./session-events.ts";
import {
  isConfirmed,
  type OutboxState,
  type PatternValue,
  type QueuedItem,
  type Shadow,
} from "./session-state.ts";

/** An embedding this well known (cosine .999) is not said again just because its counts changed. */
const KEPT_NMSE = 2e-3;

export interface EmbeddingOptions {
  /** The model whose space the frame is in; null is space 0. */
  readonly model: CodecModel | null;
  readonly mode: CodecMode;
}

/** Decides for the patterns of one frame, computing each image in the frame's space once. */
export class Sayings {
  readonly #state: OutboxState;
  readonly #options: EmbeddingOptions;
  readonly #images = new Map<GridVector, GridVector>();

  constructor(state: OutboxState, options: EmbeddingOptions) {
    this.#state = state;
    this.#options = options;
  }

  of(item: QueuedItem, value: PatternValue): UpsertEmbedding {
    const { target } = value;
    const shadow = this.#state.shadows.get(item.id);
    // After a refusal the register is unknown, whatever the watermark says.
    if (shadow === undefined || item.attempts > 0 || !isConfirmed(this.#state, shadow)) {
      return { mode: "absolute", target };
    }
    const { held, seq, space, value: said } = shadow;
    if (held === null || said === null || held.length !== target.length) {
      return { mode: "absolute", target };
    }
    const unchanged = sameVector(said.target, target);
    if (unchanged && this.#isGood(shadow, held, target)) return { mode: "kept", referenceSeq: seq };
    if (space !== this.#space) return { mode: "absolute", target };
    const image = this.#imageOf(target);
    if (energy(residualOf(image, held)) >= energy(image)) return { mode: "absolute", target };
    return {
      mode: "difference",
      target,
      reference: held,
      referenceSpace: space,
      referenceSeq: seq,
    };
  }

  get #space(): number {
    return this.#options.model?.version ?? 0;
  }

  /** Is `held` worth no second saying of the same `target`? In another space nobody can tell: yes. */
  #isGood({ space }: Shadow, held: GridVector, target: GridVector): boolean {
    if (this.#options.mode === "unbiased" || space !== this.#space) return true;
    const image = this.#imageOf(target);
    return energy(residualOf(image, held)) <= KEPT_NMSE * energy(image);
  }

  #imageOf(target: GridVector): GridVector {
    const { model } = this.#options;
    if (model === null) return target;
    const known = this.#images.get(target);
    if (known !== undefined) return known;
    const [image = target] = toSpace(model, [target]);
    this.#images.set(target, image);
    return image;
  }
}

/** Squared length in grid units; exact, because int32 squares of 4096 entries stay below 2^53. */
function energy(vector: Int16Array | Int32Array): number {
  let sum = 0;
  for (const level of vector) sum += level * level;
  return sum;
}
