/**
 * Passwords without a password table: HMAC-SHA-256(secret, "tenant/device"),
 * in base64url.
 *
 * Any gateway that knows the secret can check any device, and a factory can
 * print passwords without a server. Changing the secret changes all of them.
 * @module
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { type DeviceKey, deviceName, InvalidConfigError } from "../src/core/index.ts";
import { type Authenticator, badCredentials } from "./auth-verdict.ts";

export interface PasswordAuthOptions {
  readonly mode: "password";
  /** At least 16 bytes; every gateway of a fleet has the same. */
  readonly secret: string | Uint8Array;
}

const SECRET_BYTES_MIN = 16;

/** The password of a device: 43 characters of base64url. */
export function devicePassword(secret: string | Uint8Array, key: DeviceKey): string {
  return createHmac("sha256", secret).update(deviceName(key)).digest("base64url");
}

/** Throws `InvalidConfigError` when the secret is shorter than 16 bytes. */
export function passwordAuthenticator(options: PasswordAuthOptions): Authenticator {
  const { secret } = options;
  const secretBytes = Buffer.byteLength(secret);
  if (secretBytes < SECRET_BYTES_MIN) {
    throw new InvalidConfigError([
      `auth.secret must have at least ${SECRET_BYTES_MIN} bytes: got ${secretBytes}`,
    ]);
  }
  // Both sides are hashed under a key of this process, so that the comparison takes the same
  // time whatever the length of what was sent (THREATS 2).
  const compareKey = randomBytes(32);
  const digest = (value: string | Uint8Array) =>
    createHmac("sha256", compareKey).update(value).digest();

  return {
    mode: "password",
    authenticate(key, password) {
      const expected = digest(devicePassword(secret, key));
      const matches = timingSafeEqual(expected, digest(password ?? new Uint8Array(0)));
      return Promise.resolve(
        matches ? { ok: true, expiresAtMs: null } : badCredentials("auth.password"),
      );
    },
  };
}
