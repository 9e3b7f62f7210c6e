import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AuthOptions, devicePassword, readRevokedList } from "../../../gateway/index.ts";
import { CANARY } from "../../support/canary.ts";
import { type TempDir, tempDir } from "../../support/disk.ts";
import { waitFor } from "../../support/wait.ts";
import { metricOf, startGateway, stopGateways } from "./fixture.ts";
import { connectBytes, openRaw, openSession, PINGREQ } from "./raw-client.ts";

const SECRET = CANARY;
const TOKENS: AuthOptions = { mode: "jwt", key: { secret: SECRET }, audience: "omega" };
const PASSWORDS: AuthOptions = { mode: "password", secret: SECRET };

let dir: TempDir;
let revokedFile: string;
beforeEach(() => {
  dir = tempDir("omega-revoked-");
  revokedFile = join(dir.path, "revoked.txt");
  writeFileSync(revokedFile, "# nobody yet\n");
});
afterEach(async () => {
  await stopGateways();
  await dir.remove();
});

const nowS = () => Math.floor(Date.now() / 1_000);
const iso = (s: number) => new Date(s * 1_000).toISOString();

function token(device: string, claims: { jti?: string; iat?: number } = {}): Promise<string> {
  return new SignJWT({ sub: device, tenant: "acme", aud: "omega", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("5m")
    .sign(new TextEncoder().encode(SECRET));
}

const login = (device: string, password: string) => ({
  ...{ clientId: device, username: `acme/${device}`, password },
});

async function answer(port: number, device: string, password: string): Promise<number> {
  const client = await openRaw(port);
  client.send(connectBytes(login(device, password)));
  const code = await client.connack();
  client.end();
  return code;
}

describe("revoking while the gateway runs", () => {
  test("a token revoked by its id ends its session, and no other of the same device's tokens", async () => {
    const { port, metrics } = await startGateway({ auth: TOKENS, revokedFile });
    const first = await token("tv1", { jti: "first" });
    const live = await openSession(port, login("tv1", first));
    const other = await openSession(port, login("tv2", await token("tv2", { jti: "second" })));
    appendFileSync(revokedFile, `token first ${iso(nowS())}\n`);
    await live.closed;
    const closes = 'omega_gateway_closes_total{reason="auth.revoked.token"}';
    expect(await metricOf(metrics, closes)).toBe(1);
    expect(await answer(port, "tv1", first)).toBe(5);
    expect(await answer(port, "tv1", await token("tv1", { jti: "third" }))).toBe(0);
    other.send(PINGREQ);
    await other.next("pingresp");
    other.end();
  });

  test("a device revoked stays out with all that was issued before, and comes in with what is newer", async () => {
    const { port } = await startGateway({ auth: TOKENS, revokedFile });
    const iat = nowS() - 60;
    const old = await token("tv1", { iat });
    const live = await openSession(port, login("tv1", old));
    appendFileSync(
      revokedFile,
      `device acme/tv1 ${iso(nowS() - 30)}\ndevice acme/tv1 ${iso(iat - 9)}\n`,
    );
    await live.closed;
    expect(await answer(port, "tv1", old)).toBe(5);
    expect(await answer(port, "tv1", await token("tv1"))).toBe(5); // It says not when it was made.
    expect(await answer(port, "tv1", await token("tv1", { iat: nowS() }))).toBe(0);
    expect(await answer(port, "tv2", await token("tv2", { iat }))).toBe(0);
  });

  test("a device of password mode stays out until its line is gone", async () => {
    const { port, gateway } = await startGateway({ auth: PASSWORDS, revokedFile });
    const password = devicePassword(SECRET, { tenant: "acme", device: "tv1" });
    const live = await openSession(port, login("tv1", password));
    appendFileSync(revokedFile, `device acme/tv1 ${iso(nowS())}\n`);
    gateway.reload?.();
    await live.closed;
    expect(await answer(port, "tv1", password)).toBe(5);
    writeFileSync(revokedFile, "");
    gateway.reload?.();
    expect(await answer(port, "tv1", password)).toBe(0);
  });

  test("a list that cannot be read changes nothing, is counted, and says no more than a line number", async () => {
    const { port, gateway, metrics } = await startGateway({ auth: TOKENS, revokedFile });
    const gone = await token("tv1", { jti: "gone" });
    appendFileSync(revokedFile, `token gone ${iso(nowS())}\n`);
    gateway.reload?.();
    const live = await openSession(port, login("tv2", await token("tv2", { jti: "kept" })));
    writeFileSync(revokedFile, `token kept ${iso(nowS())}\n${gone}\n`);
    const refused = 'omega_gateway_reloads_total{what="revoked",outcome="refused"}';
    await waitFor(async () => (await metricOf(metrics, refused)) === 1);
    expect(await answer(port, "tv1", gone)).toBe(5);
    live.send(PINGREQ);
    await live.next("pingresp");
    live.end();
  });

  test("a list that cannot be read at the start is a configuration fault that shows no secret", async () => {
    const secret = await token("tv1");
    writeFileSync(revokedFile, `# pasted whole\n${secret}\n`);
    const started = startGateway({ auth: TOKENS, revokedFile });
    const error = await started.catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: "InvalidConfig" });
    expect(String(error)).toContain("line 2");
    expect(String(error)).not.toContain(secret.slice(0, 10));
  });
});

describe("the list", () => {
  test.each([
    "device acme/tv1",
    "device tv1 2026-01-01T00:00:00Z",
    "device acme/tv1 yesterday",
    "device acme/tv1 2026-13-01T00:00:00Z",
    "device acme/tv1 2026-01-01T00:00:00Z more",
    "token 2026-01-01T00:00:00Z",
    "certificate 4711 2026-01-01T00:00:00Z",
    "device acme/tv1 2026-01-01T00:00:00+01:00",
  ])("%j is refused", (line) => {
    expect(() => readRevokedList(`# fine\n${line}`)).toThrow("line 2");
  });

  test("a session already judged is judged again by what is newer", () => {
    const list = readRevokedList(
      "device acme/tv1 2026-01-01T00:00:00Z\n\r\ndevice acme/tv1 2026-01-02T00:00:00.5Z\n",
    );
    const issuedAtMs = Date.parse("2026-01-02T00:00:00Z");
    const credential = { name: "acme/tv1", tokenId: null, issuedAtMs };
    expect(list.refusal(credential)).toBe("auth.revoked.device");
    expect(list.refusal({ ...credential, issuedAtMs: issuedAtMs + 1_000 })).toBeNull();
  });
});
