/**
 * One name from any source, matched against the schema: a setting, or a fault with a suggestion.
 *
 * A secret `x` may be given as `xFile`, in YAML, by flag and (as `X_FILE`) in
 * the environment: the value is then the content of that file.
 * @module
 */
import { isId } from "../../core/index.ts";
import { describeOrigin, type Origin, type Setting } from "../origin.ts";
import { FIELDS, type Field, fieldAt } from "./fields.ts";
import { suggestion } from "./suggest.ts";

/** A path as it may be written, and the field it sets. */
export interface Target {
  readonly field: Field;
  /** The path of the value, with a tenant's id in place of `*`. */
  readonly path: string;
  /** True for the `…File` variant of a secret. */
  readonly isSecretFile: boolean;
}

/** Finds what a dotted path sets, or null. */
export function targetOf(path: string): Target | null {
  const field = fieldAt(path);
  if (field !== null) return { field, path, isSecretFile: false };
  if (!path.endsWith("File")) return null;
  const secretPath = path.slice(0, -"File".length);
  const secret = fieldAt(secretPath);
  return secret?.secret === undefined
    ? null
    : { field: secret, path: secretPath, isSecretFile: true };
}

/** The setting that `value` at `target` makes. */
export function settingOf(target: Target, value: unknown, origin: Origin): Setting {
  const { path, isSecretFile } = target;
  if (isSecretFile && typeof value === "string") {
    return { path, value: undefined, origin, secretFile: value };
  }
  return { path, value, origin };
}

/** A fault for a path that nothing in the schema answers to. */
export function unknownPath(path: string, origin: Origin): string {
  const tenant = /^tenants\.([^.]+)/.exec(path)?.[1];
  if (tenant !== undefined && !isId(tenant)) {
    return `tenants.${tenant} is not a tenant's id (${describeOrigin({ origin })})`;
  }
  const hint = suggestion(path, writablePaths(tenant));
  return `unknown setting ${path} (${describeOrigin({ origin })})${hint}`;
}

/** A fault for an `OMEGA_` variable that nothing in the schema answers to. */
export function unknownVariable(variable: string): string {
  return `unknown variable ${variable}${suggestion(variable, writableVariables())}`;
}

/** Settings, the `…File` variants of secrets, and sections. */
function writablePaths(tenant = "NAME"): string[] {
  const paths = FIELDS.flatMap((field) => {
    const path = field.path.replace("*", tenant);
    return field.secret === undefined ? [path] : [path, `${path}File`];
  });
  const sections = paths.flatMap((path) => {
    const names = path.split(".");
    return names.slice(1).map((_, depth) => names.slice(0, depth + 1).join("."));
  });
  return [...new Set([...paths, ...sections])];
}

function writableVariables(): string[] {
  return FIELDS.flatMap(({ variable, secret }) =>
    secret === undefined ? [variable] : [variable, `${variable}_FILE`],
  );
}
