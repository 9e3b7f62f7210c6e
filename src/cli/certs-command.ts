/**
 * `omega-sync certs`: an authority for device certificates, without another tool.
 * @module
 */
import { isIP } from "node:net";
import { type Command, InvalidArgumentError } from "commander";
import { type DeviceKey, InvalidConfigError } from "../core/index.ts";
import type { Authority, Signed, Validity } from "./certs/authority.ts";
import { CertsDirectory } from "./certs/directory.ts";
import { parseDurationS } from "./duration.ts";
import { parseIdArgument } from "./id-argument.ts";
import { type CliContext, printRemark, printResult } from "./output.ts";

interface CommonOptions {
  readonly dir: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

interface InitOptions extends CommonOptions {
  readonly host?: readonly string[];
  readonly name: string;
}

interface IssueOptions extends CommonOptions {
  readonly device?: string;
  readonly tenant: string;
  readonly host?: readonly string[];
  readonly expires: number;
}

interface RevokeOptions extends CommonOptions {
  readonly device?: string;
  readonly tenant: string;
  readonly serial?: readonly string[];
}

const DAY_MS = 86_400_000;
/** The life of an authority, and of a revocation list: one that lapses shuts every device out. */
const AUTHORITY_DAYS = 3_650;
/** What public authorities may give at most; clients refuse more. */
const SERVER_DAYS = 397;
const DEVICE_S_DEFAULT = (365 * DAY_MS) / 1_000;
/** For the clocks of gateways, which are a little apart. */
const EARLY_MS = 60_000;
/** For the clocks of TVs, which are wrong by hours before they have met a server. */
const SERVER_EARLY_MS = DAY_MS;
const DIRECTORY_DEFAULT = "certs";
const HOSTS_DEFAULT = ["localhost", "127.0.0.1"];

/** Makes `command` the command `certs`. */
export function register(command: Command, context: CliContext): void {
  const common = (child: Command) =>
    child
      .option("--dir <dir>", "directory of the authority", DIRECTORY_DEFAULT)
      .option("--json", "one JSON object");
  registerInit(common(command.command("init")), context);
  registerIssue(common(command.command("issue")), context);
  registerRevoke(common(command.command("revoke")), context);
}

function registerInit(command: Command, context: CliContext): void {
  command
    .description("make an authority, a certificate for the gateway and an empty revocation list")
    .option("--host <name...>", "names and addresses devices reach the gateway by", parseHosts)
    .option("--name <name>", "common name of the authority", parseName, "omega-sync CA")
    .option("--force", "replace what is there: devices of the old authority are shut out")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync certs init --host gateway.example.com 192.0.2.10
  $ omega-sync certs init --dir /etc/omega/certs --host gateway.example.com --json`,
    )
    .action((options: InitOptions) => init(context, options));
}

function registerIssue(command: Command, context: CliContext): void {
  command
    .description("issue a certificate to a device, or a new one to the gateway")
    .option("--device <id>", "device id; becomes the common name", parseIdArgument)
    .option("--tenant <id>", "tenant id; becomes the unit", parseIdArgument, "default")
    .option(
      "--host <name...>",
      "instead of a device: names and addresses of the gateway",
      parseHosts,
    )
    .option(
      "--expires <duration>",
      "lifetime: 90s, 15m, 24h, 30d",
      parseDurationS,
      DEVICE_S_DEFAULT,
    )
    .option("--force", "replace the device's files; the old certificate stays valid")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync certs issue --device tv-1
  $ omega-sync certs issue --device tv-1 --tenant acme --expires 30d --json
  $ omega-sync certs issue --host gateway.example.com --force`,
    )
    .action((options: IssueOptions) => issue(context, options, command));
}

function registerRevoke(command: Command, context: CliContext): void {
  command
    .description("revoke certificates: add them to the revocation list that gateways watch")
    .option("--device <id>", "all that was issued to this device", parseIdArgument)
    .option("--tenant <id>", "tenant id", parseIdArgument, "default")
    .option("--serial <hex...>", "certificates by serial number", parseSerials)
    .addHelpText(
      "after",
      `
Gateways that watch the list (gateway.tls.crlFile) close live sessions within 2 s of the change.

Examples:
  $ omega-sync certs revoke --device tv-1
  $ omega-sync certs revoke --serial 5f3a09c1 --json`,
    )
    .action((options: RevokeOptions) => revoke(context, options, command));
}

const INIT_FILES = ["ca.key", "ca.pem", "ca.crl.pem", "server.key", "server.pem", "issued.jsonl"];

async function init(context: CliContext, options: InitOptions): Promise<void> {
  const directory = new CertsDirectory(options.dir);
  const { host: hosts = HOSTS_DEFAULT } = options;
  const x509 = await import("./certs/authority.ts");
  await directory.exclusively(async () => {
    directory.requireFree(INIT_FILES, options.force === true);
    const life = days(context, AUTHORITY_DAYS, SERVER_EARLY_MS);
    const own = await x509.createAuthority(options.name, life);
    const authority = await x509.openAuthority(own.certPem, own.keyPem);
    const serverLife = days(context, SERVER_DAYS, SERVER_EARLY_MS);
    const server = await x509.issueToServer(authority, hosts, serverLife);
    const list = await x509.writeCrl(authority, null, [], days(context, AUTHORITY_DAYS));
    directory.writeSigned("ca", own);
    directory.writeSigned("server", server);
    directory.writePublic("ca.crl.pem", list);
    directory.startLedger();
  });
  const files = Object.fromEntries(INIT_FILES.map((name) => [name, directory.file(name)]));
  printResult(context, options, {
    text: INIT_FILES.map((name) => directory.file(name)).join("\n"),
    value: { dir: options.dir, hosts, files },
  });
  printRemark(context, options, nextSteps(directory));
}

