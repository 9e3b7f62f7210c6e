/**
 * The `OMEGA_…` variables as settings. A variable with our prefix that means nothing to us is a fault: it was meant.
 * @module
 */
import type { Setting, Source } from "../origin.ts";
import { settingOf, type Target, targetOf, unknownVariable } from "./accept.ts";
import { ENV_PREFIX, FIELDS, valueOfText } from "./fields.ts";

/** Names the YAML file; the only variable that is not a setting of the schema. */
export const CONFIG_VARIABLE = `${ENV_PREFIX}CONFIG`;

const pathOfVariable = new Map(
  FIELDS.flatMap(({ variable, path, secret }) => {
    const plain: [string, string] = [variable, path];
    return secret === undefined ? [plain] : [plain, [`${variable}_FILE`, `${path}File`]];
  }),
);

/** Reads every variable of `env` that starts with `OMEGA_`, in alphabetical order. */
export function settingsOfEnvironment(env: Readonly<Record<string, string | undefined>>): Source {
  const settings: Setting[] = [];
  const faults: string[] = [];
  for (const variable of Object.keys(env).sort()) {
    const text = env[variable];
    if (!variable.startsWith(ENV_PREFIX) || variable === CONFIG_VARIABLE || text === undefined) {
      continue;
    }
    const target = targetOfVariable(variable);
    if (target === null) {
      faults.push(unknownVariable(variable));
      continue;
    }
    const value = target.isSecretFile ? text : valueOfText(target.field, text);
    settings.push(settingOf(target, value, { kind: "env", variable }));
  }
  return { settings, faults };
}

function targetOfVariable(variable: string): Target | null {
  const tenant = /^OMEGA_TENANTS__([A-Za-z0-9_-]{1,64})__([A-Z_]+)$/.exec(variable);
  if (tenant !== null) {
    const known = pathOfVariable.get(`${ENV_PREFIX}TENANTS__*__${tenant[2]}`);
    return known === undefined ? null : targetOf(known.replace("*", tenant[1] ?? ""));
  }
  const path = pathOfVariable.get(variable);
  return path === undefined || path.includes("*") ? null : targetOf(path);
}
