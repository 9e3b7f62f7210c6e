/**
 * `npm run bench:codec`: rows to stdout, everything else to stderr.
 *
 * Exit codes: 0 ok, 1 failure, 2 usage, 69 no zstd on this machine.
 * @module
 */
import { writeFileSync } from "node:fs";
import { CommanderError } from "commander";
import { messageOf, OmegaError } from "../../src/core/index.ts";
import { machineName, today } from "../support/report.ts";
import { UsageError } from "./data-file.ts";
import { drawingOf } from "./drawing.ts";
import { parseOptions } from "./options.ts";
import { rounded } from "./rows.ts";
import { runBench, SEED } from "./run.ts";
import { tableOf } from "./table.ts";

const EXIT = { ok: 0, failure: 1, usage: 2, unavailable: 69 } as const;

function say(line: string): void {
  process.stderr.write(`bench:codec: ${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const heading = `${today()}, ${machineName()}, seed ${SEED}`;
    say(heading);
    const { rows: exact, sets, envelope } = await runBench(options, say);
    if (options.svg !== null) {
      say(`drawing ${options.svg}`);
      writeFileSync(options.svg, drawingOf(sets, envelope));
    }
    const rows = exact.map(rounded);
    process.stdout.write(
      options.json ? `${JSON.stringify(rows)}\n` : `${heading}\n\n${tableOf(rows)}`,
    );
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    if (error instanceof UsageError) return EXIT.usage;
    const noZstd = error instanceof OmegaError && error.reason === "zstd.unavailable";
    return noZstd ? EXIT.unavailable : EXIT.failure;
  }
}

process.exitCode = await main(process.argv.slice(2));
