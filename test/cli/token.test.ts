import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeProtectedHeader, errors, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AuthOptions, createAuthenticator } from "../../gateway/auth.ts";
import { systemClock } from "../../src/core/index.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { NOW_MS, runCli } from "./run-cli.ts";

const SECRET = "0123456789abcdef0123456789abcdef0123";
const KEY = { tenant: "default", device: "tv-1" };

let dir: TempDir;
let secretFile: string;
beforeEach(() => {
  dir = tempDir("omega-token-");
  secretFile = join(dir.path, "secret");
  writeFileSync(secretFile, `${SECRET}\n`);
});
afterEach(() => dir.remove());

const token = (...args: string[]) =>
  runCli(["token", "--device", "tv-1", "--secret-file", secretFile, ...args]);

/** What a gateway with `auth` says at the moment the token was made, or later. */
async function verdictOf(auth: AuthOptions, password: string, key = KEY, laterMs = 0) {
  const clock = { ...systemClock, nowMs: () => NOW_MS + laterMs };
  const verdict = await createAuthenticator(auth, clock).authenticate(key, Buffer.from(password));
  return verdict.ok;
}

describe("token: jwt", () => {
  const auth: AuthOptions = { mode: "jwt", key: { secret: SECRET }, audience: "omega-sync" };

  it("token: stdout is the token and nothing else, signed with HS256 and verified by jose", async () => {
    const { code, stdout, stderr } = await token();
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toContain("user name default/tv-1");
    expect(decodeProtectedHeader(stdout.trim()).alg).toBe("HS256");
    const { payload } = await jwtVerify(stdout.trim(), Buffer.from(SECRET), {
      audience: "omega-sync",
      currentDate: new Date(NOW_MS),
    });
    expect(payload).toEqual({
      sub: "tv-1",
      tenant: "default",
      aud: "omega-sync",
      iat: NOW_MS / 1_000,
      exp: NOW_MS / 1_000 + 86_400,
    });
  });

  it("token: a gateway lets the device in with it, and no other device or tenant", async () => {
    const password = (await token()).stdout.trim();
    expect(await verdictOf(auth, password)).toBe(true);
    expect(await verdictOf(auth, password, { ...KEY, device: "tv-2" })).toBe(false);
    expect(await verdictOf(auth, password, { ...KEY, tenant: "acme" })).toBe(false);
    expect(await verdictOf({ ...auth, audience: "other" }, password)).toBe(false);
  });

  it("token: it ends when --expires says", async () => {
    const password = (await token("--expires", "10m")).stdout.trim();
    expect(await verdictOf(auth, password, KEY, 9 * 60_000)).toBe(true);
    expect(await verdictOf(auth, password, KEY, 11 * 60_000)).toBe(false);
  });

  it("token: another secret does not verify it", async () => {
    const { stdout } = await token();
    const wrong = jwtVerify(stdout.trim(), Buffer.from(SECRET.toUpperCase()));
    await expect(wrong).rejects.toBeInstanceOf(errors.JWSSignatureVerificationFailed);
  });

  it("token: tenant, audience and issuer end in the claims and in --json", async () => {
    const { stdout, stderr } = await token(
      ...["--tenant", "acme", "--audience", "tvs", "--issuer", "factory", "--json"],
    );
    const value = JSON.parse(stdout);
    expect(value).toMatchObject({ mode: "jwt", clientId: "tv-1", username: "acme/tv-1" });
    expect(value.expiresAtS).toBe(NOW_MS / 1_000 + 86_400);
    expect(stderr).toBe("");
    const strict = { ...auth, audience: "tvs", issuer: "factory" };
    expect(await verdictOf(strict, value.password, { ...KEY, tenant: "acme" })).toBe(true);
  });
});

describe("token: password", () => {
  const auth: AuthOptions = { mode: "password", secret: SECRET };

  it("token: it is the HMAC of tenant/device, and a gateway accepts it for that device only", async () => {
    const { stdout } = await token("--mode", "password", "--json");
    const value = JSON.parse(stdout);
    expect(value).toMatchObject({ mode: "password", username: "default/tv-1", expiresAtS: null });
    expect(value.password).toMatch(/^[\w-]{43}$/);
    expect(await verdictOf(auth, value.password)).toBe(true);
    expect(await verdictOf(auth, value.password, { ...KEY, device: "tv-2" })).toBe(false);
  });

  it("token: a password that would seem to expire is refused", async () => {
    const { code, stderr } = await token("--mode", "password", "--expires", "1h");
    expect(code).toBe(2);
    expect(stderr).toContain("never expires");
  });
});

describe("token: what is wrong is said", () => {
  it.each([
    [["--tenant", "a/b"], 2],
    [["--expires", "tomorrow"], 2],
    [["--expires", "0s"], 2],
    [["--mode", "magic"], 2],
    [["--secret-file", "/nonexistent"], 78],
  ])("token: %j ends in %i", async (args, code) => {
    expect((await token(...args)).code).toBe(code);
  });

  it("token: a short secret is refused without being shown", async () => {
    writeFileSync(secretFile, "canary");
    const { code, stdout, stderr } = await token();
    expect(code).toBe(78);
    expect(stdout + stderr).not.toContain("canary");
    expect(stderr).toContain("openssl rand");
  });
});
