/**
 * `omega-sync fleet`: a load of light devices on a server, with thresholds and a report.
 * @module
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { isId, isLoopback, limits, messageOf, systemClock } from "../core/index.ts";
import {
  type FleetResult,
  type LoadPlan,
  METRIC_HELP,
  type Moment,
  NETWORKS,
  type NetworkName,
  parseTarget,
  parseThreshold,
  pidFault,
  reportHtml,
  runFleet,
  SCENARIOS,
  type ScenarioName,
  type Target,
  type Threshold,
} from "../fleet/load/index.ts";
import { readSecretFile } from "./config.ts";
import { parseDurationS } from "./duration.ts";
import { EXIT } from "./exit.ts";
import { alignColumns, type CliContext, printResult } from "./output.ts";

interface FleetCommandOptions {
  readonly devices: number;
  readonly duration: number;
  readonly connectRate: number;
  readonly interval: number;
  readonly jitter: number;
  readonly churn: number;
  readonly network: NetworkName;
  readonly scenario: ScenarioName;
  readonly processes: number;
  readonly pid: readonly number[];
  readonly threshold: readonly Threshold[];
  readonly metrics: readonly string[];
  readonly tenant: string;
  readonly secretFile?: string;
  readonly caFile?: string;
  readonly dim: number;
  readonly patterns: number;
  readonly frameBytes: number;
  readonly report?: string;
  readonly seed: number;
  readonly allowRemote?: boolean;
  readonly json?: boolean;
}

const DEVICES_MAX = 1_000_000;
const PROCESSES_MAX = 64;
const FRAME_BYTES_MIN = 64;
const FRAME_BYTES_DEFAULT = 1_024;

/** Makes `command` the command `fleet`. */
export function register(command: Command, context: CliContext): void {
  command
    .argument("<url>", "mqtt:// mqtts:// ws:// or wss://, on this machine")
    .option("--devices <n>", "light devices", integer(1, DEVICES_MAX), 100)
    .option("--duration <time>", "after all have connected: 30s, 5m, 1h", parseDurationS, 30)
    .option("--connect-rate <n>", "connections per second until then", integer(1, 100_000), 200)
    .option("--interval <time>", "between two deltas of a device", parseDurationS, 10)
    .option("--jitter <share>", "each gap is ± this share of the interval", share, 0.5)
    .option("--churn <share>", "of the devices leave per minute and return", share, 0)
    .addOption(choice("--network <name>", "between devices and server", NETWORKS, "none"))
    .addOption(choice("--scenario <name>", "what happens; see below", SCENARIOS, "steady"))
    .option("--processes <n>", "processes that share the devices", integer(1, PROCESSES_MAX), 1)
    .option("--pid <pids>", "servers that the scenario signals: 4711,4712", pids, [])
    .option("--threshold <expression>", "ack_p99<500; may be given again", thresholds, [])
    .option("--metrics <url>", "/metrics page with the queue; may be given again", list, [])
    .option("--tenant <id>", "tenant of the devices fleet-0, fleet-1, …", tenant, "default")
    .option("--secret-file <file>", "the gateways' secret, for auth.mode password")
    .option("--ca-file <file>", "PEM authority of the gateway's certificate");
  addFrameOptions(command)
    .option("--seed <n>", "of schedule, network and vectors", integer(0, 2 ** 32 - 1), 1)
    .option("--report <file>", "write an HTML page with plots")
    .option("--allow-remote", "the target is another machine, and it is yours")
    .option("--json", "one JSON object at the end; progress goes to stderr")
    .addHelpText("after", HELP)
    .action((url: string, options: FleetCommandOptions, self: Command) =>
      fleet(context, url, options, self),
    );
}

