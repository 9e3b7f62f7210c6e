/**
 * Whom the gateway trusts at this moment: certificates, authorities and
 * revocation lists of its TLS listeners, the keys that sign tokens, and the list
 * of revoked devices and tokens. All of it may change while it runs.
 *
 * A change is in force within 2 s (a look every second, and the reading), for new
 * logins and for live sessions, which are closed. What is not closed: a session
 * whose authority was taken out of `caFile`, or its key out of `jwksFile`; it ends
 * with its certificate, its token or its connection.
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import { type Clock, InvalidConfigError, messageOf } from "../src/core/index.ts";
import type { Logger, Metrics } from "../src/observe/index.ts";
import type { AuthVerdict, KeepRead } from "./auth-verdict.ts";
import type { PeerCertificate } from "./certificate.ts";
import {
  type Credential,
  REVOKED_BYTES_MAX,
  type RevokedList,
  readRevokedList,
} from "./revoked-list.ts";
import { type LoadedTls, loadTlsFiles, type TlsFiles } from "./tls-files.ts";
import { WatchedFiles } from "./watched-files.ts";

/** What a session was let in on, its certificate included. */
export interface Proof extends Credential {
  readonly certificate: PeerCertificate | null;
}

type Accepted = Extract<AuthVerdict, { readonly ok: true }>;

/** What `verdict` let `name` in on. A certificate alone was issued when it began to be valid. */
export function proofOf(
  name: string,
  certificate: PeerCertificate | null,
  { token }: Accepted,
): Proof {
  const issuedAtMs = token ? token.issuedAtMs : (certificate?.notBeforeMs ?? null);
  return { name, tokenId: token?.id ?? null, issuedAtMs, certificate };
}

/** When a session must end: with its token or its certificate, whichever ends first; null for never. */
export function endOf({ expiresAtMs }: Accepted, certificate: PeerCertificate | null) {
  if (certificate === null) return expiresAtMs;
  return Math.min(expiresAtMs ?? certificate.notAfterMs, certificate.notAfterMs);
}

export interface TrustOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The list of revoked devices and tokens; none when absent. */
  readonly revokedFile?: string | undefined;
}

/** A revocation list that lapses within this time is worth a warning. */
const LAPSES_SOON_MS = 7 * 86_400_000;

export class Trust {
  readonly #options: TrustOptions;
  readonly #files: WatchedFiles;
  readonly #tls: { loaded: LoadedTls }[] = [];
  readonly #listeners: (() => void)[] = [];
  #revoked: RevokedList = { refusal: () => null };

  /** Throws `InvalidConfigError` when the list of revoked devices cannot be used. */
  constructor(options: TrustOptions) {
    this.#options = options;
    this.#files = new WatchedFiles(options);
    const { revokedFile } = options;
    if (revokedFile === undefined) return;
    const read = () => {
      this.#revoked = loadRevokedFile(revokedFile);
    };
    this.#files.add({ what: "revoked", files: [revokedFile], reload: () => this.#renew(read) });
    read();
  }

  /**
   * Calls `read` now and again whenever `file` is another: keys that say who gets in. Throws what
   * `read` throws now; what it throws later is logged, and it must have changed nothing.
   */
  readonly keepRead: KeepRead = (what, file, read) => {
    this.#files.add({ what, files: [file], reload: read });
    read();
  };

  /**
   * What a TLS listener on `files` serves with, now and, through `apply`, from each change on.
   * Throws `InvalidConfigError` when they cannot be used.
   */
  tlsContext(files: TlsFiles, apply: (context: SecureContextOptions) => void) {
    const paths = [files.certFile, files.keyFile, files.caFile, files.crlFile];
    const read = () => {
      entry.loaded = this.#loadTls(files);
      apply(entry.loaded.context);
    };
    this.#files.add({
      what: "tls",
      files: paths.filter((path) => path !== undefined),
      reload: () => this.#renew(read),
    });
    const entry = { loaded: this.#loadTls(files) };
    this.#tls.push(entry);
    return entry.loaded.context;
  }

  /** Why `proof` does not count, or no longer, as a dotted reason; null when it does. */
  refusal(proof: Proof): string | null {
    const { certificate } = proof;
    if (certificate !== null) {
      // TLS verified it, but not again when it resumed a session.
      if (certificate.notAfterMs <= this.#options.clock.nowMs()) return "auth.certificate.expired";
      const { id } = certificate;
      if (this.#tls.some(({ loaded }) => loaded.revoked.ids.has(id))) {
        return "auth.revoked.certificate";
      }
    }
    return this.#revoked.refusal(proof);
  }

  /** Calls `listener` after each change: who was let in before may have to go. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Whether anything is read from files at all. */
  get watches(): boolean {
    return this.#files.any;
  }

  start(): void {
    this.#files.start();
  }

  /** Idempotent. */
  stop(): void {
    this.#files.stop();
  }

  /** Reads every file again. Never throws: what cannot be used is logged, and the old stays. */
  reload(): void {
    this.#files.reload();
  }

  #renew(read: () => void): void {
    read();
    for (const listener of this.#listeners) listener();
  }

  #loadTls(files: TlsFiles): LoadedTls {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    const loaded = loadTlsFiles(files, nowMs);
    const { nextUpdateMs } = loaded.revoked;
    if (nextUpdateMs !== null && nextUpdateMs - nowMs < LAPSES_SOON_MS) {
      // OpenSSL lets nobody in on a list that has lapsed.
      const until = new Date(nextUpdateMs).toISOString();
      log.warn("gateway.crl.lapses", { file: files.crlFile, until });
    }
    return loaded;
  }
}

function loadRevokedFile(file: string): RevokedList {
  try {
    if (statSync(file).size > REVOKED_BYTES_MAX) {
      throw new Error(`it has more than ${REVOKED_BYTES_MAX} bytes`);
    }
    return readRevokedList(readFileSync(file, "latin1"));
  } catch (error) {
    const fault = `auth.revokedFile cannot be used: ${file}: ${messageOf(error)}`;
    throw new InvalidConfigError([fault], { cause: error });
  }
}
