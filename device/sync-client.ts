/**
 * The sync client: the one object an application holds.
 *
 *   application ──sync(delta)──▶ outbox (durable) ──▶ gateway ──▶ PUBACK
 *   application ◀──"release"──── newest global patterns ◀── retained down topic
 *
 * It wires the session (decisions), the engine (order and durability) and the
 * connector (links) together and adds what only an application needs: waiting
 * for acknowledgements, events, a look at the patterns.
 * @module
 */
import {
  type DeviceKey,
  deviceName,
  type OmegaError,
  RetryExhaustedError,
  TransportError,
} from "../src/core/index.ts";
import { loadZstd, type Trend, type Zstd } from "../src/wire/index.ts";
import { SyncClientBuilder } from "./builder.ts";
import {
  type SyncClientEvents,
  type SyncClientStats,
  type SyncResult,
  tell,
} from "./client-events.ts";
import { Connector } from "./connector.ts";
import { Emitter } from "./emitter.ts";
import { Engine } from "./engine.ts";
import type { MessageLine } from "./link.ts";
import { modelEvent, readModels } from "./models.ts";
import { type ResolvedOptions, resolveOptions, type SyncClientOptions } from "./options.ts";
import { type GlobalPattern, patternsOf } from "./patterns.ts";
import { Session } from "./session.ts";
import { restoreOutbox } from "./session-apply.ts";
import { EndpointChooser } from "./session-endpoints.ts";
import { type Notice, type Phase, zeroStats } from "./session-events.ts";
import { type Held, readCachedRelease } from "./session-held.ts";
import { type Delta, intake } from "./session-intake.ts";
import type { BelievedRegister } from "./session-state.ts";
import type { OutboxStorage } from "./storage.ts";
import { FileStorage } from "./storage-file.ts";
import { Tickets } from "./tickets.ts";

interface Running {
  readonly session: Session;
  readonly engine: Engine;
  readonly connector: Connector;
  readonly storage: OutboxStorage;
}

const PULL_BACKOFF = { delayMsBase: 1_000, delayMsMax: 300_000 };

export class SyncClient {
  readonly #options: ResolvedOptions;
  readonly #key: DeviceKey;
  readonly #events = new Emitter<SyncClientEvents>();
  readonly #tickets = new Tickets();
  #running: Running | null = null;
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #connections = 0;
  #lastError: OmegaError | null = null;
  #lastSyncMs = Number.NEGATIVE_INFINITY;
  #view: { readonly of: Held; readonly patterns: ReadonlyMap<string, GlobalPattern> } | null = null;

  /** Throws `InvalidConfigError` with every fault at once. Nothing happens before {@link start}. */
  constructor(options: SyncClientOptions) {
    this.#options = resolveOptions(options);
    this.#key = { tenant: this.#options.tenant, device: this.#options.deviceId };
  }

  static builder(): SyncClientBuilder<SyncClient> {
    return new SyncClientBuilder((options) => new SyncClient(options));
  }

