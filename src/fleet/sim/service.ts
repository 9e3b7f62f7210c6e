/**
 * A server of the backend, and the connections of processes to it.
 *
 * Each process has one connection: its calls arrive in order and are answered
 * in order. When the connection breaks, every call under way fails and nobody
 * knows which of them were done; when the network is cut, calls wait, time out,
 * and may be done much later.
 * @module
 */
import { type Random, TimeoutError, type Timer, TransportError } from "../../core/index.ts";
import type { Life } from "./life.ts";
import { type NetworkState, Pipe } from "./pipe.ts";
import type { Timeline } from "./timeline.ts";

/** What a caller is told when the answer is missing. */
export interface CallErrors {
  /** Surely not done. */
  readonly unavailable: string;
  /** Perhaps done. */
  readonly unknown: string;
}

/** A server that is up or down; what it answered is never forgotten. */
export interface ServiceState {
  up: boolean;
}

interface Call {
  readonly fail: (error: Error) => void;
}

const REFUSED_MS = 1;

export class Connection {
  readonly #life: Life;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #network: NetworkState;
  readonly #service: ServiceState;
  readonly #errors: CallErrors;
  readonly #timeoutMs: number;
  readonly #open = new Set<Call>();
  readonly #onBreak = new Set<() => void>();
  #there: Pipe;
  #back: Pipe;

  constructor(options: {
    readonly life: Life;
    readonly timeline: Timeline;
    readonly random: Random;
    readonly network: NetworkState;
    readonly service: ServiceState;
    readonly errors: CallErrors;
    readonly timeoutMs: number;
  }) {
    this.#life = options.life;
    this.#timeline = options.timeline;
    this.#random = options.random;
    this.#network = options.network;
    this.#service = options.service;
    this.#errors = options.errors;
    this.#timeoutMs = options.timeoutMs;
    this.#there = this.#pipe();
    this.#back = this.#pipe();
  }

  get life(): Life {
    return this.#life;
  }

  /** Has `act` done by the service. Rejects with one of the errors named, or with what `act` rejects with. */
  call<T>(act: () => Promise<T>, timeoutMs = this.#timeoutMs): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#life.alive) return;
      if (!this.#service.up) {
        const { unavailable } = this.#errors;
        this.#life.after(REFUSED_MS, () =>
          reject(new TransportError(unavailable, "connection refused")),
        );
        return;
      }
      let timer: Timer | null = null;
      const settle = (tell: () => void) => {
        if (!this.#open.delete(call)) return;
        timer?.cancel();
        tell();
      };
      const call: Call = { fail: (error) => settle(() => reject(error)) };
      this.#open.add(call);
      timer = this.#life.after(timeoutMs, () => {
        call.fail(new TimeoutError(this.#errors.unknown, `no answer in ${timeoutMs} ms`));
      });
      const back = this.#back;
      const answer = (tell: () => void) => back.send(() => this.#life.wake(() => settle(tell)));
      this.#there.send(() => {
        act().then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error as Error)),
        );
      });
    });
  }

  /** Something the service says by itself; lost when the connection breaks. */
  push(deliver: () => void): void {
    this.#back.send(() => this.#life.wake(deliver));
  }

  /** Calls `act` whenever the connection broke, until the returned function is called. */
  onBreak(act: () => void): () => void {
    this.#onBreak.add(act);
    return () => this.#onBreak.delete(act);
  }

  /** The connection breaks; the next call makes a new one. */
  break(): void {
    this.#there.close();
    this.#back.close();
    this.#there = this.#pipe();
    this.#back = this.#pipe();
    const calls = [...this.#open];
    this.#life.wake(() => {
      const { unknown } = this.#errors;
      for (const { fail } of calls) fail(new TimeoutError(unknown, "the connection broke"));
      for (const act of [...this.#onBreak]) act();
    });
  }

  /** The partition is over. */
  release(): void {
    this.#there.release();
    this.#back.release();
  }

  #pipe(): Pipe {
    return new Pipe(this.#timeline, this.#random, this.#network);
  }
}
