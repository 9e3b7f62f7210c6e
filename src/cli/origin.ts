/**
 * Where a configuration value came from, so that a fault or a surprise can be traced to the line that caused it.
 * @module
 */

export type Origin =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly line: number }
  | { readonly kind: "env"; readonly variable: string }
  | { readonly kind: "flag"; readonly flag: string };

/** One value that somebody set, before the schema has judged it. */
export interface Setting {
  /** Dotted path into the schema: `gateway.tcp.port`. */
  readonly path: string;
  readonly value: unknown;
  readonly origin: Origin;
  /** The file whose content is the value, when it was given through a `…File` or `_FILE` variant. */
  readonly secretFile?: string;
}

/** What one source of configuration holds: the settings it understood and the faults it found. */
export interface Source {
  readonly settings: readonly Setting[];
  readonly faults: readonly string[];
}

/** For people: `omega.yaml:12`, `OMEGA_SHARDS`, `--redis`, `default`. */
export function describeOrigin(setting: Pick<Setting, "origin" | "secretFile">): string {
  const { origin, secretFile } = setting;
  const through = secretFile === undefined ? "" : ` (content of ${secretFile})`;
  switch (origin.kind) {
    case "default":
      return "default";
    case "file":
      return `${origin.file}:${origin.line}${through}`;
    case "env":
      return `${origin.variable}${through}`;
    case "flag":
      return `${origin.flag}${through}`;
  }
}
