/**
 * The directory of a certificate authority.
 *
 *   ca.key        the authority's key: whoever has it is every device      0400
 *   ca.pem        its certificate, for gateways and devices                0644
 *   ca.crl.pem    its revocation list, for gateways                        0644
 *   server.key, server.pem   the gateway's own                             0400, 0644
 *   devices/TENANT/DEVICE.key, .pem                                        0400, 0644
 *   issued.jsonl  what was issued to which device, a line each             0600
 *
 * Files appear whole or not at all, and none is replaced unasked. One command
 * works on a directory at a time, because a revocation list that two wrote at
 * once would lack what one of them revoked.
 * @module
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type DeviceKey, InvalidConfigError, messageOf } from "../../core/index.ts";
import type { Signed } from "./authority.ts";

/** One line of the ledger. */
export interface Issue extends DeviceKey {
  /** Lower-case hex. */
  readonly serial: string;
}

const SECRET_MODE = 0o400;
const PUBLIC_MODE = 0o644;
const DIRECTORY_MODE = 0o700;
const LEDGER = "issued.jsonl";
const LOCK = ".lock";

export class CertsDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The absolute or relative path of one of its files. */
  file(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** Runs `act` while nobody else does. Rejects with `InvalidConfigError` when somebody is at it. */
  async exclusively<T>(act: () => Promise<T>): Promise<T> {
    mkdirSync(this.path, { recursive: true, mode: DIRECTORY_MODE });
    const lock = this.file(LOCK);
    try {
      closeSync(openSync(lock, "wx", SECRET_MODE));
    } catch (error) {
      const fault = `another command works on ${this.path}, or one was killed: then remove ${lock}`;
      throw new InvalidConfigError([fault], { cause: error });
    }
    try {
      return await act();
    } finally {
      rmSync(lock, { force: true });
    }
  }

  /** Throws `InvalidConfigError` naming those of `names` that are there, unless `force`. */
  requireFree(names: readonly string[], force: boolean): void {
    const taken = force ? [] : names.filter((name) => existsSync(this.file(name)));
    if (taken.length === 0) return;
    throw new InvalidConfigError([
      `${taken.join(", ")} in ${this.path} would be replaced: give --force to do that`,
    ]);
  }

  /** Throws `InvalidConfigError` when it cannot be read. */
  read(name: string): string {
    try {
      return readFileSync(this.file(name), "utf8");
    } catch (error) {
      const fault = `${messageOf(error)}: omega-sync certs init makes an authority`;
      throw new InvalidConfigError([fault], { cause: error });
    }
  }

  /** Writes `name`.key and `name`.pem. */
  writeSigned(name: string, { certPem, keyPem }: Signed): void {
    this.#write(`${name}.key`, keyPem, SECRET_MODE);
    this.#write(`${name}.pem`, certPem, PUBLIC_MODE);
  }

  /** Writes a file that everybody may read. */
  writePublic(name: string, text: string): void {
    this.#write(name, text, PUBLIC_MODE);
  }

  /** Starts an empty ledger. */
  startLedger(): void {
    this.#write(LEDGER, "", 0o600);
  }

  record(issue: Issue): void {
    appendFileSync(this.file(LEDGER), `${JSON.stringify(issue)}\n`);
  }

  /** The serial numbers of all that was issued to `key`. */
  serialsOf(key: DeviceKey): string[] {
    return this.read(LEDGER)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Issue)
      .filter(({ tenant, device }) => tenant === key.tenant && device === key.device)
      .map(({ serial }) => serial);
  }

  #write(name: string, text: string, mode: number): void {
    const file = this.file(name);
    mkdirSync(dirname(file), { recursive: true, mode: DIRECTORY_MODE });
    const fresh = `${file}.new`;
    rmSync(fresh, { force: true });
    const handle = openSync(fresh, "wx", mode);
    try {
      writeFileSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(fresh, file);
  }
}
