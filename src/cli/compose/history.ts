/**
 * The setting `history`: the backend with a recorder around each of its two ports.
 * @module
 */
import {
  FileSink,
  monotonicMs,
  recordingProducer,
  recordingStore,
} from "../../fleet/oracle/index.ts";
import type { OpenBackend } from "./backend.ts";

/**
 * `backend` itself when `path` is null; else one that appends to the file at `path` what is handed
 * to its queue and kept by its store. Throws as `openSync` does when the file cannot be written.
 */
export function recordedBackend(backend: OpenBackend, path: string | null): OpenBackend {
  if (path === null) return backend;
  const sink = new FileSink(path, monotonicMs);
  const { queue } = backend;
  return {
    ...backend,
    queue: {
      kind: queue.kind,
      async producer() {
        const producer = await queue.producer();
        return {
          add: recordingProducer(producer, sink).add,
          depth: () => producer.depth(),
          close: () => producer.close(),
        };
      },
      consumer: (shard, handle, hooks) => queue.consumer(shard, handle, hooks),
      close: () => queue.close(),
    },
    store: recordingStore(backend.store, sink),
    async close() {
      await backend.close();
      sink.close();
    },
  };
}
