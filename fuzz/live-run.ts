/**
 * Attacks a running gateway over its sockets, in rounds.
 *
 * After each round an honest device must be served, and the event loop must not have stalled for
 * longer than the machine itself kept an idle thread waiting. A round with a stall is said again:
 * what a busy machine did does not come again, what an input did does.
 * @module
 */
import { messageOf } from "../src/core/index.ts";
import { type Finding, GROWTH_MIB_MAX, type TargetResult } from "./finding.ts";
import { honestVisit } from "./honest-visit.ts";
import { type LiveServer, startLiveServer } from "./live-server.ts";
import { type Talk, talk } from "./live-talk.ts";
import { httpTalk, mqttTalk } from "./live-talks.ts";
import { type MachineNoise, startMachineNoise } from "./machine-noise.ts";
import { randomOf } from "./target.ts";
import { STALL_MS_MAX } from "./try-input.ts";

export const LIVE_TARGETS = ["mqtt", "http"] as const;
export type LiveTargetName = (typeof LIVE_TARGETS)[number];

export interface LiveRunOptions {
  readonly target: LiveTargetName;
  readonly seed: number;
  /** Index of the first connection. */
  readonly first: number;
  /** Messages at most. */
  readonly count: number;
  readonly seconds: number;
  readonly frames: readonly Uint8Array[];
  readonly onProgress: (inputs: number) => void;
}

/** Few, because a stall must be one connection's doing and not the sum of many. */
const CONNECTIONS_AT_ONCE = 6;
const CONNECTIONS_PER_ROUND = 480;
/**
 * Growth is the least of the last quarter above the least of the second: by then heaps and pools
 * have their size, and the least is what a collection leaves.
 */
const QUARTERS = 4;
/** A machine that is busy stalls some of the rounds, an input that stalls does so in each. */
const ATTEMPTS = 10;

/** What a run has come to. */
class Tally {
  messages = 0;
  slowestMs = 0;
  readonly outcomes: Record<string, number> = {};
  readonly findings: Finding[] = [];
}

export async function runLive(options: LiveRunOptions): Promise<TargetResult> {
  const { target, seconds, count } = options;
  const startedAtMs = performance.now();
  const tally = new Tally();
  const server = await startLiveServer();
  const noise = startMachineNoise();
  const leastMiB: number[] = [];
  try {
    const share = () =>
      Math.max((performance.now() - startedAtMs) / (seconds * 1_000), tally.messages / count);
    for (let round = 0; share() < 1 && tally.findings.length === 0; round += 1) {
      const first = options.first + round * CONNECTIONS_PER_ROUND;
      await judgedRound(options, { server, noise }, tally, first);
      options.onProgress(tally.messages);
      const quarter = Math.min(QUARTERS - 1, Math.floor(share() * QUARTERS));
      const before = leastMiB[quarter] ?? Number.POSITIVE_INFINITY;
      leastMiB[quarter] = Math.min(before, server.gatewayRssMiB());
    }
    const [, second, , fourth] = leastMiB;
    const grewMiB = second === undefined || fourth === undefined ? 0 : fourth - second;
    if (grewMiB > GROWTH_MIB_MAX) {
      const what = `the gateway grew by ${grewMiB.toFixed(0)} MiB`;
      tally.findings.push({
        target,
        what,
        replay: replayOf(options, options.first, tally.messages),
      });
    }
    const { messages: inputs, outcomes, slowestMs, findings } = tally;
    const took = (performance.now() - startedAtMs) / 1_000;
    return { target, inputs, outcomes, slowestMs, grewMiB, seconds: took, findings };
  } finally {
    await noise.end();
    await server.end();
  }
}

function replayOf({ target, seed }: LiveRunOptions, first: number, count: number): string {
  return `npm run -s fuzz -- --only ${target} --seed ${seed} --first ${first} --count ${count}`;
}

async function judgedRound(
  options: LiveRunOptions,
  { server, noise }: { readonly server: LiveServer; readonly noise: MachineNoise },
  tally: Tally,
  first: number,
): Promise<void> {
  const report = (what: string) => {
    tally.findings.push({ target: options.target, what, replay: replayOf(options, first, 1) });
  };
  let stallMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && stallMs > STALL_MS_MAX; attempt += 1) {
    await saidOnce(options, server, tally, first);
    if (!server.isAlive()) return report("the gateway ended");
    try {
      await honestVisit(server.mqttPort);
      const delayMs = (await server.loopDelayMsMax()) - (await noise.delayMsMax());
      stallMs = Math.min(stallMs, Math.max(0, delayMs));
    } catch (error) {
      return report(`an honest device was not served: ${messageOf(error)}`);
    }
  }
  tally.slowestMs = Math.max(tally.slowestMs, stallMs);
  if (stallMs > STALL_MS_MAX) report(`the event loop stalled for ${stallMs.toFixed(0)} ms`);
}

/** All connections of a round, some at a time. */
async function saidOnce(
  { target, seed, frames }: LiveRunOptions,
  server: LiveServer,
  tally: Tally,
  first: number,
): Promise<void> {
  const port = target === "mqtt" ? server.mqttPort : server.httpPort;
  let next = first;
  const line = async () => {
    while (next < first + CONNECTIONS_PER_ROUND) {
      const random = randomOf(seed, next);
      next += 1;
      const said: Talk = target === "mqtt" ? mqttTalk(random, frames) : httpTalk(random);
      const end = await talk(port, said, random);
      tally.messages += said.messages;
      tally.outcomes[end] = (tally.outcomes[end] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, line));
}
