/**
 * How the process ends: the one place that turns an error into an exit code and into words.
 *
 * The codes above 2 are those of BSD `sysexits.h` (EX_UNAVAILABLE, EX_CONFIG),
 * so that a supervisor can tell "try again later" (69) from "do not bother
 * until somebody edits the configuration" (78).
 * @module
 */
import { CommanderError } from "commander";
import { InvalidConfigError, messageOf, OmegaError } from "../core/index.ts";
import { type CliContext, printable, toJson } from "./output.ts";

export const EXIT = {
  ok: 0,
  /** The work was done and the answer is no, or something failed that has no better name. */
  failure: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** Something this command needs is not there: a server, a tool, a library. */
  unavailable: 69,
  /** The configuration is wrong; starting again will not help. */
  config: 78,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code of anything that was thrown. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (!(thrown instanceof OmegaError)) return EXIT.failure;
  switch (thrown.code) {
    case "InvalidConfig":
      return EXIT.config;
    case "Network":
    case "Transport":
    case "Timeout":
    case "RetryExhausted":
      return EXIT.unavailable;
    case "Compression":
      return thrown.reason === "zstd.unavailable" ? EXIT.unavailable : EXIT.failure;
    case "Serialization":
    case "Protocol":
      return EXIT.failure;
  }
}

/**
 * Prints `thrown` to stderr, for people or as one line of JSON
 * `{error: {code, reason, message, faults?, detail?, cause?}, exitCode}`,
 * and returns the exit code. Who used `command` wrongly is shown to its help. Help and version
 * texts, which commander throws too, were printed before and end in 0 without a word.
 */
export function reportError(
  context: CliContext,
  options: { readonly json?: boolean | undefined; readonly command?: string | undefined },
  thrown: unknown,
): ExitCode {
  const exitCode = exitCodeOf(thrown);
  if (exitCode === EXIT.ok) return exitCode;
  const text = options.json
    ? toJson({ error: errorValue(thrown), exitCode })
    : errorText(thrown, options.command);
  context.stderr.write(`${text}\n`);
  return exitCode;
}

function errorText(thrown: unknown, command: string | undefined): string {
  if (thrown instanceof CommanderError) {
    // A group of commands without a command: commander has printed its help to stderr.
    if (thrown.code === "commander.help") return "error: missing command";
    const help = ["omega-sync", ...(command === undefined ? [] : [command]), "--help"].join(" ");
    return `${thrown.message.trim()}\n(try '${help}')`;
  }
  if (thrown instanceof InvalidConfigError) {
    const count = thrown.faults.length;
    const title = `error: invalid configuration (${count} ${count === 1 ? "fault" : "faults"})`;
    return [title, ...thrown.faults.map((fault) => `  - ${printable(fault)}`)].join("\n");
  }
  if (thrown instanceof OmegaError) {
    return `error: ${printable(thrown.message)} [${thrown.code}: ${thrown.reason}]${causeText(thrown)}`;
  }
  // A bug of ours or of a library: the stack is what a report needs.
  return thrown instanceof Error ? (thrown.stack ?? String(thrown)) : `error: ${String(thrown)}`;
}

function causeText(error: Error): string {
  return error.cause === undefined ? "" : `\n  because: ${printable(messageOf(error.cause))}`;
}

function errorValue(thrown: unknown): Record<string, unknown> {
  if (thrown instanceof CommanderError) {
    const missing = thrown.code === "commander.help";
    const message = missing ? "error: missing command" : thrown.message.trim();
    return { code: "Usage", reason: thrown.code, message };
  }
  if (!(thrown instanceof OmegaError)) {
    return { code: "Internal", reason: "internal", message: messageOf(thrown) };
  }
  return {
    code: thrown.code,
    reason: thrown.reason,
    message: thrown.message,
    ...(thrown instanceof InvalidConfigError ? { faults: thrown.faults } : {}),
    ...(Object.keys(thrown.detail).length > 0 ? { detail: thrown.detail } : {}),
    ...(thrown.cause === undefined ? {} : { cause: messageOf(thrown.cause) }),
  };
}
