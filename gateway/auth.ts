/**
 * Authentication: who proves to be which device.
 *
 * Three modes. `none` believes the client id and is for loopback listeners
 * only; `password` derives every device's password from one secret; `jwt`
 * accepts signed tokens. The claim itself (client id, user name) was judged
 * before, in connect.ts: here it must be proved. Verdicts say only what
 * MQTT 3.1.1 can answer; reasons go to metrics, credentials nowhere.
 * @module
 */
import type { Clock, DeviceKey } from "../src/core/index.ts";
import { type JwtAuthOptions, jwtAuthenticator } from "./auth-jwt.ts";
import { type PasswordAuthOptions, passwordAuthenticator } from "./auth-password.ts";
import type { Authenticator } from "./auth-verdict.ts";

export type AuthOptions = { readonly mode: "none" } | PasswordAuthOptions | JwtAuthOptions;

/** Throws `InvalidConfigError` when the options cannot keep anyone out (short secret, no key). */
export function createAuthenticator(options: AuthOptions, clock: Clock): Authenticator {
  switch (options.mode) {
    case "none":
      return {
        mode: "none",
        authenticate: (_key: DeviceKey) => Promise.resolve({ ok: true, expiresAtMs: null }),
      };
    case "password":
      return passwordAuthenticator(options);
    case "jwt":
      return jwtAuthenticator(options, clock);
  }
}
