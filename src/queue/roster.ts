/**
 * Who was given out, so that closing a backend closes all of it.
 * @module
 */
import { messageOf } from "../core/index.ts";
import type { DeltaConsumer, DeltaProducer } from "./port.ts";

export class Roster {
  readonly #producers = new Set<DeltaProducer>();
  readonly #consumers = new Set<DeltaConsumer>();

  /** The producer, forgotten once it is closed. */
  producer(producer: DeltaProducer): DeltaProducer {
    this.#producers.add(producer);
    return {
      add: (shard, entries) => producer.add(shard, entries),
      depth: () => producer.depth(),
      close: () => producer.close().finally(() => this.#producers.delete(producer)),
    };
  }

  /** The consumer, forgotten once it is stopped: shards come and go with their leases. */
  consumer(consumer: DeltaConsumer): DeltaConsumer {
    this.#consumers.add(consumer);
    return {
      start: () => consumer.start(),
      stop: () => consumer.stop().finally(() => this.#consumers.delete(consumer)),
    };
  }

  /** Stops consumers first, since a handler may still add. Throws one error that lists every failure. */
  async close(): Promise<void> {
    const outcomes = [
      ...(await Promise.allSettled([...this.#consumers].map((consumer) => consumer.stop()))),
      ...(await Promise.allSettled([...this.#producers].map((producer) => producer.close()))),
    ];
    const failures = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [messageOf(outcome.reason)] : [],
    );
    if (failures.length > 0) throw new Error(`closing the queue failed: ${failures.join("; ")}`);
  }
}
