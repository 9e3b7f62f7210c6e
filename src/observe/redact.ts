/**
 * Redaction: what a log line may carry.
 *
 * A value under a key that names a secret never reaches a log, at any depth
 * (THREATS 25), and neither does the password inside a URL. Text from the
 * network is cut to a bounded length and cannot move a terminal's cursor or
 * reverse its writing direction (THREATS 23): JSON already escapes the ASCII
 * controls, the rest is escaped here. Bytes are logged as their count: a frame
 * is a person's viewing habits.
 * @module
 */
import { OmegaError } from "../core/index.ts";

const REDACTED = "[redacted]";
const SECRET_KEY =
  /secret|passw|passphrase|pwd|token|authorization|credential|cookie|jwt|(?:api|private|signing)[_-]?key/i;
const URL_USERINFO = /([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi;
// DEL and the C1 controls, line and paragraph separators, and every bidirectional control.
const UNSAFE_TEXT = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** How deep, how wide and how long a logged value may be before it is cut. */
const DEPTH_MAX = 5;
const ENTRIES_MAX = 64;
const TEXT_CHARS_MAX = 2_048;

/** True when a value under `key` must never be logged. */
function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key);
}

/** `text` without URL passwords and unprintable controls, at most 2,048 characters. */
export function safeText(text: string): string {
  const cut = text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
  return cut
    .replace(URL_USERINFO, `$1${REDACTED}@`)
    .replace(UNSAFE_TEXT, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A JSON-ready copy of log fields: secrets replaced, depth, width and length bounded. */
export function safeFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return safeRecord(fields, 0);
}

function safeRecord(record: object, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  const entries = Object.entries(record);
  for (const [key, value] of entries.slice(0, ENTRIES_MAX)) {
    if (value === undefined) continue;
    safe[safeText(key)] = isSecretKey(key) ? REDACTED : safeValue(value, depth + 1);
  }
  if (entries.length > ENTRIES_MAX) safe["…"] = entries.length - ENTRIES_MAX;
  return safe;
}

function safeValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return safeText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value === null) {
    return typeof value === "function" || typeof value === "symbol" ? typeof value : value;
  }
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`;
  if (value instanceof Date) return value.toISOString();
  if (depth > DEPTH_MAX) return "…";
  if (value instanceof Error) return safeError(value, depth);
  if (value instanceof Map) return safeRecord(Object.fromEntries(value), depth);
  if (Array.isArray(value) || value instanceof Set) {
    const items = [...value];
    const safe = items.slice(0, ENTRIES_MAX).map((item) => safeValue(item, depth + 1));
    if (items.length > ENTRIES_MAX) safe.push(`… ${items.length - ENTRIES_MAX} more`);
    return safe;
  }
  return safeRecord(value, depth);
}

/** An error by its stable code and reason; the stack only when nobody threw it on purpose. */
function safeError(error: Error, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = { name: error.name, message: safeText(error.message) };
  if (error instanceof OmegaError) {
    safe.code = error.code;
    safe.reason = error.reason;
    if (Object.keys(error.detail).length > 0) safe.detail = safeRecord(error.detail, depth);
  } else {
    if ("code" in error) safe.code = safeValue(error.code, depth + 1);
    if (error.stack !== undefined) safe.stack = safeText(error.stack);
  }
  if (error.cause !== undefined) safe.cause = safeValue(error.cause, depth + 1);
  return safe;
}
