/**
 * A device, a server and an unkind network between them, one step at a time.
 *
 * The session is the real one, its outbox log an array of records; what a
 * crash may lose is exactly what was not promised: records after the last
 * durable one. Connections keep their order; a cut loses a suffix, or leaves
 * it with a gateway that delivers later.
 * @module
 */

import { Session } from "../../device/session.ts";
import { restoreOutbox } from "../../device/session-apply.ts";
import type { Effect, Notice, SessionEvent, SessionTimer } from "../../device/session-events.ts";
import type { Held } from "../../device/session-held.ts";
import { type Delta, intake } from "../../device/session-intake.ts";
import { encodeRecord } from "../../device/session-log.ts";
import { type HeldModel, HeldModels } from "../../device/session-models.ts";
import { OmegaError, type Random, seededRandom } from "../../src/core/index.ts";
import {
  decodeModel,
  loadZstd,
  type Position,
  readModelFrame,
  type Zstd,
} from "../../src/wire/index.ts";
import { ServerModel } from "./server-model.ts";

export const DIM = 8;
export const zstd: Zstd = await loadZstd();

interface Up {
  readonly payload: Uint8Array;
  readonly position: Position | null;
}

/** What device/models.ts makes of the frame from a codec topic, without its pauses. */
function modelEvent(bytes: Uint8Array): SessionEvent {
  try {
    return {
      kind: "model",
      held: { model: decodeModel(readModelFrame(bytes).model), frame: bytes },
    };
  } catch (error) {
    if (!(error instanceof OmegaError)) throw error;
    return { kind: "model-broken", error, bytes: bytes.byteLength };
  }
}

export interface WorldOptions {
  readonly seed?: number;
  /** Default 0; with 1 the device reads rendition 1 and writes codec 1. */
  readonly codec?: 0 | 1;
  readonly mode?: "tracking" | "unbiased";
  readonly dailyBytesMax?: number;
  readonly budgetBytes?: number;
  readonly outboxBytesMax?: number;
}

