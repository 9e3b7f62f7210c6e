import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Dated, HistoryEvent, Place } from "../../../src/fleet/oracle/events.ts";
import type { FinalDevice, FinalRegister, Finals } from "../../../src/fleet/oracle/finals.ts";
import { judge } from "../../../src/fleet/oracle/judge.ts";
import { FileSink, readHistoryFile } from "../../../src/fleet/oracle/sinks.ts";
import { codec0, encodeDelta, loadZstd, toGrid } from "../../../src/wire/index.ts";

const zstd = await loadZstd();
const key = { tenant: "acme", device: "tv1" };
const device = "acme/tv1";

/** A real delta, because the reference fold reads it. */
const { frame, reconstructions } = encodeDelta(
  { epoch: 1, seq: 1, base: 0 },
  {
    dim: 8,
    upserts: [
      {
        ...{ id: "p1", weight: 7, success: 0.5, samples: 1, updatedAtS: 1_700_000_000 },
        embedding: { mode: "absolute", target: toGrid([0.5, 0, 0, 0, 0, 0, 0, 0]) },
      },
    ],
    removals: [],
  },
  codec0,
  zstd,
);
const vector = reconstructions.get("p1") ?? null;
const at = (seq: number, epoch = 1): Place => ({ device, epoch, seq });

/** What a good day looks like: one delta from the application to the store, one release back. */
const GOOD: readonly HistoryEvent[] = [
  { kind: "boot", device, memory: "wiped" },
  { kind: "session", gateway: "g", connection: 1, device, open: true },
  { kind: "put", device, put: 1, items: [{ id: "p1", weight: 7 }] },
  { kind: "stored", device, put: 1 },
  { kind: "send", ...at(1), hash: "aa" },
  { kind: "receive", gateway: "g", connection: 1, packet: 5 },
  { kind: "enqueue", device, place: at(1), hash: "aa", receivedAtMs: 1 },
  { kind: "puback", gateway: "g", connection: 1, packet: 5 },
  { kind: "acked", ...at(1) },
  { kind: "lease", name: "shard-0", token: 1 },
  { kind: "commit", shard: 0, token: 1, number: 1, applied: 1, consumed: [at(1)] },
  { kind: "lease", name: "releaser-acme", token: 1 },
  { kind: "publish", tenant: "acme", token: 1, version: 1, hashes: ["01"] },
  { kind: "told", ...at(1) },
  { kind: "release", device, version: 1, hash: "01" },
  { kind: "session", gateway: "g", connection: 1, device, open: false },
];

const register: FinalRegister = { epoch: 1, seq: 1, space: 0, vector, weight: 7, bucket: 0 };
const REST: FinalDevice = {
  key,
  pending: 0,
  version: 1,
  hash: "01",
  believed: new Map([["p1", register]]),
  registers: new Map([["p1", register]]),
  cursor: {
    epochs: [{ epoch: 1, low: 1, ahead: new Uint8Array(32) }],
    base: 1,
    patterns: 1,
    problems: [],
  },
};
const FINALS: Finals = {
  devices: [REST],
  newest: { version: 1, hashes: ["01"] },
  queued: 0,
  wrongSums: [],
  rested: { drained: true, converged: true },
  crashes: [],
  frameOf: (hash) => (hash === "aa" ? frame : undefined),
};

const dated = (events: readonly HistoryEvent[]): Dated[] =>
  events.map((event, index) => ({ atMs: index, ...event }));

function broken(events: readonly HistoryEvent[], finals: Partial<Finals> = {}): string[] {
  const violations = judge(dated(events), { ...FINALS, ...finals }, zstd);
  return [...new Set(violations.map(({ invariant }) => invariant))];
}

/** The good day with `change` made to the event of this kind; null leaves it out. */
function but<Kind extends HistoryEvent["kind"]>(
  kind: Kind,
  change: Partial<Extract<HistoryEvent, { kind: Kind }>> | null,
): HistoryEvent[] {
  return GOOD.flatMap((event): HistoryEvent[] => {
    if (event.kind !== kind) return [event];
    return change === null ? [] : [{ ...event, ...change } as HistoryEvent];
  });
}

