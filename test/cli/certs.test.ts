import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startGateway, stopGateways } from "../gateway/uplink/fixture.ts";
import { connectBytes, RawClient } from "../gateway/uplink/raw-client.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { runCli } from "./run-cli.ts";

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("omega-certs-");
});
afterEach(async () => {
  await stopGateways();
  await dir.remove();
});

const nowMs = Date.now();
const certs = (command: string, ...args: string[]) =>
  runCli(["certs", command, "--dir", dir.path, ...args], { nowMs });
const file = (...names: string[]) => join(dir.path, ...names);
const mode = (...names: string[]) => (statSync(file(...names)).mode & 0o777).toString(8);
const certificate = (...names: string[]) => new X509Certificate(readFileSync(file(...names)));

describe("certs: init", () => {
  it("certs: one command makes an authority, the gateway's certificate and an empty list", async () => {
    const { code, stdout, stderr } = await certs("init", "--host", "gw.example.com", "192.0.2.10");
    expect({ code, lines: stdout.trim().split("\n").length }).toEqual({ code: 0, lines: 6 });
    expect(stderr).toContain("Next steps");
    expect(stderr).toContain(`gateway.tls.crlFile=${file("ca.crl.pem")}`);
    const ca = certificate("ca.pem");
    const server = certificate("server.pem");
    expect(ca.ca).toBe(true);
    expect(server.verify(ca.publicKey)).toBe(true);
    expect(server.subjectAltName).toBe("DNS:gw.example.com, IP Address:192.0.2.10");
    expect([mode("ca.key"), mode("server.key"), mode("ca.pem")]).toEqual(["400", "400", "644"]);
  });

  it("certs: nothing is replaced without --force, and nothing of it left half done", async () => {
    await certs("init");
    const before = readFileSync(file("ca.pem"), "utf8");
    const again = await certs("init");
    expect(again.code).toBe(78);
    expect(again.stderr).toContain("--force");
    expect(readFileSync(file("ca.pem"), "utf8")).toBe(before);
    expect((await certs("init", "--force")).code).toBe(0);
    expect(readFileSync(file("ca.pem"), "utf8")).not.toBe(before);
  });

  it("certs: openssl agrees with every file", async () => {
    await certs("init");
    await certs("issue", "--device", "tv-1", "--tenant", "acme");
    const pem = file("devices", "acme", "tv-1.pem");
    const verify = (...args: string[]) =>
      execFileSync("openssl", ["verify", "-x509_strict", "-CAfile", file("ca.pem"), ...args], {
        stdio: ["ignore", "pipe", "ignore"],
      }).toString();
    const list = ["-crl_check_all", "-CRLfile", file("ca.crl.pem")];
    expect(verify("-purpose", "sslserver", ...list, file("server.pem"))).toContain("OK");
    expect(verify("-purpose", "sslclient", ...list, pem)).toContain("OK");
    expect(() => verify("-purpose", "sslserver", pem)).toThrow();
    await certs("revoke", "--device", "tv-1", "--tenant", "acme");
    expect(() => verify(...list, pem)).toThrow();
    const text = execFileSync("openssl", ["crl", "-in", file("ca.crl.pem"), "-noout", "-text"]);
    expect(text.toString()).toMatch(/X509v3 CRL Number: *\n? *2\n/);
  });
});

