/**
 * Every assertion of the device protocol against a real gateway and aggregator, over each transport once;
 * and against a broker that is none of ours, which must fail some, so that they can fail.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { ASSERTIONS, checkAssertion } from "../../src/fleet/conformance/index.ts";
import { parseTarget } from "../../src/fleet/load/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { freePort } from "../support/disk.ts";
import { type MosquittoServer, startMosquitto } from "../support/mosquitto-server.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { OmegaProcess } from "../system/omega-process.ts";

const LONG = 60_000;
let redis: RedisServer;
let mosquitto: MosquittoServer;
let url = "";
const processes: OmegaProcess[] = [];

beforeAll(async () => {
  await ensureBuilt();
  redis = await startRedis();
  mosquitto = await startMosquitto();
  const [port, httpPort, otherPort] = [await freePort(), await freePort(), await freePort()];
  url = `mqtt://127.0.0.1:${port}`;
  const common = ["--redis", redis.url, "--json"];
  const commands = [
    ["gateway", ...common, "--port", `${port}`, "--http-port", `${httpPort}`],
    ["aggregator", ...common, "--http-port", `${otherPort}`],
  ];
  for (const args of commands) processes.push(new OmegaProcess({ args, database: null }));
  await Promise.all(processes.map((each) => each.start()));
}, 300_000);

afterAll(async () => {
  await Promise.all(processes.map((each) => each.kill9()));
  await mosquitto.stop();
  await redis.stop();
});

const worldOf = (at: string, prefix: string) => {
  const target = parseTarget(at, null);
  if (target === null) throw new Error(at);
  const loginOf = (key: { tenant: string; device: string }) =>
    Promise.resolve({
      ...{ clientId: key.device, username: `${key.tenant}/${key.device}` },
      ...{ password: null, keepaliveS: 60 },
    });
  return { target, tenant: "default", prefix, loginOf };
};

describe("conformance", () => {
  it.concurrent.each(ASSERTIONS)(
    "conformance $id: a server must $must",
    async (assertion) => {
      const { fault } = await checkAssertion(assertion, worldOf(url, "test"));
      expect(fault).toBeNull();
    },
    LONG,
  );

  it(
    "another broker does not conform, and each fault says what it did instead",
    async () => {
      const faults = new Map<string, string | null>();
      for (const assertion of ASSERTIONS) {
        if (!["C1", "C7", "C12", "U5", "U7", "S1"].includes(assertion.id)) continue;
        const result = await checkAssertion(assertion, worldOf(mosquitto.url, "test"));
        faults.set(result.id, result.fault);
      }
      expect(faults.get("C1")).toBeNull();
      expect(faults.get("C12")).toBeNull();
      expect(faults.get("C7")).toMatch(/return code: expected 5, got 0/);
      expect(faults.get("U5")).toMatch(/stays open/);
      expect(faults.get("U7")).toMatch(/stays open/);
    },
    LONG,
  );

  it(
    "the command reports and judges",
    async () => {
      const good = await runCli(["conformance", url, "--only", "C1,U1,D3", "--json"]);
      expect(good.code, good.stderr).toBe(0);
      expect(JSON.parse(good.stdout)).toMatchObject({ passed: 3, failed: 0 });
      const bad = await runCli(["conformance", mosquitto.url, "--only", "C1,C7"]);
      expect(bad.code).toBe(1);
      expect(bad.stdout).toMatch(/^C7 must refuse any will[\s\S]*1 of 2 hold\n$/);
      expect((await runCli(["conformance"])).code).toBe(2);
      expect((await runCli(["conformance", "mqtt://example.org"])).stderr).toMatch(
        /another machine/,
      );
      expect((await runCli(["conformance", url, "--only", "X1"])).code).toBe(2);
    },
    LONG,
  );
});
