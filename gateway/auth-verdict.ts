/**
 * What every way of authenticating answers.
 * @module
 */
import type { DeviceKey } from "../src/core/index.ts";
import { CONNACK } from "./connect.ts";

export type AuthVerdict =
  | {
      readonly ok: true;
      /** When the session must end, wall clock milliseconds; `null` for never. */
      readonly expiresAtMs: number | null;
      /** What a token says of itself, by which it can be revoked; absent for other credentials. */
      readonly token?: {
        /** `jti`; null without one. */
        readonly id: string | null;
        /** `iat`, milliseconds since 1970; null without one. */
        readonly issuedAtMs: number | null;
      };
    }
  | {
      readonly ok: false;
      /** 3 when nobody can tell right now, 4 for bad credentials, 5 for good ones of another device. */
      readonly code: 3 | 4 | 5;
      readonly reason: string;
    };

export interface Authenticator {
  readonly mode: "none" | "password" | "jwt" | "certificate";
  /** Judges `password` as the credential of `key`. Never rejects. */
  authenticate(key: DeviceKey, password: Uint8Array | null): Promise<AuthVerdict>;
}

/** Reads a file of keys now and whenever it changes; `what` it is goes into logs and metrics. */
export type KeepRead = (what: string, file: string, read: () => void) => void;

export const badCredentials = (reason: string): AuthVerdict => ({
  ok: false,
  code: CONNACK.credentials,
  reason,
});

export const notAuthorized = (reason: string): AuthVerdict => ({
  ok: false,
  code: CONNACK.authorization,
  reason,
});

export const cannotTell = (reason: string): AuthVerdict => ({
  ok: false,
  code: CONNACK.busy,
  reason,
});
