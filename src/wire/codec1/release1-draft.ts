/**
 * A release in the making: what the parts read so far leave of the base, and
 * what they brought. Strict, and bounded whatever the parts say (P8): at most
 * 2,048 patterns, one block of rows per layer and part, nothing said twice.
 * @module
 */
import { assert, ProtocolError } from "../../core/index.ts";
import {
  compareIds,
  compareTrends,
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  type Trend,
} from "../release.ts";
import { decodeIndices } from "./block.ts";
import type { CodecModel } from "./model.ts";
import { type ReleaseColumns, unpackReleaseColumns } from "./release-columns.ts";
import type {
  LayerSteps,
  Preview1,
  PreviewPattern,
  Release1,
  Release1Pattern,
} from "./release1.ts";
import type { PartBody } from "./release1-body.ts";
import { type Layer, layerPlan, type ReleaseSpace, releaseSpace } from "./release1-space.ts";

export class ReleaseDraft {
  readonly #base: Release1 | null;
  readonly #version: number;
  readonly #model: CodecModel | null;
  readonly #patterns: Map<string, PreviewPattern>;
  /** Ids whose coarse rows came and whose fine rows did not, in that order. */
  #waiting: string[] = [];
  /** Everything that was said something about. */
  readonly #named = new Set<string>();
  #trends: Trend[] = [];
  /** Known from the first part on. */
  #frame: {
    readonly space: ReleaseSpace;
    readonly steps: LayerSteps;
    readonly sameTrends: boolean;
  } | null = null;

  /** `base` null: from nothing. `model` is that of the space, null for none. */
  constructor(base: Release1 | null, version: number, model: CodecModel | null) {
    this.#base = base;
    this.#version = version;
    this.#model = model;
    this.#patterns = new Map(base?.patterns.map((pattern) => [pattern.id, pattern]));
  }

  /** Throws `ProtocolError`: `release.…`, `columns.…` or `codec.…`; the draft is then of no use. */
  add(part: PartBody, first: boolean): void {
    if (first) this.#begin(part);
    assert(this.#frame !== null, "the first part comes first");
    const { space, sameTrends } = this.#frame;
    if (part.dim !== space.dim) refuse("dim", `was ${space.dim} and became ${part.dim}`);
    if (!first && part.steps !== null) refuse("steps", "stand in the first part");
    if (!first && part.sameTrends) refuse("same-trends", "stands in the first part");
    const columns = part.columns && this.#columnsOf(part.columns);
    const moved = columns === null ? [] : this.#apply(columns);
    this.#addCoarse(moved, part.coarse);
    if (part.fine !== null) this.#addFine(part.fine.count, part.fine.bytes);
    if (columns !== null && columns.trends.length > 0) {
      if (sameTrends) refuse("same-trends", "contradicts the columns");
      this.#addTrends(columns.trends);
    }
  }

  preview(): Preview1 {
    assert(this.#frame !== null, "a preview follows a part");
    const { space, steps, sameTrends } = this.#frame;
    return {
      version: this.#version,
      dim: space.dim,
      space: this.#model?.version ?? 0,
      steps,
      patterns: [...this.#patterns.values()].sort(compareIds),
      trends: sameTrends ? (this.#base?.trends ?? []) : this.#trends,
    };
  }

  /** The release after its last part. */
  finish(): Release1 {
    if (this.#waiting.length > 0) refuse("fine", `is missing for ${this.#waiting.length} patterns`);
    const preview = this.preview();
    const { steps } = preview;
    const bare = steps.coarse === 0 && steps.fine === 0 && steps.level === 0;
    if (preview.patterns.length === 0 && !bare) refuse("steps", "of nothing must be 0");
    return {
      ...preview,
      patterns: preview.patterns.map(({ layers: [coarse, fine], ...pattern }): Release1Pattern => {
        assert(fine !== null, "nothing waits for its fine row");
        return { ...pattern, layers: [coarse, fine] };
      }),
    };
  }

  #begin(part: PartBody): void {
    const base = this.#base;
    if ((base === null) !== (part.steps !== null)) refuse("steps", "belong to a snapshot alone");
    if (base === null && part.sameTrends) refuse("same-trends", "needs a base");
    const dim = base?.dim ?? part.dim;
    if (this.#model !== null && this.#model.dim !== dim) refuse("dim", "is not the model's");
    const steps = part.steps ?? base?.steps;
    assert(steps !== undefined, "a base has steps");
    this.#frame = { space: releaseSpace(dim, this.#model), steps, sameTrends: part.sameTrends };
  }

  #columnsOf(bytes: Uint8Array): ReleaseColumns {
    return unpackReleaseColumns(bytes, [...this.#patterns.keys()].sort());
  }

  /** Removes, inserts, changes counts; answers the ids that new rows belong to, in order. */
  #apply(columns: ReleaseColumns): string[] {
    for (const id of columns.removals) {
      this.#name(id, "removals");
      this.#patterns.delete(id);
    }
    const kept = new Set(columns.kept);
    const moved: string[] = [];
    for (const [index, id] of columns.ids.entries()) {
      this.#name(id, "ids");
      const counts = {
        weight: columns.weights[index] as number,
        devices: columns.devices[index] as number,
      };
      const held = this.#patterns.get(id);
      if (kept.has(index) && held !== undefined) this.#patterns.set(id, { ...held, ...counts });
      else {
        moved.push(id);
        this.#patterns.set(id, { id, ...counts, layers: [NO_ROW, null] });
      }
    }
    if (this.#patterns.size > RELEASE_PATTERNS_MAX) refuse("ids", "grow too many");
    return moved;
  }

  #name(id: string, field: string): void {
    if (this.#named.has(id)) refuse(field, `name ${id} twice`);
    this.#named.add(id);
  }

  #addCoarse(ids: readonly string[], bytes: Uint8Array | null): void {
    if ((bytes === null) !== (ids.length === 0)) refuse("coarse", "holds a row for each moved id");
    if (bytes === null) return;
    const rows = this.#rows(bytes, "coarse", ids.length);
    for (const [index, id] of ids.entries()) {
      const pattern = this.#patterns.get(id) as PreviewPattern;
      this.#patterns.set(id, { ...pattern, layers: [rows[index] as Int16Array, null] });
    }
    this.#waiting.push(...ids);
  }

  #addFine(count: number, bytes: Uint8Array): void {
    if (count > this.#waiting.length) refuse("fine-count", "is more than wait for a fine row");
    const rows = this.#rows(bytes, "fine", count);
    for (const [index, id] of this.#waiting.slice(0, count).entries()) {
      const pattern = this.#patterns.get(id) as PreviewPattern;
      const layers = [pattern.layers[0], rows[index] as Int16Array] as const;
      this.#patterns.set(id, { ...pattern, layers });
    }
    this.#waiting = this.#waiting.slice(count);
  }

  #rows(bytes: Uint8Array, layer: Layer, count: number): Int16Array[] {
    assert(this.#frame !== null, "rows come with a part");
    const { space, steps } = this.#frame;
    const indices = decodeIndices(bytes, layerPlan(space, steps, layer, count));
    return Array.from({ length: count }, (_, index) =>
      indices.slice(index * space.width, (index + 1) * space.width),
    );
  }

  #addTrends(trends: readonly Trend[]): void {
    const last = this.#trends.at(-1);
    const [next] = trends;
    if (last !== undefined && next !== undefined && compareTrends(last, next) >= 0) {
      throw new ProtocolError("release.order", "trends fall by score, over all parts");
    }
    this.#trends = [...this.#trends, ...trends];
    const ids = new Set(this.#trends.map(({ id }) => id));
    if (ids.size < this.#trends.length) refuse("trend-ids", "repeat an id");
    if (ids.size > RELEASE_TRENDS_MAX) refuse("trend-ids", `are more than ${RELEASE_TRENDS_MAX}`);
  }
}

const NO_ROW = new Int16Array(0);

function refuse(field: string, message: string): never {
  throw new ProtocolError(`release.${field}`, `release field ${field} ${message}`);
}
