/**
 * A process that feeds one target, started by main.ts: `pure-main NAME SEED FIRST COUNT ROOT`, with an IPC channel.
 * @module
 */

import { randomOf } from "./target.ts";
import { type PureTargetName, pureTarget } from "./targets.ts";
import { tryInput } from "./try-input.ts";

/** What the process tells; `done` is the last. */
export interface PureReport {
  readonly inputs: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** RSS above that after the warm-up, MiB; both after a collection. */
  readonly grewMiB: number;
  readonly findings: readonly PureFinding[];
  readonly done: boolean;
}

export interface PureFinding {
  readonly index: number;
  readonly what: string;
  readonly hex: string;
}

const REPORT_EVERY_MS = 500;
const CHECK_EVERY = 64;
/** By then the code is compiled and the pools are filled. */
const WARM_INPUTS = 50_000;
const FINDINGS_MAX = 20;
const MIB = 1024 ** 2;

/** Collected memory, so that only what is kept counts. */
function rssMiB(): number {
  global.gc?.();
  return process.memoryUsage.rss() / MIB;
}

async function main(args: readonly string[]): Promise<void> {
  const [name, seedText, firstText, countText, root = ""] = args;
  const target = await pureTarget(name as PureTargetName, root);
  const [seed, first, count] = [Number(seedText), Number(firstText), Number(countText)];
  const outcomes: Record<string, number> = {};
  const findings: PureFinding[] = [];
  let slowestMs = 0;
  let inputs = 0;
  let warmMiB: number | null = null;
  let grewMiB = 0;
  let reportedAtMs = performance.now();
  const report = (done: boolean) => {
    process.send?.({ inputs, outcomes, slowestMs, grewMiB, findings, done } satisfies PureReport);
  };
  let stopped = false;
  process.once("message", () => {
    stopped = true;
  });
  while (inputs < count && !stopped && findings.length < FINDINGS_MAX) {
    const index = first + inputs;
    const input = target.make(randomOf(seed, index));
    const { outcome, isFinding, tookMs } = tryInput(target, input);
    inputs += 1;
    slowestMs = Math.max(slowestMs, tookMs);
    if (isFinding) {
      findings.push({ index, what: outcome, hex: Buffer.from(input).toString("hex") });
    } else outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (inputs === WARM_INPUTS) warmMiB = rssMiB();
    if (inputs % CHECK_EVERY !== 0) continue;
    if (performance.now() - reportedAtMs < REPORT_EVERY_MS) continue;
    reportedAtMs = performance.now();
    report(false);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (warmMiB !== null) grewMiB = rssMiB() - warmMiB;
  report(true);
  process.disconnect();
}

await main(process.argv.slice(2));
