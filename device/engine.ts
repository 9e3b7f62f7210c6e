/**
 * The engine: carries out what the session decides, one event at a time.
 *
 * Everything that changes the session waits in one line, so the order of the
 * log is the order of what happened. Puts that wait together are stored with
 * one fdatasync. P3 lives here: a publish is carried out only after every
 * append before it is durable.
 * @module
 */
import {
  type Clock,
  messageOf,
  OmegaError,
  type Timer,
  TransportError,
} from "../src/core/index.ts";
import type { Position, Zstd } from "../src/wire/index.ts";
import type { Session } from "./session.ts";
import type { Effect, Notice, SessionEvent, SessionTimer } from "./session-events.ts";
import { encodeCachedRelease, type Held } from "./session-held.ts";
import { encodeRecord, type PutItem } from "./session-log.ts";
import type { OutboxStorage, StoredModel } from "./storage.ts";

export interface EngineOptions {
  readonly session: Session;
  readonly storage: OutboxStorage;
  readonly clock: Clock;
  readonly zstd: Zstd;
  /** Hands a frame to the current link, if there is one. */
  publish(payload: Uint8Array, position: Position | null): void;
  /** Asks the current link, if there is one, for a codec model. */
  fetchModel(version: number): void;
  disconnect(error: OmegaError): void;
  notify(notice: Notice): void;
}

type Job =
  | { readonly kind: "event"; readonly event: SessionEvent; resolve(): void }
  | { readonly kind: "repair" }
  | {
      readonly kind: "put";
      readonly items: readonly PutItem[];
      stored(generation: number): void;
      reject(error: unknown): void;
    };
type PutJob = Extract<Job, { kind: "put" }>;

const REPAIR_DELAY_MS = 5_000;

