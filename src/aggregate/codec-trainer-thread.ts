/**
 * The main thread's end of the thread that learns a codec model.
 *
 * One thread per model: models are learnt rarely, and a thread that has ended holds no memory and
 * can be stopped at any moment without leaving anything half done.
 * @module
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { assert, TransportError } from "../core/index.ts";
import type { CodecModel, GridVector } from "../wire/index.ts";
import type { TrainingOrder, TrainingOutcome } from "./codec-trainer-worker.ts";
import { requireTrainable, type TrainedCodec, trainedOn } from "./codec-training.ts";

export interface TrainerOptions {
  /** The model in use, to be judged beside the new one. */
  readonly current?: CodecModel;
  /** The compiled or source file of the worker; the one beside this file by default. */
  readonly workerUrl?: URL;
}

/**
 * `trainCodec` in a thread of its own. Throws what it throws for a wrong `version`, `dim` or
 * count; rejects with the signal's reason as soon as `signal` aborts, the thread then ends;
 * and with `TransportError("model.thread")` when the thread fails.
 */
export async function trainInThread(
  samples: readonly GridVector[],
  version: number,
  dim: number,
  signal: AbortSignal,
  options: TrainerOptions = {},
): Promise<TrainedCodec> {
  requireTrainable(trainedOn(samples.length), version, dim);
  signal.throwIfAborted();
  const components = packed(samples, dim);
  const order: TrainingOrder = { components, version, dim, current: options.current ?? null };
  const worker = new Worker(options.workerUrl ?? defaultWorkerUrl(), {
    workerData: order,
    transferList: [components.buffer],
  });
  const stop = () => void worker.terminate();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await outcomeOf(worker, signal);
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}

/** Copied, so that it can be handed over whole: cloning vector by vector costs more. */
function packed(samples: readonly GridVector[], dim: number): Int16Array<ArrayBuffer> {
  const components = new Int16Array(samples.length * dim);
  for (const [index, sample] of samples.entries()) {
    assert(sample.length === dim, "the samples have the announced dimension");
    components.set(sample, index * dim);
  }
  return components;
}

function outcomeOf(worker: Worker, signal: AbortSignal): Promise<TrainedCodec> {
  return new Promise((resolve, reject) => {
    worker.on("message", (outcome: TrainingOutcome) => {
      if (outcome.kind === "trained") resolve(outcome.trained);
      else reject(broken(outcome.message));
    });
    worker.on("error", (error) => reject(broken(error.message, error)));
    worker.on("exit", (code) => {
      reject(signal.aborted ? signal.reason : broken(`it ended with code ${code}`));
    });
  });
}

function broken(message: string, cause?: Error): TransportError {
  return new TransportError(
    "model.thread",
    `the thread that learns a codec model failed: ${message}`,
    cause === undefined ? {} : { cause },
  );
}

function defaultWorkerUrl(): URL {
  return new URL(`./codec-trainer-worker${extname(import.meta.url)}`, import.meta.url);
}
