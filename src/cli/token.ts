/**
 * Credentials for devices, made from the secret the gateways hold.
 *
 * `jwt`: HS256 (RFC 7515, RFC 7519) with sub = device, tenant, aud, exp, iat and jti, by which
 * it can be revoked.
 * `password`: base64url(HMAC-SHA-256(secret, "tenant/device")): the same for
 * ever, which suits devices that cannot renew anything.
 * @module
 */
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { devicePassword } from "../../gateway/index.ts";
import { type DeviceKey, deviceName, InvalidConfigError } from "../core/index.ts";

/** RFC 7518 §3.2: an HS256 key has at least the 32 bytes of the hash. */
const SECRET_BYTES_MIN = 32;

export interface Credentials {
  readonly mode: "jwt" | "password";
  readonly clientId: string;
  /** MQTT user name: `tenant/device`. */
  readonly username: string;
  /** MQTT password: the token or the derived password. */
  readonly password: string;
  /** Seconds since 1970; null: never. */
  readonly expiresAtS: number | null;
  /** The token's `jti`; null for a password. */
  readonly tokenId: string | null;
}

export interface JwtOptions {
  readonly audience: string;
  readonly issuer: string | null;
  /** Seconds since 1970. */
  readonly issuedAtS: number;
  /** Seconds, ≥ 1. */
  readonly lifetimeS: number;
}

/** A signed token for `key`. Throws `InvalidConfigError` when `secret` is shorter than 32 bytes. */
export async function issueJwt(
  key: DeviceKey,
  secret: string,
  options: JwtOptions,
): Promise<Credentials> {
  const expiresAtS = options.issuedAtS + options.lifetimeS;
  const tokenId = randomUUID();
  const token = new SignJWT({ tenant: key.tenant })
    .setJti(tokenId)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(key.device)
    .setAudience(options.audience)
    .setIssuedAt(options.issuedAtS)
    .setExpirationTime(expiresAtS);
  if (options.issuer !== null) token.setIssuer(options.issuer);
  const password = await token.sign(new TextEncoder().encode(requireLong(secret)));
  return { ...namesOf(key), mode: "jwt", password, expiresAtS, tokenId };
}

/** The derived password of `key`. Throws `InvalidConfigError` when `secret` is shorter than 32 bytes. */
export function issuePassword(key: DeviceKey, secret: string): Credentials {
  const password = devicePassword(requireLong(secret), key);
  return { ...namesOf(key), mode: "password", password, expiresAtS: null, tokenId: null };
}

function namesOf(key: DeviceKey) {
  return { clientId: key.device, username: deviceName(key) };
}

function requireLong(secret: string): string {
  const bytes = Buffer.byteLength(secret);
  if (bytes >= SECRET_BYTES_MIN) return secret;
  throw new InvalidConfigError([
    `the secret has ${bytes} bytes, ${SECRET_BYTES_MIN} are needed: openssl rand -hex 32 > FILE`,
  ]);
}
