/**
 * Who a client certificate says its holder is.
 *
 * The TLS layer has verified it when we look: signed by a trusted authority,
 * within its dates, not revoked. Here it becomes a device: the common name is
 * the device id and the organizational unit the tenant (`default` without one);
 * or the common name is `tenant/device`, with no unit. Each may hold 64
 * characters (RFC 5280 appendix A.1), as ids do. Anything else, such as a unit
 * that is no id or two common names, names no device, and is let in as none.
 * @module
 */
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type DeviceKey, isId } from "../src/core/index.ts";
import { keyOfName } from "./connect.ts";
import { DER, DerSequence, type DerValue, readDer, timeOf } from "./der.ts";

/** A client certificate that the TLS layer has verified. */
export interface PeerCertificate {
  /** The device it names; null when it names none. */
  readonly key: DeviceKey | null;
  /** What {@link certificateId} makes of it. */
  readonly id: string;
  /** The first and the last moment it is valid, milliseconds since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The part of a subject that names a device; a repeated attribute is an array. */
interface Subject {
  readonly CN?: unknown;
  readonly OU?: unknown;
}

/** The verified certificate of the peer; null when it showed none. */
export function certificateOf(socket: Socket): PeerCertificate | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const { raw, subject } = socket.getPeerCertificate();
  return raw === undefined ? null : readCertificate(raw, subject);
}

/** Throws `SerializationError("der.malformed")`, which no certificate that OpenSSL verified causes. */
function readCertificate(raw: Buffer, subject: Subject): PeerCertificate {
  const { serial, issuer, notBeforeMs, notAfterMs } = certificateFields(raw);
  return { key: keyOfSubject(subject), id: certificateId(issuer, serial), notBeforeMs, notAfterMs };
}

/** The device that a subject names, or null. */
export function keyOfSubject({ CN, OU }: Subject): DeviceKey | null {
  if (typeof CN !== "string") return null;
  if (OU === undefined) return keyOfName(CN);
  return isId(OU) && isId(CN) ? { tenant: OU, device: CN } : null;
}

/**
 * Names one certificate among those of all authorities: an authority gives a serial number only
 * once (RFC 5280 §4.1.2.2). 24 characters and the serial in hex.
 */
export function certificateId(issuer: DerValue, serial: DerValue): string {
  return `${nameId(issuer)}:${serial.content.toString("hex")}`;
}

/** A distinguished name as 24 characters of base64url. */
export function nameId(name: DerValue): string {
  return createHash("sha256").update(name.whole).digest("base64url").slice(0, 24);
}

/** What we read of a certificate: TBSCertificate of RFC 5280 §4.1, to its subject. */
export function certificateFields(raw: Buffer) {
  const fields = new DerSequence(new DerSequence(readDer(raw)).required(DER.sequence));
  fields.optional(DER.context0); // The version.
  const serial = fields.required(DER.integer);
  fields.required(DER.sequence); // The signature's algorithm, said again outside.
  const issuer = fields.required(DER.sequence);
  const validity = new DerSequence(fields.required(DER.sequence));
  const time = () => timeOf(validity.required(DER.utcTime, DER.generalizedTime));
  return {
    ...{ serial, issuer, notBeforeMs: time(), notAfterMs: time() },
    subject: fields.required(DER.sequence),
  };
}
