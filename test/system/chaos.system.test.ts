/**
 * The chaos harness itself: a few seconds of it, so that it cannot rot.
 */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { runToEnd } from "../support/process.ts";

const MAIN = fileURLToPath(new URL("../../dist/test/chaos/main.js", import.meta.url));
const QUICK = ["--minutes", "0.15", "--devices", "40", "--rate", "40", "--backend", "aof"];

it("chaos: some seconds of faults on a small fleet lose nothing, double nothing, and end at rest", async () => {
  const { code, stdout, stderr } = await runToEnd(process.execPath, [MAIN, ...QUICK, "--json"]);
  const report = JSON.parse(stdout || "null");
  expect(report, stderr).toMatchObject({
    ...{ lost: 0, duplicates: 0, converged: 40, devices: 40, violations: [] },
  });
  expect(report.events).toBeGreaterThan(2);
  expect(report.acked).toBeGreaterThan(100);
  expect(code, stderr).toBe(0);
}, 120_000);
