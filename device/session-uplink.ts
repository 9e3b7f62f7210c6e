/**
 * The way up: what is sent, in which order, and what an answer means.
 *
 * - A frame gets its seq when it is first sent, never earlier: what coalesces
 *   in the queue leaves no gap.
 * - At most `DEVICE_INFLIGHT_MAX` frames are unanswered at once; resends go
 *   first, oldest first, byte-identical (P3).
 * - A frame leaves the outbox on its PUBACK or when the watermark passes it.
 * - How long PUBACKs take, and whether they come, decides how many bytes the
 *   next frame may take; a data cap that is used up makes new frames wait.
 * @module
 */
import { limits, type OmegaError, TimeoutError, TransportError } from "../src/core/index.ts";
import type { Position, Problem } from "../src/wire/index.ts";
import { afterAck, afterTrouble, budgetOf, restMs } from "./quality.ts";
import type { Change } from "./session-apply.ts";
import type { SessionContext } from "./session-context.ts";
import type { Effect } from "./session-events.ts";
import { planFrame } from "./session-frames.ts";
import type { LogRecord } from "./session-log.ts";
import { Speech } from "./session-speech.ts";
import { itemBytes, positionName, type SentFrame } from "./session-state.ts";

export class Uplink {
  readonly #context: SessionContext;
  /** Published on this connection and not yet answered. */
  readonly #inflight = new Set<string>();
  /** When this process first published a frame; frames of an earlier process are absent. */
  readonly #sentAtMs = new Map<string, number>();
  readonly #speech: Speech;
  #vectorBytes: number;
  #ackTimer = false;
  #restTimer = false;

  constructor(context: SessionContext) {
    this.#context = context;
    this.#speech = new Speech(context.options.codec, context.models);
    this.#vectorBytes = context.state.dim + 8;
  }

  get inflight(): number {
    return this.#inflight.size;
  }

