/**
 * Certificate revocation lists (RFC 5280 §5) as an operator puts them beside the
 * authority: PEM, one block for each authority.
 *
 * OpenSSL consults them in every full handshake, and refuses *everybody* when a
 * list is broken, out of date or missing for one authority. So a list is judged
 * here before OpenSSL gets it. We keep the serial numbers as well: a resumed TLS
 * session is not verified again, and live sessions must end when their
 * certificate is revoked.
 * @module
 */
import { verify, type X509Certificate } from "node:crypto";
import { SerializationError } from "../src/core/index.ts";
import { certificateFields, certificateId, nameId } from "./certificate.ts";
import { DER, DerSequence, type DerValue, readDer, timeOf } from "./der.ts";

/** What all lists together say. */
export interface RevokedCertificates {
  /** One PEM text for each list, as `node:tls` wants them. */
  readonly pems: readonly string[];
  /** {@link certificateId} of each revoked certificate. */
  readonly ids: ReadonlySet<string>;
  /** When the first of the lists lapses, milliseconds since 1970; null for never. */
  readonly nextUpdateMs: number | null;
}

/** Lists of a size that is read within tens of milliseconds. */
export const CRL_BYTES_MAX = 16 * 1024 * 1024;

const PEM_BLOCK = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+?)-----END X509 CRL-----/g;

/** Content of the object identifier of each signature algorithm we verify, in hex, to its hash. */
const HASH_OF_ALGORITHM: Readonly<Record<string, string | null>> = {
  "2a8648ce3d040302": "sha256", // ecdsa-with-SHA256 (RFC 5758 §3.2)
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
  "2a864886f70d01010b": "sha256", // sha256WithRSAEncryption (RFC 4055 §5)
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2b6570": null, // Ed25519 (RFC 8410 §3), which hashes for itself
};

/**
 * Reads the lists in `pem`. Each must be signed by one of `authorities` and be current at `nowMs`,
 * and each of `authorities` must have one. Throws `SerializationError("crl.…")` otherwise.
 */
export function readCrls(
  pem: string,
  authorities: readonly X509Certificate[],
  nowMs: number,
): RevokedCertificates {
  const blocks = [...pem.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) throw refuse("none", "there is no X509 CRL in the file");
  const lists = blocks.map(([, base64 = ""]) =>
    readCrl(Buffer.from(base64, "base64"), authorities, nowMs),
  );
  const named = new Set(lists.map(({ issuer }) => issuer));
  for (const { raw, subject } of authorities) {
    if (named.has(nameId(certificateFields(raw).subject))) continue;
    throw refuse("missing", `there is no list of the authority ${oneLine(subject)}`);
  }
  const lapses = lists.flatMap(({ nextUpdateMs }) => nextUpdateMs ?? []);
  return {
    pems: blocks.map(([block]) => block),
    ids: new Set(lists.flatMap(({ ids }) => ids)),
    nextUpdateMs: lapses.length === 0 ? null : Math.min(...lapses),
  };
}

function readCrl(raw: Buffer, authorities: readonly X509Certificate[], nowMs: number) {
  const list = new DerSequence(readDer(raw));
  const signed = list.required(DER.sequence);
  const algorithm = new DerSequence(list.required(DER.sequence)).required(DER.oid);
  const signature = list.required(DER.bitString);

  const fields = new DerSequence(signed);
  fields.optional(DER.integer); // The version.
  fields.required(DER.sequence);
  const issuer = fields.required(DER.sequence);
  requireSignature({ signed, algorithm, signature }, issuer, authorities);
  const thisUpdateMs = timeOf(fields.required(DER.utcTime, DER.generalizedTime));
  const lapse = fields.optional(DER.utcTime, DER.generalizedTime);
  const nextUpdateMs = lapse === null ? null : timeOf(lapse);
  if (thisUpdateMs > nowMs) throw refuse("early", `it is of ${dateOf(thisUpdateMs)}, to come`);
  if (nextUpdateMs !== null && nextUpdateMs <= nowMs) {
    throw refuse("expired", `a newer one was due on ${dateOf(nextUpdateMs)}`);
  }
  const revoked = fields.optional(DER.sequence);
  return {
    issuer: nameId(issuer),
    ids: revoked === null ? [] : revokedIds(issuer, revoked),
    nextUpdateMs,
  };
}

function revokedIds(issuer: DerValue, revoked: DerValue): string[] {
  const prefix = certificateId(issuer, { ...issuer, content: Buffer.alloc(0) });
  const ids: string[] = [];
  const entries = new DerSequence(revoked);
  for (let entry = entries.optional(DER.sequence); entry; entry = entries.optional(DER.sequence)) {
    const serial = new DerSequence(entry).required(DER.integer);
    ids.push(prefix + serial.content.toString("hex"));
  }
  return ids;
}

interface Signed {
  readonly signed: DerValue;
  readonly algorithm: DerValue;
  readonly signature: DerValue;
}

function requireSignature(
  { signed, algorithm, signature }: Signed,
  issuer: DerValue,
  authorities: readonly X509Certificate[],
): void {
  const oid = algorithm.content.toString("hex");
  const hash = HASH_OF_ALGORITHM[oid];
  if (hash === undefined) throw refuse("algorithm", `its signature algorithm is unknown: ${oid}`);
  const name = nameId(issuer);
  // An authority that changed its key has two certificates of one name.
  const genuine = authorities
    .filter(({ raw }) => nameId(certificateFields(raw).subject) === name)
    .some(({ publicKey }) => {
      // A bit string says first how many bits of its last byte to leave out: none.
      const bytes = signature.content.subarray(1);
      return verify(hash, signed.whole, publicKey, bytes);
    });
  if (!genuine) throw refuse("signature", "it is signed by none of the authorities in caFile");
}

function refuse(reason: string, why: string): SerializationError {
  return new SerializationError(`crl.${reason}`, `revocation list refused: ${why}`);
}

const oneLine = (name: string) => name.replaceAll("\n", ", ");
const dateOf = (ms: number) => new Date(ms).toISOString();
