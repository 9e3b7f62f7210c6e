import { describe, expect, it } from "vitest";
import { freePort } from "../support/disk.ts";
import { runCli } from "./run-cli.ts";

const HERE = "mqtt://127.0.0.1:1";
/** Above the largest process id that Linux gives. */
const NOBODY = "4194305";

describe("omega-sync fleet", () => {
  it.each<[string, string[], RegExp]>([
    ["no target", [], /missing required argument 'url'/],
    ["no broker's URL", ["http://127.0.0.1"], /not a broker: http:\/\/127\.0\.0\.1/],
    ["another machine", ["mqtt://tv.example"], /tv\.example is not this machine.*--allow-remote/],
    ["a wrong threshold", [HERE, "--threshold", "ack_p99!5"], /'ack_p99!5' is no threshold/],
    ["an unknown metric", [HERE, "--threshold", "p99<5"], /no metric p99/],
    ["no devices", [HERE, "--devices", "0"], /must be an integer in 1 … 1000000: got 0/],
    ["a share above 1", [HERE, "--jitter", "1.5"], /must be a number in 0 … 1: got 1\.5/],
    ["an unknown scenario", [HERE, "--scenario", "apocalypse"], /Allowed choices are steady/],
    ["an unknown network", [HERE, "--network", "carrier-pigeon"], /Allowed choices are none, home/],
    ["a scenario without a victim", [HERE, "--scenario", "slow-redis"], /signals Redis.*--pid/],
    ["a victim without a scenario", [HERE, "--pid", NOBODY], /--pid has no meaning/],
    ["init as a victim", [HERE, "--scenario", "gateway-loss", "--pid", "1"], /process ids above 1/],
    [
      "a victim that is not there",
      [HERE, "--scenario", "gateway-loss", "--pid", NOBODY],
      /process 4194305 cannot be signalled/,
    ],
    ["an authority that is not there", [HERE, "--ca-file", "/nonexistent"], /--ca-file .*ENOENT/],
    ["a report in no directory", [HERE, "--report", "/nonexistent/r.html"], /--report .*ENOENT/],
    ["a page that is no URL", [HERE, "--metrics", "nope"], /must be a URL: got nope/],
  ])("fleet: %s is a usage error that names it", async (_name, args, message) => {
    const { code, stderr, stdout } = await runCli(["fleet", ...args]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(stdout).toBe("");
  });

  it("fleet: nobody at the target ends in 69, in JSON too", async () => {
    const url = `mqtt://127.0.0.1:${await freePort()}`;
    const { code, stderr } = await runCli(["fleet", url, "--json"]);
    expect(code).toBe(69);
    expect(JSON.parse(stderr)).toMatchObject({ error: { reason: "fleet.unreachable" } });
  });

  it("fleet: --help has every scenario, every metric and examples", async () => {
    const { code, stdout } = await runCli(["fleet", "--help"]);
    expect(code).toBe(0);
    for (const word of ["rolling-restart", "slow-redis", "schedule_lag_p99", "Examples:"]) {
      expect(stdout).toContain(word);
    }
  });
});
