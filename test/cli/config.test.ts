import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FIELDS, valueOfText } from "../../src/cli/config/fields.ts";
import { editDistance } from "../../src/cli/config/suggest.ts";
import { type ConfigOptions, readConfig } from "../../src/cli/config.ts";
import { describeOrigin } from "../../src/cli/origin.ts";
import { InvalidConfigError } from "../../src/core/index.ts";
import { type TempDir, tempDir } from "../support/disk.ts";

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("omega-config-");
});
afterEach(() => dir.remove());

type Env = Readonly<Record<string, string>>;

const read = (env: Env = {}, options: ConfigOptions = {}) =>
  readConfig({ env, cwd: dir.path }, options);

const write = (text: string, name = "omega.yaml") => writeFileSync(join(dir.path, name), text);

function faultsOf(act: () => unknown): readonly string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidConfigError) return error.faults;
    throw error;
  }
  throw new Error("expected InvalidConfigError, nothing was thrown");
}

function originOf(path: string, loaded = read()): string {
  const setting = loaded.settings.find((candidate) => candidate.path === path);
  if (setting === undefined) throw new Error(`no setting ${path}`);
  return describeOrigin(setting);
}

describe("config: precedence", () => {
  const YAML = "shards: 2\n";
  const ENV = { OMEGA_SHARDS: "3" };
  const SET = { set: ["shards=5"] };
  it.each([
    { has: "nothing", yaml: "", env: {}, options: {}, shards: 4, origin: "default" },
    { has: "a file", yaml: YAML, env: {}, options: {}, shards: 2, origin: "omega.yaml:1" },
    { has: "file and env", yaml: YAML, env: ENV, options: {}, shards: 3, origin: "OMEGA_SHARDS" },
    { has: "all three", yaml: YAML, env: ENV, options: SET, shards: 5, origin: "--set" },
    { has: "file and flag", yaml: YAML, env: {}, options: SET, shards: 5, origin: "--set" },
    { has: "env only", yaml: "", env: ENV, options: {}, shards: 3, origin: "OMEGA_SHARDS" },
  ])("config: with $has, shards is $shards from $origin", ({ yaml, env, options, ...expected }) => {
    if (yaml !== "") write(yaml);
    const loaded = read(env, options);
    expect(loaded.config.shards).toBe(expected.shards);
    expect(originOf("shards", loaded)).toBe(expected.origin);
  });

  it("config: a command's own flag wins over --set", () => {
    const url = "redis://127.0.0.1:1";
    const loaded = readConfig({ env: {}, cwd: dir.path }, { set: ["backend=embedded"] }, [
      { path: "backend", flag: "--redis", text: url },
      { path: "shards", flag: "--shards", text: undefined },
    ]);
    expect(loaded.config.backend.kind).toBe("redis");
    expect(originOf("backend", loaded)).toBe("--redis");
    expect(originOf("shards", loaded)).toBe("default");
  });

  it("config: --config wins over OMEGA_CONFIG, which wins over omega.yaml", () => {
    write("shards: 1\n");
    write("shards: 2\n", "two.yaml");
    write("shards: 3\n", "three.yaml");
    expect(read().config.shards).toBe(1);
    const env = { OMEGA_CONFIG: "two.yaml" };
    expect(read(env).config.shards).toBe(2);
    expect(read(env, { config: "three.yaml" }).config.shards).toBe(3);
  });

  it("config: a file that was named must be there", () => {
    const faults = faultsOf(() => read({}, { config: "gone.yaml" }));
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain("gone.yaml");
  });
});

describe("config: names", () => {
  it("config: __ goes one level deeper and _ divides words", () => {
    const field = FIELDS.find(({ path }) => path === "gateway.limits.connectsPerS");
    expect(field?.variable).toBe("OMEGA_GATEWAY__LIMITS__CONNECTS_PER_S");
    const { config } = read({ OMEGA_GATEWAY__LIMITS__CONNECTS_PER_S: "7" });
    expect(config.gateway.limits.connectsPerS).toBe(7);
  });

  it("config: every setting can be set by its variable to its own default", () => {
    for (const field of FIELDS) {
      if (field.fallback === null || field.path.includes("*")) continue;
      const text = String(field.fallback);
      expect(valueOfText(field, text), field.path).toBe(field.fallback);
      expect(originOf(field.path, read({ [field.variable]: text }))).toBe(field.variable);
    }
  });

  it("config: a tenant's id stands in a variable as it is", () => {
    const { config } = read({ OMEGA_TENANTS__my_Tenant__DIM: "16", OMEGA_TENANTS__b__DIM: "32" });
    expect(config.tenants).toMatchObject({ my_Tenant: { dim: 16 }, b: { dim: 32 } });
  });

  it("config: a tenant named without settings has the defaults and replaces the default one", () => {
    write("tenants:\n  acme:\n  other: {}\n");
    const defaults = { dim: 384, weightMax: 707 };
    expect(read().config.tenants).toEqual({ acme: defaults, other: defaults });
  });

  it("config: an empty variable takes a setting back to null, where null is allowed", () => {
    write("gateway: {auth: {issuer: us}}\n");
    expect(read().config.gateway.auth.issuer).toBe("us");
    expect(read({ OMEGA_GATEWAY__AUTH__ISSUER: "" }).config.gateway.auth.issuer).toBeNull();
    expect(faultsOf(() => read({ OMEGA_SHARDS: "" }))[0]).toContain("(OMEGA_SHARDS)");
  });

  it("config: relative paths in a file are relative to the file, others to the working directory", () => {
    mkdirSync(join(dir.path, "conf"));
    write("dataDir: state\n", "conf/omega.yaml");
    const loaded = read({}, { config: "conf/omega.yaml" });
    expect(loaded.config.dataDir).toBe(join(dir.path, "conf/state"));
    expect(read({ OMEGA_DATA_DIR: "state" }).config.dataDir).toBe(join(dir.path, "state"));
    expect(read().config.dataDir).toBe(join(dir.path, ".omega-data"));
  });
});

