/**
 * Cutting a transition into parts: what turns one release, or nothing, into the
 * next, in frames of a given size.
 *
 * The first parts carry the coarse rows of everything that is new or moved, the
 * most important patterns first, so that each frame leaves the receiver with
 * the best release that its bytes can buy; the fine rows follow. Each part is
 * filled as far as it goes: a small change is one frame with both layers.
 * @module
 */
import { assert, SerializationError } from "../../core/index.ts";
import type { PackedBody } from "../frame.ts";
import { PARTS_MAX } from "../header.ts";
import type { Trend } from "../release.ts";
import { BLOCK_COEFFICIENTS_MAX, encodeIndices } from "./block.ts";
import { largestFitting } from "./largest-fitting.ts";
import type { CodecModel } from "./model.ts";
import { packReleaseColumns } from "./release-columns.ts";
import { RELEASE1_FRAME_BYTES_MAX, type Release1, type Release1Pattern } from "./release1.ts";
import { packPart, partBytesMax } from "./release1-body.ts";
import { differenceOf, sharesRows } from "./release1-difference.ts";
import { type Layer, layerPlan, type ReleaseSpace, releaseSpace } from "./release1-space.ts";
import { atOnce, type Slices } from "./slices.ts";

/** What of a part trends may take before the patterns have found their place. */
export const TRENDS_SHARE = 0.2;
/**
 * Beside coarse rows, less room than this share of a part stays empty: a fine row or two in it would
 * cost more than they mend, for the same bytes serve all patterns better than one.
 */
export const FINE_SHARE_MIN = 1 / 16;

export interface TransitionPart {
  readonly body: PackedBody;
  /** Rows in it. */
  readonly coarse: number;
  readonly fine: number;
  /** What the fine rows take of its bytes. */
  readonly fineBytes: number;
}

/**
 * The bodies of the parts that turn `base` (null: nothing) into `next`, at least one; framed with any
 * header none is larger than `frameBytes`. Both must come from `quantiseRelease1` and share rows;
 * `model` is that of their space.
 *
 * Throws `SerializationError`: `frame.budget` when a single pattern or trend does not fit (P7), or
 * when there would be more than 255 parts; `release.…` for a release that is none.
 */
export function encodeTransition(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
  frameBytes = RELEASE1_FRAME_BYTES_MAX,
): PackedBody[] {
  return transitionParts(base, next, model, frameBytes).map(({ body }) => body);
}

/** As {@link encodeTransition}, with what is in each part. */
export function transitionParts(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
  frameBytes: number,
): TransitionPart[] {
  return atOnce(cutting(base, next, model, frameBytes));
}

/** {@link transitionParts} in slices, one part each. */
export function* cutting(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
  frameBytes: number,
): Slices<TransitionPart[]> {
  assert(base === null || sharesRows(base, next), "a difference keeps space, dimension and steps");
  const writer = new TransitionWriter(base, next, model, partBytesMax(frameBytes));
  const parts = [writer.part()];
  yield;
  while (!writer.done) {
    if (parts.length === PARTS_MAX)
      throw tooLarge(frameBytes, `needs more than ${PARTS_MAX} parts`);
    parts.push(writer.part());
    yield;
  }
  return parts;
}

/** How many of each list a part takes, from its front. */
interface Taken {
  readonly removals: number;
  readonly rows: number;
  readonly kept: number;
  readonly trends: number;
  readonly fine: number;
}

class TransitionWriter {
  readonly #next: Release1;
  readonly #space: ReleaseSpace;
  readonly #bytesMax: number;
  readonly #sameTrends: boolean;
  #first = true;
  readonly #fromNothing: boolean;
  /** What the receiver holds, ascending. */
  #ids: readonly string[];
  /** What is still to be said. */
  #removals: readonly string[];
  #rows: readonly Release1Pattern[];
  #kept: readonly Release1Pattern[];
  #trends: readonly Trend[];
  /** Whose coarse rows were said, in that order, and whose fine rows were not. */
  #fine: readonly Release1Pattern[] = [];
  /** Columns and blocks of the part under way: finding its size asks for the same ones again and again. */
  readonly #made = new Map<string, Uint8Array>();

  constructor(base: Release1 | null, next: Release1, model: CodecModel | null, bytesMax: number) {
    const difference = differenceOf(base, next, model);
    this.#next = next;
    this.#space = releaseSpace(next.dim, model);
    this.#bytesMax = bytesMax;
    this.#fromNothing = base === null;
    this.#ids = base?.patterns.map(({ id }) => id) ?? [];
    this.#sameTrends = difference.sameTrends;
    this.#removals = difference.removals;
    this.#rows = difference.rows;
    this.#kept = difference.kept;
    this.#trends = difference.trends;
  }

