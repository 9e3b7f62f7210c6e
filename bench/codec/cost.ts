/**
 * What codec 1 costs beside what it replaces, as ratios of the fastest runs of both.
 *
 * - encode: a push with its rate control ÷ zstd level 19 on the same vectors as float32.
 * - decode and add: what the aggregator does with a push, from the bytes of the frame to the sums of
 *   its patterns ÷ the same of codec 0, which is int8 + CBOR + zstd.
 * @module
 */
import { contribute, emptySums } from "../../src/aggregate/sums.ts";
import { codec0, encodeDelta, type Zstd } from "../../src/wire/index.ts";
import type { Costs, Job } from "./coder.ts";
import { POSITION, RELEASE_VERSION } from "./envelope.ts";
import { contentOf, encodePush, type PushSetting, receive } from "./omega-push.ts";
import { fastestUs, type TimingLimits } from "./timing.ts";
import type { Compress } from "./zstd19.ts";

/** Runs of each kind, until the engine has compiled the hot loops for good. */
const WARM_UPS = 100;

/** The costs of coding `jobs`, pushes from nothing: how long the search for the step takes depends on the job. */
export function costsOf(
  jobs: readonly Job[],
  setting: PushSetting,
  compress: Compress,
  limits: TimingLimits,
): Costs {
  const floats = jobs.map(({ vectors }) => new Uint8Array(Float32Array.from(vectors).buffer));
  const encodeVsZstd19 = ratio(
    jobs.map((job) => () => encodePush(job, null, setting)),
    floats.map((bytes) => () => compress(bytes)),
    limits,
  );
  const decodeVsInt8 = ratio(
    jobs.map((job) => adderOf(encodePush(job, null, setting).frame, job, setting)),
    jobs.map((job) => adderOf(int8Frame(job, setting.dim, setting.zstd), job, setting)),
    limits,
  );
  return { encodeVsZstd19, decodeVsInt8 };
}

function int8Frame(job: Job, dim: number, zstd: Zstd): Uint8Array {
  const at = { ...POSITION, base: RELEASE_VERSION };
  return encodeDelta(at, contentOf(job, null, dim), codec0, zstd).frame;
}

/** Decodes a frame and adds it to sums that others have added to before. */
function adderOf(frame: Uint8Array, job: Job, setting: PushSetting): () => void {
  const sums = job.items.map(() => emptySums(setting.dim));
  return () => {
    for (const [index, received] of receive(frame, job, null, setting).entries()) {
      const row = sums[index];
      if (row !== undefined) contribute(row, received, 1);
    }
  };
}

/** Of the fastest runs of all `ours` and of all `theirs`, in turn. */
function ratio(
  ours: readonly (() => void)[],
  theirs: readonly (() => void)[],
  limits: TimingLimits,
): number {
  const acts = [...ours, ...theirs];
  for (let run = 0; run < WARM_UPS; run += ours.length) for (const act of acts) act();
  const us = fastestUs(acts, limits);
  return total(us.slice(0, ours.length)) / total(us.slice(ours.length));
}

function total(us: readonly number[]): number {
  return us.reduce((sum, one) => sum + one, 0);
}