describe("config: unknown names are refused with a suggestion", () => {
  it.each([
    ["shard: 4", "shards"],
    ["gateway: {tpc: {port: 1}}", "gateway.tcp"],
    ["gateway: {tcp: {prot: 1}}", "gateway.tcp.port"],
    ["Shards: 4", "shards"],
    ["gateway: {auth: {secretfile: x}}", "gateway.auth.secretFile"],
    ["releaser: {cadence: 5}", "releaser.cadenceMs"],
    ["tenants: {acme: {dims: 5}}", "tenants.acme.dim"],
    ["loglevel: info", "log.level"],
  ])("config: %s in a file suggests %s", (yaml, expected) => {
    write(yaml);
    const [fault, ...others] = faultsOf(() => read());
    expect(others).toEqual([]);
    expect(fault).toMatch(/^unknown setting .* \(omega\.yaml:1\): did you mean /);
    expect(fault).toContain(expected);
  });

  it.each([
    ["OMEGA_SHARD", "OMEGA_SHARDS"],
    ["OMEGA_GATEWAY_TCP_PORT", "OMEGA_GATEWAY__TCP__PORT"],
    ["OMEGA_GATEWAY__AUTH__SECRETFILE", "OMEGA_GATEWAY__AUTH__SECRET_FILE"],
    ["OMEGA_LOG_LEVEL", "OMEGA_LOG__LEVEL"],
  ])("config: the variable %s suggests %s", (variable, expected) => {
    const [fault] = faultsOf(() => read({ [variable]: "1" }));
    expect(fault).toBe(`unknown variable ${variable}: did you mean ${expected}?`);
  });

  it("config: a name like nothing else is refused without a suggestion", () => {
    expect(faultsOf(() => read({ OMEGA_XYZZY: "1" }))).toEqual(["unknown variable OMEGA_XYZZY"]);
  });

  it("config: variables without the prefix are none of our business", () => {
    expect(read({ OMEGAX: "1", SHARDS: "9", omega_shards: "9" }).config.shards).toBe(4);
  });

  it.each(["__proto__: {polluted: true}", "constructor: {prototype: {polluted: true}}"])(
    "config: %s is an unknown setting like any other",
    (yaml) => {
      write(yaml);
      expect(faultsOf(() => read())[0]).toContain("unknown setting");
      expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
    },
  );

  it("config: the edit distance is a metric", () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
      }),
    );
  });
});

describe("config: faults", () => {
  it("config: all faults of all sources come together, each with its origin", () => {
    write("shards: 0\nlog:\n  level: loud\nbatches: 3\ngateway:\n  tcp:\n    host: 0.0.0.0\n");
    const env = { OMEGA_RELEASER__TOP_K: "many", OMEGA_NOPE: "1" };
    const faults = faultsOf(() => read(env, { set: ["gateway.http.port=99999", "nonsense"] }));
    const expected = [
      /^unknown setting batches \(omega\.yaml:4\)/,
      /^unknown variable OMEGA_NOPE/,
      /--set needs PATH=VALUE/,
      /^shards: .*got 0 \(omega\.yaml:1\)/,
      /^log\.level: .*got "loud" \(omega\.yaml:3\)/,
      /^releaser\.topK: .*got "many" \(OMEGA_RELEASER__TOP_K\)/,
      /^gateway\.http\.port: .*got 99999 \(--set\)/,
      /^gateway\.tcp\.host: 0\.0\.0\.0 .*\(omega\.yaml:7\)/,
    ];
    for (const pattern of expected) expect(faults).toContainEqual(expect.stringMatching(pattern));
    expect(faults).toHaveLength(expected.length);
  });

  it.each([
    ["shards: [1, 2]", "must be one value"],
    ["gateway: 5", "must be a section"],
    ["- a\n- b", "expected settings"],
    ["shards: 1\nshards: 2", "unique"],
    ["shards: {", "omega.yaml:1"],
    ["a: &x 1\nshards: *x", "aliases"],
    ["shards: 1.5", "shards"],
    ["tenants: {'not an id': {dim: 16}}", "not an id"],
  ])("config: %j is a fault that mentions %j, not a crash", (yaml, mention) => {
    write(yaml);
    expect(faultsOf(() => read()).join("\n")).toContain(mention);
  });

  it("config: whatever the file holds, the answer is a config or InvalidConfigError", () => {
    const known = fc.constantFrom("shards", "gateway", "tenants", "auth", "backend", "tcp", "host");
    const tree = fc.letrec((tie) => ({
      node: fc.oneof({ maxDepth: 4 }, fc.jsonValue(), fc.dictionary(known, tie("node"))),
    }));
    fc.assert(
      fc.property(tree.node, (value) => {
        write(JSON.stringify(value));
        try {
          read();
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidConfigError);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("config: the result is frozen through and through", () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(read().config)).toBe(true);
  });
});
