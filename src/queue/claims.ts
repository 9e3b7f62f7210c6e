/**
 * The claim check: a batch's bytes lie beside the job, which carries only the claim to them.
 *
 *   SET with expiry → add the job → PERSIST      the add is durable when all three are answered
 *   handled → PEXPIRE → job completed → UNLINK
 *
 * Job data is JSON, so bytes in it are base64: a third more of them, stringified,
 * parsed and copied in the gateway, in Redis' script and in the worker. As a value of their own
 * they stay bytes. The commands of one add leave on one connection, which keeps their order, so
 * a job never precedes its bytes. Whoever dies between two steps leaves a value that expires;
 * while a job is open its bytes have no expiry, however long it waits.
 * @module
 */
import { randomUUID } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { ProtocolError } from "../core/index.ts";

/** How long bytes live that no job needs any more, or none needs yet, milliseconds. */
export const ORPHAN_MS = 24 * 60 * 60 * 1_000;

/** What a job carries instead of its bytes. */
export interface ClaimData {
  readonly claim: string;
}

/** The claim in a job's data, or null where the bytes are in the job itself. */
export function claimOf(data: unknown): string | null {
  if (typeof data !== "object" || data === null || !("claim" in data)) return null;
  return typeof data.claim === "string" ? data.claim : null;
}

/** The bytes beside the jobs of one queue, as its consumer sees them. */
export interface ClaimedBytes {
  /**
   * The bytes of a claim. Rejects with `ProtocolError("claim.missing")` while the job is still there
   * without them, which no order of our own commands leads to once its add was acknowledged; and
   * with a plain error when the job has been completed by another consumer meanwhile.
   */
  read(claim: string, jobId: string): Promise<Buffer>;
  /** The job's entries are taken: its bytes may go, but only after the job did. Never rejects. */
  expire(claim: string): void;
  /** The job is completed. Never rejects. */
  drop(claim: string): void;
}

/** `base` is `Queue.qualifiedName`, hash tag included; job ids are numbers, so no key of a job is met. */
function keyOf(base: string, claim: string): string {
  return `${base}:bytes:${claim}`;
}

/** Stores bytes for jobs of any queue; one for each producer. */
export class ClaimWriter {
  readonly #client: Redis;
  readonly #id = randomUUID();
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
    add: (data: ClaimData) => Promise<unknown>,
  ): Promise<void> {
    this.#count += 1;
    const claim = `${this.#id}-${this.#count}`;
    const key = keyOf(base, claim);
    const stored = this.#client.set(key, bytes, "PX", ORPHAN_MS);
    const added = add({ claim });
    // Finds nothing where a fast consumer is done with the job already: that is no failure.
    const kept = afterwards(() => this.#client.persist(key));
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
function afterwards<T>(act: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => void act().then(resolve, reject));
  });
}

/** The bytes of one queue over the connection of its worker. */
export function claimedBytes(
  client: Redis | Cluster,
  base: string,
  onError: (error: unknown) => void,
): ClaimedBytes {
  return {
    async read(claim, jobId) {
      const bytes = await client.getBuffer(keyOf(base, claim));
      if (bytes !== null) return bytes;
      // A job goes before its bytes do, so one that is still there was never handled.
      if ((await client.exists(`${base}:${jobId}`)) === 0) {
        throw new Error("the job was completed by another consumer");
      }
      throw new ProtocolError("claim.missing", `the bytes of job ${jobId} are gone: ${claim}`, {
        detail: { claim, jobId },
      });
    },
    expire(claim) {
      client.pexpire(keyOf(base, claim), ORPHAN_MS).catch(onError);
    },
    drop(claim) {
      client.unlink(keyOf(base, claim)).catch(onError);
    },
  };
}
