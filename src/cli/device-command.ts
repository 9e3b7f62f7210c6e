/**
 * `omega-sync device`: one TV on the command line, to try a deployment or to script one.
 * @module
 */
import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { type Delta, MemoryStorage, openMqttLink, SyncClient } from "../../device/index.ts";
import { InvalidConfigError, messageOf, sleep, systemClock, TimeoutError } from "../core/index.ts";
import { FileSink, monotonicMs, recordClient, recordingLink } from "../fleet/oracle/index.ts";
import { readSecretFile } from "./config.ts";
import { type CliContext, printable, toJson } from "./output.ts";

interface DeviceOptions {
  readonly id: string;
  readonly tenant: string;
  readonly endpoint: readonly string[];
  readonly dataDir?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly dim?: number;
  readonly codec?: 0 | 1;
  readonly budget?: number;
  readonly push?: string;
  readonly once?: boolean;
  readonly seconds?: number;
  readonly history?: string;
  readonly json?: boolean;
}

const ONCE_SECONDS_DEFAULT = 30;

/** Makes `command` the command `device`. */
export function register(command: Command, context: CliContext): void {
  command
    .requiredOption("--id <id>", "device id")
    .option("--tenant <id>", "tenant id", "default")
    .option("--endpoint <url...>", "mqtt:// mqtts:// ws:// or wss://", ["mqtt://127.0.0.1:1883"])
    .option("--data-dir <dir>", "keep the outbox here (default: memory, forgotten at exit)")
    .option("--password-file <file>", "file with the password or token")
    .option("--ca-file <file>", "PEM authority of the gateway's certificate")
    .option("--cert-file <file>", "PEM certificate of the device (omega-sync certs issue)")
    .option("--key-file <file>", "PEM private key; goes with --cert-file")
    .option("--dim <n>", "numbers per embedding (384)", number)
    .option(
      "--codec <n>",
      "1: ten patterns to a kilobyte (default); 0: int8, for any server",
      codec,
    )
    .option("--budget <bytes>", "bound of one frame (1024; 15360 with --codec 0)", number)
    .option("--push <file>", 'JSON: {"upserts": [{id, embedding, weight, …}], "removals": [id]}')
    .option("--once", "end after the push is acknowledged and a release, or none, has arrived")
    .option(
      "--seconds <n>",
      `end after so long (with --once: fail, ${ONCE_SECONDS_DEFAULT})`,
      number,
    )
    .option(
      "--history <file>",
      "append what becomes of each delta here, for tests that judge a run",
    )
    .option("--json", "one JSON object per event and line")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync device --id tv-1 --once
  $ omega-sync device --id tv-1 --push patterns.json --once --json
  $ omega-sync device --id tv-1 --endpoint mqtts://gateway.example:8883 \\
      --password-file token.txt --data-dir ./tv-1
  $ omega-sync device --id tv-1 --endpoint mqtts://gateway.example:8883 --ca-file certs/ca.pem \
      --cert-file certs/devices/default/tv-1.pem --key-file certs/devices/default/tv-1.key`,
    )
    .action((options: DeviceOptions) => device(context, options));
}

async function device(context: CliContext, options: DeviceOptions): Promise<void> {
  const client = await clientOf(options);
  const caughtUp = follow(client, (event, fields) => {
    const line = options.json
      ? toJson({ event, ...fields })
      : `${event.padEnd(8)} ${Object.entries(fields)
          .map(([name, value]) => `${name} ${toJson(value)}`)
          .join("  ")}`;
    context.stdout.write(`${options.json ? line : printable(line)}\n`);
  });
  const ending = new AbortController();
  const onSignal = () => ending.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const delta = options.push === undefined ? null : await readDelta(options.push);
  await client.start();
  try {
    const pushed = delta === null ? null : client.sync(delta);
    const work = options.once ? Promise.all([pushed, caughtUp]) : pushed;
    await Promise.race([finish(work, options, ending.signal), interrupted(ending.signal)]);
  } finally {
    process.removeListener("SIGINT", onSignal).removeListener("SIGTERM", onSignal);
    ending.abort(new Error("done"));
    await client.stop();
  }
}

/** With `--once` the work must end in time; without it, work or not, the time is simply up. */
async function finish(
  work: Promise<unknown> | null,
  { once, seconds }: DeviceOptions,
  signal: AbortSignal,
): Promise<void> {
  const secondsMax = seconds ?? (once ? ONCE_SECONDS_DEFAULT : null);
  const over =
    secondsMax === null
      ? new Promise<void>(() => {})
      : sleep(systemClock, secondsMax * 1_000, signal);
  if (!once) {
    await work;
    await over.catch(() => {});
    return;
  }
  const late = over.then(() => {
    throw new TimeoutError(
      "device.once",
      `not done after ${secondsMax} s: raise --seconds or check --endpoint`,
    );
  });
  await Promise.race([work, late]);
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function clientOf(options: DeviceOptions): Promise<SyncClient> {
  const { id, tenant, endpoint, dataDir, passwordFile, dim, history } = options;
  const tls = await tlsOf(options);
  const sink = history === undefined ? null : new FileSink(history, monotonicMs);
  const client = new SyncClient({
    deviceId: id,
    tenant,
    endpoints: [...endpoint],
    ...(dataDir === undefined ? { storage: new MemoryStorage() } : { dataDir }),
    ...(passwordFile === undefined
      ? {}
      : { credentials: { password: readSecretFile("--password-file", passwordFile).reveal() } }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(dim === undefined ? {} : { dim }),
    ...(options.codec === undefined ? {} : { codec: options.codec }),
    ...(options.budget === undefined ? {} : { budgetBytes: options.budget }),
    ...(sink === null ? {} : { openLink: recordingLink(openMqttLink, sink) }),
  });
  if (sink !== null) recordClient(client, { tenant, device: id }, sink);
  return client;
}

async function tlsOf({ caFile, certFile, keyFile }: DeviceOptions) {
  return {
    ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
    ...(certFile === undefined ? {} : { cert: await readFile(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readFile(keyFile) }),
  };
}

type Print = (event: string, fields: Readonly<Record<string, unknown>>) => void;

/** Prints every event; resolves when the client is live, that is, holds the newest release there is. */
function follow(client: SyncClient, print: Print): Promise<void> {
  client.on("release", (release) =>
    print("release", { ...release, patterns: client.patterns.size }),
  );
  client.on("preview", ({ patterns, trends, ...preview }) =>
    print("preview", { ...preview, patterns: patterns.size, trends: trends.length }),
  );
  client.on("sent", (sent) => print("sent", sent));
  client.on("acked", (acked) => print("acked", acked));
  client.on("refused", (problem) => print("refused", { ...problem }));
  client.on("dropped", ({ ids, error }) => print("dropped", { ids, reason: error.reason }));
  client.on("error", ({ code, reason, message }) => print("error", { code, reason, message }));
  return new Promise((resolve) => {
    client.on("phase", ({ phase }) => {
      print("phase", { phase });
      if (phase === "live") resolve();
    });
  });
}

async function readDelta(file: string): Promise<Delta> {
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    const { upserts = [], removals = [] } = value as Partial<Delta>;
    return { upserts, removals };
  } catch (error) {
    throw new InvalidConfigError([`--push ${file}: ${messageOf(error)}`]);
  }
}

function number(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError(`must be a number above 0: got ${text}`);
}

function codec(text: string): 0 | 1 {
  if (text === "0" || text === "1") return text === "0" ? 0 : 1;
  throw new InvalidArgumentError(`must be 0 or 1: got ${text}`);
}
