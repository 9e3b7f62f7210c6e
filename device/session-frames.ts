/**
 * Which queued changes go into the next frame, and how it is coded.
 *
 * P7: a frame never exceeds the byte budget. With codec 1 the budget decides
 * the distortion, so what must be chosen is how many patterns share it: about
 * ten absolute embeddings to a kilobyte are said well, of differences twice as
 * many, and what only changed its counts costs next to nothing. When the link
 * is bad the same patterns share fewer bytes. The heaviest go first; what does
 * not fit waits for the next frame, nothing is dropped.
 *
 * With error feedback (session-embedding.ts; ARCHITECTURE.md, "Merging"; P6)
 * the error of earlier frames is corrected instead of adding up.
 * @module
 */
import { limits, OmegaError } from "../src/core/index.ts";
import {
  codec0,
  type EncodedDelta,
  encodeDelta,
  encodeDelta1,
  normWithin,
  type Position,
  type Upsert,
  type UpsertEmbedding,
  type Zstd,
} from "../src/wire/index.ts";
import { Sayings } from "./session-embedding.ts";
import type { CodecMode } from "./session-events.ts";
import type { LogRecord, SentRegister } from "./session-log.ts";
import type { Voice } from "./session-speech.ts";
import type { OutboxState, QueuedItem } from "./session-state.ts";

export interface FrameOptions {
  /** What this frame may take. */
  readonly budgetBytes: number;
  /** What a frame may take on a good link: it decides how many patterns share one. */
  readonly budgetBytesMax: number;
  readonly voice: Voice;
  readonly mode: CodecMode;
  readonly zstd: Zstd;
  /** Release version held, 0 for none. */
  readonly base: number;
  /** What an embedding of codec 0 cost in recent frames; only a guess at how many fit. */
  readonly vectorBytes: number;
}

type SentRecord = Extract<LogRecord, { kind: "sent" }>;

export type FramePlan =
  | {
      readonly kind: "frame";
      readonly record: SentRecord;
      readonly encoded: EncodedDelta;
      /** Updated guess for {@link FrameOptions.vectorBytes}. */
      readonly vectorBytes: number;
    }
  /** One change that no frame can carry. */
  | { readonly kind: "impossible"; readonly item: QueuedItem; readonly error: OmegaError };

/** What an item costs beside its embedding: id, weight, counts, time. Guesses. */
const ITEM_BYTES_GUESS = { 0: 24, 1: 12 } as const;
const FRAME_BYTES_GUESS = { 0: 64, 1: 44 } as const;
/** What codec 1 needs for a component, in bytes, to say it well. */
const COMPONENT_BYTES = { absolute: 0.21, difference: 0.1, kept: 0 } as const;
/** Better than this (cosine .9995) and bytes buy nothing that anyone would notice. */
const QUALITY_NMSE = 1e-3;
/** From this refusal on a pattern travels alone, so that it cannot take others down with it. */
const ALONE_FROM_ATTEMPTS = 2;
/** Of the trellis: 64 are worth a tenth of a decibel and eight times the work of a TV. */
const STATES = 8;

/**
 * The next frame of the queue, or null when nothing is queued.
 * Pure: the caller applies the returned record.
 */
export function planFrame(state: OutboxState, options: FrameOptions): FramePlan | null {
  const sayings = new Sayings(state, {
    model: options.voice.codec === 1 ? options.voice.model : null,
    mode: options.mode,
  });
  let items = chooseItems(state, sayings, options);
  while (items.length > 1) {
    const planned = planItems(state, items, sayings, options);
    if (planned !== null && !(planned instanceof OmegaError)) return planned;
    items = items.slice(0, Math.floor(items.length / 2));
  }
  const [item] = items;
  return item === undefined ? null : planAlone(state, item, sayings, options);
}

/** One change must travel somehow: with the whole budget, then as int8 in the largest frame there is. */
function planAlone(
  state: OutboxState,
  item: QueuedItem,
  sayings: Sayings,
  options: FrameOptions,
): FramePlan {
  const { budgetBytesMax, voice } = options;
  const whole = { ...options, budgetBytes: budgetBytesMax };
  const widest = { ...whole, budgetBytes: limits.UP_FRAME_BYTES_MAX, voice: { codec: 0 } } as const;
  const inSpace0 = new Sayings(state, { model: null, mode: options.mode });
  const planned =
    failsTo(planItems(state, [item], sayings, options), () =>
      failsTo(planItems(state, [item], sayings, whole), () =>
        voice.codec === 0 ? null : planItems(state, [item], inSpace0, widest),
      ),
    ) ?? tooLarge(item, options);
  return planned instanceof OmegaError ? { kind: "impossible", item, error: planned } : planned;
}

type Planned = Extract<FramePlan, { kind: "frame" }>;

/** `planned` when it is a plan; else what `next` comes to, or the failure when that is nothing. */
function failsTo(
  planned: Planned | OmegaError | null,
  next: () => Planned | OmegaError | null,
): Planned | OmegaError | null {
  if (planned !== null && !(planned instanceof OmegaError)) return planned;
  return next() ?? planned;
}

function tooLarge(item: QueuedItem, { budgetBytesMax }: FrameOptions): OmegaError {
  return new OmegaError(
    "Serialization",
    "frame.budget",
    `pattern ${item.id} does not fit into a frame of budgetBytes ${budgetBytesMax}`,
    { detail: { id: item.id, budgetBytes: budgetBytesMax } },
  );
}

/** Removals first, as they cost nothing, then by weight; among equals the oldest first. */
function byImportance(a: QueuedItem, b: QueuedItem): number {
  return (b.value?.weight ?? Number.MAX_VALUE) - (a.value?.weight ?? Number.MAX_VALUE);
}