describe("certs: issue and revoke", () => {
  beforeEach(async () => {
    await certs("init");
  });

  it("certs: a device gets its name, its tenant, its lifetime, and files only its own", async () => {
    const { code, stdout } = await certs(
      ...(["issue", "--device", "tv-1", "--tenant", "acme", "--expires", "30d", "--json"] as const),
    );
    expect(code).toBe(0);
    const { serial, certFile } = JSON.parse(stdout);
    const issued = new X509Certificate(readFileSync(certFile));
    expect(issued.subject).toBe("CN=tv-1\nOU=acme");
    expect(issued.serialNumber.toLowerCase()).toBe(serial);
    expect(Date.parse(issued.validTo)).toBe(Math.floor(nowMs / 1_000) * 1_000 + 30 * 86_400_000);
    expect(mode("devices", "acme", "tv-1.key")).toBe("400");
    expect((await certs("issue", "--device", "tv-1", "--tenant", "acme")).code).toBe(78);
  });

  it("certs: the gateway gets a new certificate from the same authority", async () => {
    const old = certificate("server.pem").serialNumber;
    expect((await certs("issue", "--host", "10.0.0.1")).code).toBe(78);
    expect((await certs("issue", "--host", "10.0.0.1", "--force")).code).toBe(0);
    expect(certificate("server.pem").serialNumber).not.toBe(old);
    expect(certificate("server.pem").verify(certificate("ca.pem").publicKey)).toBe(true);
  });

  it("certs: revoking a device revokes all that it was given, and a serial that one", async () => {
    await certs("issue", "--device", "tv-1");
    await certs("issue", "--device", "tv-1", "--force");
    await certs("issue", "--device", "tv-2");
    const { serialNumber } = certificate("devices", "default", "tv-2.pem");
    const first = JSON.parse((await certs("revoke", "--device", "tv-1", "--json")).stdout);
    expect(first).toMatchObject({ revokedCount: 2 });
    const colons = serialNumber.match(/../g)?.join(":") ?? "";
    const second = JSON.parse((await certs("revoke", "--serial", colons, "--json")).stdout);
    expect(second).toMatchObject({ revokedCount: 3, serials: [serialNumber.toLowerCase()] });
    const again = JSON.parse((await certs("revoke", "--device", "tv-1", "--json")).stdout);
    expect(again.revokedCount).toBe(3);
  });

  it.each([
    [["issue"], 2],
    [["issue", "--device", "a/b"], 2],
    [["issue", "--device", "tv-1", "--host", "x"], 2],
    [["issue", "--host", "not a host"], 2],
    [["revoke"], 2],
    [["revoke", "--serial", "xyz"], 2],
    [["revoke", "--device", "never-issued"], 78],
  ])("certs: %j ends in %i and leaves no lock", async ([command = "", ...args], code) => {
    expect((await certs(command, ...args)).code).toBe(code);
    expect(existsSync(file(".lock"))).toBe(false);
  });

  it("certs: a second command at the same time is refused, and told what to remove", async () => {
    writeFileSync(file(".lock"), "");
    const { code, stderr } = await certs("issue", "--device", "tv-1");
    expect(code).toBe(78);
    expect(stderr).toContain(file(".lock"));
  });

  it("certs: without an authority, issue says how to get one", async () => {
    const empty = tempDir("omega-certs-");
    const { code, stderr } = await runCli(["certs", "issue", "--dir", empty.path, "--device", "a"]);
    expect(code).toBe(78);
    expect(stderr).toContain("certs init");
    await empty.remove();
  });

  it("certs: a gateway lets the device in, and closes its session once it is revoked", async () => {
    await certs("issue", "--device", "tv-1");
    const { gateway } = await startGateway({
      auth: { mode: "certificate" },
      listeners: {
        tls: {
          ...{ host: "127.0.0.1", port: 0, certFile: file("server.pem") },
          ...{ keyFile: file("server.key"), caFile: file("ca.pem"), crlFile: file("ca.crl.pem") },
        },
      },
    });
    const own = (kind: string) => readFileSync(file("devices", "default", `tv-1.${kind}`));
    const { port = 0 } = gateway.addresses.tls ?? {};
    const ca = readFileSync(file("ca.pem"));
    const tls = { port, host: "127.0.0.1", ca, cert: own("pem"), key: own("key") };
    const client = new RawClient(connectTls(tls));
    client.send(connectBytes({ clientId: "tv-1" }));
    expect(await client.connack()).toBe(0);
    await certs("revoke", "--device", "tv-1");
    await client.closed;
  });
});
