/**
 * Where queue and state live, read from one word or URL.
 * @module
 */
import { REDIS_URL_FORMS, type RedisAddress, readRedisAddress } from "../../redis/index.ts";
import { Secret } from "./secret.ts";

export type Backend =
  | { readonly kind: "embedded" }
  | { readonly kind: "postgres"; readonly url: Secret }
  | { readonly kind: "redis"; readonly url: Secret; readonly servers: RedisAddress["kind"] };

const POSTGRES = ["postgres:", "postgresql:"];

/** The backend that `text` names, or a sentence that says what is wrong without repeating credentials. */
export function parseBackend(text: string): Backend | string {
  if (text === "embedded") return { kind: "embedded" };
  const address = readRedisAddress(text);
  if (typeof address === "string") return address;
  if (address !== null) return { kind: "redis", url: new Secret(text), servers: address.kind };
  if (URL.canParse(text) && POSTGRES.includes(new URL(text).protocol)) {
    return { kind: "postgres", url: new Secret(text) };
  }
  return `must be embedded, a URL that starts with postgres://, or one of Redis: ${REDIS_URL_FORMS}`;
}
