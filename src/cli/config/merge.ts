/**
 * Settings of all sources merged by precedence, judged by the schema and the rules; every fault in one list.
 *
 * Pure: what is on disk was read before and comes in as values.
 * @module
 */
import { InvalidConfigError } from "../../core/index.ts";
import { describeOrigin, type Setting, type Source } from "../origin.ts";
import { FIELDS, fieldAt } from "./fields.ts";
import { RULES } from "./rules.ts";
import { type Config, configSchema } from "./schema.ts";
import { Secret } from "./secret.ts";

export interface LoadedConfig {
  /** Frozen through and through. */
  readonly config: Config;
  /** Every setting in the schema's order, with its value as text-able data and its origin; secrets are `Secret`s. */
  readonly settings: readonly Setting[];
}

type Tree = { [key: string]: unknown };

/**
 * Merges `sources`, later ones winning, over the defaults. Throws
 * `InvalidConfigError` with every fault of every source, of the schema and of
 * the rules, each with the origin of the bad value.
 */
export function mergeConfig(sources: readonly Source[]): LoadedConfig {
  const faults = sources.flatMap((source) => source.faults);
  const chosen = new Map<string, Setting>();
  for (const source of sources) {
    faults.push(...givenTwice(source));
    for (const setting of source.settings) chosen.set(setting.path, setting);
  }
  const bad = new Set<string>();
  const parsed = configSchema.safeParse(treeOf(chosen.values()));
  for (const issue of parsed.error?.issues ?? []) {
    const path = issue.path.join(".");
    bad.add(path);
    faults.push(schemaFault(path, issue.message, chosen.get(path)));
  }
  const good = [...chosen.values()].filter(({ path }) =>
    [...bad].every((badPath) => path !== badPath && !path.startsWith(`${badPath}.`)),
  );
  const config = parsed.data ?? configSchema.parse(treeOf(good));
  for (const rule of RULES) {
    if (rule.reads.some((path) => bad.has(path))) continue;
    for (const { path, fault } of rule.check(config)) {
      faults.push(`${path}: ${fault}${originText(chosen.get(path))}`);
    }
  }
  if (faults.length > 0) throw new InvalidConfigError(faults);
  return { config: deepFreeze(config), settings: allSettings(config, chosen) };
}

/** A secret set both as value and as file in one source: nobody can tell which was meant. */
function givenTwice(source: Source): string[] {
  const seen = new Map<string, Setting>();
  const faults: string[] = [];
  for (const setting of source.settings) {
    const other = seen.get(setting.path);
    seen.set(setting.path, setting);
    if (
      other === undefined ||
      (other.secretFile === undefined) === (setting.secretFile === undefined)
    ) {
      continue;
    }
    const where = `${describeOrigin(other)} and ${describeOrigin(setting)}`;
    faults.push(`${setting.path} is given twice, as value and as file: ${where}`);
  }
  return faults;
}

function schemaFault(path: string, message: string, setting: Setting | undefined): string {
  const secret = fieldAt(path)?.secret !== undefined;
  const got = setting === undefined || secret ? "" : `, got ${JSON.stringify(setting.value)}`;
  return `${path}: ${message}${got}${originText(setting)}`;
}

function originText(setting: Setting | undefined): string {
  return ` (${setting === undefined ? "default" : describeOrigin(setting)})`;
}

/** Dotted paths as nested objects without a prototype to pollute. */
function treeOf(settings: Iterable<Setting>): Tree {
  const root: Tree = Object.create(null);
  for (const { path, value } of settings) {
    const names = path.split(".");
    const last = names.pop() ?? "";
    let section = root;
    for (const name of names) {
      section[name] ??= Object.create(null);
      section = section[name] as Tree;
    }
    section[last] = value;
  }
  return root;
}

/** Every setting in the schema's order; a tenant's settings once for each tenant. */
function allSettings(config: Config, chosen: ReadonlyMap<string, Setting>): Setting[] {
  return FIELDS.flatMap((field) => {
    const paths = field.path.includes("*")
      ? Object.keys(config.tenants).map((tenant) => field.path.replace("*", tenant))
      : [field.path];
    return paths.map((path): Setting => {
      const setting = chosen.get(path) ?? {
        path,
        value: field.fallback,
        origin: { kind: "default" },
      };
      const isSecret = field.secret !== undefined && typeof setting.value === "string";
      return isSecret ? { ...setting, value: new Secret(setting.value as string) } : setting;
    });
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
