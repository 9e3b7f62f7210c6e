/**
 * What each log record does to the outbox: the one place that changes its state.
 *
 * The live session and the replay after a restart both come through `apply`,
 * so what a device remembers is by construction what happened (P3, P6).
 * @module
 */
import { InvalidConfigError, unreachable } from "../src/core/index.ts";
import type { Position } from "../src/wire/index.ts";
import { decodeRecord, type LogRecord } from "./session-log.ts";
import {
  createOutbox,
  dequeue,
  enqueue,
  holdFrame,
  type OutboxState,
  type QueuedItem,
  REFUSED_REMEMBERED_MAX,
  releaseFrame,
  type SentFrame,
} from "./session-state.ts";

/** Times a pattern may be refused before the device gives it up; a new put starts afresh. */
export const REFUSALS_MAX = 3;

/** What a record changed, for events and counters. */
export interface Change {
  /** Unsent changes replaced by newer ones. */
  coalesced: number;
  /** Frames that left the outbox because the server has them. */
  readonly released: SentFrame[];
  /** Changes that left the outbox unsent, or were refused once too often. */
  readonly lost: QueuedItem[];
}

/** Applies one record to `state` in place. Tolerates records about things no longer there. */
export function apply(state: OutboxState, record: LogRecord): Change {
  const change: Change = { coalesced: 0, released: [], lost: [] };
  switch (record.kind) {
    case "identity":
      requireIdentity(state, record.device, record.dim);
      break;
    case "put":
      state.generation += 1;
      for (const item of record.items) {
        const replaced = enqueue(state, { ...item, generation: state.generation });
        if (replaced) change.coalesced += 1;
      }
      break;
    case "drop":
      for (const id of record.ids) {
        const item = dequeue(state, id);
        if (item !== undefined) change.lost.push(item);
      }
      break;
    case "sent":
      applySent(state, record);
      break;
    case "released": {
      const sent = releaseFrame(state, record.position);
      if (sent !== undefined) change.released.push(sent);
      break;
    }
    case "applied":
      applyWatermark(state, record.position, change);
      break;
    case "refused":
      applyRefusal(state, record.position, change);
      break;
    case "epoch":
      beginEpoch(state, record.epoch, record.keepFrames);
      break;
    case "floor":
      state.floor = Math.max(state.floor, record.version);
      break;
    case "base":
      state.epoch = record.position.epoch;
      state.nextSeq = record.position.seq;
      state.appliedSeq = record.appliedSeq;
      state.floor = record.floor;
      state.refused = [...record.refused];
      break;
    case "shadow": {
      const { value, held, space, seq, attempts } = record;
      state.shadows.set(record.id, { value, held, space, seq, attempts, generation: 0 });
      break;
    }
    case "frame": {
      const items = record.ids.map((id) => ({ id, generation: 0 }));
      holdFrame(state, { position: record.position, frame: record.frame, items });
      break;
    }
    default:
      unreachable(record);
  }
  return change;
}

function requireIdentity(state: OutboxState, device: string, dim: number): void {
  const faults: string[] = [];
  if (device !== state.device) {
    faults.push(
      `dataDir belongs to ${device}: it cannot serve ${state.device}; give each device its own`,
    );
  }
  if (dim !== state.dim) {
    faults.push(`dataDir holds patterns of dimension ${dim}, dim is ${state.dim}; empty it first`);
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
}

function applySent(state: OutboxState, record: Extract<LogRecord, { kind: "sent" }>): void {
  const { seq } = record.position;
  const items = record.items.map(({ id, held, space }) => {
    const queued = dequeue(state, id);
    if (queued !== undefined) {
      const { value, attempts, generation } = queued;
      state.shadows.set(id, { value, held, space, seq, attempts, generation });
    }
    return { id, generation: queued?.generation ?? 0 };
  });
  holdFrame(state, { position: record.position, frame: record.frame, items });
  state.epoch = record.position.epoch;
  state.nextSeq = record.position.seq + 1;
}

/** Everything up to `position` is consumed: its frames are as good as acknowledged. */
function applyWatermark(state: OutboxState, position: Position, change: Change): void {
  if (position.epoch !== state.epoch || position.seq <= state.appliedSeq) return;
  state.appliedSeq = position.seq;
  for (const sent of [...state.unacked.values()]) {
    if (sent.position.epoch !== position.epoch || sent.position.seq > position.seq) continue;
    releaseFrame(state, sent.position);
    change.released.push(sent);
  }
  for (const [id, shadow] of state.shadows) {
    if (shadow.seq > position.seq) continue;
    // A consumed tombstone needs no memory; a consumed value has proved itself.
    if (shadow.value === null) state.shadows.delete(id);
    else if (shadow.attempts > 0) state.shadows.set(id, { ...shadow, attempts: 0 });
  }
}

/**
 * The server did not apply the frame at `position`: whatever it wrote last is
 * not what the server holds, so it is said again, without a reference.
 */
function applyRefusal(state: OutboxState, position: Position, change: Change): void {
  state.refused = [...state.refused, position].slice(-REFUSED_REMEMBERED_MAX);
  if (position.epoch !== state.epoch) return;
  for (const [id, shadow] of [...state.shadows]) {
    if (shadow.seq !== position.seq) continue;
    state.shadows.delete(id);
    if (state.queued.has(id)) continue; // The application has already said something newer.
    const { value, generation } = shadow;
    const item = { id, value, generation, attempts: shadow.attempts + 1 };
    if (item.attempts >= REFUSALS_MAX) change.lost.push(item);
    else enqueue(state, item);
  }
}

/** A new incarnation: nothing of the old one is confirmed, so everything is said again. */
function beginEpoch(state: OutboxState, epoch: number, keepFrames: boolean): void {
  for (const [id, shadow] of state.shadows) {
    if (state.queued.has(id)) continue;
    const { value, attempts, generation } = shadow;
    enqueue(state, { id, value, attempts, generation });
  }
  state.shadows.clear();
  if (!keepFrames) {
    for (const sent of [...state.unacked.values()]) releaseFrame(state, sent.position);
  }
  state.epoch = epoch;
  state.nextSeq = 1;
  state.appliedSeq = 0;
}

/**
 * Rebuilds the outbox from its log. `damaged` says that records are missing in
 * the middle (media fault): then what the server holds is unknown, so the
 * device starts a new epoch and says everything it still knows again, while
 * the frames that survived are still delivered.
 *
 * Throws `InvalidConfigError` when the log is another device's.
 */
export function restoreOutbox(
  device: string,
  dim: number,
  log: { readonly records: readonly Uint8Array[]; readonly damaged: boolean },
): { state: OutboxState; damaged: boolean } {
  const state = createOutbox(device, dim);
  let damaged = log.damaged;
  for (const bytes of log.records) {
    try {
      apply(state, decodeRecord(bytes));
    } catch (error) {
      if (error instanceof InvalidConfigError) throw error;
      damaged = true;
    }
  }
  if (damaged) apply(state, { kind: "epoch", epoch: 0, keepFrames: true });
  return { state, damaged };
}
