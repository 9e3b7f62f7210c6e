/**
 * Where queue and state live, read from one word or URL.
 * @module
 */
import { parseRedisClusterUrl } from "../../core/index.ts";
import { Secret } from "./secret.ts";

export type Backend =
  | { readonly kind: "embedded" }
  | { readonly kind: "redis" | "postgres"; readonly url: Secret };

const KIND_OF_PROTOCOL: Readonly<Record<string, "redis" | "postgres">> = {
  "redis:": "redis",
  "rediss:": "redis",
  "postgres:": "postgres",
  "postgresql:": "postgres",
};

/** The backend that `text` names, or a sentence that says what is wrong without repeating credentials. */
export function parseBackend(text: string): Backend | string {
  if (text === "embedded") return { kind: "embedded" };
  if (parseRedisClusterUrl(text) !== null) return { kind: "redis", url: new Secret(text) };
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  const kind = KIND_OF_PROTOCOL[protocol];
  if (kind !== undefined) return { kind, url: new Secret(text) };
  return "must be embedded, or a URL that starts with redis://, rediss://, redis+cluster://host:port,host:port or postgres://";
}