export class Engine {
  readonly #options: EngineOptions;
  readonly #timers = new Map<SessionTimer, Timer>();
  #jobs: Job[] = [];
  #running: Promise<void> | null = null;
  #closed = false;
  /** The log is behind the session: only a rewrite brings them together again. */
  #behind = false;
  #repair: Timer | null = null;
  /** The log is rewritten when it grows past this: twice what it took after the last time. */
  #compactAt: number;
  #caching: Promise<void> | null = null;
  #cacheNext: Held | null = null;
  #modelsNext: readonly StoredModel[] | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#compactAt = options.storage.rewriteBytesMin;
  }

  /** Resolves when the session has dealt with `event` and everything that followed is done. */
  post(event: SessionEvent): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) resolve();
      else this.#add({ kind: "event", event, resolve });
    });
  }

  /**
   * Stores a put. `stored` is called with its generation the moment it is durable, before anything
   * of it can be sent or settled; the promise resolves then, or rejects with nothing stored.
   */
  put(items: readonly PutItem[], stored: (generation: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new TransportError("client.stopped", "the client is stopped"));
        return;
      }
      const onStored = (generation: number) => {
        stored(generation);
        resolve();
      };
      this.#add({ kind: "put", items, stored: onStored, reject });
    });
  }

  /** Writes the whole state anew; for a log that was damaged or is fresh. */
  async rewrite(): Promise<void> {
    const { session, storage } = this.#options;
    await storage.rewrite(session.snapshot().map(encodeRecord));
    this.#compactAt = Math.max(storage.rewriteBytesMin, storage.bytes * 2);
  }

  /** Marks the log as behind, when the first {@link rewrite} failed: the engine keeps trying. */
  async fallBehind(error: unknown): Promise<void> {
    await this.#fellBehind(error, []);
  }

  /** Finishes what waits, then gives the storage back. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#repair?.cancel();
    await this.#running;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    await this.#caching;
    await this.#options.storage.close();
  }

  #add(job: Job): void {
    this.#jobs.push(job);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Let what this turn adds join in, so that simultaneous puts share one fdatasync.
    await Promise.resolve();
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      if (job.kind === "put") await this.#store([job, ...this.#takePuts()]);
      else if (job.kind === "repair") await this.#repairLog();
      else {
        await this.#handle(job.event);
        job.resolve();
      }
      await this.#compact();
    }
    this.#running = null;
  }

  #takePuts(): PutJob[] {
    const puts: PutJob[] = [];
    for (let next = this.#jobs[0]; next?.kind === "put"; next = this.#jobs[0]) {
      puts.push(next);
      this.#jobs.shift();
    }
    return puts;
  }

  async #store(jobs: readonly PutJob[]): Promise<void> {
    const { session, storage, clock } = this.#options;
    if (this.#behind) await this.#repairLog();
    const planned = jobs.flatMap((job) => {
      try {
        return [{ job, record: session.planPut(job.items) }];
      } catch (error) {
        job.reject(error);
        return [];
      }
    });
    try {
      if (this.#behind) throw new TransportError("outbox.write", "the outbox cannot be written");
      const records = planned.map(({ record }) => encodeRecord(record));
      if (records.length > 0) await storage.append(records, true);
    } catch (error) {
      for (const { job } of planned) job.reject(error);
      return;
    }
    const effects: Effect[] = [];
    for (const [index, { job, record }] of planned.entries()) {
      const more = index < planned.length - 1;
      const handled = session.handle({ kind: "stored", record, more }, clock.monotonicMs());
      job.stored(session.generation);
      effects.push(...handled);
    }
    await this.#perform(effects);
  }

  async #handle(event: SessionEvent): Promise<void> {
    const { session, clock } = this.#options;
    await this.#perform(session.handle(event, clock.monotonicMs()));
  }

  async #perform(effects: readonly Effect[]): Promise<void> {
    let appends: Promise<void>[] = [];
    const flush = async () => {
      const waiting = appends;
      appends = [];
      await Promise.all(waiting);
    };
    const { storage, publish } = this.#options;
    let failure: { readonly error: unknown } | null = null;
    const unpublished: Position[] = [];
    for (const effect of effects) {
      if (effect.kind === "append") {
        if (this.#behind || failure !== null) continue; // The rewrite will hold it.
        const append = storage.append([encodeRecord(effect.record)], effect.durable);
        append.catch(() => {}); // Awaited in flush.
        appends.push(append);
      } else if (effect.kind === "publish") {
        if (failure === null) await flush().catch((error: unknown) => (failure = { error }));
        if (failure === null) publish(effect.payload, effect.position);
        else if (effect.position !== null) unpublished.push(effect.position);
      } else this.#act(effect);
    }
    await flush().catch((error: unknown) => {
      failure ??= { error };
    });
    if (failure !== null)
      await this.#fellBehind((failure as { error: unknown }).error, unpublished);
  }

  #act(effect: Exclude<Effect, { kind: "append" | "publish" }>): void {
    const { clock, disconnect, fetchModel, notify } = this.#options;
    switch (effect.kind) {
      case "timer": {
        this.#timers.get(effect.timer)?.cancel();
        const { timer } = effect;
        const fire = () => void this.post({ kind: "timer", timer });
        this.#timers.set(timer, clock.after(effect.delayMs, fire));
        break;
      }
      case "cancel":
        this.#timers.get(effect.timer)?.cancel();
        this.#timers.delete(effect.timer);
        break;
      case "disconnect":
        disconnect(effect.error);
        break;
      case "cache":
        this.#cacheNext = effect.held;
        this.#caching ??= this.#writeCaches();
        break;
      case "keep-models":
        this.#modelsNext = effect.models;
        this.#caching ??= this.#writeCaches();
        break;
      case "fetch-model":
        fetchModel(effect.version);
        break;
      case "notify":
        notify(effect.notice);
        break;
    }
  }

  async #fellBehind(error: unknown, unpublished: readonly Position[]): Promise<void> {
    this.#behind = true;
    this.#options.notify({ kind: "error", error: asWriteError(error) });
    this.#planRepair();
    await this.#handle({ kind: "unstored", unpublished });
  }

  #planRepair(): void {
    if (this.#closed) return;
    this.#repair?.cancel();
    this.#repair = this.#options.clock.after(REPAIR_DELAY_MS, () => this.#add({ kind: "repair" }));
  }

  async #repairLog(): Promise<void> {
    if (!this.#behind || this.#closed) return;
    try {
      await this.rewrite();
    } catch (error) {
      this.#options.notify({ kind: "error", error: asWriteError(error) });
      this.#planRepair();
      return;
    }
    this.#behind = false;
    this.#repair?.cancel();
    await this.#handle({ kind: "stored-again" });
  }

  async #compact(): Promise<void> {
    const { storage } = this.#options;
    if (this.#behind || this.#closed || storage.bytes <= this.#compactAt) return;
    try {
      await this.rewrite();
    } catch (error) {
      // The old log is whole; try again when it has grown by as much again.
      this.#compactAt = storage.bytes + storage.rewriteBytesMin;
      this.#options.notify({ kind: "error", error: asWriteError(error) });
    }
  }

  /**
   * Writes the newest release and models beside the line of events; a write under way is followed by
   * the newest only. Models first: without its model a release on disk is worth nothing.
   */
  async #writeCaches(): Promise<void> {
    const { storage, zstd } = this.#options;
    while (this.#modelsNext !== null || this.#cacheNext !== null) {
      const [models, held] = [this.#modelsNext, this.#cacheNext];
      this.#modelsNext = null;
      this.#cacheNext = null;
      if (models !== null) await this.#tryWrite(() => storage.writeModels(models));
      if (held !== null) {
        await this.#tryWrite(() => storage.writeRelease(encodeCachedRelease(held, zstd)));
      }
    }
    this.#caching = null;
  }

  async #tryWrite(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#options.notify({ kind: "error", error: asWriteError(error) });
    }
  }
}

function asWriteError(error: unknown): OmegaError {
  if (error instanceof OmegaError) return error;
  return new TransportError("outbox.write", `the outbox failed: ${messageOf(error)}`, {
    cause: error,
  });
}
