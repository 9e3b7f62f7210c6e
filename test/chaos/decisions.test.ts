import { describe, expect, it } from "vitest";
import type { Dated, HistoryEvent } from "../../src/fleet/oracle/events.ts";
import { ledgerFaults } from "./ledger.ts";
import { parseOptions } from "./options.ts";
import { reportOf, textOf } from "./report.ts";
import type { Outcome } from "./run.ts";
import { drawSchedule, type Targets } from "./schedule.ts";

const TARGETS: Targets = {
  links: ["devices→haproxy", "gateway-1→store"],
  gateways: ["gateway-1"],
  aggregators: ["aggregator-1"],
  haproxy: "haproxy",
  crowds: ["crowd-1"],
  devices: ["devices-1"],
  stores: ["redis"],
  clocks: ["redis"],
  disks: ["redis"],
  canFailOver: true,
  takesJobs: true,
};

describe("chaos: the schedule", () => {
  it("chaos: a seed gives one schedule, in order, within its time, and another seed another", () => {
    const draw = (seed: number) => drawSchedule("aof", TARGETS, { seed, troubleMs: 600_000 });
    const { events } = draw(1);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(2).events).not.toEqual(events);
    expect(events.map(({ atMs }) => atMs)).toEqual(
      events.map(({ atMs }) => atMs).sort((a, b) => a - b),
    );
    expect(events.every(({ atMs, forMs }) => atMs + forMs <= 600_001)).toBe(true);
    expect(JSON.parse(JSON.stringify(events))).toEqual(events);
  });

  it("chaos: every kind of fault is drawn, but none for which there is nobody", () => {
    const kinds = (targets: Targets) => {
      const { events } = drawSchedule("aof", targets, { seed: 1, troubleMs: 3_600_000 });
      return new Set(events.map(({ kind }) => kind));
    };
    const all = kinds(TARGETS);
    expect([...all].sort()).toEqual(
      [
        ...["clock", "cut", "die", "disk-full", "fail-over", "freeze", "hole", "kill"],
        ...["mischief", "poison-job", "rate", "refuse", "reset", "slow", "terminate"],
      ].sort(),
    );
    const bare = { ...TARGETS, disks: [], canFailOver: false, takesJobs: false };
    const fewer = kinds(bare);
    const gone = [...all].filter((kind) => !fewer.has(kind));
    expect(gone.sort()).toEqual(["disk-full", "fail-over", "poison-job"]);
  });

  it("chaos: a crowd, which forgets everything, dies at most as often as the store remembers epochs", () => {
    const { events } = drawSchedule("aof", TARGETS, { seed: 1, troubleMs: 36_000_000 });
    const deaths = events.filter((event) => event.kind === "kill" && event.part === "crowd-1");
    expect(deaths).toHaveLength(3);
  });
});

const log = (file: string, ...events: HistoryEvent[]) => ({
  file,
  events: events.map((event, index): Dated => ({ atMs: index, ...event })),
});
const commit = (number: number, token: number): HistoryEvent => ({
  ...{ kind: "commit", shard: 0, token, number, applied: 0, consumed: [] },
});
const lease = (token: number): HistoryEvent => ({ kind: "lease", name: "shard-0", token });
const release = (version: number, hash: string): HistoryEvent => ({
  ...{ kind: "release", device: "default/tv", version, hash },
});

describe("chaos: the ledger", () => {
  it("chaos: what honest processes write is no fault, in whatever order and with gaps", () => {
    const one = log("a", lease(1), commit(1, 1), commit(4, 1), release(1, "x"));
    const two = log("b", lease(2), commit(5, 2), release(1, "y"), release(1, "x"));
    expect(ledgerFaults([two, one], false)).toEqual([]);
  });

  it("chaos: one token of two holders, a commit twice or under an older token, a third content", () => {
    const invariants = (...logs: ReturnType<typeof log>[]) =>
      ledgerFaults(logs, false).map(({ invariant }) => invariant);
    expect(invariants(log("a", lease(1)), log("b", lease(1)))).toEqual(["I7"]);
    expect(invariants(log("a", commit(1, 1)), log("b", commit(1, 1)))).toEqual(["I7"]);
    expect(invariants(log("a", commit(1, 2), commit(2, 1)))).toEqual(["I7"]);
    const contents = ["x", "y", "z"].map((hash) => release(1, hash));
    expect(invariants(log("a", ...contents))).toEqual(["I5"]);
  });

  it("chaos: after a fail-over a commit's number may come again, a token may not", () => {
    const logs = [log("a", lease(1), commit(1, 1)), log("b", lease(2), commit(1, 2))];
    expect(ledgerFaults(logs, true)).toEqual([]);
    const again = [log("a", lease(1)), log("b", lease(1))];
    expect(ledgerFaults(again, true)).toHaveLength(1);
  });
});

describe("chaos: options and report", () => {
  it("chaos: what is none is refused, and the system for comparison has one backend", () => {
    expect(parseOptions([]).backends).toEqual(["aof", "replicated", "embedded", "postgres"]);
    expect(parseOptions(["--backend", "embedded,aof"]).backends).toEqual(["embedded", "aof"]);
    expect(parseOptions(["--system", "bare-aedes"]).backends).toEqual(["aof"]);
    expect(parseOptions(["--set", "a=1", "b=2"]).set).toEqual(["a=1", "b=2"]);
    for (const bad of [
      ["--backend", "x"],
      ["--minutes", "0"],
      ["--devices", "1"],
      ["--beside", "/nowhere"],
    ]) {
      expect(() => parseOptions(bad)).toThrow();
    }
  });

  it("chaos: the figures of the backends add up, and a violation is named", () => {
    const outcome: Outcome = {
      ...{ backend: "aof", acked: 10, applied: 9, lost: 1, duplicates: 0, recognised: 2 },
      ...{ deadLettered: 1, devices: 30, converged: 29, restMs: 4_500, gaveUp: 0 },
      ...{ byFault: { kill: 2, cut: 1 } },
      violations: [{ invariant: "I1", what: "default/tv 1.1 was acknowledged and never applied" }],
    };
    const report = reportOf([outcome, { ...outcome, backend: "postgres", violations: [] }]);
    expect(report).toMatchObject({
      ...{ events: 6, acked: 20, applied: 18, lost: 2, converged: 58, devices: 60, restS: 4.5 },
      byFault: { cut: 2, kill: 4 },
    });
    expect(textOf(report)).toMatch(/1 violations\nI1 .*never applied/);
  });
});
