/**
 * What the bench and the servers it starts agree on.
 * @module
 */

/** bare: aedes alone; worker: the consumer of the other two. */
export type AlternativeKind = "bare" | "queue-add" | "fastify" | "worker";

export const QUEUE_NAME = "ingest";

/** What the worker that does nothing says: that it runs, and how many deltas it was handed. */
export type NoopMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "handled"; readonly deltas: number };
