import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { DEFAULT_DRAIN_TIMINGS } from "../../gateway/gateway.ts";
import { DEFAULT_GATEWAY_LIMITS, gatewayLimits } from "../../gateway/limits.ts";
import { DEFAULT_AGGREGATOR_SETTINGS } from "../../src/aggregate/aggregator.ts";
import { DEFAULT_VERSION_POLICY } from "../../src/aggregate/version-policy.ts";
import { gatewayLimitsOf } from "../../src/cli/compose/gateway-limits.ts";
import { durabilityOf } from "../../src/cli/config/durability.ts";
import { readConfig } from "../../src/cli/config.ts";
import { InvalidConfigError } from "../../src/core/index.ts";
import { type TempDir, tempDir } from "../support/disk.ts";
import { runCli } from "./run-cli.ts";

const DEPLOY = fileURLToPath(new URL("../../deploy", import.meta.url));

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("omega-rules-");
  for (const name of ["secret", "cert.pem", "key.pem", "jwks.json"]) {
    writeFileSync(join(dir.path, name), "x".repeat(40));
  }
});
afterEach(() => dir.remove());

function faultsOf(...set: string[]): readonly string[] {
  try {
    readConfig({ env: {}, cwd: dir.path }, { set });
    return [];
  } catch (error) {
    if (error instanceof InvalidConfigError) return error.faults;
    throw error;
  }
}

const PASSWORD = ["gateway.auth.mode=password", "gateway.auth.secretFile=secret"];

describe("config: behind another broker", () => {
  it("config: a process whose health port is any must name its client id at the broker", () => {
    const broker = ["gateway.broker.url=mqtt://127.0.0.1", "gateway.http.port=0"];
    expect(faultsOf(...broker)).toEqual([expect.stringContaining("gateway.broker.clientId")]);
    expect(faultsOf(...broker, "gateway.broker.clientId=ingest-1")).toEqual([]);
    expect(faultsOf("gateway.broker.url=mqtt://127.0.0.1")).toEqual([]);
  });
});

describe("config: no open doors", () => {
  it.each([
    ["gateway.tcp.host=0.0.0.0"],
    ["gateway.tcp.host=::"],
    ["gateway.tcp.host=192.168.1.5"],
    ["gateway.tcp.host=tv.example.com"],
    ["gateway.http.host=0.0.0.0"],
    ["aggregator.http.host=0.0.0.0"],
    ["gateway.ws.enabled=true", "gateway.ws.host=0.0.0.0"],
  ])("config: %s %s without authentication is refused with the fix named", (...set) => {
    const given = set.filter((text) => typeof text === "string");
    const [fault, ...others] = faultsOf(...given);
    expect(others).toEqual([]);
    expect(fault).toContain(
      "set gateway.auth.mode to password, jwt or certificate, or listen on 127.0.0.1",
    );
    expect(faultsOf(...given, ...PASSWORD)).toEqual([]);
  });

  it("config: a listener that is off may have any address", () => {
    expect(faultsOf("gateway.ws.host=0.0.0.0")).toEqual([]);
    const off = ["aggregator.http.enabled=false", "aggregator.http.host=0.0.0.0"];
    expect(faultsOf(...off, "aggregator.http.port=1883")).toEqual([]);
  });

  it("config: the refusal is exit 78", async () => {
    const args = ["config", "check", "--set", "gateway.tcp.host=0.0.0.0"];
    const { code, stdout, stderr } = await runCli(args, { cwd: dir.path });
    expect(code).toBe(78);
    expect(stdout).toBe("");
    expect(stderr).toContain("gateway.auth.mode");
  });
});

const TLS = [
  ...["gateway.tls.enabled=true", "gateway.tls.certFile=cert.pem", "gateway.tls.keyFile=key.pem"],
];
const CERTIFICATE = [...TLS, "gateway.tls.caFile=cert.pem", "gateway.tls.crlFile=cert.pem"];

