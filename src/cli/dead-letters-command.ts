/**
 * `omega-sync dead-letters`: deltas that were consumed without being applied.
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import { createLogger, createMetrics } from "../observe/index.ts";
import type { DeadLetter } from "../store/index.ts";
import { loadZstd } from "../wire/index.ts";
import { type OpenBackend, openBackend } from "./compose/backend.ts";
import { readConfig } from "./config.ts";
import {
  dropLetters,
  findLetters,
  type LetterFilter,
  NOBODY,
  retryLetters,
} from "./dead-letters.ts";
import { EXIT } from "./exit.ts";
import { describeFrame } from "./frame-decode.ts";
import { frameText } from "./frame-decode-text.ts";
import { alignColumns, type CliContext, printable, printRemark, printResult } from "./output.ts";
import { addBackendOptions, backendFlags, type ServeOptions } from "./serve.ts";

interface LetterOptions extends ServeOptions {
  readonly tenant?: string;
  readonly device?: string;
  readonly reason?: string;
  readonly limit: number;
  readonly all?: boolean;
  readonly json?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIST_EXAMPLES = `
Examples:
  $ omega-sync dead-letters list --redis redis://127.0.0.1:6379
  $ omega-sync dead-letters list --reason codec.model --json`;
const SHOW_EXAMPLES = `
Examples:
  $ omega-sync dead-letters show tv-1.5f3a….7.12 --redis redis://127.0.0.1:6379`;
const RETRY_EXAMPLES = `
A retried delta is applied although its position was consumed, unless its device has said anything
newer: it was told of the refusal then, and has said again what it still holds. One that is refused
again is a dead letter again. Aggregators must be of this version or newer.

Examples:
  $ omega-sync dead-letters retry tv-1.5f3a….7.12 --redis redis://127.0.0.1:6379
  $ omega-sync dead-letters retry --reason tenant.patterns --redis redis://127.0.0.1:6379`;
const DROP_EXAMPLES = `
Examples:
  $ omega-sync dead-letters drop tv-1.5f3a….7.12 --redis redis://127.0.0.1:6379
  $ omega-sync dead-letters drop --all --redis redis://127.0.0.1:6379`;

/** Makes `command` the command `dead-letters`. */
export function register(command: Command, context: CliContext): void {
  filtered(command.command("list"))
    .description("the kept ones, newest first")
    .option("--limit <n>", "at most so many", atLeastOne, LIMIT_DEFAULT)
    .option(
      "--json",
      "one JSON array: {id, tenant, device, position, reason, detail, receivedAt, bytes}",
    )
    .addHelpText("after", LIST_EXAMPLES)
    .action((options: LetterOptions) => list(context, options));
  addBackendOptions(command.command("show"))
    .option("--data-dir <dir>", "directory of the embedded database, while nothing else uses it")
    .description("one of them with its frame, read as far as it can be")
    .argument("<id>", "as the list shows it")
    .option("--json", "one JSON object, the frame in hexadecimal")
    .addHelpText("after", SHOW_EXAMPLES)
    .action((id: string, options: LetterOptions) => show(context, id, options));
  filtered(command.command("retry"))
    .description("give them a second chance: queue them again, then forget the letters")
    .argument("[id...]", "as the list shows them")
    .option("--all", "every one that is kept")
    .option("--json", "one JSON object: {retried, skipped}")
    .addHelpText("after", RETRY_EXAMPLES)
    .action((ids: string[], options: LetterOptions, command: Command) =>
      retry(context, chosen(ids, options, command), options),
    );
  filtered(command.command("drop"))
    .description("forget them for good; the totals stay")
    .argument("[id...]", "as the list shows them")
    .option("--all", "every one that is kept")
    .option("--json", "one JSON object: {dropped}")
    .addHelpText("after", DROP_EXAMPLES)
    .action((ids: string[], options: LetterOptions, command: Command) =>
      drop(context, chosen(ids, options, command), options),
    );
}

function filtered(command: Command): Command {
  return addBackendOptions(command)
    .option("--data-dir <dir>", "directory of the embedded database, while nothing else uses it")
    .option("--tenant <id>", "only of this tenant")
    .option("--device <id>", "only of this device")
    .option("--reason <reason>", "only for this reason, as the list shows it");
}

