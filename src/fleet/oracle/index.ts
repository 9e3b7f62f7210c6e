export { recordClient, recordingLink, recordingProducer, recordingStore } from "./recorders.ts";
export { FileSink, type HistorySink, monotonicMs } from "./sinks.ts";
