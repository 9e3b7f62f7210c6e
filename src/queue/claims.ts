/**
 * The claim check: a batch's bytes lie beside the job, which only says that they do.
 *
 *   SET with expiry → add the job → PERSIST      the add is durable when all three are answered
 *
 * Job data is JSON, so bytes in it are base64: a third more of them, stringified,
 * parsed and copied in the gateway, in Redis' script and in the worker. As a value of their own
 * they stay bytes. The commands of one add leave on one connection, which keeps their order, so
 * a job never precedes its bytes; and in one write, with those of other shards' adds of that turn.
 * Whoever dies before the job is there leaves a value that expires; while a job is open its bytes
 * have no expiry, however long it waits.
 *
 * Their key is the one where BullMQ would keep the job's log, which we never write. So the very
 * script that removes a job removes its bytes, and neither is ever there without the other.
 * test/queue/claims.redis.test.ts holds BullMQ to that.
 * @module
 */
import { randomUUID } from "node:crypto";
import type { JobsOptions } from "bullmq";
import type { Cluster, Redis } from "ioredis";
import { ProtocolError } from "../core/index.ts";
import { gather } from "../redis/index.ts";

/** How long bytes live whose job did not come, milliseconds. */
export const ORPHAN_MS = 24 * 60 * 60 * 1_000;

/** What a job carries whose bytes lie beside it. */
export interface ClaimData {
  readonly beside: true;
}

export function isClaim(data: unknown): data is ClaimData {
  return typeof data === "object" && data !== null && "beside" in data && data.beside === true;
}

/** The bytes beside the jobs of one queue, as its consumer sees them. */
export interface ClaimedBytes {
  /**
   * The bytes of a job. Rejects with `ProtocolError("claim.missing")` while the job is still there
   * without them, which no order of our own commands leads to once its add was acknowledged; and
   * with a plain error when the job has been completed by another consumer meanwhile.
   */
  read(jobId: string): Promise<Buffer>;
}

/** `base` is `Queue.qualifiedName`, hash tag included. */
function keyOf(base: string, jobId: string): string {
  return `${base}:${jobId}:logs`;
}

/** Stores bytes for jobs of any queue; one for each producer. */
export class ClaimWriter {
  readonly #client: Redis;
  /** BullMQ wants ids that are no integers and hold no colon. */
  readonly #prefix = `b-${randomUUID()}-`;
  #count = 0;

  constructor(client: Redis) {
    this.#client = client;
  }

  /**
   * Stores `bytes` for the queue of `base` and adds their job with `add`, which must use the same client.
   * Resolves when both are durable. Rejects as the first of them that failed.
   */
  async add(
    base: string,
    bytes: Buffer,
    add: (data: ClaimData, options: JobsOptions) => Promise<unknown>,
  ): Promise<void> {
    this.#count += 1;
    gather(this.#client);
    const jobId = `${this.#prefix}${this.#count}`;
    const key = keyOf(base, jobId);
    const stored = this.#client.set(key, bytes, "PX", ORPHAN_MS);
    const added = add({ beside: true }, { jobId });
    // Finds nothing where a fast consumer is done with the job already: that is no failure.
    const kept = atTurnsEnd(this.#client, () => this.#client.persist(key));
    const outcomes = await Promise.allSettled([stored, added, kept]);
    // Bytes whose job was refused must not stay for ever.
    if (outcomes[1].status === "rejected") this.#client.pexpire(key, ORPHAN_MS).catch(() => {});
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/**
 * Runs `act` when the turn has issued its commands: BullMQ issues that of an add some promises
 * later. Were it later still, only a crash in between would leave bytes that never expire.
 */
function atTurnsEnd<T>(client: Redis, act: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    gather(client, () => void act().then(resolve, reject));
  });
}

/** The bytes of one queue over the connection of its worker. */
export function claimedBytes(client: Redis | Cluster, base: string): ClaimedBytes {
  return {
    async read(jobId) {
      gather(client);
      const bytes = await client.getBuffer(keyOf(base, jobId));
      if (bytes !== null) return bytes;
      if ((await client.exists(`${base}:${jobId}`)) === 0) {
        throw new Error("the job was completed by another consumer");
      }
      throw new ProtocolError("claim.missing", `the bytes of job ${jobId} are gone`, {
        detail: { jobId },
      });
    },
  };
}
