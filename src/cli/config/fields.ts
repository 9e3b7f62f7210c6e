/**
 * The settings of the schema as a flat list, with the name each has in the environment.
 *
 * One rule gives the environment name, and it is unambiguous: `OMEGA_`, then
 * the path; `__` goes one level deeper, `_` divides the words of one name.
 * `gateway.limits.connectsPerS` is `OMEGA_GATEWAY__LIMITS__CONNECTS_PER_S`.
 * A tenant's id stands as it is: `OMEGA_TENANTS__acme__DIM`.
 * @module
 */
import { z } from "zod";
import { assert } from "../../core/index.ts";
import { configSchema } from "./schema.ts";
import type { FieldMeta } from "./setting.ts";

export const ENV_PREFIX = "OMEGA_";

type FieldKind = "number" | "boolean" | "string";

export interface Field extends FieldMeta {
  /** Dotted path; `*` stands for a tenant's id. */
  readonly path: string;
  readonly variable: string;
  readonly kind: FieldKind;
  readonly nullable: boolean;
  readonly fallback: unknown;
}

/** Every setting of the schema, in its order. */
export const FIELDS: readonly Field[] = fieldsOf(configSchema, []);

const byPath = new Map(FIELDS.map((field) => [field.path, field]));
assert(
  new Set(FIELDS.map((field) => field.variable)).size === FIELDS.length,
  "no two settings share an environment variable",
);

/** The field at `path`, or null; a tenant's path finds the field with `*`. */
export function fieldAt(path: string): Field | null {
  const wild = path.replace(/^tenants\.[^.]+\./, "tenants.*.");
  return byPath.get(path) ?? byPath.get(wild) ?? null;
}

/** True when `path` is a section, that is, some field lies below it. */
export function isSection(path: string): boolean {
  return (
    /^tenants(\.[^.]+)?$/.test(path) || FIELDS.some((field) => field.path.startsWith(`${path}.`))
  );
}

/** Text from the environment or a flag as the type the field wants; what does not fit stays text for the schema to refuse. */
export function valueOfText(field: Field, text: string): unknown {
  if (text === "" && field.nullable) return null;
  if (field.kind === "number" && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (field.kind === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

function fieldsOf(schema: z.core.$ZodType, path: readonly string[]): Field[] {
  const { inner, nullable, fallback, kind } = unwrap(schema);
  if (inner instanceof z.ZodObject) {
    return Object.entries(inner.shape).flatMap(([key, child]) =>
      fieldsOf(child as z.core.$ZodType, [...path, key]),
    );
  }
  if (inner instanceof z.ZodRecord) return fieldsOf(inner.def.valueType, [...path, "*"]);
  const meta = (schema as z.ZodType).meta() as FieldMeta | undefined;
  assert(meta?.description, `${path.join(".")} has a description`);
  assert(kind !== null, `${path.join(".")} is a number, a boolean or a string`);
  return [{ ...meta, path: path.join("."), variable: variableOf(path), kind, nullable, fallback }];
}

/** Takes defaults, null and transforms off a schema, and remembers them. */
function unwrap(schema: z.core.$ZodType) {
  let inner: z.core.$ZodType = schema;
  let nullable = false;
  let fallback: unknown;
  for (;;) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
      fallback = inner.def.defaultValue;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodNullable) {
      nullable = true;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodPipe) {
      inner = inner.def.in;
    } else {
      return { inner, nullable, fallback, kind: kindOf(inner) };
    }
  }
}

function kindOf(schema: z.core.$ZodType): FieldKind | null {
  const { type } = schema._zod.def;
  if (type === "enum") return "string";
  return type === "number" || type === "boolean" || type === "string" ? type : null;
}

function variableOf(path: readonly string[]): string {
  const words = path.map((name) => name.replace(/([A-Z]+)/g, "_$1").toUpperCase());
  return `${ENV_PREFIX}${words.join("__")}`;
}