describe("config: settings that need one another", () => {
  it.each([
    [["gateway.auth.mode=password"], "secretFile"],
    [["gateway.auth.mode=jwt"], "got none"],
    [
      [
        "gateway.auth.mode=jwt",
        "gateway.auth.jwksFile=jwks.json",
        "gateway.auth.secretFile=secret",
      ],
      "got secret and jwksFile",
    ],
    [["gateway.auth.jwksUrl=http://keys.example.com/"], "use https"],
    [["gateway.tls.enabled=true"], "certFile"],
    [["gateway.ws.certFile=cert.pem"], "go together"],
    [["gateway.ws.caFile=cert.pem"], "goes with certFile"],
    [["gateway.tls.crlFile=cert.pem"], "goes with caFile"],
    [["gateway.auth.mode=certificate", ...CERTIFICATE], "set it to false"],
    [["gateway.auth.mode=certificate", "gateway.tcp.enabled=false", ...TLS], "needs an authority"],
    [["gateway.auth.revokedFile=gone.txt"], "gone.txt"],
    [["gateway.tls.certFile=gone.pem"], "gone.pem"],
    [["gateway.limits.keepaliveSMin=100", "gateway.limits.keepaliveSMax=50"], "keepaliveSMax"],
    [["gateway.http.port=1883"], "taken by gateway.tcp"],
    [["gateway.http.port=9465"], "9465 is taken by gateway.http"],
    [["aggregator.http.port=1883"], "taken by gateway.tcp"],
    [["durability=memory"], "memory is for Redis and the backend is embedded"],
    [["durability=replicated", "backend=postgres://h/d"], "replicated is for Redis"],
    [["durability=replicated", "backend=redis+cluster://a:1"], "redis+sentinel://"],
    [["durability=always"], "durability: "],
    [["backend=redis+sentinel://u:secret@a:26379"], "redis+sentinel://a:26379/mymaster"],
    [["backend=redis+sentinel://a:0/m"], 'got "a:0"'],
  ])("config: %j is refused because of %j", (set, mention) => {
    const [fault, ...others] = faultsOf(...set);
    expect(others).toEqual([]);
    expect(fault).toContain(mention);
  });

  it.each([
    [PASSWORD],
    [["gateway.auth.mode=jwt", "gateway.auth.secretFile=secret"]],
    [["gateway.auth.mode=jwt", "gateway.auth.jwksFile=jwks.json"]],
    [["gateway.auth.mode=jwt", "gateway.auth.jwksUrl=https://keys.example.com/jwks"]],
    [TLS],
    [["gateway.auth.mode=certificate", "gateway.tcp.enabled=false", ...CERTIFICATE]],
    [["gateway.tcp.port=0", "gateway.http.port=0"]],
    [["durability=aof"]],
    [["durability=memory", "backend=redis://a"]],
    [["durability=replicated", "backend=redis://a", "replicas=2"]],
  ])("config: %j is accepted", (set) => {
    expect(faultsOf(...set)).toEqual([]);
  });

  it("config: a rule stays silent about a setting that is itself faulty", () => {
    const faults = faultsOf("gateway.auth.mode=pasword", "gateway.tcp.host=0.0.0.0");
    expect(faults).toEqual([expect.stringMatching(/^gateway\.auth\.mode: /)]);
  });
});

describe("config: what a PUBACK waits for", () => {
  it.each([
    [[], "aof"],
    [["backend=redis://a"], "aof"],
    [["backend=redis+cluster://a:1"], "aof"],
    [["backend=postgres://a/b"], "aof"],
    [["backend=redis+sentinel://a:26379/m"], "replicated"],
    [["backend=redis+sentinel://a:26379/m", "durability=aof"], "aof"],
    [["backend=redis://a", "durability=memory"], "memory"],
  ])("config: with %j it is %s", (set, durability) => {
    expect(durabilityOf(readConfig({ env: {}, cwd: dir.path }, { set }).config)).toBe(durability);
  });
});

describe("config: agrees with the rest of the house", () => {
  it("config: the defaults are those of the gateway room", () => {
    const { gateway } = readConfig({ env: {}, cwd: dir.path }).config;
    expect(DEFAULT_GATEWAY_LIMITS).toMatchObject(gatewayLimitsOf(gateway));
    expect(gateway.drain).toEqual(DEFAULT_DRAIN_TIMINGS);
  });

  it("config: a rate of 0 is no rate at all", () => {
    const set = ["deltasPerDeviceS=0", "connectsPerDeviceMin=0", "failedLoginsPerAddressS=2"];
    const { config } = readConfig(
      { env: {}, cwd: dir.path },
      { set: set.map((text) => `gateway.limits.${text}`) },
    );
    expect(gatewayLimits(gatewayLimitsOf(config.gateway))).toMatchObject({
      ...{ deltasPerDevice: null, connectsPerDevice: null, connectionsPerAddress: null },
      failedLoginsPerAddress: { ratePerS: 2, burst: 20 },
    });
  });

  it("config: the defaults are those of the aggregate room", () => {
    const { aggregator, releaser } = readConfig({ env: {}, cwd: dir.path }).config;
    const { http: _, niceness: __, ...writer } = aggregator;
    const { topK, cadenceMs, ...policy } = releaser;
    expect(DEFAULT_AGGREGATOR_SETTINGS).toMatchObject(writer);
    expect(DEFAULT_VERSION_POLICY).toMatchObject({ ...policy, patternsMax: topK });
    expect(cadenceMs).toBe(60_000);
  });

  it("config: the shipped deploy/omega.yaml is valid once its secret is there", () => {
    const text = readFileSync(join(DEPLOY, "omega.yaml"), "utf8");
    writeFileSync(
      join(dir.path, "omega.yaml"),
      text.replace("/run/secrets/device_secret", join(dir.path, "secret")),
    );
    const { config } = readConfig({ env: {}, cwd: dir.path });
    expect(config.gateway.auth.mode).toBe("password");
  });

  it("config: what config print shows is read again to the same values", async () => {
    const first = await runCli(["config", "print"], { cwd: dir.path });
    writeFileSync(join(dir.path, "printed.yaml"), first.stdout);
    const args = ["config", "print", "--config", "printed.yaml"];
    const again = await runCli(args, { cwd: dir.path });
    expect(again.code).toBe(0);
    expect(parse(again.stdout)).toEqual(parse(first.stdout));
  });

  it("config: print --origin names where each value came from", async () => {
    writeFileSync(join(dir.path, "omega.yaml"), "log:\n  level: warn\n");
    const { stdout } = await runCli(
      ["config", "print", "--origin", "--set", "gateway.tcp.port=1884"],
      { cwd: dir.path, env: { OMEGA_SHARDS: "8" } },
    );
    expect(stdout).toMatch(/^log\.level +"warn" +omega\.yaml:2$/m);
    expect(stdout).toMatch(/^shards +8 +OMEGA_SHARDS$/m);
    expect(stdout).toMatch(/^gateway\.tcp\.port +1884 +--set$/m);
    expect(stdout).toMatch(/^releaser\.topK +100 +default$/m);
  });
});
