/**
 * What every bench command does around its own work: progress to stderr, and an exit code.
 * @module
 */
import { CommanderError } from "commander";
import { messageOf } from "../../src/core/index.ts";

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** One progress line. */
export type Say = (line: string) => void;

/**
 * Runs `act` with the command line's arguments and sets the exit code: 0 when it resolves, 1 when it
 * rejects, 2 on a fault in the usage (a `CommanderError`; help ends in 0).
 */
export async function runCommand(
  name: string,
  act: (args: readonly string[], say: Say) => Promise<void>,
): Promise<void> {
  const say: Say = (line) => {
    process.stderr.write(`${name}: ${line}\n`);
  };
  process.exitCode = await exitCodeOf(() => act(process.argv.slice(2), say), say);
}

async function exitCodeOf(act: () => Promise<void>, say: Say): Promise<number> {
  try {
    await act();
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    say(messageOf(error));
    return EXIT.failure;
  }
}
