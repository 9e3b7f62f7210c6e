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

/** Until the engine has compiled the hot loops for good. */
const WARM_UPS = 40;

/** The costs of coding `job`, a push from nothing. */
export function costsOf(
  job: Job,
  setting: PushSetting,
  compress: Compress,
  limits: TimingLimits,
): Costs {
  const floats = new Uint8Array(Float32Array.from(job.vectors).buffer);
  const encodeVsZstd19 = ratio(
    () => encodePush(job, null, setting),
    () => compress(floats),
    limits,
  );
  const ours = encodePush(job, null, setting).frame;
  const int8 = int8Frame(job, setting.dim, setting.zstd);
  const decodeVsInt8 = ratio(adderOf(ours, job, setting), adderOf(int8, job, setting), limits);
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

function ratio(a: () => void, b: () => void, limits: TimingLimits): number {
  for (let run = 0; run < WARM_UPS; run += 1) {
    a();
    b();
  }
  const [aUs = 0, bUs = 1] = fastestUs([a, b], limits);
  return aUs / bUs;
}
