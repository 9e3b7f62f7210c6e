/**
 * One delta against one device: which registers it changes, or why it may not.
 *
 * A delta is all or nothing. Every item is judged before any is applied, so a
 * refused delta leaves no trace but its dead letter. An item that lost to a
 * newer register is not an error: it is skipped (last writer wins), and the
 * rest of its delta still counts.
 *
 * An item that refers to a register (difference, kept) needs exactly the one
 * written at `referenceSeq` of its own epoch (P6). Until that seq arrived the
 * delta can wait for it; once it was consumed and the register is still not
 * there, it never will be. A difference must also be in the register's own
 * space. A kept vector stays in whatever space it is, while it counts: the codec
 * model of sums is kept, that of a register alone may be gone. Lengths and zeros
 * are the same in every space, because a space is a rotation.
 * @module
 */
import { assert, limits } from "../core/index.ts";
import {
  type DecodedUpsert,
  type GridVector,
  isZero,
  normWithin,
  type Position,
  reconstruct,
} from "../wire/index.ts";
import { type EpochSeen, isConsumed, isLater } from "./dedup.ts";
import type { ReadDelta } from "./fold-read.ts";
import {
  type LiveRegister,
  type Register,
  SAMPLES_MAX,
  SUCCESS_PERMILLE_MAX,
  type Tombstone,
} from "./register.ts";

/** The registers a delta needs: null = the device has none of that id. */
export interface RegisterView {
  register(pattern: string): Register | null;
}

/** No two of one judgement are of one pattern. */
export interface RegisterWrite {
  readonly pattern: string;
  readonly register: Register;
}

export type Judgement =
  | {
      readonly verdict: "apply";
      readonly writes: readonly RegisterWrite[];
      /** Live registers of the device afterwards. */
      readonly live: number;
    }
  | { readonly verdict: "refuse"; readonly reason: string; readonly detail: string }
  | { readonly verdict: "defer"; readonly referenceSeq: number };

type Refusal = Extract<Judgement, { readonly verdict: "refuse" }>;
interface Vector {
  readonly verdict: "vector";
  readonly space: number;
  readonly vector: GridVector;
}

interface JudgeContext {
  readonly dim: number;
  readonly weightMax: number;
  readonly bucket: number;
  readonly oldestBucket: number;
  readonly livesMax: number;
}

/**
 * Judges `read` against a device whose consumed positions are `epochs` (without this one) and
 * which holds `live` live registers, at most `livesMax`. `bucket` is the frame's time bucket,
 * `oldestBucket` the oldest that counts.
 */
export function judge(
  read: ReadDelta,
  epochs: readonly EpochSeen[],
  live: number,
  registers: RegisterView,
  context: JudgeContext,
): Judgement {
  const { position, delta } = read;
  const items = delta.upserts.length + delta.removals.length;
  if (items > limits.DELTA_ITEMS_MAX) return refuse("delta.items", `${items} items`);
  if (delta.upserts.length > 0 && delta.dim !== context.dim) {
    return refuse(
      "pattern.dimension",
      `the tenant's dimension is ${context.dim}: got ${delta.dim}`,
    );
  }
  const referenceSeq = missingReference(read, epochs, registers);
  if (referenceSeq !== null) return { verdict: "defer", referenceSeq };
  const writes: RegisterWrite[] = [];
  let after = live;
  const named = new Set<string>();
  for (const upsert of delta.upserts) {
    if (named.has(upsert.id)) return refuse("delta.duplicate-id", upsert.id);
    named.add(upsert.id);
    const refusal = outOfRange(upsert, context.weightMax);
    if (refusal !== null) return refusal;
    const before = registers.register(upsert.id);
    if (before !== null && !isLater(position, before)) continue;
    const found = vectorOf(upsert, before, read, context);
    if (found.verdict === "refuse") return found;
    if (before?.kind !== "live") after += 1;
    const register = registerOf(upsert, position, context.bucket, found);
    writes.push({ pattern: upsert.id, register });
  }
  for (const id of delta.removals) {
    if (named.has(id)) return refuse("delta.duplicate-id", id);
    named.add(id);
    const before = registers.register(id);
    if (before !== null && !isLater(position, before)) continue;
    if (before?.kind === "live") after -= 1;
    writes.push({ pattern: id, register: tombstoneOf(position, context.bucket) });
  }
  if (after > live && after > context.livesMax) {
    return refuse("device.patterns", `${after} patterns, ${context.livesMax} fit`);
  }
  return { verdict: "apply", writes, live: after };
}

