/**
 * A certificate authority with a gateway's files in a directory, and devices' certificates at will.
 * @module
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  createAuthority,
  issueToDevice,
  issueToServer,
  openAuthority,
  type Signed,
  writeCrl,
} from "../../src/cli/certs/authority.ts";

export const DAY_MS = 86_400_000;

/** From `fromMs` to `toMs` after now. */
export function validity(fromMs = -DAY_MS, toMs = DAY_MS) {
  return { notBefore: new Date(Date.now() + fromMs), notAfter: new Date(Date.now() + toMs) };
}

/** As an editor or a tool does it that cares: nobody sees half a file. */
export function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

export async function makeAuthority(dir: string, name = "test CA") {
  const signed = await createAuthority(name, validity(-2 * DAY_MS, 2 * DAY_MS));
  const authority = await openAuthority(signed.certPem, signed.keyPem);
  const server = await issueToServer(authority, ["localhost", "127.0.0.1"], validity());
  let crl = await writeCrl(authority, null, [], validity());
  const file = (leaf: string, text: string) => {
    const path = join(dir, leaf);
    writeFileSync(path, text);
    return path;
  };
  const files = {
    certFile: file("server.pem", server.certPem),
    keyFile: file("server.key", server.keyPem),
    caFile: file("ca.pem", signed.certPem),
    crlFile: file("ca.crl.pem", crl),
  };
  return {
    files,
    caPem: signed.certPem,
    authority,
    issue: (device: string, tenant = "default", dates = validity()): Promise<Signed> =>
      issueToDevice(authority, { tenant, device }, dates),
    /** Writes the list with `serials` added to it. */
    async revoke(...serials: readonly string[]): Promise<void> {
      crl = await writeCrl(authority, crl, serials, validity());
      replaceFile(files.crlFile, crl);
    },
  };
}
