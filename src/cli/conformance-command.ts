/**
 * `omega-sync conformance`: the device protocol, assertion by assertion, against any deployment.
 * @module
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type DeviceKey, deviceName, isId, isLoopback, messageOf } from "../core/index.ts";
import { ASSERTIONS, type ConformanceResult, checkAssertion } from "../fleet/conformance/index.ts";
import { parseTarget, type Target } from "../fleet/load/index.ts";
import { readSecretFile } from "./config.ts";
import { EXIT } from "./exit.ts";
import { alignColumns, type CliContext, printable, printRemark, printResult } from "./output.ts";
import { issueJwt, issuePassword } from "./token.ts";

interface ConformanceCommandOptions {
  readonly tenant: string;
  readonly prefix?: string;
  readonly only?: readonly string[];
  readonly mode: "jwt" | "password";
  readonly secretFile?: string;
  readonly audience: string;
  readonly caFile?: string;
  readonly list?: boolean;
  readonly allowRemote?: boolean;
  readonly json?: boolean;
}

const KEEPALIVE_S = 60;
const LIFETIME_S = 3_600;
const PREFIX_CHARACTERS_MAX = 40;

/** Makes `command` the command `conformance`. */
export function register(command: Command, context: CliContext): void {
  command
    .argument("[url]", "mqtt:// mqtts:// ws:// or wss://, on this machine")
    .option("--tenant <id>", "tenant of the devices", id, "default")
    .option("--prefix <text>", "of their ids; default: a new one each time", prefix)
    .option("--only <ids>", "some of the assertions: C1,U2", only)
    .option("--secret-file <file>", "the gateways' secret, unless they have no authentication")
    .addOption(
      new Option("--mode <mode>", "what the gateways expect (gateway.auth.mode)")
        .choices(["jwt", "password"])
        .default("jwt"),
    )
    .option("--audience <name>", "aud claim of a jwt (gateway.auth.audience)", "omega-sync")
    .option("--ca-file <file>", "PEM authority of the gateway's certificate")
    .option("--list", "print the assertions and check nothing")
    .option("--allow-remote", "the server is another machine, and it is yours")
    .option("--json", "one JSON object: {passed, failed, results: [{id, must, source, fault}]}")
    .addHelpText(
      "after",
      `
It connects some fifty times, publishes a few dozen small deltas of devices named PREFIX-…, and
breaks every rule that must close a connection. It takes a minute. D3 and D4 need an aggregator.

Examples:
  $ omega-sync conformance mqtt://127.0.0.1:1883
  $ omega-sync conformance mqtts://127.0.0.1:8883 --secret-file secret.txt --ca-file ca.pem
  $ omega-sync conformance --list`,
    )
    .action(async (url: string | undefined, options: ConformanceCommandOptions, self: Command) => {
      if (options.list) return list(context, options);
      const target = targetOf(url, options, self);
      await conformance(context, target, options);
    });
}

function list(context: CliContext, options: ConformanceCommandOptions): void {
  const shown = ASSERTIONS.map(({ id: name, must, source }) => ({ id: name, must, source }));
  printResult(context, options, {
    text: alignColumns(shown.map(({ id: name, must, source }) => [name, must, source])),
    value: shown,
  });
}

function targetOf(
  url: string | undefined,
  options: ConformanceCommandOptions,
  self: Command,
): Target {
  if (url === undefined) return self.error("error: missing argument: url");
  const ca = options.caFile === undefined ? null : readAuthority(options.caFile, self);
  const target = parseTarget(url, ca);
  if (target === null) {
    return self.error(`error: ${url} is no URL of mqtt, mqtts, ws or wss: mqtt://127.0.0.1:1883`);
  }
  if (!isLoopback(target.host) && !options.allowRemote) {
    return self.error(`error: ${target.host} is another machine: --allow-remote if it is yours`);
  }
  return target;
}

function readAuthority(file: string, self: Command): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    return self.error(`error: --ca-file cannot be read: ${messageOf(error)}`);
  }
}

async function conformance(
  context: CliContext,
  target: Target,
  options: ConformanceCommandOptions,
): Promise<void> {
  const { tenant, only: wanted } = options;
  const loginOf = credentialsOf(context, options);
  const named = options.prefix ?? `conformance-${randomBytes(4).toString("hex")}`;
  const results: ConformanceResult[] = [];
  for (const assertion of ASSERTIONS) {
    if (wanted !== undefined && !wanted.includes(assertion.id)) continue;
    const result = await checkAssertion(assertion, { target, tenant, prefix: named, loginOf });
    results.push(result);
    printRemark(context, options, `${result.fault === null ? "ok  " : "FAIL"} ${result.id}`);
  }
  const failed = results.filter(({ fault }) => fault !== null);
  printResult(context, options, {
    text: textOf(results, failed),
    value: { passed: results.length - failed.length, failed: failed.length, results },
  });
  if (failed.length > 0) context.exitCode = EXIT.failure;
}

function textOf(
  results: readonly ConformanceResult[],
  failed: readonly ConformanceResult[],
): string {
  const faults = failed.map(({ id: name, must, source, fault }) =>
    [`${name} must ${must} (${source})`, `  ${printable(fault ?? "")}`].join("\n"),
  );
  return [...faults, `${results.length - failed.length} of ${results.length} hold`].join("\n");
}

/** How a device logs in. */
function credentialsOf(context: CliContext, options: ConformanceCommandOptions) {
  const { secretFile, mode, audience } = options;
  const secret = secretFile === undefined ? null : readSecretFile("--secret-file", secretFile);
  return async (key: DeviceKey) => {
    const login = { clientId: key.device, username: deviceName(key), keepaliveS: KEEPALIVE_S };
    if (secret === null) return { ...login, password: null };
    if (mode === "password") {
      return { ...login, password: issuePassword(key, secret.reveal()).password };
    }
    const issuedAtS = Math.floor(context.nowMs() / 1_000);
    const rules = { audience, issuer: null, issuedAtS, lifetimeS: LIFETIME_S };
    return { ...login, password: (await issueJwt(key, secret.reveal(), rules)).password };
  };
}

function id(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 characters of A–Z a–z 0–9 _ -.");
}

function prefix(text: string): string {
  if (isId(text) && text.length <= PREFIX_CHARACTERS_MAX) return text;
  throw new InvalidArgumentError(`Expected 1–${PREFIX_CHARACTERS_MAX} characters of an id.`);
}

function only(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !ASSERTIONS.some((known) => known.id === name));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`There is no ${unknown}: --list shows them.`);
}
