/**
 * `omega-sync token`: what a device needs to log in, and how to take it back.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { isTokenId } from "../../gateway/index.ts";
import { readSecretFile } from "./config.ts";
import { parseDurationS } from "./duration.ts";
import { parseIdArgument } from "./id-argument.ts";
import { type CliContext, printRemark, printResult } from "./output.ts";
import { appendRevoked } from "./revoked-file.ts";
import { type Credentials, issueJwt, issuePassword } from "./token.ts";

const LIFETIME_S_DEFAULT = 86_400;

interface IssueOptions {
  readonly device: string;
  readonly tenant: string;
  readonly secretFile: string;
  readonly mode: "jwt" | "password";
  readonly expires?: number;
  readonly audience: string;
  readonly issuer?: string;
  readonly json?: boolean;
}

interface RevokeOptions {
  readonly file: string;
  readonly device?: string;
  readonly tenant: string;
  readonly jti?: string;
  readonly json?: boolean;
}

/** Makes `command` the command `token`. `omega-sync token --device …` is `token issue`. */
export function register(command: Command, context: CliContext): void {
  registerIssue(command.command("issue", { isDefault: true }), context);
  registerRevoke(command.command("revoke"), context);
}

function registerIssue(command: Command, context: CliContext): void {
  command
    .description("make the credentials of a device; the password alone goes to stdout")
    .requiredOption("--device <id>", "device id", parseIdArgument)
    .option("--tenant <id>", "tenant id", parseIdArgument, "default")
    .requiredOption("--secret-file <file>", "file with the secret the gateways hold")
    .addOption(
      new Option("--mode <mode>", "what the gateways expect (gateway.auth.mode)")
        .choices(["jwt", "password"])
        .default("jwt"),
    )
    .option("--expires <duration>", "lifetime of a jwt: 90s, 15m, 24h, 30d (24h)", parseDurationS)
    .option("--audience <name>", "aud claim of a jwt (gateway.auth.audience)", "omega-sync")
    .option("--issuer <name>", "iss claim of a jwt (gateway.auth.issuer)")
    .option("--json", "one JSON object: {mode, clientId, username, password, expiresAtS, tokenId}")
    .addHelpText(
      "after",
      `
Examples:
  $ openssl rand -hex 32 > secret.txt
  $ omega-sync token issue --device tv-1 --secret-file secret.txt
  $ omega-sync token issue --device tv-1 --tenant acme --mode password --secret-file secret.txt --json
  $ mosquitto_sub -i tv-1 -u default/tv-1 -t omega/v1/default/d/tv-1/down \\
      -P "$(omega-sync token issue --device tv-1 --secret-file secret.txt)"`,
    )
    .action(async (options: IssueOptions) => {
      if (options.mode === "password" && options.expires !== undefined) {
        command.error("error: a password never expires: --expires needs --mode jwt");
      }
      const credentials = await issue(options, context);
      printResult(context, options, { text: credentials.password, value: credentials });
      printRemark(context, options, remarkOf(credentials));
    });
}

function registerRevoke(command: Command, context: CliContext): void {
  command
    .description("add a device or a token to the list of what may not come in any more")
    .requiredOption(
      "--file <file>",
      "the list (gateway.auth.revokedFile); made when it is not there",
    )
    .option("--device <id>", "all that was issued to this device so far", parseIdArgument)
    .option("--tenant <id>", "tenant id", parseIdArgument, "default")
    .option("--jti <id>", "one token, by the id that token issue --json gives", parseTokenId)
    .option("--json", "one JSON object: {file, line}")
    .addHelpText(
      "after",
      `
Every gateway that has the list (gateway.auth.revokedFile) closes live sessions within 2 s of
the change; bringing it to every machine is yours. A token issued in the same second is revoked
with the device. A password says not when it was made: its device stays out until its line is
removed.

Examples:
  $ omega-sync token revoke --file revoked.txt --device tv-1
  $ omega-sync token revoke --file revoked.txt --device tv-1 --tenant acme --json
  $ omega-sync token revoke --file revoked.txt --jti 0e2cb4f0-8f0e-4f5c-9a07-6d3a6f0a6c55`,
    )
    .action((options: RevokeOptions) => {
      const { device, tenant, jti, file } = options;
      if ((device === undefined) === (jti === undefined)) {
        command.error("error: give either --device or --jti");
      }
      const what = jti === undefined ? `device ${tenant}/${device}` : `token ${jti}`;
      const line = `${what} ${new Date(context.nowMs()).toISOString()}`;
      appendRevoked(file, line);
      printResult(context, options, { text: line, value: { file, line } });
    });
}

function issue(options: IssueOptions, context: CliContext): Promise<Credentials> | Credentials {
  const secret = readSecretFile("--secret-file", options.secretFile).reveal();
  const key = { tenant: options.tenant, device: options.device };
  if (options.mode === "password") return issuePassword(key, secret);
  return issueJwt(key, secret, {
    audience: options.audience,
    issuer: options.issuer ?? null,
    issuedAtS: Math.floor(context.nowMs() / 1_000),
    lifetimeS: options.expires ?? LIFETIME_S_DEFAULT,
  });
}

function remarkOf({ clientId, username, expiresAtS, tokenId }: Credentials): string {
  const end = expiresAtS === null ? "never" : new Date(expiresAtS * 1_000).toISOString();
  const id = tokenId === null ? "" : `, token id ${tokenId}`;
  return `client id ${clientId}, user name ${username}, expires ${end}${id}`;
}

function parseTokenId(text: string): string {
  if (isTokenId(text)) return text;
  throw new InvalidArgumentError("Expected 1–128 printable characters without spaces.");
}
