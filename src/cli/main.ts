#!/usr/bin/env node
/**
 * The executable: hands the real process to the program; the only file of the product that touches
 * `process.env`.
 * @module
 */
import type { CliContext } from "./output.ts";
import { runProgram } from "./program.ts";

// `omega-sync … | head` closes our stdout early; that is the reader's right, not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const context: CliContext = {
  env: { ...process.env },
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  nowMs: () => Date.now(),
  exitCode: 0,
};
process.exitCode = await runProgram(process.argv.slice(2), context);
