/**
 * The configuration, read once: flag > `OMEGA_…` variable > YAML file > default.
 *
 * This is the thin shell around the pure files of `config/`: it reads the YAML
 * file and the secret files. The environment is handed in, by main.ts.
 * @module
 */
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { InvalidConfigError, messageOf } from "../core/index.ts";
import { CONFIG_VARIABLE, settingsOfEnvironment } from "./config/environment.ts";
import { FIELDS, fieldAt } from "./config/fields.ts";
import { settingsOfYaml } from "./config/file.ts";
import { type FlagSetting, settingsOfFlags } from "./config/flags.ts";
import { type LoadedConfig, mergeConfig } from "./config/merge.ts";
import { Secret, secretOfFile } from "./config/secret.ts";
import { describeOrigin, type Setting, type Source } from "./origin.ts";
import type { CliContext } from "./output.ts";

export type { FlagSetting } from "./config/flags.ts";
export type { LoadedConfig } from "./config/merge.ts";
export type { Config } from "./config/schema.ts";
export { Secret } from "./config/secret.ts";

/** Read when it exists and neither `--config` nor `OMEGA_CONFIG` names another. */
const DEFAULT_CONFIG_FILE = "omega.yaml";
const SECRET_BYTES_MAX = 64 * 1024;

/** What {@link addConfigOptions} puts into a command's options. */
export interface ConfigOptions {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

/** Gives `command` the two flags that every configured command has. */
export function addConfigOptions(command: Command): Command {
  return command
    .option("--config <file>", `YAML file (default: ./${DEFAULT_CONFIG_FILE} when present)`)
    .option("--set <path=value...>", "set any setting, e.g. --set gateway.tcp.port=1884");
}

/**
 * Reads everything and gives one frozen object. Throws `InvalidConfigError`
 * with every fault found, each with the origin of the bad value.
 */
export function readConfig(
  context: Pick<CliContext, "env" | "cwd">,
  options: ConfigOptions = {},
  flags: readonly FlagSetting[] = [],
): LoadedConfig {
  const file = options.config ?? context.env[CONFIG_VARIABLE];
  const sources = [
    { base: context.cwd, source: defaultLocations() },
    yamlSource(context.cwd, file),
    { base: context.cwd, source: settingsOfEnvironment(context.env) },
    { base: context.cwd, source: settingsOfFlags(options.set ?? [], flags) },
  ];
  return mergeConfig(sources.map(({ base, source }) => withFiles(source, base)));
}

/** Defaults that are paths must become absolute like any other path. */
function defaultLocations(): Source {
  const settings = FIELDS.filter(
    (field) => field.location !== undefined && typeof field.fallback === "string",
  ).map(
    (field): Setting => ({
      path: field.path,
      value: field.fallback,
      origin: { kind: "default" },
    }),
  );
  return { settings, faults: [] };
}

function yamlSource(cwd: string, named: string | undefined): { base: string; source: Source } {
  const name = named ?? DEFAULT_CONFIG_FILE;
  const file = resolve(cwd, name);
  const nothing = { base: cwd, source: { settings: [], faults: [] } };
  if (named === undefined && !existsSync(file)) return nothing;
  try {
    // Paths in a file are relative to the file, so that it can be moved with what it names.
    return { base: dirname(file), source: settingsOfYaml(readFileSync(file, "utf8"), name) };
  } catch (error) {
    const faults = [`cannot read the configuration file ${name}: ${messageOf(error)}`];
    return { base: cwd, source: { settings: [], faults } };
  }
}

/** Reads secret files, makes paths absolute and checks that named files can be read. */
function withFiles(source: Source, base: string): Source {
  const faults = [...source.faults];
  const settings = source.settings.flatMap((setting): Setting[] => {
    const where = describeOrigin({ origin: setting.origin });
    try {
      return [resolveSetting(setting, base)];
    } catch (error) {
      faults.push(`${setting.path}: ${messageOf(error)} (${where})`);
      return [];
    }
  });
  return { settings, faults };
}

function resolveSetting(setting: Setting, base: string): Setting {
  if (setting.secretFile !== undefined) {
    const secretFile = resolve(base, setting.secretFile);
    return { ...setting, secretFile, value: readSecretText(secretFile) };
  }
  const location = fieldAt(setting.path)?.location;
  if (location === undefined || typeof setting.value !== "string" || setting.value === "") {
    return setting;
  }
  const value = resolve(base, setting.value);
  if (location === "file") accessSync(value, constants.R_OK);
  return { ...setting, value };
}

function readSecretText(file: string): string {
  const content = readFileSync(file, "utf8");
  if (content.length > SECRET_BYTES_MAX) throw new Error(`${file} is too large for a secret`);
  return secretOfFile(content);
}

/** The secret in `file`, for commands that take one by flag. Throws `InvalidConfigError`. */
export function readSecretFile(flag: string, file: string): Secret {
  try {
    return new Secret(readSecretText(file));
  } catch (error) {
    throw new InvalidConfigError([`${flag}: ${messageOf(error)}`]);
  }
}
