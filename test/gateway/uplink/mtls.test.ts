import { createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createWebSocketStream, WebSocket } from "ws";
import type { AuthOptions } from "../../../gateway/index.ts";
import { type Signed, writeCrl } from "../../../src/cli/certs/authority.ts";
import { DAY_MS, makeAuthority, replaceFile, validity } from "../../support/authority.ts";
import { CANARY } from "../../support/canary.ts";
import { type TempDir, tempDir } from "../../support/disk.ts";
import { waitFor } from "../../support/wait.ts";
import { type Fixture, metricOf, startGateway, stopGateways } from "./fixture.ts";
import { type ConnectFields, connectBytes, PINGREQ, RawClient } from "./raw-client.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const CERTIFICATE: AuthOptions = { mode: "certificate" };
const SECRET = CANARY;

let dir: TempDir;
let ours: Awaited<ReturnType<typeof makeAuthority>>;
let good: Signed;
beforeEach(async () => {
  dir = tempDir("omega-mtls-");
  ours = await makeAuthority(dir.path);
  good = await ours.issue("tv1");
});
afterEach(async () => {
  await stopGateways();
  await dir.remove();
});

const start = (auth: AuthOptions = CERTIFICATE): Promise<Fixture> =>
  startGateway({ auth, listeners: { tls: { ...LOOPBACK, ...ours.files } } });

async function dial(fixture: Fixture, signed: Signed | null, more: ConnectionOptions = {}) {
  const own = signed === null ? {} : { cert: signed.certPem, key: signed.keyPem };
  const { port = 0 } = fixture.gateway.addresses.tls ?? {};
  const socket = connectTls({ port, host: "127.0.0.1", ca: ours.caPem, ...own, ...more });
  const client = new RawClient(socket);
  await once(socket, "secureConnect");
  return { client, socket };
}

/** The CONNACK of a login; "closed" when TLS ends it before there is one. */
async function answer(
  fixture: Fixture,
  signed: Signed | null,
  fields: ConnectFields = {},
): Promise<number | "closed"> {
  const { client } = await dial(fixture, signed);
  client.send(connectBytes(fields));
  const code = await client.connack().catch(() => "closed" as const);
  client.end();
  return code;
}

async function session(fixture: Fixture, signed: Signed, fields: ConnectFields = {}) {
  const { client, socket } = await dial(fixture, signed);
  client.send(connectBytes(fields));
  expect(await client.connack()).toBe(0);
  return { client, socket };
}

const closes = (fixture: Fixture, reason: string) =>
  metricOf(fixture.metrics, `omega_gateway_closes_total{reason="${reason}"}`);
const reloads = (fixture: Fixture, what: string, outcome: string) =>
  metricOf(fixture.metrics, `omega_gateway_reloads_total{what="${what}",outcome="${outcome}"}`);

