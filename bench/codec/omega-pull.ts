/**
 * Ours on the way down: the frames of a release in two layers, as the releaser lays them and the
 * gateway sends them. The first pull is what brings the coarse layer, one frame unless the vectors
 * are very long, and the second is the rest. Steps are chosen anew for every release, as for the
 * first one of a tenant. Test vectors stand for released means as they are.
 * @module
 */

import { toSpace } from "../../src/wire/codec1/klt.ts";
import { type PartBody, unpackPart } from "../../src/wire/codec1/release1-body.ts";
import {
  buildLadder1,
  type CodecModel,
  downFrames1,
  embeddingsOf,
  type Ladder1,
  layRelease1,
  type Preview1,
  peekFrame,
  type Release1,
  TransitionReader,
} from "../../src/wire/index.ts";
import type { Coding, Job, PullItem } from "./coder.ts";
import { POSITION, RELEASE_VERSION } from "./envelope.ts";
import { gridRows } from "./knowledge.ts";

export interface PullCoding extends Coding {
  readonly kind: "pull";
  /** The parts of the transition from nothing that the receiver has by then. */
  readonly read: readonly Uint8Array[];
}

const TENANT = "bench";

/** Both layers at once, whichever of the pulls is asked for: that is how a release is made. */
export function encodePull(job: Job, dim: number, model: CodecModel | null): PullCoding {
  const rows = gridRows(job.vectors, dim);
  const vectors = model === null ? rows : toSpace(model, rows);
  const items = job.items as readonly PullItem[];
  const patterns = items.map((item, index) => ({ ...item, vector: vectors[index] ?? EMPTY }));
  const release = { version: RELEASE_VERSION, dim, patterns, trends: [] };
  const laid = layRelease1(release, model, null, job.budget);
  const ladder: Ladder1 = buildLadder1(TENANT, laid, [], model);
  const frames = downFrames1(ladder, { base: 0, applied: POSITION });
  const second = job.case === "pull2";
  const coarse = 1 + frames.findLastIndex((frame) => partOf(frame).coarse !== null);
  const sent = second ? frames.slice(coarse) : frames.slice(0, coarse);
  const read = second ? frames : sent;
  return {
    kind: "pull",
    read,
    frameBytes: sent.reduce((sum, frame) => sum + frame.length, 0),
    get codedBytes() {
      return sent.reduce((sum, frame) => sum + codedBytesOf(frame), 0);
    },
    get decoded() {
      return decodePull(read, dim, model);
    },
  };
}

const EMPTY = new Int16Array(0);

/** What a device does with the parts it has. */
export function decodePull(
  frames: readonly Uint8Array[],
  dim: number,
  model: CodecModel | null,
): Float32Array {
  const models = { get: (version: number) => (model?.version === version ? model : null) };
  const reader = new TransitionReader(null, models);
  let known: Release1 | Preview1 | null = null;
  for (const frame of frames) {
    const step = reader.feed(peekFrame(frame, frame.length));
    if (step.kind === "preview" || step.kind === "release") known = step.release;
  }
  if (known === null) throw new Error("assertion failed: the parts follow each other");
  const decoded = new Float32Array(known.patterns.length * dim);
  for (const [row, vector] of embeddingsOf(known, model).entries()) decoded.set(vector, row * dim);
  return decoded;
}

function codedBytesOf(frame: Uint8Array): number {
  const { coarse, fine } = partOf(frame);
  return (coarse?.length ?? 0) + (fine?.bytes.length ?? 0);
}

function partOf(frame: Uint8Array): PartBody {
  return unpackPart(peekFrame(frame, frame.length).body);
}
