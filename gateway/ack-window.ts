/**
 * The acknowledgement window of one client: which deltas are taken, in which
 * order they are acknowledged, and when to stop taking more.
 *
 *   admit → [ in flight, ≤ inFlightCountMax ] → settled → PUBACK, oldest first
 *        ↘ [ waiting, ≤ waitingCountMax ] ↗
 *
 * P1 and [MQTT-4.6.0-2]: a delta's PUBACK leaves only after its own add is
 * durable and after the PUBACKs of all deltas that arrived before it. A delta
 * that cannot be in flight yet waits, and from then on the socket is not read;
 * pings among the packets already read are still answered. The broker's own
 * backpressure would not do: aedes reads on at every `readable` event, however
 * many of its hooks are unanswered (test/gateway/uplink/aedes-contract.test.ts).
 * @module
 */
import { assert } from "../src/core/index.ts";

const PUBACK_BYTES = 4;
const PUBACK_TYPE = 0x40;

/** One delta in flight. */
export interface AckSlot {
  readonly packetId: number;
  readonly bytes: number;
  /** What became of its add. Only "durable" lets a PUBACK pass; "lost" holds it back for ever. */
  outcome: "pending" | "durable" | "lost";
}

/** Bytes in flight, shared by all clients; those who wait for room get it in turns. */
export class ByteBudget {
  readonly bytesMax: number;
  #used = 0;
  readonly #waiting = new Set<AckWindow>();
  #waking = false;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `bytes`, or remembers that `window` waits for them. Nobody overtakes those who wait. */
  take(bytes: number, window: AckWindow): boolean {
    if (this.#othersWait(window) || this.#used + bytes > this.bytesMax) {
      this.#waiting.add(window);
      return false;
    }
    if (this.#waiting.size > 0) this.#waiting.delete(window);
    this.#used += bytes;
    return true;
  }

  #othersWait(window: AckWindow): boolean {
    if (this.#waiting.size === 0) return false;
    return this.#waiting.values().next().value !== window;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, "bytes are given back once");
    this.#wake();
  }

  /** `window` waits no longer: it is gone. */
  forget(window: AckWindow): void {
    if (this.#waiting.size > 0 && this.#waiting.delete(window)) this.#wake();
  }

  #wake(): void {
    if (this.#waking || this.#waiting.size === 0) return; // Waking windows take and forget; a loop serves them, not a recursion.
    this.#waking = true;
    for (const window of this.#waiting) {
      window.advance();
      if (this.#waiting.has(window)) break; // No room for more: it asks again when bytes come back.
    }
    this.#waking = false;
  }
}

export interface AckWindowOptions {
  readonly inFlightCountMax: number;
  readonly waitingCountMax: number;
  readonly budget: ByteBudget;
  /** Runs `flush` later in this turn, when all that a batch settles is settled. */
  readonly later: (flush: () => void) => void;
  /** Writes PUBACK packets, several at once where several are due. */
  readonly send: (pubacks: Buffer) => void;
  /** The first delta has to wait: read no more of this client … */
  readonly pause: () => void;
  /** … until none waits any more. */
  readonly resume: () => void;
  /** A delta was taken, whether it begins at once or waits. */
  readonly admitted?: (() => void) | undefined;
}

interface Waiting {
  readonly packetId: number;
  readonly bytes: number;
  readonly begin: (slot: AckSlot) => void;
}

export class AckWindow {
  readonly #options: AckWindowOptions;
  readonly #inFlight: AckSlot[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #idle: (() => void)[] = [];
  readonly #flushLater = () => this.#flush();
  #paused = false;
  #flushing = false;
  #closed = false;

  constructor(options: AckWindowOptions) {
    this.#options = options;
  }

  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /**
   * Takes a delta of `bytes` (its memory, overhead included): `begin` runs now, or later once
   * there is room, or never when the window closes first. False when even the wait list is full.
   */
  admit(packetId: number, bytes: number, begin: (slot: AckSlot) => void): boolean {
    if (this.#closed) return true;
    if (this.#waiting.length >= this.#options.waitingCountMax) return false;
    this.#waiting.push({ packetId, bytes, begin });
    this.#options.admitted?.();
    this.advance();
    return true;
  }

  /** Begins as many waiting deltas as there is room for. Called by the budget when bytes come back. */
  advance(): void {
    this.#beginWaiting();
    this.#steer();
  }

  /** Tells the reader about the turn from none waiting to some, and back. */
  #steer(): void {
    const wanted = this.#waiting.length > 0;
    if (this.#closed || wanted === this.#paused) return;
    this.#paused = wanted;
    if (wanted) this.#options.pause();
    else this.#options.resume();
  }

  #beginWaiting(): void {
    const { inFlightCountMax, budget } = this.#options;
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#inFlight.length >= inFlightCountMax) {
        budget.forget(this);
        return;
      }
      if (!budget.take(next.bytes, this)) return;
      this.#waiting.shift();
      const slot: AckSlot = { packetId: next.packetId, bytes: next.bytes, outcome: "pending" };
      this.#inFlight.push(slot);
      next.begin(slot);
    }
  }

  /** The slot's delta is durable (or needs no storing): its PUBACK may leave when its turn comes. */
  settle(slot: AckSlot): void {
    this.#release(slot, "durable");
    if (this.#closed || this.#inFlight[0] !== slot || this.#flushing) return;
    // One write for all that become durable in this turn, as a batch settles its deltas together.
    this.#flushing = true;
    this.#options.later(this.#flushLater);
  }

  /** The slot's delta is not stored, or nobody knows: no PUBACK will ever pass it. */
  abandon(slot: AckSlot): void {
    this.#release(slot, "lost");
  }

  /** The client is gone: nothing further begins or is acknowledged. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.length = 0;
    this.#inFlight.length = 0;
    this.#options.budget.forget(this);
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Resolves when every delta taken is acknowledged, or the window is closed. */
  idle(): Promise<void> {
    if (this.#closed || this.#inFlight.length + this.#waiting.length === 0)
      return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #release(slot: AckSlot, outcome: "durable" | "lost"): void {
    assert(slot.outcome === "pending", "a delta is settled once");
    slot.outcome = outcome;
    this.#options.budget.give(slot.bytes);
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#closed) return;
    const pending = this.#inFlight.findIndex((slot) => slot.outcome !== "durable");
    const due = pending === -1 ? this.#inFlight.length : pending;
    const pubacks = Buffer.allocUnsafe(due * PUBACK_BYTES);
    for (let index = 0; index < due; index += 1) {
      const at = pubacks.writeUInt16BE((PUBACK_TYPE << 8) | 2, index * PUBACK_BYTES);
      pubacks.writeUInt16BE(this.#inFlight[index]?.packetId ?? 0, at);
    }
    this.#inFlight.splice(0, due);
    this.#options.send(pubacks);
    this.advance();
    if (this.#inFlight.length + this.#waiting.length === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
