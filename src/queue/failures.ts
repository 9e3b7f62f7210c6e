/**
 * What a failed call to the backend means for the entries it carried.
 *
 * The question is always the same: may they be stored? "no" lets a gateway
 * say so; "unknown" must be treated as neither, and deduplication settles it
 * (measured: an add on a frozen Redis may land later).
 * @module
 */
import { type Clock, messageOf, OmegaError, TimeoutError, TransportError } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import { NotReplicatedError } from "../redis/index.ts";

/** ioredis and pg say these before anything was sent. */
const NEVER_SENT =
  /isn't writeable|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|timeout exceeded when trying to connect|Connection terminated due to connection timeout|after calling end on the pool/;
/** A whole answer arrived and it was no: Redis' error replies start in capitals, SQLSTATE has five places. */
const REDIS_REFUSAL = /^(?:[A-Z]{2,}[A-Z0-9_]*) /;
/**
 * What a cluster says of its slots. The client may have sent the same command before, to a node
 * that then broke off, so that these are no proof that nothing was stored.
 */
const CLUSTER_MOVING = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /;
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** SQLSTATE classes after which a commit may still have happened: connection lost, server going down, unknown outcome. */
const SQLSTATE_UNKNOWN = /^(?:08|57P|40003)/;

export function unknownOutcome(what: string, cause?: unknown): TimeoutError {
  return new TimeoutError("queue.unknown", `${what}: the outcome is unknown`, { cause });
}

/** The typed error for anything a backend threw at an add or a count. */
export function failureOf(thrown: unknown): OmegaError {
  if (thrown instanceof OmegaError && thrown.reason.startsWith("queue.")) return thrown;
  const message = messageOf(thrown);
  if (thrown instanceof NotReplicatedError) {
    return new TimeoutError("queue.unreplicated", message, { cause: thrown });
  }
  const code = codeOf(thrown);
  if (NEVER_SENT.test(message) || NEVER_SENT.test(code)) {
    return new TransportError("queue.unavailable", `the queue cannot be reached: ${message}`, {
      cause: thrown,
    });
  }
  const refusedBySql = SQLSTATE.test(code) && !SQLSTATE_UNKNOWN.test(code);
  const refusedByRedis =
    isReplyError(thrown) && REDIS_REFUSAL.test(message) && !CLUSTER_MOVING.test(message);
  if (refusedBySql || refusedByRedis) {
    return new TransportError("queue.refused", `the queue refused: ${message}`, { cause: thrown });
  }
  return unknownOutcome(`the queue broke off (${message})`, thrown);
}

function codeOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return "";
  return typeof thrown.code === "string" ? thrown.code : "";
}

function isReplyError(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "ReplyError";
}

const REPEAT_AFTER_MS = 10_000;

/**
 * An error listener that logs the first error of a message and then at most
 * one line in ten seconds with a count: a backend that is down reports itself many times a second.
 */
export function errorLog(log: Logger, event: string, clock: Clock): (error: unknown) => void {
  let last = "";
  let silentUntilMs = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (error) => {
    const message = messageOf(error);
    const nowMs = clock.monotonicMs();
    if (message === last && nowMs < silentUntilMs) {
      unsaid += 1;
      return;
    }
    log.warn(event, { error: message, repeated: unsaid });
    last = message;
    silentUntilMs = nowMs + REPEAT_AFTER_MS;
    unsaid = 0;
  };
}
