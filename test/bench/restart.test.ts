import { describe, expect, it } from "vitest";
import { parseOptions as parseEmbedded } from "../../bench/embedded/options.ts";
import { parseOptions } from "../../bench/restart/options.ts";
import { worstAround } from "../../bench/restart/scenarios.ts";
import { haproxyConfig } from "../../bench/support/haproxy.ts";
import { loopDelayMs, sumOf } from "../../bench/support/page.ts";
import { atLeast, reportOf, textOf } from "../../bench/support/report.ts";
import type { FleetResult } from "../../src/fleet/load/index.ts";

describe("bench: restart and embedded", () => {
  it("bench: scenarios and seconds are chosen, and what is none is refused", () => {
    expect(parseOptions([])).toEqual({ json: false, scenarios: ["drain", "rolling"] });
    expect(parseOptions(["--only", "rolling", "--json"]).scenarios).toEqual(["rolling"]);
    expect(() => parseOptions(["--only", "typo"])).toThrow(/drain, rolling/);
    expect(parseEmbedded(["--seconds", "5"]).seconds).toBe(5);
    expect(() => parseEmbedded(["--seconds", "0"])).toThrow(/1 … 300/);
  });

  it("bench: what is acknowledged long after a server is back still counts as its restart's", () => {
    const moment = (second: number, max: number) => ({ second, ackMs: { max } });
    const moments = [moment(1, 5), moment(3, 40), moment(6, 30), moment(12, 900)];
    const restarts = [
      { server: "gateway", fromS: 2, endedS: 3, untilS: 4 },
      { server: "redis", fromS: 7, endedS: 8, untilS: 9 },
    ];
    expect(worstAround({ moments } as unknown as FleetResult, restarts)).toEqual([40, 900]);
  });

  it("bench: a floor may be a least value", () => {
    const [kept, missed] = [atLeast("rate", 1_000, 1_000, "1/s"), atLeast("rate", 999, 1_000, "")];
    expect([kept.met, missed.met]).toEqual([true, false]);
    expect(textOf(reportOf([], [missed]))).toMatch(/rate +999 +≥ 1000 +MISSED/);
  });

  it("bench: a series is summed over its labels, and a timer's own time is no delay", () => {
    const page = [
      "# HELP omega_x_total x",
      'omega_x_total{shard="0"} 3',
      'omega_x_total{shard="1"} 4',
      "omega_x_total_more 5",
      "nodejs_eventloop_lag_max_seconds 0.035",
      "nodejs_eventloop_lag_p99_seconds 0.0099",
    ].join("\n");
    expect(sumOf(page, "omega_x_total")).toBe(7);
    expect(sumOf(page, "omega_y_total")).toBe(0);
    const { max, p99 } = loopDelayMs(page);
    expect(max).toBeCloseTo(25);
    expect(p99).toBe(0);
  });

  it("bench: HAProxy's shipped file keeps all but its marked blocks, and must have them", () => {
    const block = (name: string) => `# begin ${name}\n  shipped ${name}\n# end ${name}\n`;
    const blocks = ["resolvers", "bind", "servers", "servers alive"].map(block).join("");
    const shipped = `global\n${blocks}# end of file\n`;
    const servers = [{ port: 1, httpPort: 2 }];
    const text = haproxyConfig({ shipped, mqttPort: 3, servers });
    const server = "  server gateway-1 127.0.0.1:1 port 2\n";
    expect(text).toContain(`  bind 127.0.0.1:3\n${server}${server}`);
    expect(text.startsWith("global\n") && text.endsWith("# end of file\n")).toBe(true);
    expect(text).not.toContain("shipped");
    expect(() => haproxyConfig({ shipped: "global\n", mqttPort: 3, servers })).toThrow(/resolvers/);
  });
});
