/**
 * What a device remembers: the pure state of its outbox.
 *
 * Three places hold a pattern on its way to the server:
 *
 *   queued ──sent(seq)──▶ unacked frame + shadow ──PUBACK / watermark──▶ shadow only
 *     ▲                                                                    │
 *     └──────────────── refused, or a new epoch ◀─────────────────────────┘
 *
 * A shadow is what the device believes the server's register of that pattern
 * holds (P6): the value it wanted to say, the vector the server reconstructs
 * from what was really sent, and the seq that wrote it. Every change of this
 * state is a record of the log (session-log.ts), applied by session-apply.ts,
 * so that a restart replays exactly what happened.
 * @module
 */
import type { GridVector, Position } from "../src/wire/index.ts";

/** One pattern as the application wants the server to know it. */
export interface PatternValue {
  readonly target: GridVector;
  /** Integer 1..1023. */
  readonly weight: number;
  /** 0..1 */
  readonly success: number;
  readonly samples: number;
  /** Unix seconds. */
  readonly updatedAtS: number;
}

/** A change that is durable but not yet in a frame; `value` null is a removal. */
export interface QueuedItem {
  readonly id: string;
  readonly value: PatternValue | null;
  /** How often the server refused this pattern since the application last spoke of it. */
  readonly attempts: number;
  /** Which put it came with; later puts have higher numbers. Not persisted. */
  readonly generation: number;
}

/** What the last sent frame made of a pattern; `value` null is a tombstone on its way. */
export interface Shadow {
  readonly value: PatternValue | null;
  /** The register vector as the server reconstructs it; null for a tombstone. */
  readonly held: GridVector | null;
  /** The space `held` is in: 0 is the pattern's own, else that codec model's. */
  readonly space: number;
  readonly seq: number;
  readonly attempts: number;
  readonly generation: number;
}

export interface SentItem {
  readonly id: string;
  readonly generation: number;
}

/** A frame with its seq: from here on its bytes never change (P3: resends are byte-identical). */
export interface SentFrame {
  readonly position: Position;
  readonly frame: Uint8Array;
  readonly items: readonly SentItem[];
}

export interface OutboxState {
  readonly device: string;
  readonly dim: number;
  /** This incarnation's number; 0 until the retained down frame has told which are taken. */
  epoch: number;
  /** The seq of the next new frame; seqs are contiguous from 1 within an epoch. */
  nextSeq: number;
  /** Every seq up to here was consumed by the server (the watermark of down frames). */
  appliedSeq: number;
  /** The highest release version ever applied (P5: never fall below it). */
  floor: number;
  generation: number;
  /** Bytes of queued items and unacked frames, bounded by `outboxBytesMax`. */
  bytes: number;
  /** Least recently changed first. */
  readonly queued: Map<string, QueuedItem>;
  readonly shadows: Map<string, Shadow>;
  /** Keyed by {@link positionName}, in order of sending. */
  readonly unacked: Map<string, SentFrame>;
  /** Positions whose refusal was already acted upon, newest last, bounded. */
  refused: Position[];
}

/** Refusals remembered, so that a repeated problem report is not acted upon twice. */
export const REFUSED_REMEMBERED_MAX = 32;

export function createOutbox(device: string, dim: number): OutboxState {
  return {
    device,
    dim,
    epoch: 0,
    nextSeq: 1,
    appliedSeq: 0,
    floor: 0,
    generation: 0,
    bytes: 0,
    queued: new Map(),
    shadows: new Map(),
    unacked: new Map(),
    refused: [],
  };
}

export function positionName(position: Position): string {
  return `${position.epoch}.${position.seq}`;
}

/** What an item costs in the outbox: its vector on the grid plus bookkeeping. */
export function itemBytes(item: {
  readonly id: string;
  readonly value: PatternValue | null;
}): number {
  return item.id.length + 32 + (item.value === null ? 0 : item.value.target.byteLength);
}

function frameBytes(sent: SentFrame): number {
  return sent.frame.byteLength + 32;
}

/** Puts `item` at the young end of the queue; true when it replaced an older unsent change. */
export function enqueue(state: OutboxState, item: QueuedItem): boolean {
  const replaced = dequeue(state, item.id) !== undefined;
  state.queued.set(item.id, item);
  state.bytes += itemBytes(item);
  return replaced;
}

export function dequeue(state: OutboxState, id: string): QueuedItem | undefined {
  const item = state.queued.get(id);
  if (item === undefined) return undefined;
  state.queued.delete(id);
  state.bytes -= itemBytes(item);
  return item;
}

export function holdFrame(state: OutboxState, sent: SentFrame): void {
  releaseFrame(state, sent.position); // A damaged log may tell the same twice.
  state.unacked.set(positionName(sent.position), sent);
  state.bytes += frameBytes(sent);
}

export function releaseFrame(state: OutboxState, position: Position): SentFrame | undefined {
  const sent = state.unacked.get(positionName(position));
  if (sent === undefined) return undefined;
  state.unacked.delete(positionName(position));
  state.bytes -= frameBytes(sent);
  return sent;
}

/** Does the server surely hold this shadow's vector in its register? */
export function isConfirmed(state: OutboxState, shadow: Shadow): boolean {
  return shadow.value !== null && shadow.seq <= state.appliedSeq;
}

/** Patterns the server will hold once everything in the outbox arrived. */
export function livePatterns(state: OutboxState): number {
  let count = 0;
  for (const [id, shadow] of state.shadows) {
    if (!state.queued.has(id) && shadow.value !== null) count += 1;
  }
  for (const item of state.queued.values()) if (item.value !== null) count += 1;
  return count;
}

/** Changes not yet acknowledged: queued ones and those in unacked frames. */
export function pendingItems(state: OutboxState): number {
  let count = state.queued.size;
  for (const sent of state.unacked.values()) count += sent.items.length;
  return count;
}

/** A register as the device believes the server holds it. */
export interface BelievedRegister {
  readonly epoch: number;
  readonly seq: number;
  readonly vector: GridVector;
  /** 0, or the codec model whose coordinates `vector` is in. */
  readonly space: number;
}

/** P6: every confirmed register, by pattern. */
export function believedRegisters(state: OutboxState): ReadonlyMap<string, BelievedRegister> {
  const believed = new Map<string, BelievedRegister>();
  for (const [id, shadow] of state.shadows) {
    if (!isConfirmed(state, shadow) || shadow.held === null) continue;
    const { seq, held: vector, space } = shadow;
    believed.set(id, { epoch: state.epoch, seq, vector, space });
  }
  return believed;
}
