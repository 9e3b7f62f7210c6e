/**
 * Who may speak to the one session, and when.
 *
 *   free ──BEGIN of client c──▶ owned by c ──the database says: no transaction──▶ free
 *                                   │
 *                                   └─ c released, killed or idle too long: ROLLBACK ──▶ free
 *
 * The embedded database has a single session; a pool has many clients. Single
 * statements pass in order of arrival, several on their way at once (the
 * session answers strictly in order). A transaction owns the session alone; the
 * rest waits in line, bounded in number and in time. The owner is whoever the
 * database says is inside a transaction, not whom our reading of the text suggests.
 * @module
 */
import { type Clock, TimeoutError, type Timer, TransportError } from "../../core/index.ts";
import type { SessionReply, SqlSession } from "./session.ts";
import { StatementError } from "./thread.ts";

/** Anything that can be told apart from the others; null stands for the pool's own single statements. */
export type Speaker = object | null;

export interface TurnstileOptions {
  readonly session: SqlSession;
  readonly clock: Clock;
  /** How long a statement may wait for its turn, milliseconds. */
  readonly waitMs: number;
  /** How long a transaction may stay open without a statement, milliseconds. */
  readonly transactionIdleMs: number;
  /** The speaker's transaction was rolled back because it idled. */
  readonly onExpired: (speaker: object, error: Error) => void;
}

interface Turn {
  readonly speaker: Speaker;
  readonly begins: boolean;
  readonly text: string;
  readonly params: readonly unknown[] | undefined;
  readonly resolve: (reply: SessionReply) => void;
  readonly reject: (error: unknown) => void;
  timer: Timer | null;
}

/** Statements handed to the session before the first is answered: hides the way to its thread and back. */
const ON_THE_WAY_MAX = 16;
const WAITING_MAX = 10_000;

export class Turnstile {
  readonly #options: TurnstileOptions;
  #waiting: Turn[] = [];
  #onTheWay = 0;
  #owner: object | null = null;
  /** The owner's statement on its way, if any. */
  #ownerBusy = false;
  #ownerGone = false;
  #idleTimer: Timer | null = null;

  constructor(options: TurnstileOptions) {
    this.#options = options;
  }

  /**
   * Runs one statement in its turn. A speaker speaks one statement at a time. Rejects with
   * what the database said, `TimeoutError("sql.busy")`, or `TransportError("sql.overload" | "sql.transaction")`.
   */
  run(
    speaker: Speaker,
    begins: boolean,
    text: string,
    params?: readonly unknown[],
  ): Promise<SessionReply> {
    if (begins && speaker === null) {
      return Promise.reject(
        new TransportError("sql.transaction", "a transaction needs a client of its own: connect()"),
      );
    }
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(
        new TransportError("sql.overload", `${WAITING_MAX} statements wait for the database`),
      );
    }
    return new Promise((resolve, reject) => {
      const turn: Turn = { speaker, begins, text, params, resolve, reject, timer: null };
      this.#waiting.push(turn);
      this.#pump();
      if (!this.#waiting.includes(turn)) return;
      turn.timer = this.#options.clock.after(this.#options.waitMs, () => this.#late(turn));
    });
  }

  /** Forgets a speaker: what it still waits for rejects, what it left open is rolled back. */
  abandon(speaker: object): void {
    const [mine, others] = [[], []] as [Turn[], Turn[]];
    for (const turn of this.#waiting) (turn.speaker === speaker ? mine : others).push(turn);
    this.#waiting = others;
    for (const turn of mine) {
      turn.timer?.cancel();
      turn.reject(new TransportError("sql.released", "this client was released"));
    }
    if (this.#owner !== speaker) return;
    this.#ownerGone = true;
    if (!this.#ownerBusy) void this.#rollBack();
  }

  #late(turn: Turn): void {
    this.#waiting = this.#waiting.filter((other) => other !== turn);
    const { waitMs } = this.#options;
    turn.reject(new TimeoutError("sql.busy", `no turn at the database within ${waitMs} ms`));
  }

  #pump(): void {
    if (this.#owner !== null) {
      const next = this.#waiting.findIndex((turn) => turn.speaker === this.#owner);
      if (next >= 0 && !this.#ownerBusy && !this.#ownerGone) this.#dispatch(next);
      return;
    }
    while (this.#waiting.length > 0 && this.#onTheWay < ON_THE_WAY_MAX) {
      const begins = this.#waiting[0]?.begins === true;
      if (begins) this.#owner = this.#waiting[0]?.speaker ?? null;
      this.#dispatch(0);
      if (begins) return;
    }
  }

  #dispatch(index: number): void {
    const [turn] = this.#waiting.splice(index, 1);
    if (turn === undefined) return;
    turn.timer?.cancel();
    this.#idleTimer?.cancel();
    this.#onTheWay += 1;
    if (turn.speaker !== null && turn.speaker === this.#owner) this.#ownerBusy = true;
    this.#options.session.run(turn.text, turn.params).then(
      (reply) => {
        this.#after(turn, reply.inTransaction);
        turn.resolve(reply);
      },
      (error) => {
        this.#after(turn, error instanceof StatementError && error.inTransaction);
        turn.reject(error instanceof StatementError ? error.cause : error);
      },
    );
  }

  #after(turn: Turn, inTransaction: boolean): void {
    this.#onTheWay -= 1;
    const { speaker } = turn;
    // A text that hid its BEGIN behind another statement: whoever sent it owns what it opened.
    const strayed = inTransaction && this.#owner === null;
    if (strayed) {
      this.#owner = speaker ?? {};
      this.#ownerGone = speaker === null;
    }
    if (strayed || (speaker !== null && speaker === this.#owner)) {
      this.#ownerBusy = false;
      if (!inTransaction) this.#free();
      else if (this.#ownerGone) void this.#rollBack();
      else this.#watchIdle();
    }
    this.#pump();
  }

  #free(): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = null;
    this.#owner = null;
    this.#ownerBusy = false;
    this.#ownerGone = false;
  }

  async #rollBack(): Promise<void> {
    this.#ownerBusy = true;
    // Fails only with the session itself, and then nothing is left to free.
    await this.#options.session.run("ROLLBACK").catch(() => {});
    this.#free();
    this.#pump();
  }

  #watchIdle(): void {
    const owner = this.#owner;
    const { clock, transactionIdleMs, onExpired } = this.#options;
    this.#idleTimer?.cancel();
    this.#idleTimer = clock.after(
      transactionIdleMs,
      () => {
        if (owner === null || this.#owner !== owner || this.#ownerBusy) return;
        const error = new TransportError(
          "sql.idle",
          `a transaction without a statement for ${transactionIdleMs} ms was rolled back`,
        );
        this.abandon(owner);
        onExpired(owner, error);
      },
      { background: true },
    );
  }
}
