/**
 * Two jobs, left behind by a worker with a wrong clock, and a consumer that must get both soon.
 * @module
 */
import { expect } from "vitest";
import type { DeltaProducer, QueueBackend } from "../../src/queue/index.ts";
import { waitFor } from "../support/wait.ts";

export const HOUR_MS = 3_600_000;

/** A job's one entry, told by its number. */
export const entryOf = (n: number) => ({
  key: { tenant: "acme", device: "tv-1" },
  ...{ receivedAtMs: 1, frame: Uint8Array.of(n) },
});

/** Starts a consumer of shard 0, which handles jobs 1 and 2, once each, and leaves the queue empty. */
export async function expectBothHandled(
  queue: QueueBackend,
  producer: DeltaProducer,
): Promise<void> {
  const handled: number[] = [];
  const consumer = queue.consumer(0, async (entries) => {
    handled.push(...entries.map(({ frame }) => frame[0] ?? 0));
  });
  await consumer.start();
  await waitFor(() => handled.length === 2, { what: "both jobs", timeoutMs: 15_000 });
  expect(handled.sort()).toEqual([1, 2]);
  await waitFor(async () => (await producer.depth()) === 0, { what: "an empty queue" });
  await consumer.stop();
}
