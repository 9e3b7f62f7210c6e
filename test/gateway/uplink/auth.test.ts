import { createHmac, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { exportJWK, exportSPKI, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type AuthOptions, devicePassword, type GatewayOptions } from "../../../gateway/index.ts";
import { CANARY } from "../../support/canary.ts";
import { tempDir } from "../../support/disk.ts";
import { type Fixture, metricOf, startGateway, stopGateways } from "./fixture.ts";
import { type ConnectFields, connectBytes, openRaw, openSession, PINGREQ } from "./raw-client.ts";

const SECRET = CANARY;
const KEY = { tenant: "acme", device: "tv1" };
const LOGIN = { clientId: "tv1", username: "acme/tv1" };

afterEach(stopGateways);

/** The CONNACK code of a login; "closed" when the socket closes without one. */
async function answerTo(port: number, fields: ConnectFields): Promise<number | "closed"> {
  const client = await openRaw(port);
  client.send(connectBytes(fields));
  const code = await client.connack().catch(() => "closed" as const);
  if (code !== 0) await client.closed;
  else client.end();
  return code;
}

const start = (auth: AuthOptions, limits: GatewayOptions["limits"] = {}): Promise<Fixture> =>
  startGateway({ auth, limits });

describe("password mode", () => {
  const auth: AuthOptions = { mode: "password", secret: SECRET };
  const password = devicePassword(SECRET, KEY);

  test("the password is HMAC-SHA-256 of tenant/device in base64url", () => {
    const expected = createHmac("sha256", SECRET).update("acme/tv1").digest("base64url");
    expect(password).toBe(expected);
    expect(password).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  test.each<[string, ConnectFields, number | "closed"]>([
    ["the right one", { ...LOGIN, password }, 0],
    [
      "a device of the default tenant",
      { username: "tv1", password: devicePassword(SECRET, { tenant: "default", device: "tv1" }) },
      0,
    ],
    ["a wrong one", { ...LOGIN, password: `${password.slice(0, 42)}!` }, 4],
    ["a shorter one", { ...LOGIN, password: password.slice(0, 42) }, 4],
    ["a longer one", { ...LOGIN, password: `${password}A` }, 4],
    ["an empty one", { ...LOGIN, password: "" }, 4],
    ["none at all", LOGIN, 4],
    ["no user name", { clientId: "tv1" }, 4],
    ["another tenant's user name", { ...LOGIN, username: "other/tv1", password }, 4],
    ["another device's client id (THREATS 1)", { ...LOGIN, clientId: "tv2", password }, 5],
    ["a user name of three parts", { ...LOGIN, username: "acme/tv1/x", password }, 4],
    ["a password of 64 KB", { ...LOGIN, password: Buffer.alloc(65_535, 65) }, "closed"],
  ])("THREATS 1, 2: %s", async (_name, fields, answer) => {
    const { port, gateway } = await start(auth);
    expect(await answerTo(port, fields)).toBe(answer);
    if (answer !== 0) expect(gateway.sessionCount).toBe(0);
  });

  test("a secret of fewer than 16 bytes is refused at construction", async () => {
    await expect(start({ mode: "password", secret: "short" })).rejects.toMatchObject({
      code: "InvalidConfig",
    });
  });

  test("THREATS 2: after a burst of bad passwords an address is answered 3, unheard", async () => {
    const failedLoginsPerAddress = { burst: 3, ratePerS: 0.001 };
    const { port, metrics } = await start(auth, { failedLoginsPerAddress });
    const bad = { ...LOGIN, password: "bad" };
    const answers: (number | "closed")[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) answers.push(await answerTo(port, bad));
    expect(answers).toEqual([4, 4, 4, 3, 3]);
    expect(await metricOf(metrics, 'omega_gateway_connects_total{reason="auth.password"}')).toBe(3);
  });

  test("a refused login never closes the session it pretends to be", async () => {
    const { port } = await start(auth);
    const honest = await openSession(port, { ...LOGIN, password });
    expect(await answerTo(port, { ...LOGIN, password: "bad" })).toBe(4);
    honest.send(PINGREQ);
    await honest.next("pingresp");
  });
});

describe("jwt mode", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const secretKey = new TextEncoder().encode(SECRET);
  const hs: AuthOptions = {
    mode: "jwt",
    key: { secret: SECRET },
    audience: "omega",
    issuer: "factory",
  };
  let disk: ReturnType<typeof tempDir>;
  let rs: AuthOptions;

  beforeAll(async () => {
    disk = tempDir();
    const jwk = { ...(await exportJWK(rsa.publicKey)), kid: "k1", alg: "RS256", use: "sig" };
    const jwksFile = join(disk.path, "jwks.json");
    writeFileSync(jwksFile, JSON.stringify({ keys: [jwk] }));
    rs = { mode: "jwt", key: { jwksFile }, audience: "omega", issuer: "factory" };
  });
  afterAll(() => disk.remove());

  const GOOD: JWTPayload = { sub: "tv1", tenant: "acme", aud: "omega", iss: "factory" };
  const claims = (over: JWTPayload = {}, expires = "5m") => {
    const token = new SignJWT({ ...GOOD, ...over }).setIssuedAt();
    return expires === "" ? token : token.setExpirationTime(expires);
  };
  const hmac = (over: JWTPayload = {}, expires = "5m") =>
    claims(over, expires).setProtectedHeader({ alg: "HS256" }).sign(secretKey);
  const signed = (over: JWTPayload = {}, expires = "5m") =>
    claims(over, expires).setProtectedHeader({ alg: "RS256", kid: "k1" }).sign(rsa.privateKey);
  const inFuture = Math.floor(Date.now() / 1_000) + 3_600;

  test.each<[string, () => Promise<string>, number | "closed"]>([
    ["the right one", () => hmac(), 0],
    ["one for several audiences", () => hmac({ aud: ["x", "omega"] }), 0],
    ["expired", () => hmac({}, "-1m"), 4],
    ["not yet valid", () => hmac({ nbf: inFuture }), 4],
    ["for another audience", () => hmac({ aud: "other" }), 4],
    ["from another issuer", () => hmac({ iss: "other" }), 4],
    ["without an expiry", () => hmac({}, ""), 4],
    ["of another device", () => hmac({ sub: "tv2" }), 5],
    ["of another tenant", () => hmac({ tenant: "other" }), 5],
    ["of the default tenant", () => hmac({ tenant: undefined }), 5],
    ["alg none", async () => new UnsecuredJWT({ ...GOOD, exp: inFuture }).encode(), 4],
    [
      "HS512, which is not the pinned one",
      () => claims().setProtectedHeader({ alg: "HS512" }).sign(Buffer.alloc(64, SECRET)),
      4,
    ],
    ["RS256 where a secret is configured", () => signed(), 4],
    ["no token", async () => "", 4],
    ["not a token", async () => "a.b.c", 4],
    ["a signature of another secret", async () => `${(await hmac()).slice(0, -4)}AAAA`, 4],
    ["of 64 KB", async () => `${await hmac()}${"A".repeat(65_000)}`, "closed"],
  ])("THREATS 1, shared secret: %s", async (_name, token, answer) => {
    const { port } = await start(hs);
    expect(await answerTo(port, { ...LOGIN, password: await token() })).toBe(answer);
  });

  test.each<[string, () => Promise<string>, number]>([
    ["the right one", () => signed(), 0],
    ["expired", () => signed({}, "-1m"), 4],
    ["of another device", () => signed({ sub: "tv2" }), 5],
    [
      "signed by a stranger under our key's name",
      () => claims().setProtectedHeader({ alg: "RS256", kid: "k1" }).sign(stranger.privateKey),
      4,
    ],
    [
      "under a key that is not in the set",
      () => claims().setProtectedHeader({ alg: "RS256", kid: "k2" }).sign(stranger.privateKey),
      4,
    ],
    [
      "HS256 with our public key as the secret (RS→HS confusion)",
      async () => {
        const pem = new TextEncoder().encode(await exportSPKI(rsa.publicKey as never));
        return claims().setProtectedHeader({ alg: "HS256", kid: "k1" }).sign(pem);
      },
      4,
    ],
    ["alg none", async () => new UnsecuredJWT({ ...GOOD, exp: inFuture }).encode(), 4],
  ])("THREATS 1, key set: %s", async (_name, token, answer) => {
    const { port } = await start(rs);
    expect(await answerTo(port, { ...LOGIN, password: await token() })).toBe(answer);
  });

  test("THREATS 1: the client id must be the token's device, whatever the user name says", async () => {
    const { port } = await start(hs);
    const password = await hmac();
    expect(await answerTo(port, { clientId: "tv2", username: "acme/tv2", password })).toBe(5);
    expect(await answerTo(port, { clientId: "tv2", username: "acme/tv1", password })).toBe(5);
  });

  test("the session ends when its token does", async () => {
    const { port, metrics } = await start(hs);
    const exp = Math.floor(Date.now() / 1_000) + 1;
    const password = await claims({}, "")
      .setExpirationTime(exp)
      .setProtectedHeader({ alg: "HS256" })
      .sign(secretKey);
    const client = await openSession(port, { ...LOGIN, password });
    await client.closed;
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1_000);
    const closes = 'omega_gateway_closes_total{reason="session.expired"}';
    expect(await metricOf(metrics, closes)).toBe(1);
  });

  test("a key set in a file is read again; one that cannot be used changes nothing", async () => {
    const jwk = { ...(await exportJWK(rsa.publicKey)), kid: "k1", alg: "RS256", use: "sig" };
    const jwksFile = join(disk.path, "rotated.json");
    writeFileSync(jwksFile, JSON.stringify({ keys: [] }));
    const { port, gateway, metrics } = await start({
      ...{ mode: "jwt", key: { jwksFile }, audience: "omega" },
    });
    const password = await signed();
    expect(await answerTo(port, { ...LOGIN, password })).toBe(4);
    writeFileSync(jwksFile, JSON.stringify({ keys: [jwk] }));
    gateway.reload?.();
    expect(await answerTo(port, { ...LOGIN, password })).toBe(0);
    writeFileSync(jwksFile, '{"keys": [');
    gateway.reload?.();
    expect(await answerTo(port, { ...LOGIN, password })).toBe(0);
    const refused = 'omega_gateway_reloads_total{what="jwks",outcome="refused"}';
    expect(await metricOf(metrics, refused)).toBe(1);
  });

  test("a key set at a URL is fetched; while it cannot be had the answer is 3, try again", async () => {
    let answering = false;
    const jwk = { ...(await exportJWK(rsa.publicKey)), kid: "k1", alg: "RS256", use: "sig" };
    const server = createServer((_request, response) => {
      response.writeHead(answering ? 200 : 503, { "content-type": "application/json" });
      response.end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port: keysPort } = server.address() as AddressInfo;
    const { port } = await start({
      mode: "jwt",
      key: { jwksUrl: `http://127.0.0.1:${keysPort}/jwks` },
      audience: "omega",
    });
    const password = await signed();
    expect(await answerTo(port, { ...LOGIN, password })).toBe(3);
    answering = true;
    expect(await answerTo(port, { ...LOGIN, password })).toBe(0);
    await new Promise((resolve) => server.close(resolve));
  });

  test.each<[string, AuthOptions]>([
    ["a short secret", { mode: "jwt", key: { secret: "short" }, audience: "omega" }],
    ["a missing file", { mode: "jwt", key: { jwksFile: "/nowhere" }, audience: "omega" }],
    ["plain http", { mode: "jwt", key: { jwksUrl: "http://example.com/" }, audience: "omega" }],
    ["no URL", { mode: "jwt", key: { jwksUrl: "jwks" }, audience: "omega" }],
  ])("%s is refused at construction", async (_name, auth) => {
    await expect(start(auth)).rejects.toMatchObject({ code: "InvalidConfig" });
  });
});

describe("no authentication", () => {
  test.each([
    ["0.0.0.0", true],
    ["::", true],
    ["192.168.1.10", true],
    ["example.com", true],
    ["127.0.0.1.example.com", true],
    ["127.0.0.1", false],
    ["localhost", false],
  ])("on %s is refused: %s", async (host, refused) => {
    const started = startGateway({ listeners: { tcp: { host, port: 0 } } });
    if (refused) await expect(started).rejects.toMatchObject({ code: "InvalidConfig" });
    else await expect(started).resolves.toBeDefined();
  });

  test("a user name, when given, names the tenant, and must fit the client id", async () => {
    const { port } = await start({ mode: "none" });
    expect(await answerTo(port, LOGIN)).toBe(0);
    expect(await answerTo(port, { ...LOGIN, clientId: "tv2" })).toBe(5);
  });
});