  get done(): boolean {
    const lists = [this.#removals, this.#rows, this.#kept, this.#trends, this.#fine];
    return lists.every((list) => list.length === 0);
  }

  /** The next part. */
  part(): TransitionPart {
    const taken = this.#fill();
    if (!this.#first && Object.values(taken).every((count) => count === 0)) {
      throw tooLarge(this.#bytesMax, "holds a pattern or trend that no part can");
    }
    const body = this.#body(taken);
    if (body.bytes.length > this.#bytesMax)
      throw tooLarge(this.#bytesMax, "has no room for itself");
    const fineBytes = this.#fineBytes(taken);
    this.#say(taken);
    this.#first = false;
    return { body, coarse: taken.rows, fine: taken.fine, fineBytes };
  }

  #fill(): Taken {
    let taken: Taken = { removals: 0, rows: 0, kept: 0, trends: 0, fine: 0 };
    const grow = (list: keyof Taken, countMax: number) => {
      const sizeAt = (count: number) => this.#body({ ...taken, [list]: count }).bytes.length;
      const count = largestFitting(taken[list], countMax, this.#bytesMax, sizeAt);
      taken = { ...taken, [list]: count };
    };
    const rowsMax = Math.floor(BLOCK_COEFFICIENTS_MAX / this.#space.width);
    const rowsHere = Math.min(rowsMax, this.#rows.length);
    grow("removals", this.#removals.length);
    grow("trends", this.#trendsWithin(taken, rowsHere));
    grow("rows", rowsHere);
    grow("kept", this.#kept.length);
    grow("trends", this.#trends.length);
    const allSaid =
      taken.rows === this.#rows.length &&
      taken.kept === this.#kept.length &&
      taken.trends === this.#trends.length;
    const waiting = this.#fine.length + taken.rows;
    if (allSaid) grow("fine", Math.min(rowsMax, waiting));
    const few = taken.rows > 0 && taken.fine < waiting;
    return few && this.#fineBytes(taken) < FINE_SHARE_MIN * this.#bytesMax
      ? { ...taken, fine: 0 }
      : taken;
  }

  #fineBytes(taken: Taken): number {
    return this.#body(taken).bytes.length - this.#body({ ...taken, fine: 0 }).bytes.length;
  }

  /** The trends that keep to their share beside `rows` patterns: those are cheap to name once they are there. */
  #trendsWithin(taken: Taken, rows: number): number {
    const sizeAt = (trends: number) => this.#columns({ ...taken, rows, trends })?.length ?? 0;
    const bytesMax = sizeAt(0) + this.#bytesMax * TRENDS_SHARE;
    return largestFitting(0, this.#trends.length, bytesMax, sizeAt);
  }

  #body(taken: Taken): PackedBody {
    const { rows, fine } = taken;
    return packPart({
      dim: this.#next.dim,
      coarse: rows === 0 ? null : this.#once(`coarse ${rows}`, () => this.#coarse(taken)),
      columns: this.#columns(taken),
      steps: this.#first && this.#fromNothing ? this.#next.steps : null,
      fine:
        fine === 0
          ? null
          : { count: fine, bytes: this.#once(`fine ${rows} ${fine}`, () => this.#refine(taken)) },
      sameTrends: this.#first && this.#sameTrends,
    });
  }

  #columns(taken: Taken): Uint8Array | null {
    if (taken.rows + taken.kept + taken.removals + taken.trends === 0) return null;
    const { fine: _, ...counts } = taken;
    return this.#once(`columns ${Object.values(counts)}`, () => this.#packColumns(taken));
  }

  #packColumns(taken: Taken): Uint8Array {
    const kept = this.#kept.slice(0, taken.kept);
    const patterns = inOrder([...this.#rows.slice(0, taken.rows), ...kept]);
    const keptIds = new Set(kept.map(({ id }) => id));
    return packReleaseColumns(
      {
        ids: patterns.map(({ id }) => id),
        weights: patterns.map(({ weight }) => weight),
        devices: patterns.map(({ devices }) => devices),
        kept: patterns.flatMap(({ id }, index) => (keptIds.has(id) ? [index] : [])),
        removals: this.#removals.slice(0, taken.removals),
        trends: this.#trends.slice(0, taken.trends),
      },
      this.#ids,
    );
  }

  #coarse(taken: Taken): Uint8Array {
    return this.#encode(inOrder(this.#rows.slice(0, taken.rows)), "coarse");
  }

  #refine(taken: Taken): Uint8Array {
    return this.#encode(this.#unrefined(taken).slice(0, taken.fine), "fine");
  }

  /** Whose fine rows may follow, once the coarse rows that are taken are said. */
  #unrefined(taken: Taken): readonly Release1Pattern[] {
    return [...this.#fine, ...inOrder(this.#rows.slice(0, taken.rows))];
  }

  #encode(patterns: readonly Release1Pattern[], layer: Layer): Uint8Array {
    const { width } = this.#space;
    const indices = new Int16Array(patterns.length * width);
    for (const [index, { layers }] of patterns.entries()) {
      indices.set(layers[layer === "coarse" ? 0 : 1], index * width);
    }
    return encodeIndices(indices, layerPlan(this.#space, this.#next.steps, layer, patterns.length));
  }

  /** The bytes made under this name since the last part was finished. */
  #once(name: string, make: () => Uint8Array): Uint8Array {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(name, made);
    return made;
  }

  #say(taken: Taken): void {
    this.#made.clear();
    const gone = new Set(this.#removals.slice(0, taken.removals));
    const there = new Set(this.#ids);
    const said = this.#rows.slice(0, taken.rows).map(({ id }) => id);
    const fresh = said.filter((id) => !there.has(id));
    this.#ids = [...this.#ids.filter((id) => !gone.has(id)), ...fresh].sort();
    this.#removals = this.#removals.slice(taken.removals);
    this.#fine = this.#unrefined(taken).slice(taken.fine);
    this.#rows = this.#rows.slice(taken.rows);
    this.#kept = this.#kept.slice(taken.kept);
    this.#trends = this.#trends.slice(taken.trends);
  }
}

function inOrder(patterns: readonly Release1Pattern[]): Release1Pattern[] {
  return [...patterns].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function tooLarge(bytesMax: number, what: string): SerializationError {
  return new SerializationError("frame.budget", `a transition in ${bytesMax} bytes ${what}`, {
    detail: { bytesMax },
  });
}