describe("certificate mode: who comes in", () => {
  let other: TempDir;
  let stranger: Awaited<ReturnType<typeof makeAuthority>>;
  beforeAll(async () => {
    other = tempDir("omega-mtls-stranger-");
    // The same name as our authority's, so that only the signature tells them apart.
    stranger = await makeAuthority(other.path);
  });
  afterAll(() => other.remove());

  const from = (days: number) => days * DAY_MS;
  test.each<[string, () => Promise<Signed | null>, ConnectFields, number | "closed"]>([
    ["the device's own, no user name", async () => good, {}, 0],
    ["the device's own, with its user name", async () => good, { username: "default/tv1" }, 0],
    ["of a tenant", () => ours.issue("tv1", "acme"), { username: "acme/tv1" }, 0],
    ["of a tenant, no user name", () => ours.issue("tv1", "acme"), {}, 0],
    ["of another device", () => ours.issue("tv2"), {}, 5],
    ["of another device, and its user name", () => ours.issue("tv2"), { username: "tv2" }, 5],
    ["of another tenant's device", () => ours.issue("tv1", "acme"), { username: "tv1" }, 5],
    ["that names no device", () => ours.issue("not an id"), { username: "tv1" }, 5],
    ["of another authority of the same name", () => stranger.issue("tv1"), {}, "closed"],
    ["expired", () => ours.issue("tv1", "default", validity(from(-2), from(-1))), {}, "closed"],
    ["not yet valid", () => ours.issue("tv1", "default", validity(from(1), from(2))), {}, "closed"],
    ["of a gateway", async () => serverCertificate(), {}, "closed"],
    ["none at all", async () => null, {}, "closed"],
    ["revoked", () => revoked(), {}, "closed"],
  ])("THREATS 1: a certificate %s", async (_name, make, fields, code) => {
    const signed = await make();
    const fixture = await start();
    expect(await answer(fixture, signed, fields)).toBe(code);
    if (code !== 0) expect(fixture.gateway.sessionCount).toBe(0);
  });

  async function serverCertificate(): Promise<Signed> {
    const { readFileSync } = await import("node:fs");
    const { certFile, keyFile } = ours.files;
    const read = (file: string) => readFileSync(file, "utf8");
    return { certPem: read(certFile), keyPem: read(keyFile), serial: "" };
  }

  async function revoked(): Promise<Signed> {
    await ours.revoke("0f", good.serial, "ff00");
    return good;
  }

  const password = createHmac("sha256", SECRET).update("default/tv1").digest("base64url");
  const jwt = (sub: string) =>
    new SignJWT({ sub, tenant: "default", aud: "omega" })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("5m")
      .sign(new TextEncoder().encode(SECRET));
  const tokens: AuthOptions = { mode: "jwt", key: { secret: SECRET }, audience: "omega" };
  const passwords: AuthOptions = { mode: "password", secret: SECRET };
  test.each<[string, AuthOptions, string, () => Promise<string>, number]>([
    ["password, own", passwords, "tv1", async () => password, 0],
    ["password, of another device", passwords, "tv2", async () => password, 5],
    ["a bad password, own", passwords, "tv1", async () => "bad", 4],
    ["jwt, own", tokens, "tv1", () => jwt("tv1"), 0],
    ["jwt, of another device", tokens, "tv2", () => jwt("tv1"), 5],
    ["a bad jwt, own", tokens, "tv1", async () => "bad", 4],
    ["a jwt of another device, own", tokens, "tv1", () => jwt("tv2"), 5],
  ])("THREATS 1: a certificate and %s", async (_name, auth, named, secret, code) => {
    const fixture = await start(auth);
    const fields = { username: "default/tv1", password: await secret() };
    expect(await answer(fixture, await ours.issue(named), fields)).toBe(code);
  });

  test("over a WebSocket too", async () => {
    const { gateway } = await startGateway({
      auth: CERTIFICATE,
      listeners: { ws: { ...LOOPBACK, tls: ours.files } },
    });
    const url = `wss://127.0.0.1:${gateway.addresses.ws?.port}/mqtt`;
    const options = { ca: ours.caPem, cert: good.certPem, key: good.keyPem };
    const client = new RawClient(createWebSocketStream(new WebSocket(url, ["mqtt"], options)));
    client.send(connectBytes());
    expect(await client.connack()).toBe(0);
    client.end();
  });

  test.each([
    ["tcp", () => ({ tcp: LOOPBACK })],
    ["tls without an authority", () => ({ tls: { ...LOOPBACK, ...own() } })],
    ["ws without TLS", () => ({ ws: LOOPBACK })],
    ["ws without an authority", () => ({ ws: { ...LOOPBACK, tls: own() } })],
  ])("a listener that asks for no certificate is refused at construction: %s", async (_, make) => {
    const listeners = { tls: { ...LOOPBACK, ...ours.files }, ...make() };
    const started = startGateway({ auth: CERTIFICATE, listeners });
    await expect(started).rejects.toMatchObject({ code: "InvalidConfig" });
  });

  const own = () => ({ certFile: ours.files.certFile, keyFile: ours.files.keyFile });
});

