import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CanarySearch, newCanary } from "../../scripts/canary.mjs";
import { countLine, countReport, isGood } from "../../scripts/count.mjs";
import { allowedPackages, scriptedPackages } from "../../scripts/install.mjs";
import { nodeFault } from "../../scripts/prepare.mjs";

const test = (status: string, fullName = "a test") => ({ status, fullName });
const file = (status: string, tests: object[], message = "") => ({
  name: "a.test.ts",
  status,
  message,
  assertionResults: tests,
});

describe("verify: the count", () => {
  it("verify: counts every test of every file, and skipped ones apart", () => {
    const count = countReport({
      testResults: [
        file("passed", [test("passed"), test("pending"), test("todo"), test("skipped")]),
        file("failed", [test("passed"), test("failed", "the bad one")]),
      ],
    });
    expect(count).toMatchObject({ passed: 2, failed: 1, skipped: 3 });
    expect(count.failures).toEqual(["a.test.ts: the bad one"]);
    expect(count.skips).toEqual(['a.test.ts: 3, first "a test"']);
    expect(countLine(count)).toBe("2 passed, 1 failed, 3 skipped");
    expect(isGood(count)).toBe(false);
  });

  it("verify: a file that does not load is a failure although no test failed", () => {
    const count = countReport({
      testResults: [
        file("passed", [test("passed")]),
        file("failed", [], "SyntaxError: oops\n at x"),
      ],
    });
    expect(count).toMatchObject({ passed: 1, failed: 1 });
    expect(count.failures).toEqual(["a.test.ts: SyntaxError: oops"]);
  });

  it("verify: a file whose hook failed is a failure although its tests passed", () => {
    const count = countReport({ testResults: [file("failed", [test("passed")])] });
    expect(isGood(count)).toBe(false);
  });

  it.each([{}, null, { testResults: [] }, { testResults: [file("passed", [])] }])(
    "verify: a run without tests is not good: %j",
    (report) => {
      const count = countReport(report);
      expect(count.passed).toBe(0);
      expect(isGood(count)).toBe(false);
    },
  );

  it("verify: only skipped tests are not good either", () => {
    expect(isGood(countReport({ testResults: [file("passed", [test("pending")])] }))).toBe(false);
  });

  it("verify: all passed is good and says so in one line", () => {
    const count = countReport({ testResults: [file("passed", [test("passed")])] });
    expect(isGood(count)).toBe(true);
    expect(countLine(count)).toBe("1 passed, 0 failed");
  });
});

describe("demo: the Node it needs", () => {
  it.each([
    ["20.19.0", true],
    ["20.20.2", true],
    ["22.0.0", true],
    ["24.11.1", true],
    ["20.18.9", false],
    ["18.20.4", false],
  ])("demo: Node %s will do: %s", (version, expected) => {
    expect(nodeFault(version) === null).toBe(expected);
  });

  it("demo: the refusal names what is needed and what is there", () => {
    expect(nodeFault("18.0.0")).toBe("needs Node 20.19 or newer, this is 18.0.0");
  });
});

describe("verify: the planted secret", () => {
  const secret = newCanary();

  it.each([
    ["as it is", secret],
    ["in capitals", secret.toUpperCase()],
    ["in hex", Buffer.from(secret).toString("hex")],
    ["in base64", Buffer.from(secret).toString("base64")],
    ["in the base64 of a user and password", Buffer.from(`user:${secret}`).toString("base64")],
    ["in base64url between others", Buffer.from(`??${secret}>>`).toString("base64url")],
    ["in a JSON string", JSON.stringify({ message: `redis://:${secret}@h` })],
    ["in a URL", encodeURIComponent(`:${secret}@`)],
  ])("verify: is found %s, cut anywhere", (_spelling, text) => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const search = new CanarySearch(secret);
      search.push(Buffer.from(`noise ${text.slice(0, cut)}`));
      search.push(Buffer.from(`${text.slice(cut)} noise`));
      expect(search.found).toBe(1);
    }
  });

  it("verify: is not found where it is not, and each run has its own", () => {
    const search = new CanarySearch(secret);
    search.push(`${newCanary()} `);
    search.push(secret.slice(1));
    expect(search.found).toBe(0);
  });
});

describe("install: packages", () => {
  const read = (name: string) =>
    JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));

  it("THREATS 26: the lockfile has the hash of every package, but for those that no registry had", () => {
    type Locked = { integrity?: string; optional?: boolean };
    const { lockfileVersion, packages } = read("package-lock.json");
    expect(lockfileVersion).toBe(3);
    const bare = Object.entries<Locked>(packages).filter(([path, { integrity = "" }]) => {
      return path !== "" && !integrity.startsWith("sha512-");
    });
    // Prebuilt binaries of cbor-extract, which does without them.
    for (const [path, { optional }] of bare) {
      expect(path).toMatch(/^node_modules\/@cbor-extract\//);
      expect(optional).toBe(true);
    }
  });

  it("install: every package that has an install script is decided on", () => {
    const { allowScripts } = read("package.json");
    const scripted = scriptedPackages(read("package-lock.json"));
    expect(allowedPackages(scripted, allowScripts)).toEqual(scripted);
    expect(scripted).toEqual(["cbor-extract", "msgpackr-extract", "zstd-napi"]);
  });

  it("install: one that gains an install script stops the installation", () => {
    const lock = {
      packages: {
        "": { hasInstallScript: true },
        "node_modules/a": { hasInstallScript: true },
        "node_modules/a/node_modules/@scope/b": { hasInstallScript: true },
        "node_modules/c": {},
      },
    };
    const scripted = scriptedPackages(lock);
    expect(scripted).toEqual(["a", "@scope/b"]);
    expect(allowedPackages(scripted, { a: true, "@scope/b": false })).toEqual(["a"]);
    expect(() => allowedPackages(scripted, { a: true })).toThrow("@scope/b");
  });
});
