/**
 * Plans: what both sides know of a block before its bytes, and what follows from it for every vector.
 * @module
 */
import type { Residual } from "../grid.ts";
import {
  type Contexts,
  countedLevel,
  followedContexts,
  knownContexts,
  levelContexts,
  rowOfLevels,
} from "./contexts.ts";
import { CLASSES, type EntropyModel, entropyModelOf } from "./entropy.ts";
import { levelOf, type StateCount, TRELLISES, type Trellis } from "./trellis.ts";

export type VectorKind = "absolute" | "difference";

export interface BlockPlan {
  readonly dim: number;
  readonly states: StateCount;
  /** Step index, 0…1023. */
  readonly step: number;
  /** round(32 · log2 σ) of each coefficient, σ in grid steps. */
  readonly spectrum: Int16Array;
  /** One per vector. */
  readonly kinds: readonly VectorKind[];
  /** Rotated vectors of any width: one class for all coefficients of a vector, and no spectrum. */
  readonly gain: boolean;
}

/** The class that a vector's is compared with when none of its kind came before. */
const CLASS_FIRST = 13;

/** What all vectors of a block share. */
export class Block {
  readonly trellis: Trellis;
  readonly model: EntropyModel;
  readonly #plan: BlockPlan;
  readonly #ofRow: (Contexts | undefined)[] = [];
  readonly #classes: Record<VectorKind, number>;

  constructor(plan: BlockPlan) {
    this.#plan = plan;
    this.trellis = TRELLISES[plan.states];
    this.model = entropyModelOf(plan.states);
    this.#classes = { absolute: CLASS_FIRST, difference: CLASS_FIRST };
  }

  ofKind(kind: VectorKind): Contexts {
    const { spectrum, step } = this.#plan;
    const known = knownContexts(spectrum, step);
    return kind === "absolute" ? known : followedContexts(known, this.model);
  }

  ofRow(row: number): Contexts {
    let contexts = this.#ofRow[row];
    if (contexts === undefined) {
      contexts = levelContexts(this.#plan.dim, row);
      this.#ofRow[row] = contexts;
    }
    return contexts;
  }

  /** The contexts of a vector whose indices are known. */
  of(kind: VectorKind, indices: Residual): Contexts {
    if (!this.#plan.gain) return this.ofKind(kind);
    const { next } = this.trellis;
    let sum = 0;
    let state = 0;
    for (let at = 0; at < indices.length; at += 1) {
      const index = indices[at] as number;
      sum += countedLevel(levelOf(state & 1, Math.abs(index)));
      state = next[2 * state + (index & 1)] as number;
    }
    return this.ofRow(rowOfLevels(sum, indices.length, this.model));
  }

  /** The class after the last one of its kind, as a number ≥ 1 that is small when little changed. */
  changeTo(kind: VectorKind, row: number): number {
    const change = (row >> 1) - this.#classes[kind];
    this.#classes[kind] = row >> 1;
    return change < 0 ? -2 * change : 2 * change + 1;
  }

  /** Undoes {@link changeTo}: the row, or −1 when there is no such class. */
  rowAfter(kind: VectorKind, change: number): number {
    const index = this.#classes[kind] + (change & 1 ? change >> 1 : -(change >> 1));
    this.#classes[kind] = index;
    return index >= 0 && index < CLASSES ? 2 * index : -1;
  }
}
