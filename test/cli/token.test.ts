import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AuthOptions, createAuthenticator } from "../../gateway/auth.ts";
import { readRevokedList } from "../../gateway/index.ts";
import { systemClock } from "../../src/core/index.ts";
import { CANARY } from "../support/canary.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { NOW_MS, runCli } from "./run-cli.ts";

const SECRET = CANARY;
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
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
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

describe("token: issue and revoke", () => {
  const revoke = (...args: string[]) =>
    runCli(["token", "revoke", "--file", join(dir.path, "revoked.txt"), ...args]);
  const listed = () => readRevokedList(readFileSync(join(dir.path, "revoked.txt"), "utf8"));

  it("token: `token issue` is what `token` is", async () => {
    const { code, stdout } = await runCli([
      ...["token", "issue", "--device", "tv-1", "--secret-file", secretFile, "--json"],
    ]);
    expect(code).toBe(0);
    const { password, tokenId } = JSON.parse(stdout);
    expect(decodeJwt(password)).toMatchObject({ sub: "tv-1", jti: tokenId });
    expect(JSON.parse((await token("--json")).stdout).tokenId).not.toBe(tokenId);
  });

  it("token: a device is revoked with all that it was given so far, in a list that only grows", async () => {
    const first = await revoke("--device", "tv-1", "--tenant", "acme");
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toBe("device acme/tv-1 2026-01-01T00:00:00.000Z\n");
    writeFileSync(join(dir.path, "revoked.txt"), "# by hand, no line break", { flag: "a" });
    await revoke("--jti", "one-token", "--json");
    const old = { name: "acme/tv-1", tokenId: null, issuedAtMs: NOW_MS };
    expect(listed().refusal(old)).toBe("auth.revoked.device");
    expect(listed().refusal({ ...old, issuedAtMs: NOW_MS + 1_000 })).toBeNull();
    expect(listed().refusal({ ...old, issuedAtMs: null })).toBe("auth.revoked.device");
    expect(listed().refusal({ ...old, name: "acme/tv-2" })).toBeNull();
    const one = { name: "acme/tv-2", tokenId: "one-token", issuedAtMs: NOW_MS + 1_000 };
    expect(listed().refusal(one)).toBe("auth.revoked.token");
  });

  it.each([
    [[], 2],
    [["--device", "tv-1", "--jti", "x"], 2],
    [["--device", "a/b"], 2],
    [["--jti", "two words"], 2],
    [["--device", "tv-1", "--file", "/nonexistent/revoked.txt"], 78],
  ])("token: revoke %j ends in %i and writes nothing", async (args, code) => {
    expect((await revoke(...args)).code).toBe(code);
    expect(existsSync(join(dir.path, "revoked.txt"))).toBe(false);
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
