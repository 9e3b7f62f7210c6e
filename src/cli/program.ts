/**
 * The program: its commands, and the run of one command line from arguments to exit code.
 *
 * Each command lives in its own file and adds itself through
 * `register(program, context)`; this list is the only place that knows all.
 * @module
 */
import { Command } from "commander";
import { register as registerAggregator } from "./aggregator-command.ts";
import { register as registerCerts } from "./certs-command.ts";
import { register as registerConfig } from "./config-command.ts";
import { register as registerConformance } from "./conformance-command.ts";
import { register as registerDeadLetters } from "./dead-letters-command.ts";
import { register as registerDemo } from "./demo-command.ts";
import { register as registerDevice } from "./device-command.ts";
import { reportError } from "./exit.ts";
import { register as registerFleet } from "./fleet-command.ts";
import { register as registerFrame } from "./frame-decode-command.ts";
import { register as registerGateway } from "./gateway-command.ts";
import type { CliContext } from "./output.ts";
import { register as registerSim } from "./sim-command.ts";
import { register as registerStart } from "./start-command.ts";
import { register as registerToken } from "./token-command.ts";
import { packageVersion } from "./version.ts";

const COMMANDS: readonly ((program: Command, context: CliContext) => void)[] = [
  registerDemo,
  registerStart,
  registerGateway,
  registerAggregator,
  registerDevice,
  registerFleet,
  registerConformance,
  registerSim,
  registerToken,
  registerCerts,
  registerFrame,
  registerDeadLetters,
  registerConfig,
];

/** Runs `args` (without node and script) and gives the exit code; never throws. */
export async function runProgram(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await createProgram(context).parseAsync([...args], { from: "user" });
    return context.exitCode;
  } catch (error) {
    return reportError(context, { json: args.includes("--json") }, error);
  }
}

/** The whole command tree, silent about errors: {@link reportError} speaks once, for all of them. */
function createProgram(context: CliContext): Command {
  const program = new Command("omega-sync")
    .description("The sync layer between millions of TVs and the server that learns from them.")
    .version(packageVersion(), "--version", "print the version")
    .helpOption("-h, --help", "show help")
    .addHelpText(
      "after",
      `
Exit codes: 0 ok, 1 failure, 2 usage, 69 something needed is unavailable, 78 configuration.

Examples:
  $ omega-sync config print --origin
  $ omega-sync token --device tv-1 --secret-file secret.txt
  $ omega-sync frame decode frame.bin`,
    );
  for (const register of COMMANDS) register(program, context);
  settle(program, context);
  return program;
}

/** commander's process.exit and its own printing of errors off, in every command of the tree. */
function settle(command: Command, context: CliContext): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: () => {},
    });
  for (const child of command.commands) settle(child, context);
}