describe("certificate mode: files that change", () => {
  test("a certificate revoked while its device is connected ends that session, and no other", async () => {
    const fixture = await start();
    const victim = await session(fixture, good);
    const other = await session(fixture, await ours.issue("tv2"), { clientId: "tv2" });
    await ours.revoke(good.serial);
    await victim.client.closed;
    expect(await closes(fixture, "auth.revoked.certificate")).toBe(1);
    expect(await answer(fixture, good)).toBe("closed");
    other.client.send(PINGREQ);
    await other.client.next("pingresp");
    other.client.end();
  });

  test.each(["TLSv1.3", "TLSv1.2"] as const)(
    "a TLS session made before the revocation is not resumed after it (%s)",
    async (maxVersion) => {
      const fixture = await start();
      const { client, socket } = await dial(fixture, good, { maxVersion });
      // In TLS 1.3 the ticket comes behind the handshake, ahead of the first answer.
      let tlsSession = socket.getSession();
      socket.on("session", (ticket) => {
        tlsSession = ticket;
      });
      client.send(connectBytes());
      expect(await client.connack()).toBe(0);
      client.end();
      const resumed = tlsSession === undefined ? {} : { session: tlsSession };
      const again = await dial(fixture, good, { maxVersion, ...resumed });
      expect((again.socket as TLSSocket).isSessionReused()).toBe(true);
      again.client.send(connectBytes());
      expect(await again.client.connack()).toBe(0);
      await ours.revoke(good.serial);
      await again.client.closed;
      const late = await dial(fixture, good, { maxVersion, ...resumed }).catch(() => null);
      late?.client.send(connectBytes());
      await late?.client.closed;
      expect(late?.client.count("connack") ?? 0).toBe(0);
      expect(fixture.gateway.sessionCount).toBe(0);
    },
  );

  test("a new authority is trusted, and an old one no longer, without a restart", async () => {
    const fixture = await start();
    const next = tempDir("omega-mtls-next-");
    const theirs = await makeAuthority(next.path, "next CA");
    const theirDevice = await theirs.issue("tv1");
    expect(await answer(fixture, theirDevice)).toBe("closed");
    replaceFile(ours.files.crlFile, await writeCrl(theirs.authority, null, [], validity()));
    replaceFile(ours.files.caFile, theirs.caPem);
    await waitFor(async () => (await answer(fixture, theirDevice)) === 0);
    expect(await answer(fixture, good)).toBe("closed");
    await next.remove();
  });

  test("a new certificate of the gateway is served without a restart", async () => {
    const fixture = await start();
    const { issueToServer } = await import("../../../src/cli/certs/authority.ts");
    const renewed = await issueToServer(ours.authority, ["127.0.0.1"], validity());
    replaceFile(ours.files.keyFile, renewed.keyPem);
    replaceFile(ours.files.certFile, renewed.certPem);
    await waitFor(async () => {
      const { client, socket } = await dial(fixture, good);
      const { serialNumber } = socket.getPeerCertificate();
      client.end();
      return serialNumber.toLowerCase() === renewed.serial;
    });
  });

  test.each<[string, () => Promise<void>]>([
    ["a list that is no list", async () => replaceFile(ours.files.crlFile, "half a fi")],
    ["a list cut off", async () => replaceFile(ours.files.crlFile, (await list()).slice(0, 300))],
    ["a list of another authority", async () => replaceFile(ours.files.crlFile, await forged())],
    ["a list that has lapsed", async () => replaceFile(ours.files.crlFile, await list(-2, -1))],
    ["a list of tomorrow", async () => replaceFile(ours.files.crlFile, await list(1, 2))],
    ["no list any more", async () => (await import("node:fs")).rmSync(ours.files.crlFile)],
    ["an authority file without one", async () => replaceFile(ours.files.caFile, "")],
    ["an authority that is none", async () => replaceFile(ours.files.caFile, good.certPem)],
    ["a key of another certificate", async () => replaceFile(ours.files.keyFile, good.keyPem)],
  ])("%s is refused loudly, and the old stays in force", async (_name, spoil) => {
    await ours.revoke(good.serial);
    const fixture = await start();
    const device = await ours.issue("tv2");
    const live = await session(fixture, device, { clientId: "tv2" });
    await spoil();
    fixture.gateway.reload?.();
    expect(await reloads(fixture, "tls", "refused")).toBe(1);
    expect(await reloads(fixture, "tls", "in_force")).toBe(0);
    expect(await answer(fixture, good)).toBe("closed");
    expect(await answer(fixture, await ours.issue("tv3"), { clientId: "tv3" })).toBe(0);
    live.client.send(PINGREQ);
    await live.client.next("pingresp");
    live.client.end();
  });

  test("what was refused comes into force as soon as it is mended, by itself", async () => {
    const fixture = await start();
    replaceFile(ours.files.crlFile, "half a list");
    await waitFor(async () => (await reloads(fixture, "tls", "refused")) === 1);
    await ours.revoke(good.serial);
    await waitFor(async () => (await reloads(fixture, "tls", "in_force")) === 1);
    expect(await answer(fixture, good)).toBe("closed");
  });

  const list = (from = -1, to = 1) =>
    writeCrl(ours.authority, null, [], validity(from * DAY_MS, to * DAY_MS));

  async function forged(): Promise<string> {
    const theirs = await makeAuthority(tempDirs());
    return writeCrl(theirs.authority, null, [], validity());
  }
  const made: TempDir[] = [];
  const tempDirs = () => {
    const one = tempDir("omega-mtls-forged-");
    made.push(one);
    return one.path;
  };
  afterAll(() => Promise.all(made.map((one) => one.remove())));

  test.each([
    ["crlFile", "no list"],
    ["caFile", "no authority"],
  ] as const)("a %s that cannot be used is refused at the start", async (name, text) => {
    writeFileSync(ours.files[name], text);
    await expect(start()).rejects.toMatchObject({
      code: "InvalidConfig",
      faults: [expect.stringContaining(name)],
    });
  });

  test("files are read again at once when the gateway is told to", async () => {
    const fixture = await start();
    const { client } = await session(fixture, good);
    await ours.revoke(good.serial);
    fixture.gateway.reload?.();
    await client.closed;
    expect(await reloads(fixture, "tls", "in_force")).toBe(1);
  });

  test("the session ends with the certificate", async () => {
    const fixture = await start();
    // X.509 counts whole seconds.
    const signed = await ours.issue("tv1", "default", validity(-DAY_MS, 2_000));
    const { client } = await session(fixture, signed);
    await client.closed;
    expect(await closes(fixture, "session.expired")).toBe(1);
  });
});