/** What may be retried or dropped must be said: ids, a filter, or `--all`. */
function chosen(ids: readonly string[], options: LetterOptions, command: Command): LetterFilter {
  const { tenant, device, reason, all } = options;
  const isSaid = ids.length > 0 || all || tenant || device || reason;
  if (!isSaid) command.error("error: name ids, or --tenant, --device, --reason, or --all");
  return { ...(ids.length > 0 ? { ids } : {}), tenant, device, reason };
}

async function list(context: CliContext, options: LetterOptions): Promise<void> {
  const { tenant, device, reason, limit } = options;
  const found = await withBackend(context, options, ({ store }) =>
    findLetters(store, { tenant, device, reason }),
  );
  const shown = found.slice(0, limit);
  const rows = shown.map((letter) => {
    const { id, device: name, reason: why, detail, receivedAt } = summaryOf(letter);
    return [receivedAt, `${letter.key.tenant}/${name}`, why, id, printable(detail)];
  });
  printResult(context, options, {
    text:
      rows.length === 0
        ? "no dead letters"
        : alignColumns([["received", "device", "reason", "id", "detail"], ...rows]),
    value: shown.map(summaryOf),
  });
  if (found.length > shown.length) {
    printRemark(context, options, `${shown.length} of ${found.length}: --limit shows more`);
  }
}

async function show(context: CliContext, id: string, options: LetterOptions): Promise<void> {
  const [letter] = await withBackend(context, options, ({ store }) =>
    findLetters(store, { ids: [id] }),
  );
  if (letter === undefined) return notFound(context, options, id);
  const summary = summaryOf(letter);
  const lines = Object.entries(summary).map(([name, value]) => [
    name,
    printable(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  const frame = letter.key.tenant === NOBODY ? "" : await readable(letter);
  printResult(context, options, {
    text: `${alignColumns(lines)}\n\n${frame}`,
    value: { ...summary, frame: letter.frame },
  });
}

function notFound(context: CliContext, options: LetterOptions, id: string): void {
  context.exitCode = EXIT.failure;
  printResult(context, options, { text: `no dead letter ${printable(id)} is kept`, value: null });
}

/** The frame as `frame decode` prints it, with the fault where it cannot be read. */
async function readable({ key, frame }: DeadLetter): Promise<string> {
  const sender = `${key.tenant}/${key.device}`;
  const context = { before: [], models: { get: () => null }, sender, vectors: false };
  return frameText(describeFrame(frame, await loadZstd(), context));
}

async function retry(
  context: CliContext,
  filter: LetterFilter,
  options: LetterOptions,
): Promise<void> {
  const { retried, skipped } = await withBackend(context, options, async ({ store, queue }) => {
    const found = await findLetters(store, filter);
    const owned = found.filter((letter) => letter.key.tenant !== NOBODY);
    await retryLetters(store, await queue.producer(), owned);
    return { retried: owned.length, skipped: found.length - owned.length };
  });
  const rest = skipped === 0 ? "" : `; ${skipped} jobs that were no batches cannot be retried`;
  const text = `${retried} queued again${rest}`;
  printResult(context, options, { text, value: { retried, skipped } });
  judgeCount(context, filter, retried);
}

async function drop(
  context: CliContext,
  filter: LetterFilter,
  options: LetterOptions,
): Promise<void> {
  const dropped = await withBackend(context, options, async ({ store }) =>
    dropLetters(store, await findLetters(store, filter)),
  );
  printResult(context, options, { text: `${dropped} dropped`, value: { dropped } });
  judgeCount(context, filter, dropped);
}

/** Ids that were named and are not there are a failure; a filter that finds nothing is not. */
function judgeCount(context: CliContext, { ids }: LetterFilter, count: number): void {
  if (ids !== undefined && count < new Set(ids).size) context.exitCode = EXIT.failure;
}

function summaryOf({ id, key, position, reason, detail, receivedAtMs, frame }: DeadLetter) {
  return {
    ...{ id, tenant: key.tenant, device: key.device, position, reason, detail },
    receivedAt: new Date(receivedAtMs).toISOString(),
    bytes: frame.length,
  };
}

async function withBackend<T>(
  context: CliContext,
  options: LetterOptions,
  act: (backend: OpenBackend) => Promise<T>,
): Promise<T> {
  const { config } = readConfig(context, options, backendFlags(options));
  const log = createLogger({ level: "error", name: "omega-dead-letters" });
  const backend = await openBackend({ config, log, metrics: createMetrics() });
  try {
    return await act(backend);
  } finally {
    await backend.close();
  }
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("Expected a whole number of at least 1.");
}