function addFrameOptions(command: Command): Command {
  const { DIMENSION_MIN, DIMENSION_MAX, DIMENSION_DEFAULT } = limits;
  return command
    .option(
      "--dim <n>",
      "numbers per embedding",
      integer(DIMENSION_MIN, DIMENSION_MAX),
      DIMENSION_DEFAULT,
    )
    .option("--patterns <n>", "patterns in a delta", integer(1, limits.DELTA_ITEMS_MAX), 10)
    .option(
      "--frame-bytes <n>",
      "bytes of a delta's frame",
      integer(FRAME_BYTES_MIN, limits.UP_FRAME_BYTES_MAX),
      FRAME_BYTES_DEFAULT,
    );
}

const rowsOf = (entries: Readonly<Record<string, string>>) =>
  alignColumns(Object.entries(entries).map(([name, text]) => [`  ${name}`, text]));

const HELP = `
Scenarios:
${rowsOf(Object.fromEntries(Object.entries(SCENARIOS).map(([name, { help }]) => [name, help])))}

Metrics for --threshold (<, <=, >, >=, =):
${rowsOf(METRIC_HELP)}

Every delta is due by the schedule, whatever the server does, and its latency
counts from then; so late acknowledgements are waited for up to 30 s after the
end. Latencies are those of the whole run, rates those after the ramp in which
the devices connect. If the generator itself is too slow, the result says
saturated and states no server limit. The frames are real: a pool of bodies from
the device's encoder, each under its own device's header.

Exit code 0: done, 1: a threshold is broken, 2: usage, 69: nobody there or nobody let in.

Examples:
  $ omega-sync fleet mqtt://127.0.0.1:1883
  $ omega-sync fleet mqtt://127.0.0.1:1883 --devices 10000 --processes 2 --interval 60s \\
      --threshold 'ack_p99<500' --threshold 'lost=0' --report fleet.html
  $ omega-sync fleet mqtts://localhost:8883 --ca-file ca.pem --secret-file secret.txt \\
      --scenario reconnect-storm --network home --json
  $ omega-sync fleet mqtt://127.0.0.1:1883 --scenario rolling-restart --pid 4711,4712`;

async function fleet(
  context: CliContext,
  url: string,
  options: FleetCommandOptions,
  command: Command,
): Promise<void> {
  const usage = (text: string): never => command.error(`error: ${text}`);
  const target = parseTarget(url, readCa(options.caFile, usage));
  if (target === null) return usage(`not a broker: ${url}; write mqtt://127.0.0.1:1883`);
  requireOwn(target, options, usage);
  const { processes, pid, metrics, report } = options;
  if (report !== undefined) requireWritable(report, usage);
  const stopping = new AbortController();
  const onSignal = () => stopping.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    const result = await runFleet({
      ...{ plan: planOf(context, target, options), processes, clock: systemClock },
      ...{ pids: pid, metricsUrls: metrics, thresholds: options.threshold },
      onMoment: (moment) => context.stderr.write(`${progressOf(moment)}\n`),
      signal: stopping.signal,
    });
    if (report !== undefined) writeFileSync(report, reportHtml(result));
    printResult(context, options, { text: textOf(result), value: result });
    context.exitCode = result.thresholds.every(({ ok }) => ok) ? EXIT.ok : EXIT.failure;
  } finally {
    process.removeListener("SIGINT", onSignal).removeListener("SIGTERM", onSignal);
  }
}

/** Load goes where one owns it, and signals to processes that there are. */
function requireOwn(
  target: Target,
  { allowRemote, scenario, pid }: FleetCommandOptions,
  usage: (text: string) => never,
): void {
  if (!isLoopback(target.host) && allowRemote !== true) {
    usage(`${target.host} is not this machine: load goes only where you own it (--allow-remote)`);
  }
  const { touches } = SCENARIOS[scenario];
  if (touches !== null && pid.length === 0) {
    usage(`--scenario ${scenario} signals ${touches} on this machine: name them with --pid`);
  }
  if (touches === null && pid.length > 0) {
    usage(`--pid has no meaning in --scenario ${scenario}, which signals nobody`);
  }
  for (const each of pid) {
    const fault = pidFault(each);
    if (fault !== null) usage(`--pid: ${fault}`);
  }
}