export class World {
  readonly server = new ServerModel(zstd, DIM);
  readonly notices: Notice[] = [];
  readonly random: Random;
  session: Session;
  connected = false;
  nowMs = 0;
  /** On the wire, oldest first; both empty when disconnected. */
  up: Up[] = [];
  down: { readonly kind: "down" | "err" | "model"; readonly bytes: Uint8Array }[] = [];
  acks: Position[] = [];
  /** Left with a dying gateway; may reach the server later, in any order. */
  delayed: Up[] = [];
  readonly timers = new Map<SessionTimer, number>();
  #log: { readonly bytes: Uint8Array; readonly durable: boolean }[] = [];
  #cached: Held | null = null;
  #models: readonly HeldModel[] = [];
  #options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.random = seededRandom(options.seed ?? 1);
    this.session = this.#boot(false);
  }

  #boot(damaged: boolean): Session {
    const records = this.#log.map((entry) => entry.bytes);
    const { state } = restoreOutbox("default/tv", DIM, { records, damaged });
    return new Session(
      {
        budgetBytes: this.#options.budgetBytes ?? 15 * 1024,
        outboxBytesMax: this.#options.outboxBytesMax ?? 1024 * 1024,
        ackTimeoutMs: 30_000,
        downWaitMs: 4_000,
        pullBackoff: { delayMsBase: 1_000, delayMsMax: 60_000 },
        codec: this.#options.codec ?? 0,
        mode: this.#options.mode ?? "tracking",
        dailyBytesMax: this.#options.dailyBytesMax ?? null,
        zstd,
        random: this.random,
      },
      state,
      this.#cached,
      new HeldModels(DIM, this.#models),
    );
  }

  tell(event: SessionEvent): void {
    this.#perform(this.session.handle(event, this.nowMs));
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "append":
          this.#log.push({ bytes: encodeRecord(effect.record), durable: effect.durable });
          break;
        case "publish":
          // A publish promises that everything before it is durable.
          this.#log = this.#log.map(({ bytes }) => ({ bytes, durable: true }));
          if (this.connected) this.up.push(effect);
          break;
        case "timer":
          this.timers.set(effect.timer, this.nowMs + effect.delayMs);
          break;
        case "cancel":
          this.timers.delete(effect.timer);
          break;
        case "disconnect":
          this.disconnect(0);
          break;
        case "cache":
          this.#cached = effect.held;
          break;
        case "keep-models":
          this.#models = effect.models.map(({ frame }) => {
            return { model: decodeModel(readModelFrame(frame).model), frame };
          });
          break;
        case "fetch-model": {
          const bytes = this.server.modelFrames.get(effect.version);
          if (this.connected && bytes !== undefined) this.down.push({ kind: "model", bytes });
          break;
        }
        case "notify":
          this.notices.push(effect.notice);
          break;
      }
    }
  }

  put(delta: Delta): void {
    const record = this.session.planPut(intake(delta, DIM, 1_700_000_000));
    this.#log.push({ bytes: encodeRecord(record), durable: true });
    this.#log = this.#log.map(({ bytes }) => ({ bytes, durable: true }));
    this.tell({ kind: "stored", record });
  }

  connect(): void {
    if (this.connected) return;
    this.connected = true;
    this.server.minor = 0; // A gateway knows nothing of a device but what this connection says.
    this.tell({ kind: "connecting" });
    const greeting = this.session.greeting();
    if (greeting !== null) this.server.receive(greeting);
    this.tell({ kind: "online" });
    this.push();
  }

  /** Err before down, as a gateway does on SUBSCRIBE, on a release and on a new problem. */
  push(): void {
    if (!this.connected) return;
    const bytes = this.server.err();
    if (bytes !== null) this.down.push({ kind: "err", bytes });
    for (const frame of this.server.downs()) this.down.push({ kind: "down", bytes: frame });
  }

  /** Cuts the connection; the first `kept` frames on the wire stay with a gateway that sends them later. */
  disconnect(kept: number): void {
    if (!this.connected) return;
    this.connected = false;
    this.delayed.push(...this.up.slice(0, kept));
    this.up = [];
    this.down = [];
    this.acks = [];
    this.tell({ kind: "offline" });
  }

  /** Delivers the oldest frame on the wire; its PUBACK sets out. */
  deliverUp(): boolean {
    const frame = this.up.shift();
    if (frame === undefined) return false;
    const problems = this.server.problems.length;
    this.server.receive(frame.payload);
    if (frame.position === null) this.push();
    else this.acks.push(frame.position);
    if (this.server.problems.length > problems) this.push();
    return true;
  }

  deliverDelayed(index: number): void {
    const [frame] = this.delayed.splice(index % Math.max(1, this.delayed.length), 1);
    if (frame !== undefined) this.server.receive(frame.payload);
  }

  deliverAck(): boolean {
    const position = this.acks.shift();
    if (position === undefined) return false;
    this.tell({ kind: "acked", position });
    return true;
  }

  deliverDown(): boolean {
    const message = this.down.shift();
    if (message === undefined) return false;
    const { kind, bytes } = message;
    this.tell(kind === "model" ? modelEvent(bytes) : { kind, bytes });
    return true;
  }

  fireTimers(): void {
    this.nowMs = Math.max(this.nowMs, ...this.timers.values());
    for (const timer of [...this.timers.keys()]) {
      this.timers.delete(timer);
      this.tell({ kind: "timer", timer });
    }
  }

  /** kill -9: of the records after the last durable one, the first `survivors` are on disk. */
  crash(survivors: number, damaged = false): void {
    this.disconnect(this.up.length);
    const durable = this.#log.findLastIndex((entry) => entry.durable) + 1;
    this.#log = this.#log.slice(0, durable + survivors);
    this.timers.clear();
    this.session = this.#boot(damaged);
    if (damaged) this.compact();
  }

  /** Another version of the software starts on the same disk. */
  restartWith(options: WorldOptions): void {
    this.#options = { ...this.#options, ...options };
    this.crash(Number.MAX_SAFE_INTEGER);
  }

  loseCache(): void {
    this.#cached = null;
  }

  loseModels(): void {
    this.#models = [];
  }

  /** The codec models on the device's disk. */
  get storedModels(): number[] {
    return this.#models.map(({ model }) => model.version);
  }

  /** The device loses its memory altogether. */
  wipe(): void {
    this.disconnect(this.up.length);
    this.#log = [];
    this.#cached = null;
    this.#models = [];
    this.timers.clear();
    this.session = this.#boot(false);
  }

  compact(): void {
    this.#log = this.session
      .snapshot()
      .map((record) => ({ bytes: encodeRecord(record), durable: true }));
  }

  /** Lets everything on its way arrive, until nothing moves. */
  settle(): void {
    for (let round = 0; round < 500; round += 1) {
      const moved = this.deliverUp() || this.deliverAck() || this.deliverDown();
      if (!moved) return;
    }
    throw new Error("device and server keep talking for ever");
  }

  /** All faults end: late frames arrive, the device connects, the server tells its watermark. */
  heal(): void {
    while (this.delayed.length > 0) this.deliverDelayed(0);
    this.connect();
    this.settle();
    for (let round = 0; round < 8; round += 1) {
      this.push();
      this.settle();
      if (this.session.pending === 0 && this.session.phase === "live") continue;
      this.fireTimers();
      this.connect();
      this.settle();
    }
  }
}

/** A pattern whose embedding is decided by `variant`. */
export function pattern(id: string, variant: number, weight = 5) {
  const embedding = Array.from(
    { length: DIM },
    (_, index) => Math.sin(variant * 7 + index * 3) / 3,
  );
  return { id, embedding, weight };
}
