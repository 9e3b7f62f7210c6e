/**
 * `omega-sync token`: what a device needs to log in.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { isId } from "../core/index.ts";
import { readSecretFile } from "./config.ts";
import { parseDurationS } from "./duration.ts";
import { type CliContext, printRemark, printResult } from "./output.ts";
import { type Credentials, issueJwt, issuePassword } from "./token.ts";

const LIFETIME_S_DEFAULT = 86_400;

interface TokenOptions {
  readonly device: string;
  readonly tenant: string;
  readonly secretFile: string;
  readonly mode: "jwt" | "password";
  readonly expires?: number;
  readonly audience: string;
  readonly issuer?: string;
  readonly json?: boolean;
}

/** Adds `token` to `program`. */
export function register(program: Command, context: CliContext): void {
  program
    .command("token")
    .description("make the credentials of a device; the password alone goes to stdout")
    .requiredOption("--device <id>", "device id", parseId)
    .option("--tenant <id>", "tenant id", parseId, "default")
    .requiredOption("--secret-file <file>", "file with the secret the gateways hold")
    .addOption(
      new Option("--mode <mode>", "what the gateways expect (gateway.auth.mode)")
        .choices(["jwt", "password"])
        .default("jwt"),
    )
    .option("--expires <duration>", "lifetime of a jwt: 90s, 15m, 24h, 30d (24h)", parseDurationS)
    .option("--audience <name>", "aud claim of a jwt (gateway.auth.audience)", "omega-sync")
    .option("--issuer <name>", "iss claim of a jwt (gateway.auth.issuer)")
    .option("--json", "one JSON object: {mode, clientId, username, password, expiresAtS}")
    .addHelpText(
      "after",
      `
Examples:
  $ openssl rand -hex 32 > secret.txt
  $ omega-sync token --device tv-1 --secret-file secret.txt
  $ omega-sync token --device tv-1 --tenant acme --mode password --secret-file secret.txt --json
  $ mosquitto_sub -i tv-1 -u default/tv-1 -t omega/v1/default/d/tv-1/down \\
      -P "$(omega-sync token --device tv-1 --secret-file secret.txt)"`,
    )
    .action(async (options: TokenOptions, command: Command) => {
      if (options.mode === "password" && options.expires !== undefined) {
        command.error("error: a password never expires: --expires needs --mode jwt");
      }
      const credentials = await issue(options, context);
      printResult(context, options, { text: credentials.password, value: credentials });
      printRemark(context, options, remarkOf(credentials));
    });
}

function issue(options: TokenOptions, context: CliContext): Promise<Credentials> | Credentials {
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

function remarkOf({ clientId, username, expiresAtS }: Credentials): string {
  const end = expiresAtS === null ? "never" : new Date(expiresAtS * 1_000).toISOString();
  return `client id ${clientId}, user name ${username}, expires ${end}`;
}

function parseId(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 characters of A–Z a–z 0–9 _ -.");
}
