/**
 * The codec models a device holds: two at most, because one weighs more than a
 * year of releases.
 *
 * One is the model of the release in hand, without which its patterns cannot
 * be shown; the other the newest there is, with which deltas are coded. They
 * are kept as the frames they came in, which prove themselves by their hash.
 * @module
 */
import type { CodecModel, CodecModels } from "../src/wire/index.ts";
import type { StoredModel } from "./storage.ts";

/** A model ready for use, beside the bytes it is kept as. */
export interface HeldModel {
  readonly model: CodecModel;
  readonly frame: Uint8Array;
}

const MODELS_MAX = 2;

export class HeldModels implements CodecModels {
  readonly #dim: number;
  /** Ascending by version. */
  #held: readonly HeldModel[] = [];

  /** Models of another dimension than `dim` are of no use and left out; of several, the newest stay. */
  constructor(dim: number, models: readonly HeldModel[]) {
    this.#dim = dim;
    for (const held of models) if (this.fits(held.model)) this.add(held, 0);
  }

  get(version: number): CodecModel | null {
    return this.#held.find(({ model }) => model.version === version)?.model ?? null;
  }

  /** Null when there is none. */
  newest(): CodecModel | null {
    return this.#held.at(-1)?.model ?? null;
  }

  fits(model: CodecModel): boolean {
    return model.dim === this.#dim;
  }

  /** Takes a model of the right dimension in; the one that the release in hand needs, `inUse`, stays. */
  add(added: HeldModel, inUse: number): void {
    const { version } = added.model;
    const others = this.#held.filter(({ model }) => model.version !== version);
    const sorted = [...others, added].sort((a, b) => a.model.version - b.model.version);
    while (sorted.length > MODELS_MAX) {
      const oldest = sorted.findIndex(({ model }) => ![inUse, version].includes(model.version));
      sorted.splice(oldest, 1);
    }
    this.#held = sorted;
  }

  /** What to keep across restarts. */
  stored(): StoredModel[] {
    return this.#held.map(({ model, frame }) => ({ version: model.version, frame }));
  }
}
