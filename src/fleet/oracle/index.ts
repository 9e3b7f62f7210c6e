export { recordClient, recordingLink, recordingProducer, recordingStore } from "./recorders.ts";
export { FileSink, monotonicMs } from "./sinks.ts";
