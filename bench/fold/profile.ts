/**
 * Which part of the work takes the CPU: a sampling profile of the run, by the file that was running.
 * @module
 */
import { Session } from "node:inspector/promises";

export const PARTS = ["read", "decode", "fold", "encode", "commit", "gc", "rest"] as const;
type Part = (typeof PARTS)[number];
/** Shares of the CPU, 0 … 1, that add up to 1. */
export type Shares = Readonly<Record<Part, number>>;

const INTERVAL_US = 200;
/** The first that fits. */
const PARTS_BY_FILE: readonly (readonly [RegExp, Part])[] = [
  [/src\/queue\//, "read"],
  [/aggregate\/(read-entries|fold-read|open-jobs|commit-budget|shard-writer)/, "read"],
  [/src\/wire\/|zstd-napi|cbor-x/, "decode"],
  [
    /aggregate\/(sums-codec|register-codec|register|vector-bytes)\.|store\/(records|bytes)/,
    "encode",
  ],
  [/src\/aggregate\/|src\/core\//, "fold"],
  [/src\/store\/|ioredis|redis-parser|node:/, "commit"],
];

/** Runs `work` under the profiler. */
export async function profiled(work: () => Promise<unknown>): Promise<Shares> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: INTERVAL_US });
  await session.post("Profiler.start");
  await work();
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  const hits = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;
  let total = 0;
  for (const { callFrame, hitCount = 0 } of profile.nodes) {
    const part = partOf(callFrame.functionName, callFrame.url);
    if (part === null) continue;
    hits[part] += hitCount;
    total += hitCount;
  }
  for (const part of PARTS) hits[part] /= total;
  return hits;
}

function partOf(name: string, url: string): Part | null {
  if (name === "(idle)" || name === "(root)") return null;
  if (name === "(garbage collector)") return "gc";
  return PARTS_BY_FILE.find(([pattern]) => pattern.test(url))?.[1] ?? "rest";
}
