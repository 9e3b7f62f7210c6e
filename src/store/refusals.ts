/**
 * The refusals that every adapter gives in the same words.
 * @module
 */
import { messageOf, TimeoutError, TransportError } from "../core/index.ts";

/** Throws the `TransportError` of a refused outcome, in the words of the scripts; passes "ok". */
export function requireOk(outcome: string, detail: Readonly<Record<string, unknown>>): void {
  switch (outcome) {
    case "ok":
      return;
    case "lease.lost":
      throw new TransportError(outcome, "the token does not hold the lease any more", { detail });
    case "commit.order":
      throw new TransportError(outcome, "a commit's number must be the last one plus one", {
        detail,
      });
    case "release.version":
      throw new TransportError(outcome, "a release's version must be the current one plus one", {
        detail,
      });
    case "model.order":
      throw new TransportError(outcome, "a codec model's version must be the newest plus one", {
        detail,
      });
    default:
      throw unavailable(new Error(`unexpected outcome ${JSON.stringify(outcome)}`));
  }
}

/** The backend cannot be reached, or refused what it should have done. */
export function unavailable(cause: unknown): TransportError {
  return new TransportError("store.unavailable", `the store is unavailable: ${messageOf(cause)}`, {
    cause,
  });
}

/** No answer in time: a write may or may not have been done. */
export function timedOut(timeoutMs: number, cause?: unknown): TimeoutError {
  return new TimeoutError("store.timeout", `the store did not answer within ${timeoutMs} ms`, {
    detail: { timeoutMs },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The server has it and too few replicas: it may be gone after a fail-over. */
export function unreplicated(message: string): TimeoutError {
  return new TimeoutError("store.unreplicated", message);
}
