/**
 * Which queued changes go into the next frame, and how each embedding is said.
 *
 * Error feedback (ARCHITECTURE.md, "Merging"; P6): when the server surely holds a register of
 * this pattern, the difference target − held is coded, so the quantisation
 * error of earlier frames is corrected instead of adding up; an unchanged
 * embedding is only named. Without a confirmed register the pattern is said
 * absolutely. P7: a frame never exceeds the byte budget; what does not fit
 * waits for the next frame, nothing is dropped.
 * @module
 */
import { limits, OmegaError } from "../src/core/index.ts";
import {
  type Codec,
  type EncodedDelta,
  encodeDelta,
  type GridVector,
  normWithin,
  type Position,
  residualOf,
  sameVector,
  type Upsert,
  type UpsertEmbedding,
  type Zstd,
} from "../src/wire/index.ts";
import type { LogRecord } from "./session-log.ts";
import {
  isConfirmed,
  type OutboxState,
  type PatternValue,
  type QueuedItem,
} from "./session-state.ts";

export interface FrameOptions {
  readonly budgetBytes: number;
  readonly codec: Codec;
  readonly zstd: Zstd;
  /** Release version held, 0 for none. */
  readonly base: number;
  /** What an embedding cost in recent frames; only a guess at how many fit. */
  readonly vectorBytes: number;
}

export type FramePlan =
  | {
      readonly kind: "frame";
      readonly record: Extract<LogRecord, { kind: "sent" }>;
      readonly encoded: EncodedDelta;
      /** Updated guess for {@link FrameOptions.vectorBytes}. */
      readonly vectorBytes: number;
    }
  /** One change that no frame can carry. */
  | { readonly kind: "impossible"; readonly item: QueuedItem; readonly error: OmegaError };

/** Bytes an item costs beside its embedding: id, weight, counts, time. A guess. */
const ITEM_BYTES_GUESS = 24;
const FRAME_BYTES_GUESS = 64;
/** From this refusal on a pattern travels alone, so that it cannot take others down with it. */
const ALONE_FROM_ATTEMPTS = 2;

/**
 * The next frame of the queue, or null when nothing is queued.
 * Pure: the caller applies the returned record.
 */
export function planFrame(state: OutboxState, options: FrameOptions): FramePlan | null {
  let items = chooseItems(state, options);
  while (items.length > 0) {
    try {
      const planned = encodeItems(state, items, options);
      if (planned.encoded.frame.byteLength <= options.budgetBytes) return planned;
    } catch (error) {
      if (!(error instanceof OmegaError)) throw error;
      if (items.length === 1 && items[0] !== undefined) {
        return { kind: "impossible", item: items[0], error };
      }
    }
    if (items.length === 1 && items[0] !== undefined) return tooLarge(items[0], options);
    items = items.slice(0, Math.floor(items.length / 2));
  }
  return null;
}

function tooLarge(item: QueuedItem, options: FrameOptions): FramePlan {
  const error = new OmegaError(
    "Serialization",
    "frame.budget",
    `pattern ${item.id} does not fit into a frame of budgetBytes ${options.budgetBytes}`,
    { detail: { id: item.id, budgetBytes: options.budgetBytes } },
  );
  return { kind: "impossible", item, error };
}

function chooseItems(state: OutboxState, options: FrameOptions): QueuedItem[] {
  const chosen: QueuedItem[] = [];
  let bytes = FRAME_BYTES_GUESS;
  for (const item of state.queued.values()) {
    if (item.attempts >= ALONE_FROM_ATTEMPTS) {
      if (chosen.length === 0) return [item];
      break;
    }
    bytes += ITEM_BYTES_GUESS + (saysEmbedding(state, item) ? options.vectorBytes : 0);
    if (chosen.length > 0 && bytes > options.budgetBytes) break;
    chosen.push(item);
    if (chosen.length === limits.DELTA_ITEMS_MAX) break;
  }
  return chosen;
}

