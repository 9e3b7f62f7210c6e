/**
 * `omega-sync config check` and `omega-sync config print`.
 * @module
 */
import type { Command } from "commander";
import { stringify } from "yaml";
import { fieldAt } from "./config/fields.ts";
import { redactUrl, Secret } from "./config/secret.ts";
import { addConfigOptions, type ConfigOptions, readConfig } from "./config.ts";
import { describeOrigin, type Setting } from "./origin.ts";
import { alignColumns, type CliContext, printable, printResult } from "./output.ts";

interface PrintOptions extends ConfigOptions {
  readonly origin?: boolean;
  readonly json?: boolean;
}

/** Makes `command` the command `config`. */
export function register(command: Command, context: CliContext): void {
  addConfigOptions(command.command("check"))
    .description("read everything, list every fault; exit 0 or 78")
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync config check
  $ omega-sync config check --config deploy/omega.yaml --json`,
    )
    .action((options: PrintOptions) => {
      const { settings } = readConfig(context, options);
      const set = settings.filter((setting) => setting.origin.kind !== "default").length;
      printResult(context, options, {
        text: `configuration is valid: ${set} of ${settings.length} settings are not the default`,
        value: { valid: true, settings: settings.length, set },
      });
    });
  addConfigOptions(command.command("print"))
    .description("show every setting as it will be used, secrets redacted")
    .option("--origin", "with the place each value came from")
    .option("--json", "one JSON object: {path: {value, origin}}")
    .addHelpText(
      "after",
      `
Precedence: flag > OMEGA_… variable > YAML file > default.
Variables: __ goes one level deeper, _ divides words:
  gateway.limits.connectsPerS is OMEGA_GATEWAY__LIMITS__CONNECTS_PER_S
Secrets can come from files: gateway.auth.secretFile, OMEGA_GATEWAY__AUTH__SECRET_FILE.

Examples:
  $ omega-sync config print
  $ OMEGA_SHARDS=8 omega-sync config print --origin
  $ omega-sync config print --set gateway.tcp.port=1884 --json`,
    )
    .action((options: PrintOptions) => {
      const { settings } = readConfig(context, options);
      printResult(context, options, {
        text: options.origin ? originTable(settings) : yamlText(settings),
        value: Object.fromEntries(
          settings.map((setting) => [
            setting.path,
            { value: shownValue(setting), origin: describeOrigin(setting) },
          ]),
        ),
      });
    });
}

/** The value as anyone may see it. */
function shownValue({ path, value }: Setting): unknown {
  if (!(value instanceof Secret)) return value;
  return fieldAt(path)?.secret === "url" ? redactUrl(value.reveal()) : String(value);
}

function originTable(settings: readonly Setting[]): string {
  const rows = settings.map((setting) => [
    setting.path,
    printable(JSON.stringify(shownValue(setting))),
    printable(describeOrigin(setting)),
  ]);
  return alignColumns([["setting", "value", "origin"], ...rows]);
}

/** YAML that `--config` reads again (but for what is redacted), each setting under its description. */
function yamlText(settings: readonly Setting[]): string {
  const lines: string[] = [];
  let sections: string[] = [];
  for (const setting of settings) {
    const names = setting.path.split(".");
    const key = names.pop() ?? "";
    const shared = names.findIndex((name, depth) => name !== sections[depth]);
    const from = shared === -1 ? names.length : shared;
    for (const [depth, name] of names.entries()) {
      if (depth >= from) lines.push(`${"  ".repeat(depth)}${name}:`);
    }
    sections = names;
    const indent = "  ".repeat(names.length);
    lines.push(`${indent}# ${fieldAt(setting.path)?.description ?? ""}`);
    lines.push(`${indent}${stringify({ [key]: shownValue(setting) }).trimEnd()}`);
  }
  return lines.join("\n");
}
