/**
 * A certificate authority of one's own: its key, the certificates it signs, and
 * its revocation list (RFC 5280).
 *
 * ECDSA on P-256 throughout: every TLS stack of a TV has it, and a handshake
 * with it is a tenth of one with RSA 2048. A certificate for a server cannot
 * stand in for a device, nor the other way round (extended key usage), and the
 * authority can sign nothing but leaves (path length 0).
 * @module
 */
// The library finds its parts through decorators; this must be loaded before it.
import "reflect-metadata";
import { KeyObject, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509Crl,
  X509CrlGenerator,
} from "@peculiar/x509";
import type { DeviceKey } from "../../core/index.ts";

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;
/** RFC 5280 §5.2.3 and X.509: id-ce-cRLNumber. */
const CRL_NUMBER = "2.5.29.20";
/** 127 bits of chance; the first bit stays 0, because serial numbers are positive (§4.1.2.2). */
const SERIAL_BYTES = 16;

/** The first and the last moment that something is valid. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A certificate with its private key, PEM both. */
export interface Signed {
  readonly certPem: string;
  readonly keyPem: string;
  /** Lower-case hex. */
  readonly serial: string;
}

/** An authority that can sign. */
export interface Authority {
  readonly certificate: X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

/** A new authority called `name`, at most 64 characters. */
export async function createAuthority(name: string, validity: Validity): Promise<Signed> {
  const keys = await newKeys();
  const serial = newSerial();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: serial, name: [{ CN: [name] }], keys, signingAlgorithm: SIGNATURE },
    ...validity,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: pemOf(certificate), keyPem: privatePem(keys), serial };
}

/** The authority of two PEM texts. Rejects with a plain error when they are none. */
export async function openAuthority(certPem: string, keyPem: string): Promise<Authority> {
  const der = PemConverter.decodeFirst(keyPem);
  const key = await webcrypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
  return { certificate: new X509Certificate(certPem), key };
}

/** A certificate for a device: CN is its id, OU its tenant. */
export function issueToDevice(
  authority: Authority,
  { tenant, device }: DeviceKey,
  validity: Validity,
): Promise<Signed> {
  const purpose = new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]);
  return issue(authority, [{ CN: [device] }, { OU: [tenant] }], validity, [purpose]);
}

/** A certificate for a gateway that is reached by `hosts`, names or IP addresses. */
export function issueToServer(
  authority: Authority,
  hosts: readonly string[],
  validity: Validity,
): Promise<Signed> {
  const names = hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value }) as const);
  return issue(authority, [{ CN: ["omega-sync gateway"] }], validity, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension([...names]),
  ]);
}

async function issue(
  { certificate, key }: Authority,
  subject: JsonName,
  validity: Validity,
  extensions: readonly Extension[],
): Promise<Signed> {
  const keys = await newKeys();
  const serial = newSerial();
  const issued = await X509CertificateGenerator.create({
    ...{ serialNumber: serial, subject, issuer: certificate.subjectName.toJSON() },
    ...{ publicKey: keys.publicKey, signingKey: key, signingAlgorithm: SIGNATURE },
    notBefore: validity.notBefore,
    // What outlives its authority fails with it anyway, but later and less plainly.
    notAfter: new Date(Math.min(validity.notAfter.getTime(), certificate.notAfter.getTime())),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
      ...extensions,
    ],
  });
  return { certPem: pemOf(issued), keyPem: privatePem(keys), serial };
}

/**
 * The authority's revocation list: all that `previousPem` (null: none yet) has, and `serials`
 * (lower-case hex), revoked at `validity.notBefore`. It lapses with `validity.notAfter`.
 */
export async function writeCrl(
  { certificate, key }: Authority,
  previousPem: string | null,
  serials: readonly string[],
  validity: Validity,
): Promise<string> {
  const previous = previousPem === null ? null : new X509Crl(previousPem);
  const kept = (previous?.entries ?? []).map(({ serialNumber, revocationDate }) => ({
    serialNumber,
    revocationDate,
  }));
  const known = new Set(kept.map(({ serialNumber }) => serialNumber.toLowerCase()));
  const added = serials
    .filter((serial) => !known.has(serial))
    .map((serialNumber) => ({ serialNumber, revocationDate: validity.notBefore }));
  const crl = await X509CrlGenerator.create({
    ...{ issuer: certificate.subjectName.toJSON(), signingKey: key, signingAlgorithm: SIGNATURE },
    ...{ thisUpdate: validity.notBefore, nextUpdate: validity.notAfter },
    entries: [...kept, ...added],
    extensions: [
      await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
      new Extension(CRL_NUMBER, false, derInteger(crlNumberOf(previous) + 1)),
    ],
  });
  // The library's own label, "CRL", is none that OpenSSL knows (RFC 7468 §6).
  return `${PemConverter.encode(crl.rawData, "X509 CRL")}\n`;
}

/** The serial numbers that a list has, lower-case hex. */
export function revokedSerials(pem: string): string[] {
  return new X509Crl(pem).entries.map(({ serialNumber }) => serialNumber.toLowerCase());
}

function crlNumberOf(crl: X509Crl | null): number {
  const value = crl?.getExtension(CRL_NUMBER)?.value;
  return value === undefined ? 0 : Buffer.from(value).readUIntBE(2, value.byteLength - 2);
}

/** A DER INTEGER: the fewest bytes that hold `value`, a whole number from 0, without a sign bit. */
function derInteger(value: number): ArrayBuffer {
  const hex = value.toString(16);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  const content = Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
  const bytes = Buffer.from(content, "hex");
  return new Uint8Array([0x02, bytes.length, ...bytes]).buffer;
}

function newKeys() {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
}

function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  // Neither negative nor with a zero in front, so that its hex is the same wherever it is shown.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function privatePem({ privateKey }: webcrypto.CryptoKeyPair): string {
  return KeyObject.from(privateKey).export({ type: "pkcs8", format: "pem" }).toString();
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