  /**
   * Opens the outbox and begins to connect; resolves when the client is usable, online or not.
   * Rejects `TransportError("outbox.locked")` when another process uses `dataDir`,
   * `InvalidConfigError` when it belongs to another device.
   */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = null; // Another try may find the directory free.
      throw error;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    const options = this.#options;
    const storage = options.storage ?? new FileStorage(options.dataDir ?? "");
    const zstd = options.zstd ?? (await loadZstd());
    const log = await storage.open();
    try {
      const { state, damaged } = restoreOutbox(deviceName(this.#key), options.dim, log);
      const models = await readModels(storage, options.dim, (error) => this.#fault(error));
      const cached = await storage.readRelease();
      const held = cached === null ? null : readCachedRelease(cached, models, zstd);
      const session = new Session(this.#sessionOptions(zstd), state, held, models);
      const engine = this.#engine(session, storage, zstd);
      const connector = this.#connector(engine, session);
      this.#running = { session, engine, connector, storage };
      if (damaged) {
        const message = "the outbox log was damaged: what survived is sent again in a new epoch";
        this.#fault(new TransportError("outbox.damaged", message));
      }
      if (damaged || log.records.length === 0) {
        await engine.rewrite().catch((error: unknown) => engine.fallBehind(error));
      }
      connector.start();
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  #sessionOptions(zstd: Zstd) {
    const { budgetBytes, dailyBytesMax, outboxBytesMax, timeout, connectTimeoutMs } = this.#options;
    const { codec, mode, random } = this.#options;
    return {
      budgetBytes,
      dailyBytesMax,
      outboxBytesMax,
      ackTimeoutMs: timeout * 1000,
      downWaitMs: connectTimeoutMs,
      pullBackoff: PULL_BACKOFF,
      codec,
      mode,
      zstd,
      random,
    };
  }

  #engine(session: Session, storage: OutboxStorage, zstd: Zstd): Engine {
    return new Engine({
      session,
      storage,
      zstd,
      clock: this.#options.clock,
      publish: (payload, position) => {
        const { connector, engine } = this.#running ?? {};
        void connector?.link?.publish(payload).then(() => {
          if (position !== null) void engine?.post({ kind: "acked", position });
        });
      },
      fetchModel: (version) => this.#running?.connector.link?.fetchModel(version),
      disconnect: (error) => this.#running?.connector.drop(error),
      notify: (notice) => this.#notified(notice),
    });
  }

  #connector(engine: Engine, session: Session): Connector {
    const { endpoints, backoff, stableMs, failBackMs, random, clock, openLink } = this.#options;
    const { credentials, tls, keepalive, connectTimeoutMs, loginTimeoutMs } = this.#options;
    const { password } = credentials;
    return new Connector(
      {
        chooser: new EndpointChooser(endpoints, { backoff, stableMs, failBackMs }, random),
        stableMs,
        clock,
        openLink,
        password: async () => (typeof password === "function" ? await password() : password),
        link: {
          key: this.#key,
          username: credentials.username ?? deviceName(this.#key),
          tls,
          keepaliveS: keepalive,
          connectTimeoutMs,
          loginTimeoutMs,
          greeting: () => session.greeting(),
          clock,
        },
      },
      {
        connecting: () => void engine.post({ kind: "connecting" }),
        online: () => {
          this.#connections += 1;
          void engine.post({ kind: "online" });
        },
        offline: (error) => {
          void engine.post({ kind: "offline" });
          this.#fault(error);
        },
        message: (line, bytes) => this.#message(engine, line, bytes),
        idle: () => session.pending === 0,
      },
    );
  }

  #message(engine: Engine, line: MessageLine, bytes: Uint8Array): Promise<void> {
    if (line !== "model") return engine.post({ kind: line, bytes });
    // It takes a while to make a model ready; what comes behind it need not wait.
    void modelEvent(bytes).then((event) => engine.post(event));
    return Promise.resolve();
  }

  /**
   * Stops: refuses new deltas, waits a bounded time for acknowledgements under way, disconnects,
   * closes the outbox. What is not acknowledged stays in it. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => {});
    const running = this.#running;
    if (running === null) return;
    const { engine, connector, session } = running;
    if (connector.link !== null && session.pending > 0) await this.#drained(session);
    await connector.stop();
    await engine.post({ kind: "stop" });
    await engine.close();
    this.#tickets.cancelAll(
      new TransportError(
        "client.stopped",
        "the client was stopped before the acknowledgement; the delta is safe in the outbox",
      ),
    );
  }

  /** Everything acknowledged, the link lost, or `stopTimeoutMs` over: whichever comes first. */
  #drained(session: Session): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        for (const off of listening) off();
        resolve();
      };
      const timer = this.#options.clock.after(this.#options.stopTimeoutMs, done);
      const listening = [
        this.on("acked", () => {
          if (session.pending === 0) done();
        }),
        this.on("phase", ({ phase }) => {
          if (phase === "offline") done();
        }),
      ];
    });
  }

  /**
   * Is it time to sync? True once `syncInterval` has passed since the last `sync()` and there is
   * something to say: the delta given is not empty or the outbox holds unacknowledged changes.
   * Without a delta the caller is taken to have something.
   */
  shouldSync(delta?: Delta): boolean {
    const elapsedMs = this.#options.clock.monotonicMs() - this.#lastSyncMs;
    if (elapsedMs < this.#options.syncInterval * 1000) return false;
    if (delta === undefined || this.pending > 0) return true;
    return delta.upserts.length + (delta.removals?.length ?? 0) > 0;
  }

  /**
   * Makes `delta` durable, sends it, and resolves when the gateway has acknowledged all of it.
   *
   * Rejects with `RetryExhaustedError("sync.unacked")` after `retryAttempts` × `timeout` seconds:
   * the delta is still in the outbox and is sent as soon as a gateway answers; do not sync it again.
   * Rejects with the signal's reason when `signal` aborts (same). Nothing was stored when it rejects
   * with `SerializationError("delta.…")`, `TransportError("outbox.full" | "outbox.write")`.
   */
  async sync(delta: Delta, options: { readonly signal?: AbortSignal } = {}): Promise<SyncResult> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { clock, retryAttempts, timeout } = this.#options;
    this.#lastSyncMs = clock.monotonicMs();
    const items = this.#intake(delta);
    if (items.length === 0) return { acked: true, positions: [] };
    const ids = items.map((item) => item.id);
    let ticket: ReturnType<Tickets["open"]> | undefined;
    await this.#require().engine.put(items, (generation) => {
      ticket = this.#tickets.open(generation, ids);
      // Whoever awaits `settled` below sees the rejection; until then it is not unhandled.
      ticket.settled.catch(() => {});
    });
    if (ticket === undefined) throw new Error("assertion failed: a stored put has a ticket");
    const { settled, cancel } = ticket;
    const timer = clock.after(retryAttempts * timeout * 1000, () => cancel(this.#exhausted()));
    const onAbort = () => cancel(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return { acked: true, positions: await settled };
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Makes `delta` durable and returns; it is sent as soon as possible. Rejects as {@link sync} does. */
  async enqueue(delta: Delta): Promise<void> {
    const items = this.#intake(delta);
    if (items.length > 0) await this.#require().engine.put(items, () => {});
  }

  #intake(delta: Delta) {
    return intake(delta, this.#options.dim, Math.floor(this.#options.clock.nowMs() / 1000));
  }

  #require(): Running {
    if (this.#running !== null && this.#stopping === null) return this.#running;
    const state = this.#stopping === null ? "not started" : "stopped";
    throw new TransportError(`client.${state.replace(" ", "-")}`, `the client is ${state}`);
  }

  #exhausted(): RetryExhaustedError {
    const { retryAttempts, timeout } = this.#options;
    const message =
      `no acknowledgement after ${retryAttempts} × ${timeout} s (${this.phase}); ` +
      "the delta is safe in the outbox and will be sent when a gateway answers";
    return new RetryExhaustedError("sync.unacked", message, {
      detail: { retryAttempts, timeout, phase: this.phase, pending: this.pending },
      ...(this.#lastError === null ? {} : { cause: this.#lastError }),
    });
  }

  /** Calls `listener` on every `event`; returns what ends that. */
  on<Event extends keyof SyncClientEvents>(
    event: Event,
    listener: (value: SyncClientEvents[Event]) => void,
  ): () => void {
    return this.#events.on(event, listener);
  }

  /** The newest release's patterns by id; empty before the first. Replaced, never changed. */
  get patterns(): ReadonlyMap<string, GlobalPattern> {
    const held = this.#running?.session.held ?? null;
    if (held === null) return new Map();
    if (this.#view?.of !== held) this.#view = { of: held, patterns: patternsOf(held) };
    return this.#view.patterns;
  }

  /** What is watched everywhere right now, best first. */
  get trends(): readonly Trend[] {
    return this.#running?.session.held?.release.trends ?? [];
  }

  /** The release version held; 0 before the first. */
  get version(): number {
    return this.#running?.session.held?.release.version ?? 0;
  }

  /** The content hash of the release held (8 bytes), or null. */
  get contentHash(): Uint8Array | null {
    return this.#running?.session.held?.hash ?? null;
  }

  get phase(): Phase {
    return this.#running?.session.phase ?? "offline";
  }

  /** Changes not yet acknowledged. */
  get pending(): number {
    return this.#running?.session.pending ?? 0;
  }

  /** The incarnation that names this device's deltas; 0 before it has heard which are taken. */
  get epoch(): number {
    return this.#running?.session.epoch ?? 0;
  }

  get stats(): SyncClientStats {
    return {
      ...(this.#running?.session.stats ?? zeroStats()),
      reconnects: Math.max(0, this.#connections - 1),
      outboxBytes: this.#running?.storage.bytes ?? 0,
    };
  }

  /** P6: the registers that the server surely holds of this device, for tests and diagnosis. */
  believedRegisters(): ReadonlyMap<string, BelievedRegister> {
    return this.#running?.session.believedRegisters() ?? new Map();
  }

  #notified(notice: Notice): void {
    if (notice.kind === "acked") this.#tickets.acked(notice.position, notice.items);
    if (notice.kind === "lost") this.#tickets.lost(notice.items, notice.error);
    if (notice.kind === "error") this.#fault(notice.error);
    else tell(this.#events, notice);
  }

  #fault(error: OmegaError): void {
    this.#lastError = error;
    this.#events.emit("error", error);
  }
}
