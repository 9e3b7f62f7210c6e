/**
 * What the bench and the servers it starts agree on.
 * @module
 */

/** bare: aedes alone; worker: the consumer of the other two. */
export type AlternativeKind = "bare" | "queue-add" | "fastify" | "worker";

export const QUEUE_NAME = "ingest";