  /** Sends what may be sent now: first what was sent before, then new frames. */
  pump(): void {
    const context = this.#context;
    if (!context.online || !context.stored) return;
    // Appends go before publishes, so that one fdatasync covers the whole window.
    const publishes: Effect[] = [];
    for (const [name, sent] of context.state.unacked) {
      if (this.#inflight.size >= limits.DEVICE_INFLIGHT_MAX) break;
      if (this.#inflight.has(name)) continue;
      context.stats.resends += 1;
      publishes.push(this.#publish(name, sent.position, sent.frame));
    }
    if (context.state.epoch !== 0) this.#sendNew(publishes);
    for (const effect of publishes) context.push(effect);
    if (publishes.length > 0 && !this.#ackTimer) this.#startAckTimer();
  }

  #sendNew(publishes: Effect[]): void {
    const context = this.#context;
    const { state, stats } = context;
    while (this.#inflight.size < limits.DEVICE_INFLIGHT_MAX) {
      if (state.queued.size === 0 || this.#rests()) return;
      const { options, nowMs, quality } = context;
      const budgetBytes = budgetOf(quality, options, nowMs);
      const plan = planFrame(state, {
        budgetBytes,
        budgetBytesMax: options.budgetBytes,
        voice: this.#speech.voice,
        mode: options.mode,
        zstd: options.zstd,
        base: context.base,
        vectorBytes: this.#vectorBytes,
      });
      if (plan === null) return;
      if (plan.kind === "impossible") {
        stats.dropped += 1;
        this.#lose(context.commit({ kind: "drop", ids: [plan.item.id] }, false), plan.error);
        continue;
      }
      this.#vectorBytes = plan.vectorBytes;
      context.commit(plan.record, true);
      const { position, frame } = plan.record;
      const name = positionName(position);
      this.#sentAtMs.set(name, context.nowMs);
      publishes.push(this.#publish(name, position, frame));
      const { nmse, rawBytes } = plan.encoded;
      const bytes = frame.byteLength;
      stats.sent += 1;
      stats.sentBytes += bytes;
      stats.sentRawBytes += rawBytes;
      if (rawBytes > 0) stats.sentNmse += (rawBytes / stats.sentRawBytes) * (nmse - stats.sentNmse);
      context.notify({ kind: "sent", position, bytes, rawBytes, nmse, budgetBytes });
    }
  }

  /** The data cap is used up: what is new waits in the outbox until the day is over. */
  #rests(): boolean {
    const { quality, options, nowMs } = this.#context;
    const delayMs = restMs(quality, options, nowMs);
    if (delayMs > 0 && !this.#restTimer) {
      this.#restTimer = true;
      this.#context.push({ kind: "timer", timer: "rest", delayMs });
    }
    return delayMs > 0;
  }

  rested(): void {
    this.#restTimer = false;
    this.pump();
  }

  #publish(name: string, position: Position, payload: Uint8Array): Effect {
    this.#inflight.add(name);
    this.#context.spend(payload.byteLength);
    return { kind: "publish", payload, position };
  }

  /** A put is durable: it replaces older unsent changes, and the outbox stays within its bound. */
  stored(record: Extract<LogRecord, { kind: "put" }>, change: Change, more: boolean): void {
    const { state, stats, options } = this.#context;
    stats.coalesced += change.coalesced;
    if (more) return;
    const ids: string[] = [];
    let bytes = state.bytes;
    for (const item of state.queued.values()) {
      if (bytes <= options.outboxBytesMax) break;
      bytes -= itemBytes(item);
      ids.push(item.id);
    }
    if (ids.length > 0) {
      stats.dropped += ids.length;
      const error = new TransportError(
        "outbox.full",
        `the outbox is full (outboxBytesMax ${options.outboxBytesMax}): the ${ids.length} oldest unsent changes were dropped`,
        { detail: { ids, newest: record.items.length } },
      );
      this.#lose(this.#context.commit({ kind: "drop", ids }, false), error);
    }
    this.pump();
  }

  /** PUBACK: the gateway has it for good. Unknown or repeated positions are ignored. */
  acked(position: Position): void {
    const context = this.#context;
    const sentAtMs = this.#sentAtMs.get(positionName(position));
    if (this.#inflight.delete(positionName(position)) && sentAtMs !== undefined) {
      context.quality = afterAck(context.quality, context.nowMs - sentAtMs);
    }
    if (context.state.unacked.has(positionName(position))) {
      // Not durable at once: losing this record costs one more resend.
      this.settle(context.commit({ kind: "released", position }, false));
    }
    this.#progress();
    this.pump();
  }

  /** Frames left the outbox, by PUBACK or by watermark. */
  settle(change: Change): void {
    for (const sent of change.released) this.#settled(sent);
  }

  #settled({ position, frame, items }: SentFrame): void {
    const context = this.#context;
    const name = positionName(position);
    const sentAtMs = this.#sentAtMs.get(name);
    this.#sentAtMs.delete(name);
    this.#inflight.delete(name);
    context.stats.acked += 1;
    const ms = sentAtMs === undefined ? null : context.nowMs - sentAtMs;
    context.notify({ kind: "acked", position, bytes: frame.byteLength, ms, items });
  }

  /** What the server refused is said again without references, a bounded number of times. */
  refused(problems: readonly Problem[]): void {
    const context = this.#context;
    for (const problem of problems) {
      const { position } = problem;
      if (position !== null && this.#isKnownRefusal(position)) continue;
      context.stats.refused += 1;
      context.notify({ kind: "refused", problem });
      if (position === null) continue;
      const { epoch, nextSeq: seq } = context.state;
      this.#speech.refused(problem.reason, position, { epoch, seq });
      const change = context.commit({ kind: "refused", position }, false);
      if (change.lost.length === 0) continue;
      context.stats.abandoned += change.lost.length;
      const ids = change.lost.map((item) => item.id);
      const error = new TransportError(
        "delta.abandoned",
        `the server refused ${ids.join(", ")} repeatedly, last with ${problem.reason}: given up`,
        { detail: { ids, reason: problem.reason, position } },
      );
      this.#lose(change, error);
    }
    this.pump();
  }

  #isKnownRefusal(position: Position): boolean {
    const name = positionName(position);
    return this.#context.state.refused.some((known) => positionName(known) === name);
  }

  #lose(change: Change, error: OmegaError): void {
    const items = change.lost.map(({ id, generation }) => ({ id, generation }));
    this.#context.notify({ kind: "lost", items, error });
  }

  /** A new epoch replaced what was sent: answers to it no longer matter. */
  forget(): void {
    this.#sentAtMs.clear();
    this.reset();
  }

  /** A connection begins: another server may be at its other end, which understands more. */
  online(): void {
    this.reset();
    this.#speech.reset();
  }

  /** The connection was lost; what was unanswered counts as trouble. */
  offline(): void {
    if (this.#inflight.size > 0) this.#context.quality = afterTrouble(this.#context.quality);
    this.reset();
  }

  /** Nothing is in flight any more. */
  reset(): void {
    this.#inflight.clear();
    this.#stopAckTimer();
  }

  /** A newer codec model is held: deltas are said with it from now on. */
  modelCame(): void {
    this.#speech.reset();
  }

  /** The driver could not publish these, because the log could not be written. */
  unpublished(positions: readonly Position[]): void {
    for (const position of positions) this.#inflight.delete(positionName(position));
    this.#progress();
  }

  ackTimeout(): void {
    this.#ackTimer = false;
    if (this.#inflight.size === 0) return;
    const { ackTimeoutMs } = this.#context.options;
    const error = new TimeoutError("ack.timeout", `no PUBACK for ${ackTimeoutMs} ms`, {
      detail: { inflight: this.#inflight.size, ackTimeoutMs },
    });
    this.#context.push({ kind: "disconnect", error });
  }

  /** Something was answered: the rest gets a full wait again. */
  #progress(): void {
    this.#stopAckTimer();
    if (this.#inflight.size > 0) this.#startAckTimer();
  }

  #startAckTimer(): void {
    this.#ackTimer = true;
    const { ackTimeoutMs } = this.#context.options;
    this.#context.push({ kind: "timer", timer: "ack", delayMs: ackTimeoutMs });
  }

  #stopAckTimer(): void {
    if (this.#ackTimer) this.#context.push({ kind: "cancel", timer: "ack" });
    this.#ackTimer = false;
  }
}
