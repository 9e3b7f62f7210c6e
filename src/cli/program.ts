/**
 * The program: its commands, and the run of one command line from arguments to exit code.
 *
 * Each command lives in a file of its own, which fills a command in through `register(command,
 * context)`; this list is the only place that knows all. A file is loaded only for a command line
 * that names its command: all of them together are a thousand modules.
 * @module
 */
import { Command } from "commander";
import { reportError } from "./exit.ts";
import type { CliContext } from "./output.ts";
import { packageVersion } from "./version.ts";

interface CommandFile {
  register(command: Command, context: CliContext): void;
}

interface Listed {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandFile>;
}

const COMMANDS: readonly Listed[] = [
  {
    name: "demo",
    summary: "simulate TVs against the real thing, kill the gateway once, give a verdict",
    load: () => import("./demo-command.ts"),
  },
  {
    name: "start",
    summary: "run everything in one process; with no backend named, nothing else is needed",
    load: () => import("./start-command.ts"),
  },
  {
    name: "gateway",
    summary: "accept devices and queue what they send; run any number behind a TCP balancer",
    load: () => import("./gateway-command.ts"),
  },
  {
    name: "aggregator",
    summary:
      "fold queued deltas, publish releases, learn codec models; shards are shared among all that run",
    load: () => import("./aggregator-command.ts"),
  },
  {
    name: "device",
    summary: "be one TV: connect, push a file of patterns, print every event",
    load: () => import("./device-command.ts"),
  },
  {
    name: "fleet",
    summary: "put the load of many TVs on a server, measure it, judge it",
    load: () => import("./fleet-command.ts"),
  },
  {
    name: "conformance",
    summary: "check that a server speaks the device protocol; exit 1 when it does not",
    load: () => import("./conformance-command.ts"),
  },
  {
    name: "sim",
    summary: "live through whole worlds with faults on a virtual clock, and judge them",
    load: () => import("./sim-command.ts"),
  },
  {
    name: "token",
    summary: "issue and revoke the credentials of devices",
    load: () => import("./token-command.ts"),
  },
  {
    name: "certs",
    summary: "make, issue and revoke certificates",
    load: () => import("./certs-command.ts"),
  },
  {
    name: "frame",
    summary: "look at wire frames",
    load: () => import("./frame-decode-command.ts"),
  },
  {
    name: "dead-letters",
    summary: "deltas that were consumed without being applied: list, show, retry, drop",
    load: () => import("./dead-letters-command.ts"),
  },
  {
    name: "config",
    summary: "check or show the configuration",
    load: () => import("./config-command.ts"),
  },
];

/** Runs `args` (without node and script) and gives the exit code; never throws. */
export async function runProgram(args: readonly string[], context: CliContext): Promise<number> {
  try {
    const program = await createProgram(args, context);
    await program.parseAsync([...args], { from: "user" });
    return context.exitCode;
  } catch (error) {
    const command = COMMANDS.find(({ name }) => name === args[0])?.name;
    return reportError(context, { json: args.includes("--json"), command }, error);
  }
}

/**
 * The command tree, of which those commands are filled in that `args` name; silent about errors:
 * {@link reportError} speaks once, for all of them.
 */
async function createProgram(args: readonly string[], context: CliContext): Promise<Command> {
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
  for (const { name, summary, load } of COMMANDS) {
    const command = program.command(name).description(summary);
    if (args.includes(name)) (await load()).register(command, context);
  }
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