const rest = (change: Partial<FinalDevice>): Partial<Finals> => ({
  devices: [{ ...REST, ...change }],
});

describe("oracle", () => {
  it("a good day breaks nothing", () => {
    expect(broken(GOOD)).toEqual([]);
  });

  it("I0: what crashed is told", () => {
    expect(broken(GOOD, { crashes: ["assertion failed"] })).toEqual(["I0"]);
  });

  it("I1: acknowledged and never consumed", () => {
    const lost = but("commit", { applied: 0, consumed: [] });
    expect(broken(lost, rest({ registers: new Map(), believed: new Map() }))).toContain("I1");
  });

  it("I1: acknowledged and dead-lettered with a reason is no loss", () => {
    const letter: HistoryEvent = {
      kind: "dead-letter",
      device,
      place: at(1),
      reason: "pattern.norm",
    };
    const commit = GOOD.findIndex(({ kind }) => kind === "commit");
    const events = but("commit", { applied: 0 }).filter(
      ({ kind }) => kind !== "put" && kind !== "stored",
    );
    events.splice(commit - 1, 0, letter);
    expect(broken(events, rest({ registers: new Map(), believed: new Map() }))).toEqual([]);
  });

  it("I1: consumed without being applied, or without having come", () => {
    expect(broken(but("commit", { applied: 0 }))).toEqual(["I1"]);
    expect(broken(but("enqueue", null))).toContain("I1");
  });

  it("I1: a PUBACK that overtakes another", () => {
    const second: HistoryEvent = { kind: "receive", gateway: "g", connection: 1, packet: 4 };
    expect(broken([second, ...GOOD])).toEqual(["I1"]);
  });

  it("I2: applied more often than it is new", () => {
    expect(broken(but("commit", { applied: 2 }))).toEqual(["I2"]);
  });

  it("I2: one place said in two ways", () => {
    expect(broken(but("send", { hash: "bb" }))).toContain("I2");
  });

  it("I3: the last word did not arrive", () => {
    const newer: HistoryEvent[] = [
      { kind: "put", device, put: 2, items: [{ id: "p1", weight: 8 }] },
      { kind: "stored", device, put: 2 },
    ];
    expect(broken([...GOOD, ...newer])).toEqual(["I3"]);
  });

  it("I3: a delta whose storing was never confirmed may be there or not", () => {
    const maybe: HistoryEvent = { kind: "put", device, put: 2, items: [{ id: "p1", weight: 8 }] };
    expect(broken([...GOOD, maybe])).toEqual([]);
    const removal: HistoryEvent = {
      kind: "put",
      device,
      put: 2,
      items: [{ id: "p1", weight: null }],
    };
    expect(broken([...GOOD, removal])).toEqual([]);
  });

  it("I3: a device that lost its memory owes nothing of before", () => {
    const events = but("put", { items: [{ id: "p1", weight: 9 }] });
    expect(broken(events)).toEqual(["I3"]);
    expect(broken([...events, { kind: "boot", device, memory: "wiped" }])).toEqual([]);
    expect(broken([...events, { kind: "dropped", device, ids: ["p1"] }])).toEqual([]);
    // What its next incarnation could not store leaves what the one before had said.
    const unstored: HistoryEvent[] = [
      { kind: "boot", device, memory: "wiped" },
      { kind: "put", device, put: 2, items: [{ id: "p1", weight: 8 }] },
      { kind: "unstored", device, put: 2 },
    ];
    expect(broken([...GOOD, ...unstored])).toEqual([]);
  });

  it("I4: a gap below what was sent last", () => {
    const sent: HistoryEvent = { kind: "send", ...at(3), hash: "cc" };
    expect(broken([...GOOD, sent])).toEqual(["I4"]);
    // … unless the device has lost its memory of it.
    const events = [...GOOD, sent, { kind: "boot", device, memory: "wiped" } as const];
    expect(broken(events)).toEqual([]);
  });

  it("I5: a version that does not follow, and a device that goes back", () => {
    expect(broken(but("publish", { version: 2 }))).toEqual(["I5"]);
    const back: HistoryEvent[] = [
      { kind: "release", device, version: 2, hash: "02" },
      { kind: "release", device, version: 1, hash: "01" },
    ];
    expect(broken([...GOOD, ...back])).toEqual(["I5"]);
  });

  it("I5: a device that goes back over a restart, unless it lost its memory or had not stored it", () => {
    const cached: HistoryEvent = { kind: "cached", device, version: 2 };
    const boot = (memory: "kept" | "wiped" | "damaged"): HistoryEvent => {
      return { kind: "boot", device, memory };
    };
    const older: HistoryEvent = { kind: "holds", device, version: 1 };
    expect(broken([...GOOD, cached, boot("kept"), older])).toEqual(["I5"]);
    expect(broken([...GOOD, cached, boot("kept"), boot("kept"), older])).toEqual(["I5"]);
    for (const memory of ["wiped", "damaged"] as const) {
      expect(broken([...GOOD, cached, boot(memory), older])).toEqual([]);
      expect(broken([...GOOD, cached, boot(memory), boot("kept"), older])).toEqual([]);
    }
    const taken: HistoryEvent = { kind: "release", device, version: 2, hash: "02" };
    expect(broken([...GOOD, taken, boot("kept"), older])).toEqual([]);
  });

  it("I6: a device that is not where the release is", () => {
    const rested = { drained: true, converged: false };
    expect(broken(GOOD, { ...rest({ hash: "00" }), rested })).toEqual(["I6"]);
  });

  it("I7: a register that is not what the deltas say, and wrong sums", () => {
    const other = { ...register, weight: 8 };
    expect(broken(GOOD, rest({ registers: new Map([["p1", other]]) }))).toContain("I7");
    expect(broken(GOOD, rest({ registers: new Map() }))).toContain("I7");
    expect(broken(GOOD, { wrongSums: ["p1 in bucket 0 of shard 0 is different"] })).toEqual(["I7"]);
  });

  it("I7: a write under a token that is not the newest", () => {
    const stolen: HistoryEvent = { kind: "lease", name: "shard-0", token: 2 };
    const commit = GOOD.findIndex(({ kind }) => kind === "commit");
    expect(broken([...GOOD.slice(0, commit), stolen, ...GOOD.slice(commit)])).toEqual(["I7"]);
  });

  it("I8: what does not drain", () => {
    const rested = { drained: false, converged: true };
    expect(broken(GOOD, { rested, queued: 3 })).toEqual(["I8"]);
  });

  it("I9: two live sessions of one device at a gateway, but not at two", () => {
    const twice: HistoryEvent = {
      kind: "session",
      gateway: "g",
      connection: 2,
      device,
      open: true,
    };
    const opened = GOOD.slice(0, 2);
    expect(broken([...opened, twice, ...GOOD.slice(2)])).toEqual(["I9"]);
    expect(broken([...opened, { ...twice, gateway: "h" }, ...GOOD.slice(2)])).toEqual([]);
  });

  it("I10: a belief that is not so, and a watermark that runs ahead", () => {
    const other = { ...register, seq: 2 };
    expect(broken(GOOD, rest({ believed: new Map([["p1", other]]) }))).toEqual(["I10"]);
    expect(broken(but("told", { seq: 2 }))).toEqual(["I10"]);
  });
});

describe("history file", () => {
  it("gives back what was recorded, and leaves out a line torn by a kill", async () => {
    const dir = mkdtempSync(join(tmpdir(), "omega-history-"));
    try {
      const path = join(dir, "history.jsonl");
      let nowMs = 0;
      const sink = new FileSink(path, () => {
        nowMs += 1;
        return nowMs;
      });
      for (const event of GOOD) sink.record(event);
      sink.close();
      expect(readHistoryFile(path)).toEqual(
        GOOD.map((event, index) => ({ atMs: index + 1, ...event })),
      );
      writeFileSync(path, '{"kind":"put"', { flag: "a" });
      expect(readHistoryFile(path)).toHaveLength(GOOD.length);
      writeFileSync(path, "\n", { flag: "a" });
      expect(() => readHistoryFile(path)).toThrow(/is no event/);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
