/**
 * The setting `history`: what this process does, written down at its ports.
 * @module
 */
import type { SessionWatch } from "../../../gateway/index.ts";
import {
  FileSink,
  type HistorySink,
  monotonicMs,
  recordingProducer,
  recordingStore,
} from "../../fleet/oracle/index.ts";
import type { OpenBackend } from "./backend.ts";

/** Appends to the file at `path`; null without one. Throws as `openSync` does. */
export function openHistory(path: string | null): FileSink | null {
  return path === null ? null : new FileSink(path, monotonicMs);
}

/** `backend`, recording what is handed to its queue and kept by its store. */
export function recordedBackend(backend: OpenBackend, sink: HistorySink | null): OpenBackend {
  if (sink === null) return backend;
  const { queue } = backend;
  return {
    ...backend,
    queue: {
      kind: queue.kind,
      jobsAtOnce: queue.jobsAtOnce,
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
  };
}

/** Records the sessions of this process's gateway, which has a name that no other life of it has. */
export function recordedSessions(sink: HistorySink): SessionWatch {
  const gateway = `${process.pid}@${Math.round(monotonicMs())}`;
  const record = (open: boolean) => (device: string, connection: number) =>
    sink.record({ kind: "session", gateway, connection, device, open });
  return { opened: record(true), closed: record(false) };
}
