/**
 * How much fits into one commit, estimated before anything is folded.
 *
 * The store takes a commit whole or not at all, and refuses one that is too
 * large; a batch must therefore end in time. The estimate is an upper bound: a
 * changed register is written whole, and a pattern's rows are at most two per
 * mention (the bucket left and the bucket joined) and one per bucket kept. A row
 * has a part for every space its tenant has sums in, and a mention may add one.
 * @module
 */
import type { DecodedDelta } from "../wire/index.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { FoldEntry } from "./fold-state.ts";
import type { ShardSums } from "./merge.ts";
import { sumsBytes } from "./sums.ts";

/** Below the store's own 64 MiB and 200,000 items. */
const BYTES_MAX = 40 * 1024 * 1024;
const ITEMS_MAX = 100_000;
const RECORD_BYTES = 200;

export class CommitBudget {
  readonly #policy: FoldPolicy;
  readonly #entriesMax: number;
  readonly #sums: ShardSums;
  /** By tenant and pattern. */
  readonly #mentions = new Map<string, Map<string, number>>();
  #entries = 0;
  #bytes = 0;
  #items = 0;

  /** `sums`: what the commit will start from. */
  constructor(policy: FoldPolicy, entriesMax: number, sums: ShardSums) {
    this.#policy = policy;
    this.#entriesMax = entriesMax;
    this.#sums = sums;
  }

  /** What the commit of everything taken will hold at most. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts `entry` in; false when the batch must end before it. The first one always fits. */
  take({ key, read, frame }: FoldEntry): boolean {
    if (this.#entries >= this.#entriesMax) return false;
    let bytes = RECORD_BYTES + frame.length;
    let items = 2;
    if (read.kind === "delta") {
      const load = this.#loadOf(key.tenant, read.delta);
      bytes += load.bytes;
      items += load.items;
    }
    const fits = this.#bytes + bytes <= BYTES_MAX && this.#items + items <= ITEMS_MAX;
    if (!fits && this.#entries > 0) return false;
    this.#entries += 1;
    this.#bytes += bytes;
    this.#items += items;
    return true;
  }

  #loadOf(tenant: string, delta: DecodedDelta): { bytes: number; items: number } {
    const { upserts, removals, space } = delta;
    const dim = this.#policy.dimOf(tenant);
    const spaces = this.#sums.rowsBySpace.get(tenant);
    const rowBytes = RECORD_BYTES + sumsBytes(spaces?.size ?? 0, dim);
    const partBytes = sumsBytes(1, dim) - sumsBytes(0, dim);
    let items = upserts.length + removals.length;
    let bytes = (2 + items) * RECORD_BYTES + upserts.length * 2 * dim;
    const mentions = this.#mentions.get(tenant) ?? new Map<string, number>();
    this.#mentions.set(tenant, mentions);
    let rows = 0;
    for (const { id, mode } of upserts) {
      const newPart = mode === "kept" || spaces?.has(space) !== true;
      if (newPart) bytes += partBytes;
      rows += this.#newRows(mentions, id);
    }
    for (const id of removals) rows += this.#newRows(mentions, id);
    items += rows;
    bytes += rows * rowBytes;
    return { bytes, items };
  }

  #newRows(mentionsOf: Map<string, number>, id: string): number {
    const mentions = mentionsOf.get(id) ?? 0;
    mentionsOf.set(id, mentions + 1);
    const rowsMax = this.#policy.bucketsKept + 2;
    return Math.min(2 * (mentions + 1), rowsMax) - Math.min(2 * mentions, rowsMax);
  }
}
