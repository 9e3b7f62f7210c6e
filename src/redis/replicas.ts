/**
 * Waiting until replicas have what a server has answered: `WAIT` (https://redis.io/commands/wait).
 *
 * A replica gets the same stream of writes as every other, so what it has is always a beginning of
 * it: when it has this write, it has all that came before it.
 *
 * Two things make a false yes possible. `WAIT` speaks of what its own connection wrote last, so a
 * connection that wrote nothing is answered at once. And between a write's answer and its `WAIT`
 * the client may have connected anew, perhaps to another server that never saw the write. So the
 * write and its `WAIT` must be of one connection, which is counted here.
 *
 * `WAIT` holds up its connection for about a round trip to the replica. All that was answered
 * until one is sent shares it, and what is written meanwhile waits for the next.
 * @module
 */
import { Cluster, type Redis } from "ioredis";

export interface ReplicasOptions {
  readonly client: Redis;
  /** How many must have it, ≥ 1. */
  readonly count: number;
}

/** How long they may take, milliseconds. What waits behind two of these is still within our clients' limits. */
const TIMEOUT_MS = 1_500;

/** What {@link Replicas.holding} was given came to more than the replicas have. */
export class NotReplicatedError extends Error {}

interface Asked {
  readonly connection: number;
  readonly settle: (error: Error | null) => void;
}

export class Replicas {
  readonly #options: ReplicasOptions;
  /** Rises when a connection ends. */
  #connection = 0;
  #asked: Asked[] = [];
  #waiting = false;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    options.client.on("close", () => {
      this.#connection += 1;
    });
  }

  /**
   * Resolves as `write`, which must write through the client, once enough replicas have all of it;
   * at once when that came to null.
   * Rejects with {@link NotReplicatedError} when they have it not in time, and with a plain error
   * when the connection ended meanwhile: either way it may be there or not.
   */
  async holding<T>(write: () => Promise<T>): Promise<T> {
    const connection = this.#connection;
    const result = await write();
    if (result === null) return result;
    await new Promise<void>((resolve, reject) => {
      const settle = (error: Error | null) => (error === null ? resolve() : reject(error));
      this.#asked.push({ connection, settle });
      void this.#ask();
    });
    return result;
  }

  async #ask(): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    while (this.#asked.length > 0) {
      const asked = this.#asked;
      this.#asked = [];
      const error = await this.#wait();
      for (const { connection, settle } of asked) {
        settle(connection === this.#connection ? error : connectionEnded());
      }
    }
    this.#waiting = false;
  }

  async #wait(): Promise<Error | null> {
    const { client, count } = this.#options;
    try {
      const reached = await client.wait(count, TIMEOUT_MS);
      if (reached >= count) return null;
      return new NotReplicatedError(
        `${reached} of ${count} replicas have it after ${TIMEOUT_MS} ms`,
      );
    } catch (error) {
      return error instanceof Error ? error : connectionEnded();
    }
  }
}

function connectionEnded(): Error {
  return new Error("the connection ended before the replicas were heard of");
}

/** For `client`, `count` of them; null for none, and in a cluster, where `WAIT` would ask a node of ioredis' choice. */
export function replicasOf(client: Redis | Cluster, count: number): Replicas | null {
  return count === 0 || client instanceof Cluster ? null : new Replicas({ client, count });
}