function saysEmbedding(state: OutboxState, item: QueuedItem): boolean {
  return item.value !== null && embeddingOf(state, item, item.value).mode !== "kept";
}

/** How the embedding of a queued value is best said, given what the server surely holds. */
function embeddingOf(state: OutboxState, item: QueuedItem, value: PatternValue): UpsertEmbedding {
  const { target } = value;
  const shadow = state.shadows.get(item.id);
  // After a refusal the register is unknown, whatever the watermark says.
  if (shadow === undefined || item.attempts > 0 || !isConfirmed(state, shadow)) {
    return { mode: "absolute", target };
  }
  const { held, seq, value: said } = shadow;
  if (held === null || said === null || held.length !== target.length) {
    return { mode: "absolute", target };
  }
  if (sameVector(said.target, target)) return { mode: "kept", referenceSeq: seq };
  if (energy(residualOf(target, held)) >= energy(target)) return { mode: "absolute", target };
  return { mode: "difference", target, reference: held, referenceSeq: seq };
}

function encodeItems(
  state: OutboxState,
  items: readonly QueuedItem[],
  options: FrameOptions,
): Extract<FramePlan, { kind: "frame" }> {
  const embeddings = new Map<string, UpsertEmbedding>();
  for (const item of items) {
    if (item.value !== null) embeddings.set(item.id, embeddingOf(state, item, item.value));
  }
  let encoded = encodeWith(state, items, embeddings, options);
  // A coarse codec may push a difference's reconstruction past the norm that the aggregator allows.
  const overshot = [...encoded.reconstructions].filter(([id, vector]) => {
    return embeddings.get(id)?.mode === "difference" && !normWithin(vector);
  });
  if (overshot.length > 0) {
    for (const [id] of overshot) {
      const embedding = embeddings.get(id);
      if (embedding?.mode !== "difference") continue;
      embeddings.set(id, { mode: "absolute", target: embedding.target });
    }
    encoded = encodeWith(state, items, embeddings, options);
  }
  const held = (id: string): GridVector | null => {
    const embedding = embeddings.get(id);
    if (embedding === undefined) return null;
    const reconstruction = encoded.reconstructions.get(id);
    return reconstruction ?? state.shadows.get(id)?.held ?? null;
  };
  const coded = [...embeddings.values()].filter(({ mode }) => mode !== "kept").length;
  const perVector = (encoded.frame.byteLength - items.length * ITEM_BYTES_GUESS) / coded;
  return {
    kind: "frame",
    encoded,
    vectorBytes: coded === 0 ? options.vectorBytes : Math.max(16, Math.ceil(perVector)),
    record: {
      kind: "sent",
      position: nextPosition(state),
      frame: encoded.frame,
      items: items.map(({ id }) => ({ id, held: held(id) })),
    },
  };
}

function encodeWith(
  state: OutboxState,
  items: readonly QueuedItem[],
  embeddings: ReadonlyMap<string, UpsertEmbedding>,
  options: FrameOptions,
): EncodedDelta {
  const upserts: Upsert[] = [];
  const removals: string[] = [];
  for (const { id, value } of items) {
    const embedding = embeddings.get(id);
    if (value === null || embedding === undefined) removals.push(id);
    else {
      const { weight, success, samples, updatedAtS } = value;
      upserts.push({ id, weight, success, samples, updatedAtS, embedding });
    }
  }
  const at = { ...nextPosition(state), base: options.base };
  return encodeDelta(at, { dim: state.dim, upserts, removals }, options.codec, options.zstd);
}

function nextPosition(state: OutboxState): Position {
  return { epoch: state.epoch, seq: state.nextSeq };
}

/** Squared length in grid units; exact, because int32 squares of 4096 entries stay below 2^53. */
function energy(vector: Int16Array | Int32Array): number {
  let sum = 0;
  for (const level of vector) sum += level * level;
  return sum;
}
