/**
 * Staying subscribed, whatever carries the notifications.
 *
 *   idle ──first listener──▶ opening ──subscribed──▶ live ──lost, or no ping──▶ waiting
 *    ▲                          ▲                     │                           │
 *    │                          └───── backoff ───────┼───────────────────────────┘
 *    └────────────────── last listener gone ──────────┘
 *
 * What was published while the link was down is lost, so after every
 * subscription the current version and the newest codec model of every tenant
 * are announced again. A ping on a timer finds out that a silent link is dead.
 * @module
 */
import {
  type BackoffPolicy,
  backoffDelayMs,
  type Clock,
  messageOf,
  type Random,
  type Timer,
} from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import { Listeners, modelEvent, releaseEvent } from "./events.ts";
import type { StoreListener } from "./port.ts";

/** A subscription that works right now. */
export interface NotificationLink {
  /** Rejects, within a bounded time, when the link is dead. */
  ping(): Promise<void>;
  close(): void;
}

export interface NotificationSource {
  /** Resolves once subscribed. `onLost` may be called more than once, or never. */
  open(onEvent: (event: string) => void, onLost: () => void): Promise<NotificationLink>;
  /** The current version of every tenant that has a release. */
  releaseVersions(): Promise<ReadonlyMap<string, number>>;
  /** The newest codec model of every tenant that has one. */
  modelVersions(): Promise<ReadonlyMap<string, number>>;
}

export interface WatchOptions {
  readonly source: NotificationSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const PING_EVERY_MS = 10_000;
const REOPEN: BackoffPolicy = { delayMsBase: 100, delayMsMax: 3_000 };

export class Watch {
  readonly #options: WatchOptions;
  readonly #listeners: Listeners;
  #session: Session | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#listeners = new Listeners((error) =>
      options.log.error("store.listener.failed", { message: messageOf(error) }),
    );
  }

  /** Resolves once subscribed and told the current versions; rejects, subscribed to nothing, when that fails. */
  async add(listener: StoreListener): Promise<() => Promise<void>> {
    const remove = this.#listeners.add(listener);
    const leave = () => {
      remove();
      if (this.#listeners.size === 0) this.close();
    };
    const isFirst = this.#session === null;
    this.#session ??= new Session(this.#options, this.#listeners);
    const session = this.#session;
    try {
      await session.opened;
      if (!isFirst) await session.announce();
    } catch (error) {
      leave();
      throw error;
    }
    return async () => leave();
  }

  close(): void {
    this.#listeners.clear();
    this.#session?.stop();
    this.#session = null;
  }
}

/** From the first listener to the last: one link at a time. */
class Session {
  readonly #options: WatchOptions;
  readonly #listeners: Listeners;
  #link: NotificationLink | null = null;
  #timer: Timer | null = null;
  #attempt = 0;
  /** Rises whenever a link is given up, so that what an old one still says is ignored. */
  #generation = 0;
  #stopped = false;
  /** Settles with the first attempt. */
  readonly opened: Promise<void>;

  constructor(options: WatchOptions, listeners: Listeners) {
    this.#options = options;
    this.#listeners = listeners;
    this.opened = this.#open();
  }

  /** Tells the current versions; says nothing while the link is down, because its return will. */
  async announce(): Promise<void> {
    if (this.#link === null) return;
    const { source } = this.#options;
    for (const [tenant, version] of await source.releaseVersions()) {
      this.#listeners.dispatch(releaseEvent(tenant, version));
    }
    for (const [tenant, version] of await source.modelVersions()) {
      this.#listeners.dispatch(modelEvent(tenant, version));
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#drop();
  }

  async #open(): Promise<void> {
    const generation = this.#generation;
    const link = await this.#options.source.open(
      (event) => this.#listeners.dispatch(event),
      () => this.#onLost(generation),
    );
    if (this.#stopped || generation !== this.#generation) {
      link.close();
      return;
    }
    this.#link = link;
    await this.announce();
    this.#attempt = 0;
    this.#pingLater(link, generation);
  }

  #drop(): void {
    this.#generation += 1;
    this.#timer?.cancel();
    this.#timer = null;
    this.#link?.close();
    this.#link = null;
  }

  #onLost(generation: number): void {
    if (this.#stopped || generation !== this.#generation || this.#link === null) return;
    this.#options.log.warn("store.watch.lost");
    this.#openLater();
  }

  #openLater(): void {
    this.#drop();
    const delayMs = backoffDelayMs(REOPEN, this.#attempt, this.#options.random);
    this.#attempt += 1;
    this.#timer = this.#options.clock.after(delayMs, () => void this.#reopen());
  }

  async #reopen(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      if (this.#stopped) return;
      this.#options.log.warn("store.watch.unavailable", { message: messageOf(error) });
      this.#openLater();
    }
  }

  #pingLater(link: NotificationLink, generation: number): void {
    if (this.#stopped || generation !== this.#generation) return;
    const ping = () => {
      link.ping().then(
        () => this.#pingLater(link, generation),
        () => this.#onLost(generation),
      );
    };
    this.#timer = this.#options.clock.after(PING_EVERY_MS, ping, { background: true });
  }
}
