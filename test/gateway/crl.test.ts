import "reflect-metadata";
import { webcrypto, X509Certificate } from "node:crypto";
import {
  BasicConstraintsExtension,
  PemConverter,
  X509CertificateGenerator,
  X509CrlGenerator,
} from "@peculiar/x509";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { certificateFields, certificateId } from "../../gateway/certificate.ts";
import { readCrls } from "../../gateway/crl.ts";
import { DER, readDer, timeOf } from "../../gateway/der.ts";
import {
  createAuthority,
  issueToDevice,
  openAuthority,
  writeCrl,
} from "../../src/cli/certs/authority.ts";
import { DAY_MS, validity } from "../support/authority.ts";

const NOW_MS = Date.now();
const pem = (der: Uint8Array) =>
  PemConverter.encode(new Uint8Array(der).buffer as ArrayBuffer, "X509 CRL");

async function authorityOf(name: string) {
  const { certPem, keyPem } = await createAuthority(name, validity());
  return { x509: new X509Certificate(certPem), signer: await openAuthority(certPem, keyPem) };
}

let one: Awaited<ReturnType<typeof authorityOf>>;
let two: Awaited<ReturnType<typeof authorityOf>>;
beforeAll(async () => {
  one = await authorityOf("one");
  two = await authorityOf("two");
});

const idOf = (certPem: string) => {
  const { issuer, serial } = certificateFields(new X509Certificate(certPem).raw);
  return certificateId(issuer, serial);
};

describe("revocation lists", () => {
  test("a list names the certificates of its own authority, whatever serial others gave", async () => {
    const key = { tenant: "acme", device: "tv1" };
    const { certPem, serial } = await issueToDevice(one.signer, key, validity());
    const lists = [
      await writeCrl(one.signer, null, ["01", serial, "00ff"], validity()),
      await writeCrl(two.signer, null, [], validity(-DAY_MS, 3_600_000)),
    ];
    const revoked = readCrls(lists.join(""), [one.x509, two.x509], NOW_MS);
    expect(revoked.ids.size).toBe(3);
    expect(revoked.ids.has(idOf(certPem))).toBe(true);
    expect(revoked.pems).toHaveLength(2);
    expect(revoked.nextUpdateMs).toBeLessThan(NOW_MS + DAY_MS / 2);
    const swapped = [
      await writeCrl(one.signer, null, [], validity()),
      await writeCrl(two.signer, null, [serial], validity()),
    ];
    const others = readCrls(swapped.join("\n"), [one.x509, two.x509], NOW_MS);
    expect(others.ids.has(idOf(certPem))).toBe(false);
  });

  test("a list grows and forgets nothing, and its number rises", async () => {
    let list: string | null = null;
    for (let count = 1; count <= 300; count += 50) {
      const serials = Array.from({ length: count }, (_, index) => (index + 0x4000).toString(16));
      list = await writeCrl(one.signer, list, serials, validity());
      expect(readCrls(list, [one.x509], NOW_MS).ids.size).toBe(count);
    }
  });

  test("an authority whose list is missing would shut all of its devices out: refused", async () => {
    const list = await writeCrl(one.signer, null, [], validity());
    expect(() => readCrls(list, [one.x509, two.x509], NOW_MS)).toThrow(
      expect.objectContaining({ reason: "crl.missing" }),
    );
  });

  test("a list signed with RSA is read too", async () => {
    const algorithm = {
      ...{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048 },
      publicExponent: new Uint8Array([1, 0, 1]),
    };
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const ca = await X509CertificateGenerator.createSelfSigned({
      ...{ name: [{ CN: ["rsa"] }], keys, signingAlgorithm: algorithm, ...validity() },
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    });
    const { notBefore, notAfter } = validity();
    const crl = await X509CrlGenerator.create({
      ...{ issuer: ca.subject, signingAlgorithm: algorithm, signingKey: keys.privateKey },
      ...{ thisUpdate: notBefore, nextUpdate: notAfter },
      entries: [{ serialNumber: "0102" }],
    });
    const x509 = new X509Certificate(ca.toString("pem"));
    expect(readCrls(pem(new Uint8Array(crl.rawData)), [x509], NOW_MS).ids.size).toBe(1);
  });

  test("P8: cut anywhere or with any byte changed, a list is refused with a typed error", async () => {
    const der = PemConverter.decodeFirst(await writeCrl(one.signer, null, ["4711"], validity()));
    const bytes = new Uint8Array(der);
    const refused = (changed: Uint8Array) => {
      expect(() => readCrls(pem(changed), [one.x509], NOW_MS)).toThrow(
        expect.objectContaining({ code: "Serialization" }),
      );
    };
    for (let length = 1; length < bytes.length; length += 1) refused(bytes.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(bytes, (byte, index) =>
          index === at ? byte ^ flip : byte,
        );
        // OpenSSL takes a signature with trailing zero bits or a long length too; a list so changed
        // says the same.
        try {
          expect(readCrls(pem(changed), [one.x509], NOW_MS).ids.size).toBe(1);
        } catch (error) {
          expect(error).toMatchObject({ code: "Serialization" });
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("DER", () => {
  test.each([
    [DER.utcTime, "491231235959Z", "2049-12-31T23:59:59.000Z"],
    [DER.utcTime, "500101000000Z", "1950-01-01T00:00:00.000Z"],
    [DER.generalizedTime, "20500101000000Z", "2050-01-01T00:00:00.000Z"],
  ])("a time of tag %i, %s, is %s", (tag, text, iso) => {
    const content = Buffer.from(text);
    expect(new Date(timeOf({ tag, content, whole: content })).toISOString()).toBe(iso);
  });

  test.each([
    "",
    "991231235959",
    "20500101000000Z",
    "9912312359Z",
    "991331235959Z",
    "abcdefghijklZ",
  ])("%j is no UTCTime", (text) => {
    const content = Buffer.from(text);
    expect(() => timeOf({ tag: DER.utcTime, content, whole: content })).toThrow("DER");
  });

  test("P8: any bytes are a value within them, or refused with a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          const { whole } = readDer(Buffer.from(bytes));
          expect(whole.length).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toMatchObject({ code: "Serialization", reason: "der.malformed" });
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
