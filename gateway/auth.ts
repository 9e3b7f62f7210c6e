/**
 * Authentication: who proves to be which device.
 *
 * Four modes. `none` believes the client id and is for loopback listeners
 * only; `password` derives every device's password from one secret; `jwt`
 * accepts signed tokens; with `certificate` TLS has asked for the proof before,
 * and no password is looked at. The claim itself (client id, user name) was judged
 * before, in connect.ts: here it must be proved. Verdicts say only what
 * MQTT 3.1.1 can answer; reasons go to metrics, credentials nowhere.
 * @module
 */
import type { Clock, DeviceKey } from "../src/core/index.ts";
import { type JwtAuthOptions, jwtAuthenticator } from "./auth-jwt.ts";
import { type PasswordAuthOptions, passwordAuthenticator } from "./auth-password.ts";
import type { Authenticator, KeepRead } from "./auth-verdict.ts";

/** The certificate authorities of `certificate` are those of each listener (`TlsFiles.caFile`). */
export type AuthOptions =
  | { readonly mode: "none" | "certificate" }
  | PasswordAuthOptions
  | JwtAuthOptions;

/**
 * Throws `InvalidConfigError` when the options cannot keep anyone out (short secret, no key). Files
 * of keys are read through `keepRead`, which may read them again when they change; by default once.
 */
export function createAuthenticator(
  options: AuthOptions,
  clock: Clock,
  keepRead: KeepRead = (_what, _file, read) => read(),
): Authenticator {
  switch (options.mode) {
    case "none":
    case "certificate":
      return {
        mode: options.mode,
        authenticate: (_key: DeviceKey) => Promise.resolve({ ok: true, expiresAtMs: null }),
      };
    case "password":
      return passwordAuthenticator(options);
    case "jwt":
      return jwtAuthenticator(options, clock, keepRead);
  }
}
