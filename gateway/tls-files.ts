/**
 * The PEM files of a TLS listener, read and judged as one.
 *
 * `node:tls` takes much without a word that then refuses everybody: an authority
 * file with no certificate in it, a revocation list that has lapsed. So nothing
 * gets that far: files are either fit to serve with, or a fault that says why.
 * @module
 */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { InvalidConfigError, messageOf } from "../src/core/index.ts";
import { CRL_BYTES_MAX, type RevokedCertificates, readCrls } from "./crl.ts";

export interface TlsFiles {
  /** PEM files; `caFile` asks for client certificates signed by an authority in it. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile?: string;
  /** Revocation lists of those authorities, one for each. */
  readonly crlFile?: string;
}

export interface LoadedTls {
  /** For `node:tls`, but for whether to ask for certificates. */
  readonly context: SecureContextOptions;
  readonly revoked: RevokedCertificates;
}

const TLS_VERSION_MIN = "TLSv1.2";
const NOTHING_REVOKED: RevokedCertificates = { pems: [], ids: new Set(), nextUpdateMs: null };
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----/g;

/** Throws `InvalidConfigError` naming the file that cannot be used, and why. */
export function loadTlsFiles(files: TlsFiles, nowMs: number): LoadedTls {
  const { certFile, keyFile, caFile, crlFile } = files;
  const own = { cert: readPem("certFile", certFile), key: readPem("keyFile", keyFile) };
  const authorities =
    caFile === undefined ? [] : blaming("caFile", caFile, () => readAuthorities(caFile, nowMs));
  const revoked =
    crlFile === undefined
      ? NOTHING_REVOKED
      : blaming("crlFile", crlFile, () => readCrls(readLists(crlFile), authorities, nowMs));
  const context: SecureContextOptions = {
    ...own,
    minVersion: TLS_VERSION_MIN,
    ...(authorities.length > 0 ? { ca: authorities.map(String) } : {}),
    ...(revoked.pems.length > 0 ? { crl: [...revoked.pems] } : {}),
  };
  blaming("certFile and keyFile", certFile, () => createSecureContext(context));
  return { context, revoked };
}

function blaming<T>(what: string, file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const fault = `${what} cannot be used: ${file}: ${messageOf(error)}`;
    throw new InvalidConfigError([fault], { cause: error });
  }
}

function readPem(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const fault = `${what} must be a readable PEM file: ${messageOf(error)}`;
    throw new InvalidConfigError([fault], { cause: error });
  }
}

function readAuthorities(file: string, nowMs: number): X509Certificate[] {
  const blocks = readPem("caFile", file).toString("latin1").match(CERTIFICATE) ?? [];
  const authorities = blocks.map((block) => new X509Certificate(block));
  if (authorities.length === 0) throw new Error("there is no certificate in it");
  for (const { ca, subject } of authorities) {
    if (!ca) throw new Error(`${subject.replaceAll("\n", ", ")} is no authority`);
  }
  if (authorities.every(({ validTo }) => Date.parse(validTo) <= nowMs)) {
    throw new Error("every certificate in it has expired");
  }
  return authorities;
}

function readLists(file: string): string {
  if (statSync(file).size > CRL_BYTES_MAX) throw new Error(`it has more than ${CRL_BYTES_MAX} B`);
  return readFileSync(file, "latin1");
}
