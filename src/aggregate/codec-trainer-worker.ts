/**
 * The thread that learns one codec model, and ends.
 *
 * Learning takes from half a second to minutes of one core, and a shard's writer that stalls so
 * long loses its lease. It gets its samples as one block of int16, one vector after the other.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../core/index.ts";
import type { CodecModel } from "../wire/index.ts";
import { type TrainedCodec, trainCodec } from "./codec-training.ts";

export interface TrainingOrder {
  /** count × dim components. */
  readonly components: Int16Array<ArrayBuffer>;
  readonly version: number;
  readonly dim: number;
  /** The model in use, to be judged beside the new one. */
  readonly current: CodecModel | null;
}

export type TrainingOutcome =
  | { readonly kind: "trained"; readonly trained: TrainedCodec }
  | { readonly kind: "failed"; readonly message: string };

function train(order: TrainingOrder): TrainingOutcome {
  const { components, version, dim, current } = order;
  try {
    const count = components.length / dim;
    const samples = Array.from({ length: count }, (_, index) =>
      components.subarray(index * dim, (index + 1) * dim),
    );
    return { kind: "trained", trained: trainCodec(samples, version, dim, current) };
  } catch (error) {
    return { kind: "failed", message: messageOf(error) };
  }
}

parentPort?.postMessage(train(workerData as TrainingOrder));
