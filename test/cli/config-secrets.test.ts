import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { redactUrl } from "../../src/cli/config/secret.ts";
import { readConfig } from "../../src/cli/config.ts";
import { InvalidConfigError } from "../../src/core/index.ts";
import { CANARY } from "../support/canary.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { runCli } from "./run-cli.ts";

const SECRET = `canary-${CANARY}`;

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("omega-secrets-");
  writeFileSync(join(dir.path, "secret"), `${SECRET}\n`);
  writeFileSync(join(dir.path, "url"), `redis://user:${SECRET}@127.0.0.1:6379/0\n`);
});
afterEach(() => dir.remove());

const read = (env: Readonly<Record<string, string>>) => readConfig({ env, cwd: dir.path });
const faultsOf = (env: Readonly<Record<string, string>>): readonly string[] => {
  try {
    read(env);
  } catch (error) {
    if (error instanceof InvalidConfigError) return error.faults;
  }
  throw new Error("expected InvalidConfigError");
};

describe("config: secrets from files", () => {
  it("config: OMEGA_…_FILE gives the content without the editor's line break, and says so", () => {
    const { config, settings } = read({ OMEGA_GATEWAY__AUTH__SECRET_FILE: "secret" });
    expect(config.gateway.auth.secret?.reveal()).toBe(SECRET);
    const setting = settings.find(({ path }) => path === "gateway.auth.secret");
    expect(setting?.secretFile).toBe(join(dir.path, "secret"));
  });

  it("config: a …File key in YAML does the same, as does --set", () => {
    writeFileSync(join(dir.path, "omega.yaml"), "backendFile: url\n");
    const { config } = readConfig(
      { env: {}, cwd: dir.path },
      { set: ["gateway.auth.secretFile=secret"] },
    );
    expect(config.backend.kind).toBe("redis");
    expect(config.backend.kind !== "embedded" && config.backend.url.reveal()).toContain(SECRET);
    expect(config.gateway.auth.secret?.reveal()).toBe(SECRET);
  });

  it("config: a secret given as value and as file in one source is refused", () => {
    const env = { OMEGA_GATEWAY__AUTH__SECRET: SECRET, OMEGA_GATEWAY__AUTH__SECRET_FILE: "secret" };
    const faults = faultsOf(env);
    expect(faults).toEqual([expect.stringContaining("given twice")]);
    expect(faults[0]).toContain("OMEGA_GATEWAY__AUTH__SECRET_FILE");
  });

  it("config: a file overrides a value from a source of lower precedence", () => {
    writeFileSync(join(dir.path, "omega.yaml"), `gateway: {auth: {secret: ${"x".repeat(40)}}}\n`);
    const { config } = read({ OMEGA_GATEWAY__AUTH__SECRET_FILE: "secret" });
    expect(config.gateway.auth.secret?.reveal()).toBe(SECRET);
  });

  it("config: a secret file that is not there is a fault with its origin", () => {
    expect(faultsOf({ OMEGA_BACKEND_FILE: "gone" })).toEqual([
      expect.stringMatching(/^backend: .*gone.*\(OMEGA_BACKEND_FILE\)$/),
    ]);
  });

  it("config: settings that are no secrets have no file variant", () => {
    expect(faultsOf({ OMEGA_SHARDS_FILE: "secret" })[0]).toContain("unknown variable");
  });
});

describe("config: secrets are shown nowhere (THREATS 25)", () => {
  const env = {
    OMEGA_GATEWAY__AUTH__SECRET: SECRET,
    OMEGA_BACKEND: `postgres://user:${SECRET}@127.0.0.1/db?password=${SECRET}&sslmode=disable`,
  };

  it("config: the loaded object prints, dumps and serialises without them", () => {
    const loaded = read(env);
    const shown = [
      JSON.stringify(loaded),
      inspect(loaded, { depth: 20, showHidden: true }),
      `${loaded.config.gateway.auth.secret}`,
    ].join("\n");
    expect(shown).not.toContain("canary");
    expect(shown).toContain("[redacted]");
  });

  it.each([
    ["print"],
    ["print", "--origin"],
    ["print", "--json"],
    ["check"],
    ["check", "--json"],
    ["print", "--set", "shards=0"],
    ["print", "--set", "shards=0", "--json"],
  ])("config: %s %s %s %s shows no secret", async (...args) => {
    const given = args.filter((arg) => typeof arg === "string");
    const { code, stdout, stderr } = await runCli(["config", ...given], { env, cwd: dir.path });
    expect(code).toBe(given.includes("shards=0") ? 78 : 0);
    expect(stdout + stderr).not.toContain("canary");
    if (given[0] === "print" && code === 0) expect(stdout).toContain("127.0.0.1/db?password=");
  });

  it("config: a faulty secret is refused without being repeated", () => {
    const faults = faultsOf({
      OMEGA_GATEWAY__AUTH__SECRET: "canary-short",
      OMEGA_BACKEND: "mysql://root:canary@host/db",
    });
    expect(faults).toHaveLength(2);
    expect(faults.join("\n")).not.toContain("canary");
  });

  it.each([
    ["redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"],
    ["redis://:pw@h:1", "redis://[redacted]@h:1"],
    ["postgres://u:p@ss/w@h/db", "postgres://[redacted]@h/db"],
    ["postgres://h/db?user=u&password=pw&x=1", "postgres://h/db?user=u&password=[redacted]&x=1"],
  ])("config: the URL %s is shown as %s", (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
  });
});