function chooseItems(state: OutboxState, sayings: Sayings, options: FrameOptions): QueuedItem[] {
  const queued = [...state.queued.values()];
  const together = queued.filter((item) => item.attempts < ALONE_FROM_ATTEMPTS);
  if (together.length === 0) return queued.slice(0, 1);
  const chosen: QueuedItem[] = [];
  const { codec } = options.voice;
  const bytesMax = codec === 0 ? options.budgetBytes : options.budgetBytesMax;
  let bytes: number = FRAME_BYTES_GUESS[codec];
  for (const item of together.sort(byImportance)) {
    bytes += ITEM_BYTES_GUESS[codec] + vectorBytesOf(item, state.dim, sayings, options);
    if (chosen.length > 0 && bytes > bytesMax) break;
    chosen.push(item);
    if (chosen.length === limits.DELTA_ITEMS_MAX) break;
  }
  return chosen;
}

function vectorBytesOf(
  item: QueuedItem,
  dim: number,
  sayings: Sayings,
  { voice, vectorBytes }: FrameOptions,
): number {
  if (item.value === null) return 0;
  const { mode } = sayings.of(item, item.value);
  if (voice.codec === 1) return COMPONENT_BYTES[mode] * dim;
  return mode === "kept" ? 0 : vectorBytes;
}

/** The frame of `items`; null when it does not fit, an error when it cannot be. */
function planItems(
  state: OutboxState,
  items: readonly QueuedItem[],
  sayings: Sayings,
  options: FrameOptions,
): Planned | OmegaError | null {
  const embeddings = new Map<string, UpsertEmbedding>();
  for (const item of items) {
    if (item.value !== null) embeddings.set(item.id, sayings.of(item, item.value));
  }
  try {
    const encoded = encodeSound(state, items, embeddings, options);
    if (encoded === null || encoded.frame.byteLength > options.budgetBytes) return null;
    return planOf(state, items, embeddings, encoded, options);
  } catch (error) {
    if (error instanceof OmegaError) return error;
    throw error;
  }
}

/**
 * A coarse codec may push a reconstruction past the norm that the aggregator allows, or leave
 * nothing of an embedding. Such a difference is said absolutely instead; such an absolute one needs
 * more bytes.
 */
function encodeSound(
  state: OutboxState,
  items: readonly QueuedItem[],
  embeddings: Map<string, UpsertEmbedding>,
  options: FrameOptions,
): EncodedDelta | null {
  let encoded = encodeWith(state, items, embeddings, options);
  const unsound = unsoundIn(encoded);
  for (const id of unsound) {
    const embedding = embeddings.get(id);
    if (embedding?.mode !== "difference") continue;
    embeddings.set(id, { mode: "absolute", target: embedding.target });
  }
  if (unsound.length > 0) encoded = encodeWith(state, items, embeddings, options);
  // What int8 cannot say soundly nothing can: let the server judge it.
  return options.voice.codec === 1 && unsoundIn(encoded).length > 0 ? null : encoded;
}

function unsoundIn(encoded: EncodedDelta | null): string[] {
  const reconstructions = [...(encoded?.reconstructions ?? [])];
  return reconstructions
    .filter(([, vector]) => !normWithin(vector) || vector.every((component) => component === 0))
    .map(([id]) => id);
}

function planOf(
  state: OutboxState,
  items: readonly QueuedItem[],
  embeddings: ReadonlyMap<string, UpsertEmbedding>,
  encoded: EncodedDelta,
  options: FrameOptions,
): Planned {
  const coded = [...embeddings.values()].filter(({ mode }) => mode !== "kept").length;
  const perVector = (encoded.frame.byteLength - items.length * ITEM_BYTES_GUESS[0]) / coded;
  const isGuess = coded > 0 && options.voice.codec === 0;
  return {
    kind: "frame",
    encoded,
    vectorBytes: isGuess ? Math.max(16, Math.ceil(perVector)) : options.vectorBytes,
    record: {
      kind: "sent",
      position: nextPosition(state),
      frame: encoded.frame,
      items: items.map(({ id }) => registerOf(state, id, embeddings.get(id), encoded)),
    },
  };
}

/** What the server will hold of a pattern after the frame. */
function registerOf(
  state: OutboxState,
  id: string,
  embedding: UpsertEmbedding | undefined,
  encoded: EncodedDelta,
): SentRegister {
  if (embedding === undefined) return { id, held: null, space: 0 };
  const reconstruction = encoded.reconstructions.get(id);
  if (reconstruction !== undefined) return { id, held: reconstruction, space: encoded.space };
  const { held = null, space = 0 } = state.shadows.get(id) ?? {};
  return { id, held, space };
}

/** Null when codec 1 cannot fit the budget, however coarse. */
function encodeWith(
  state: OutboxState,
  items: readonly QueuedItem[],
  embeddings: ReadonlyMap<string, UpsertEmbedding>,
  options: FrameOptions,
): EncodedDelta | null {
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
  const content = { dim: state.dim, upserts, removals };
  const { voice, mode, zstd, budgetBytes: bytesMax } = options;
  if (voice.codec === 0) return encodeDelta(at, content, codec0, zstd);
  const { model } = voice;
  const quality = mode === "tracking" ? QUALITY_NMSE : 0;
  const coding = { bytesMax, model, mode, states: STATES, sender: state.device, quality } as const;
  return encodeDelta1(at, content, coding, zstd);
}

function nextPosition(state: OutboxState): Position {
  return { epoch: state.epoch, seq: state.nextSeq };
}
