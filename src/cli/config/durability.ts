/**
 * What a PUBACK waits for, where nobody has said.
 * @module
 */
import type { Config } from "./schema.ts";

export type Durability = NonNullable<Config["durability"]>;

/** The setting, or what is safe with the backend at hand: only Sentinels hand over to a replica. */
export function durabilityOf({
  backend,
  durability,
}: Pick<Config, "backend" | "durability">): Durability {
  const failsOver = backend.kind === "redis" && backend.servers === "sentinel";
  return durability ?? (failsOver ? "replicated" : "aof");
}
