/**
 * The list of devices and tokens that may not come in any more, though their
 * credentials are genuine: a text file that every gateway reads.
 *
 *   device TENANT/DEVICE MOMENT   nothing issued to the device up to MOMENT counts
 *   token  JTI           MOMENT   the token of this id; MOMENT is when it was revoked
 *
 * One line each, `#` for remarks, moments as RFC 3339 in UTC; of several lines
 * for one device the latest moment counts, so that a line is only ever added. A
 * credential that does not say when it was issued (a password, a token without
 * `iat`) is refused for as long as its device is listed. Pure.
 * @module
 */
import { parseDeviceName, SerializationError } from "../src/core/index.ts";

/** What a session was let in on. */
export interface Credential {
  /** `tenant/device`. */
  readonly name: string;
  /** The `jti` of a token; null for one without, and for everything else. */
  readonly tokenId: string | null;
  /** Milliseconds since 1970; null when it does not say. */
  readonly issuedAtMs: number | null;
}

export interface RevokedList {
  /** Why the credential no longer counts, as a dotted reason; null when it does. */
  refusal(credential: Credential): string | null;
}

/** A list of this size is read in tens of milliseconds. */
export const REVOKED_BYTES_MAX = 16 * 1024 * 1024;

/** The ids of tokens that can be revoked one by one: printable, and bounded. */
const TOKEN_ID = /^[!-~]{1,128}$/;
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/;

export function isTokenId(value: unknown): value is string {
  return typeof value === "string" && TOKEN_ID.test(value);
}

/**
 * Throws `SerializationError("revoked.malformed")` naming the first bad line by its number only:
 * what stands there may be a token that somebody pasted whole.
 */
export function readRevokedList(text: string): RevokedList {
  const deviceMs = new Map<string, number>();
  const tokens = new Set<string>();
  for (const [index, line] of text.split("\n").entries()) {
    const said = line.trim();
    if (said === "" || said.startsWith("#")) continue;
    const entry = entryOf(said.split(/\s+/));
    if (entry === null) {
      const message = `line ${index + 1} is neither "device TENANT/DEVICE MOMENT" nor "token JTI MOMENT"`;
      throw new SerializationError("revoked.malformed", message);
    }
    if (entry.kind === "token") tokens.add(entry.id);
    else deviceMs.set(entry.id, Math.max(entry.ms, deviceMs.get(entry.id) ?? entry.ms));
  }
  return {
    refusal({ name, tokenId, issuedAtMs }) {
      if (tokenId !== null && tokens.has(tokenId)) return "auth.revoked.token";
      const untilMs = deviceMs.get(name);
      // `iat` counts whole seconds: a token made in the second of the revocation is refused too.
      const counts = untilMs === undefined || (issuedAtMs !== null && issuedAtMs > untilMs);
      return counts ? null : "auth.revoked.device";
    },
  };
}

interface Entry {
  readonly kind: "device" | "token";
  readonly id: string;
  readonly ms: number;
}

function entryOf([kind, id = "", moment = "", ...rest]: readonly string[]): Entry | null {
  const ms = MOMENT.test(moment) ? Date.parse(moment) : Number.NaN;
  if (Number.isNaN(ms) || rest.length > 0) return null;
  if (kind === "token") return TOKEN_ID.test(id) ? { kind, id, ms } : null;
  return kind === "device" && isDeviceName(id) ? { kind, id, ms } : null;
}

function isDeviceName(name: string): boolean {
  try {
    parseDeviceName(name);
    return true;
  } catch {
    return false;
  }
}
