/**
 * Judging a CONNECT before any credential is looked at: who does it claim to
 * be, and does it ask for something no device may have?
 *
 * The answers are the return codes of MQTT 3.1.1 §3.2.2.3. aedes can produce
 * only some of them and none with the right meaning for keepalive and wills,
 * so the gateway decides here and writes the CONNACK itself. Pure.
 * @module
 */
import { type DeviceKey, isId } from "../src/core/index.ts";

/** CONNACK return codes; our own because aedes' are an ambient const enum. */
export const CONNACK = {
  accepted: 0,
  protocol: 1,
  identifier: 2,
  /** "Server unavailable": try again later, nothing is wrong with you. */
  busy: 3,
  credentials: 4,
  authorization: 5,
} as const;
export type ConnackRefusal = 1 | 2 | 3 | 4 | 5;

/** A CONNACK that refuses: fixed header, remaining length 2, no session, the code. */
export function connackBytes(code: ConnackRefusal): Uint8Array {
  return Uint8Array.of(0x20, 0x02, 0x00, code);
}

export interface ConnectRequest {
  readonly clientId: string;
  /** `{tenant}/{device}`, or `{device}` of the tenant `default`; `null` when absent. */
  readonly username: string | null;
  readonly keepaliveS: number;
  readonly hasWill: boolean;
  /** A verified client certificate and the device it names, if any; `null` without one. */
  readonly certificate: { readonly key: DeviceKey | null } | null;
}

export interface ConnectRules {
  readonly keepaliveSMin: number;
  readonly keepaliveSMax: number;
  /** False only without authentication, where the client id alone names the device. */
  readonly usernameRequired: boolean;
  /** True where the certificate is the credential. */
  readonly certificateRequired?: boolean;
}

export interface ConnectAccepted {
  readonly ok: true;
  readonly key: DeviceKey;
}

export interface ConnectRefused {
  readonly ok: false;
  readonly code: ConnackRefusal;
  /** Dotted reason for logs and metrics; MQTT 3.1.1 sends only the code. */
  readonly reason: string;
}

export const DEFAULT_TENANT = "default";

const refused = (code: ConnackRefusal, reason: string): ConnectRefused => ({
  ok: false,
  code,
  reason,
});

/** The device a CONNECT claims to be, or the first reason to refuse it. */
export function judgeConnect(
  request: ConnectRequest,
  rules: ConnectRules,
): ConnectAccepted | ConnectRefused {
  // [MQTT-3.1.3-8] An empty client id with clean session 0 is refused with 2; so is every
  // client id that is no device id, the empty one with clean session 1 included.
  if (!isId(request.clientId)) return refused(CONNACK.identifier, "connect.clientid");
  // THREATS 8: a will would be published by the gateway in the device's name, unasked.
  if (request.hasWill) return refused(CONNACK.authorization, "connect.will");
  const { keepaliveS } = request;
  if (keepaliveS < rules.keepaliveSMin || keepaliveS > rules.keepaliveSMax) {
    return refused(CONNACK.authorization, "connect.keepalive");
  }
  if (request.username === null && rules.usernameRequired) {
    return refused(CONNACK.credentials, "connect.username");
  }
  const { certificate } = request;
  if (certificate === null && rules.certificateRequired) {
    return refused(CONNACK.authorization, "connect.certificate.missing");
  }
  const named = certificate?.key ?? null;
  if (certificate !== null && named === null) {
    return refused(CONNACK.authorization, "connect.certificate.name");
  }
  // A device that says no user name is the one its certificate names.
  const key =
    request.username === null && named ? named : keyOfName(request.username ?? request.clientId);
  if (key === null) return refused(CONNACK.credentials, "connect.username");
  // THREATS 1: client id, user name and certificate name one device, or nobody comes in.
  if (key.device !== request.clientId) return refused(CONNACK.authorization, "connect.identity");
  if (named !== null && !isSame(named, key)) {
    return refused(CONNACK.authorization, "connect.certificate");
  }
  return { ok: true, key };
}

/** The device that `tenant/device`, or `device` of the tenant `default`, names; null for none. */
export function keyOfName(username: string): DeviceKey | null {
  const parts = username.split("/");
  const [tenant, device] = parts.length === 1 ? [DEFAULT_TENANT, parts[0]] : parts;
  if (parts.length > 2 || !isId(tenant) || !isId(device)) return null;
  return { tenant, device };
}

function isSame(a: DeviceKey, b: DeviceKey): boolean {
  return a.tenant === b.tenant && a.device === b.device;
}
