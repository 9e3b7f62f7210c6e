/**
 * `npm run fuzz`: the report to stdout, progress to stderr.
 * @module
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { messageOf } from "../src/core/index.ts";
import { loadZstd } from "../src/wire/index.ts";
import { fullFrames, goldenFrames } from "./corpus.ts";
import { type FuzzReport, type TargetResult, textOf } from "./finding.ts";
import { LIVE_TARGETS, type LiveTargetName, runLive } from "./live-run.ts";
import { type Options, parseOptions, type TargetName } from "./options.ts";
import { runPure } from "./pure-run.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PROGRESS_EVERY_MS = 10_000;
const FRAME_BYTES_MAX = 1_500;

function say(line: string): void {
  process.stderr.write(`fuzz: ${line}\n`);
}

async function runTarget(target: TargetName, options: Options): Promise<TargetResult> {
  let saidAtMs = performance.now();
  const common = {
    ...{ seed: options.seed, first: options.first, count: options.count },
    seconds: (options.minutes * 60) / options.targets.length,
    onProgress(inputs: number) {
      if (performance.now() - saidAtMs < PROGRESS_EVERY_MS) return;
      saidAtMs = performance.now();
      say(`${target}: ${inputs.toLocaleString("en")} inputs`);
    },
  };
  say(`${target} …`);
  if (!isLive(target)) return await runPure({ ...common, target, root: ROOT });
  const frames = [...goldenFrames(ROOT), ...fullFrames(await loadZstd())];
  const small = frames.filter(({ length }) => length <= FRAME_BYTES_MAX);
  return await runLive({ ...common, target, frames: small });
}

function isLive(target: TargetName): target is LiveTargetName {
  return LIVE_TARGETS.some((name) => name === target);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const targets: TargetResult[] = [];
    for (const target of options.targets) targets.push(await runTarget(target, options));
    const report: FuzzReport = { seed: options.seed, minutes: options.minutes, targets };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
    return targets.some(({ findings }) => findings.length > 0) ? EXIT.failure : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    return EXIT.failure;
  }
}

process.exitCode = await main(process.argv.slice(2));