function nextSteps(directory: CertsDirectory): string {
  return `
Next steps
  1. Keep ${directory.file("ca.key")} away from the gateways: who has it is every device.
  2. Start a gateway with it:
       omega-sync start --set gateway.auth.mode=certificate gateway.tcp.enabled=false \\
         gateway.tls.enabled=true gateway.tls.host=0.0.0.0 \\
         gateway.tls.certFile=${directory.file("server.pem")} \\
         gateway.tls.keyFile=${directory.file("server.key")} \\
         gateway.tls.caFile=${directory.file("ca.pem")} \\
         gateway.tls.crlFile=${directory.file("ca.crl.pem")}
  3. Give each device its own:  omega-sync certs issue --dir ${directory.path} --device tv-1
  4. Take one back:             omega-sync certs revoke --dir ${directory.path} --device tv-1
  The gateway's certificate ends in ${SERVER_DAYS} days: omega-sync certs issue --host … --force`;
}

async function issue(context: CliContext, options: IssueOptions, command: Command): Promise<void> {
  const { device, tenant, host } = options;
  if ((device === undefined) === (host === undefined)) {
    command.error("error: give either --device or --host");
  }
  const directory = new CertsDirectory(options.dir);
  const name = device === undefined ? "server" : `devices/${tenant}/${device}`;
  const files = [`${name}.key`, `${name}.pem`];
  const signed = await directory.exclusively(async () => {
    const authority = await open(directory);
    directory.requireFree(files, options.force === true);
    const made = await sign(context, authority, options);
    directory.writeSigned(name, made);
    if (device !== undefined) directory.record({ tenant, device, serial: made.serial });
    return made;
  });
  const paths = files.map((file) => directory.file(file));
  printResult(context, options, {
    text: paths.join("\n"),
    value: { serial: signed.serial, keyFile: paths[0], certFile: paths[1] },
  });
  printRemark(context, options, `serial ${signed.serial}`);
}

async function sign(
  context: CliContext,
  authority: Authority,
  { device, tenant, host = [], expires }: IssueOptions,
): Promise<Signed> {
  const x509 = await import("./certs/authority.ts");
  if (device === undefined) {
    return x509.issueToServer(authority, host, days(context, SERVER_DAYS, SERVER_EARLY_MS));
  }
  const life = days(context, (expires * 1_000) / DAY_MS, EARLY_MS);
  return x509.issueToDevice(authority, { tenant, device }, life);
}

async function revoke(
  context: CliContext,
  options: RevokeOptions,
  command: Command,
): Promise<void> {
  const { device, tenant, serial } = options;
  if ((device === undefined) === (serial === undefined)) {
    command.error("error: give either --device or --serial");
  }
  const directory = new CertsDirectory(options.dir);
  const x509 = await import("./certs/authority.ts");
  const { serials, count } = await directory.exclusively(async () => {
    const authority = await open(directory);
    const wanted = serial ?? issuedTo(directory, { tenant, device: device ?? "" });
    const previous = directory.read("ca.crl.pem");
    const list = await x509.writeCrl(authority, previous, wanted, days(context, AUTHORITY_DAYS));
    directory.writePublic("ca.crl.pem", list);
    return { serials: wanted, count: x509.revokedSerials(list).length };
  });
  const crlFile = directory.file("ca.crl.pem");
  printResult(context, options, {
    text: serials.join("\n"),
    value: { serials, revokedCount: count, crlFile },
  });
  printRemark(context, options, `${crlFile} now has ${count}: bring it to every gateway`);
}

function issuedTo(directory: CertsDirectory, key: DeviceKey): readonly string[] {
  const serials = directory.serialsOf(key);
  if (serials.length > 0) return serials;
  throw new InvalidConfigError([
    `nothing was issued to ${key.tenant}/${key.device} from ${directory.path}: use --serial`,
  ]);
}

async function open(directory: CertsDirectory): Promise<Authority> {
  const { openAuthority } = await import("./certs/authority.ts");
  return openAuthority(directory.read("ca.pem"), directory.read("ca.key"));
}

function days(context: CliContext, count: number, earlyMs = 0): Validity {
  const nowMs = context.nowMs();
  return { notBefore: new Date(nowMs - earlyMs), notAfter: new Date(nowMs + count * DAY_MS) };
}

function parseName(text: string): string {
  if (/^[ -~]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 printable characters.");
}

function parseHosts(text: string, previous: readonly string[] = []): string[] {
  if (isIP(text) !== 0 || /^(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(text)) {
    return [...previous, text];
  }
  throw new InvalidArgumentError("Expected a host name or an IP address.");
}

/** Serial numbers as other tools show them, with colons or in capitals. */
function parseSerials(text: string, previous: readonly string[] = []): string[] {
  const hex = text.replaceAll(":", "").toLowerCase();
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  if (/^[0-9a-f]{2,40}$/.test(even)) return [...previous, even];
  throw new InvalidArgumentError("Expected a serial number of at most 20 bytes in hex.");
}
