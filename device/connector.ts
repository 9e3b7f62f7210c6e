/**
 * Keeps one link open: attempts, waits, fail-over and fail-back, for ever until stopped.
 *
 * What to try and how long to wait is decided in session-endpoints.ts; here
 * are the timers and the links.
 * @module
 */
import {
  type Clock,
  messageOf,
  OmegaError,
  type Timer,
  TransportError,
} from "../src/core/index.ts";
import type { Link, LinkHandlers, LinkOptions, OpenLink } from "./link.ts";
import type { Attempt, EndpointChooser, FailureKind } from "./session-endpoints.ts";

export interface ConnectorHandlers {
  connecting(url: string): void;
  online(link: Link, url: string): void;
  /** An attempt or a connection failed; the next attempt is already planned. */
  offline(error: OmegaError): void;
  message: LinkHandlers["message"];
  /** May this connection be left for a better endpoint right now? */
  idle(): boolean;
}

export interface ConnectorOptions {
  readonly chooser: EndpointChooser;
  readonly stableMs: number;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly password: () => Promise<string | undefined>;
  readonly link: Omit<LinkOptions, "url" | "password" | "signal">;
}

/** How soon to look again when fail-back is due but the link is busy. */
const FAIL_BACK_RETRY_MS = 5_000;

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #handlers: ConnectorHandlers;
  #running = false;
  #link: Link | null = null;
  #index = 0;
  /** Rises with every link, so that late callbacks of an old one are told apart. */
  #round = 0;
  #retry: Timer | null = null;
  #stable: Timer | null = null;
  #failBack: Timer | null = null;
  #attempt: AbortController | null = null;

  constructor(options: ConnectorOptions, handlers: ConnectorHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  get link(): Link | null {
    return this.#link;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#plan();
  }

  /** Ends the link, every timer and an attempt under way. Idempotent. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#round += 1;
    this.#cancelTimers();
    const link = this.#link;
    this.#link = null;
    this.#attempt?.abort();
    await link?.close();
  }

  /** Gives up the current link as failed, for a reason the link itself cannot see. */
  drop(error: OmegaError): void {
    const link = this.#link;
    if (link === null) return;
    link.abort();
    this.#lost(error);
  }

  #plan(): void {
    const { chooser, clock } = this.#options;
    const attempt = chooser.next(clock.monotonicMs());
    this.#retry = clock.after(attempt.delayMs, () => {
      void this.#try(attempt);
    });
  }

  async #try({ index, endpoint }: Attempt): Promise<void> {
    const { openLink, password, link: options, chooser, clock } = this.#options;
    this.#round += 1;
    const round = this.#round;
    this.#index = index;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#handlers.connecting(endpoint.url);
    try {
      const secret = await password();
      attempt.signal.throwIfAborted();
      const link = await openLink(
        { ...options, url: endpoint.url, password: secret, signal: attempt.signal },
        {
          message: (direction, payload) => this.#handlers.message(direction, payload),
          closed: (error) => {
            if (round === this.#round) this.#lost(error);
          },
        },
      );
      if (!this.#running || round !== this.#round) {
        await link.close();
        return;
      }
      this.#link = link;
      chooser.connected(index);
      this.#stable = clock.after(this.#options.stableMs, () => chooser.stable(index));
      this.#planFailBack(chooser.failBackDelayMs(index));
      this.#handlers.online(link, endpoint.url);
      link.flow();
    } catch (error) {
      if (this.#running && round === this.#round) this.#lost(asOmegaError(error));
    }
  }

  #lost(error: OmegaError): void {
    this.#round += 1;
    this.#link = null;
    this.#cancelTimers();
    const { chooser, clock } = this.#options;
    chooser.failed(this.#index, failureKind(error), clock.monotonicMs());
    this.#handlers.offline(error);
    if (this.#running) this.#plan();
  }

  #planFailBack(delayMs: number | null): void {
    if (delayMs === null) return;
    this.#failBack = this.#options.clock.after(
      delayMs,
      () => {
        if (!this.#handlers.idle()) this.#planFailBack(FAIL_BACK_RETRY_MS);
        else this.#goBack();
      },
      { background: true },
    );
  }

  #goBack(): void {
    const link = this.#link;
    if (link === null) return;
    this.#round += 1;
    this.#link = null;
    this.#cancelTimers();
    this.#options.chooser.failBack(this.#index);
    this.#handlers.offline(
      new TransportError("connection.fail-back", "going back to a preferred endpoint"),
    );
    void link.close().then(() => {
      if (this.#running && this.#link === null) this.#plan();
    });
  }

  #cancelTimers(): void {
    for (const timer of [this.#retry, this.#stable, this.#failBack]) timer?.cancel();
    this.#retry = null;
    this.#stable = null;
    this.#failBack = null;
  }
}

function failureKind(error: OmegaError): FailureKind {
  if (error.reason === "connect.busy") return "busy";
  return error.reason === "connect.credentials" ? "credentials" : "network";
}

function asOmegaError(error: unknown): OmegaError {
  if (error instanceof OmegaError) return error;
  return new TransportError("connect.credentials", `credentials unavailable: ${messageOf(error)}`, {
    cause: error,
  });
}