function planOf(context: CliContext, target: Target, options: FleetCommandOptions): LoadPlan {
  const { tenant, devices, connectRate, jitter, network, scenario, dim, patterns } = options;
  const { secretFile, frameBytes, seed } = options;
  return {
    ...{ target, tenant, devices, connectRate, jitter, network, scenario, dim, patterns },
    ...{ frameBytes, seed },
    durationMs: options.duration * 1_000,
    intervalMs: options.interval * 1_000,
    churnPerMinute: options.churn,
    secret: secretFile === undefined ? null : readSecretFile("--secret-file", secretFile).reveal(),
    epoch: context.nowMs(),
  };
}

/** Before the run and not after it. */
function requireWritable(file: string, usage: (text: string) => never): void {
  try {
    appendFileSync(file, "");
  } catch (error) {
    usage(`--report ${file}: ${messageOf(error)}`);
  }
}

function readCa(file: string | undefined, usage: (text: string) => never): string | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    return usage(`--ca-file ${file}: ${messageOf(error)}`);
  }
}

function progressOf({ second, connected, offered, acked, waiting, ackMs }: Moment): string {
  const cells = [`connected ${connected}`, `offered ${offered}/s`, `acked ${acked}/s`];
  const latency = `ack p50 ${ackMs.p50} p99 ${ackMs.p99} ms`;
  return [`${second} s`.padStart(6), ...cells, `waiting ${waiting}`, latency].join("  ");
}

function textOf(result: FleetResult): string {
  const { ackMs, connectMs, counts, generator, metrics, thresholds } = result;
  const of = ({ p50, p99, max }: typeof ackMs) => `p50 ${p50}  p99 ${p99}  max ${max}`;
  const rows = [
    ["devices", `${result.devices}, ${counts.connects} logins, ${counts.busy} told to come later`],
    ["deltas", `${counts.offered} due, ${counts.acked} acknowledged, ${metrics.lost} lost`],
    ["per second", `${metrics.offered_per_s} offered, ${metrics.acked_per_s} acknowledged`],
    ["PUBACK ms", of(ackMs)],
    ["CONNACK ms", of(connectMs)],
    ["errors", `${metrics.errors}`],
    ["schedule lag ms", of(generator.scheduleLagMs)],
    ["generator", generator.saturated ? `saturated: ${generator.reasons.join("; ")}` : "kept up"],
    ["server", result.serverLimitNote],
    ...thresholds.map(({ expression, value, ok }) => {
      return [`${ok ? "kept" : "BROKEN"}`, `${expression} (${value})`];
    }),
  ];
  return `${result.interrupted ? "stopped before its time\n" : ""}${alignColumns(rows)}`;
}

function choice(
  flags: string,
  help: string,
  of: Readonly<Record<string, unknown>>,
  preset: string,
): Option {
  return new Option(flags, help).choices(Object.keys(of)).default(preset);
}

function thresholds(text: string, before: readonly Threshold[]): readonly Threshold[] {
  const parsed = parseThreshold(text);
  if ("fault" in parsed) throw new InvalidArgumentError(parsed.fault);
  return [...before, parsed];
}

function pids(text: string, before: readonly number[]): readonly number[] {
  const found = text.split(",").map(Number);
  // 0 and 1 are the own group and init: never what is meant.
  if (found.every((pid) => Number.isInteger(pid) && pid > 1)) return [...before, ...found];
  throw new InvalidArgumentError(`must be process ids above 1 with commas: got ${text}`);
}

function list(text: string, before: readonly string[]): readonly string[] {
  if (URL.canParse(text)) return [...before, text];
  throw new InvalidArgumentError(`must be a URL: got ${text}`);
}

function tenant(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 characters of A–Z a–z 0–9 _ -.");
}

function share(text: string): number {
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value <= 1) return value;
  throw new InvalidArgumentError(`must be a number in 0 … 1: got ${text}`);
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be an integer in ${min} … ${max}: got ${text}`);
  };
}