/**
 * The highest seq that an item refers to and that was not consumed yet; null when there is none.
 * Asked before any vector is touched, so that a delta may be tried again cheaply (P8).
 */
function missingReference(
  { position, delta }: ReadDelta,
  epochs: readonly EpochSeen[],
  registers: RegisterView,
): number | null {
  let missing: number | null = null;
  for (const { id, mode, referenceSeq } of delta.upserts) {
    if (mode === "absolute" || referenceSeq < 1 || referenceSeq >= position.seq) continue;
    const before = registers.register(id);
    if (before !== null && !isLater(position, before)) continue;
    if (isConsumed(epochs, { epoch: position.epoch, seq: referenceSeq })) continue;
    missing = Math.max(missing ?? 0, referenceSeq);
  }
  return missing;
}

/**
 * The wire checks these ranges too; the fold does not trust that a later decoder will. A tenant's
 * bound on weights is the fold's alone. It depends on nothing but the delta, so the order of deltas
 * does not matter to it (P4).
 */
function outOfRange(upsert: DecodedUpsert, weightMax: number): Refusal | null {
  const { id, weight, success, samples, updatedAtS } = upsert;
  if (!within(weight, 1, weightMax)) return outside(id, "weights", weight, `1…${weightMax}`);
  if (!(success >= 0 && success <= 1)) return outside(id, "success", success, "0…1");
  if (!within(samples, 0, SAMPLES_MAX)) return outside(id, "samples", samples, `0…${SAMPLES_MAX}`);
  const atMax = Number.MAX_SAFE_INTEGER;
  return within(updatedAtS, 0, atMax) ? null : outside(id, "updated-at", updatedAtS, `0…${atMax}`);
}

function outside(id: string, what: string, value: number, range: string): Refusal {
  return refuse(`delta.${what}`, `${id}: ${what} ${value}, not ${range}`);
}

function within(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function vectorOf(
  upsert: DecodedUpsert,
  before: Register | null,
  { position, delta: { space, mode } }: ReadDelta,
  { dim, oldestBucket }: JudgeContext,
): Vector | Refusal {
  let reference: GridVector | null = null;
  if (upsert.mode !== "absolute") {
    const { referenceSeq } = upsert;
    if (!(referenceSeq >= 1 && referenceSeq < position.seq)) {
      return refuse("reference.invalid", `${upsert.id} refers to seq ${referenceSeq}`);
    }
    const written = before?.epoch === position.epoch && before.seq === referenceSeq;
    if (before?.kind !== "live" || !written) {
      return refuse("reference.missing", `${upsert.id} at seq ${referenceSeq}`);
    }
    reference = before.vector;
    if (upsert.mode === "kept") {
      if (before.space !== 0 && before.bucket < oldestBucket) {
        return refuse("reference.space", `${upsert.id} is in space ${before.space} of long ago`);
      }
      return { verdict: "vector", space: before.space, vector: reference };
    }
    if (before.space !== space) {
      return refuse("reference.space", `${upsert.id} is in space ${before.space}, not ${space}`);
    }
  }
  const { residual } = upsert;
  assert(residual !== null, "only a kept embedding travels without a residual");
  const fits = residual.length === dim && (reference === null || reference.length === dim);
  if (!fits) return refuse("pattern.dimension", upsert.id);
  const vector = reconstruct(reference, residual);
  if (isZero(vector)) return refuse("pattern.zero", upsert.id);
  if (!normWithin(vector, mode)) return refuse("pattern.norm", upsert.id);
  return { verdict: "vector", space, vector };
}

function tombstoneOf({ epoch, seq }: Position, bucket: number): Tombstone {
  return { kind: "tombstone", epoch, seq, bucket };
}

/** Field by field: a position spread into it would give the register room for two and no more. */
function registerOf(
  upsert: DecodedUpsert,
  { epoch, seq }: Position,
  bucket: number,
  { space, vector }: Vector,
): LiveRegister {
  return {
    kind: "live",
    epoch,
    seq,
    bucket,
    weight: upsert.weight,
    successPermille: Math.round(upsert.success * SUCCESS_PERMILLE_MAX),
    samples: upsert.samples,
    updatedAtS: upsert.updatedAtS,
    space,
    vector,
  };
}

function refuse(reason: string, detail: string) {
  return { verdict: "refuse", reason, detail } as const;
}
