/**
 * The scenarios: which runs are made, and which figures they give.
 * @module
 */
import { atMost, type Floor, type Row } from "../support/report.ts";
import { type Run, type RunOptions, run } from "./folders.ts";
import type { CaseName, FoldCase } from "./frames.ts";
import { PARTS } from "./profile.ts";

export interface Findings {
  readonly rows: readonly Row[];
  readonly floors: readonly Floor[];
}

export interface Scale {
  /** Shares of the full numbers of deltas; 1 unless a first look will do. */
  readonly share: number;
  readonly devices: number;
  caseOf(name: CaseName): FoldCase;
  say(line: string): void;
}

const CASES = ["codec0-2", "codec0-10", "codec1-10"] as const;
const DEVICES = 1_000;
const ROUNDS = 3;
const DELTAS: Readonly<Record<CaseName, number>> = {
  "codec0-2": 30_000,
  "codec0-10": 12_000,
  "codec1-10": 8_000,
};
const FOLD_US_MAX = 40;
const FOLD_US_MAX_CODEC1 = 150;
const KNOWN_RATIO_MAX = 1.2;
const DEVICE_BYTES_MAX = 1_536;

type Wish = Omit<RunOptions, "foldCase" | "deltas">;

function runCase(scale: Scale, name: CaseName, wish: Wish): Promise<Run> {
  const deltas = Math.floor(DELTAS[name] * scale.share);
  return run({ ...wish, foldCase: scale.caseOf(name), deltas });
}

/** CPU per delta and its parts, on either store. */
export async function cost(scale: Scale): Promise<Findings> {
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of CASES) {
    for (const store of ["redis", "memory"] as const) {
      const wish = { store, shards: 1, processes: 1, devices: DEVICES } as const;
      const runs: Run[] = [];
      for (let round = 0; round < ROUNDS; round += 1) runs.push(await runCase(scale, name, wish));
      const profiledRun = await runCase(scale, name, { ...wish, profiles: true });
      const cpuUs = median(runs.map((one) => one.cpuUs));
      scale.say(`${name}, ${store}: ${cpuUs.toFixed(1)} µs`);
      rows.push(...costRows(`${name}, ${store}`, runs, profiledRun));
      if (store === "redis") {
        const bound = name === "codec1-10" ? FOLD_US_MAX_CODEC1 : FOLD_US_MAX;
        if (name !== "codec0-10") floors.push(atMost(`fold, ${name}`, cpuUs, bound, "µs"));
      }
    }
  }
  return { rows, floors };
}

function costRows(scenario: string, runs: readonly Run[], profiledRun: Run): Row[] {
  const of = (name: string, unit: string, value: (one: Run) => number): Row => ({
    ...{ scenario, name, unit },
    value: median(runs.map(value)),
  });
  const whole = of("aggregator CPU", "µs/delta", (one) => one.cpuUs);
  const parts = PARTS.map((part) => ({
    ...{ scenario, name: `of which ${part}`, unit: "µs/delta" },
    value: (profiledRun.shares?.[part] ?? 0) * whole.value,
  }));
  const both = [whole, ...parts, of("deltas per group commit", "", (one) => one.deltasPerCommit)];
  if (scenario.endsWith("memory")) return both;
  return [
    ...both,
    of("Redis CPU", "µs/delta", (one) => one.redisCpuUs),
    of("written by Redis", "B/delta", (one) => one.redisBytes),
  ];
}

/** The same load from many devices and from few, by turns. */
export async function devices(scale: Scale): Promise<Findings> {
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of ["codec0-2", "codec1-10"] as const) {
    const counts = [DEVICES, scale.devices];
    const runs: Run[][] = counts.map(() => []);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [at, count] of counts.entries()) {
        const wish = { store: "redis", shards: 1, processes: 1, devices: count } as const;
        runs[at]?.push(await runCase(scale, name, wish));
        scale.say(`${name}, ${count} devices: ${runs[at]?.at(-1)?.cpuUs.toFixed(1)} µs`);
      }
    }
    const totals = runs.map((each) => median(each.map((one) => one.cpuUs + one.redisCpuUs)));
    for (const [at, count] of counts.entries()) {
      const scenario = `devices, ${name}`;
      const figure = { scenario, name: `${count} known devices`, unit: "µs/delta" };
      rows.push({ ...figure, value: totals[at] ?? 0 });
    }
    const ratio = (totals[1] ?? 0) / (totals[0] ?? 1);
    const title = `${name}: CPU with Redis, ${scale.devices} known / ${DEVICES}`;
    floors.push(atMost(title, ratio, KNOWN_RATIO_MAX, ""));
  }
  return { rows, floors };
}

/** What a writer holds of devices that it has heard of, ten patterns each. */
export async function memory(scale: Scale): Promise<Findings> {
  const rows: Row[] = [];
  const floors: Floor[] = [];
  for (const name of ["codec0-10", "codec1-10"] as const) {
    const wish = { store: "redis", shards: 1, processes: 1, devices: scale.devices } as const;
    const { before, after } = await runCase(scale, name, wish);
    const heap = (after.heapBytes - before.heapBytes) / scale.devices;
    const scenario = `memory, ${name}, ${scale.devices} devices`;
    const rss = (after.rssBytes - before.rssBytes) / scale.devices;
    scale.say(`${name}: ${heap.toFixed(0)} B of heap per device`);
    rows.push({ scenario, name: "heap and buffers", value: heap, unit: "B/device" });
    rows.push({ scenario, name: "resident", value: rss, unit: "B/device" });
    floors.push(atMost(`${name}: heap and buffers per device`, heap, DEVICE_BYTES_MAX, "B"));
  }
  return { rows, floors };
}

/** What more shards and more processes carry. */
export async function shards(scale: Scale): Promise<Findings> {
  const rows: Row[] = [];
  for (const processes of [1, 2]) {
    for (const count of [1, 2, 4]) {
      if (count < processes) continue;
      const wish = { store: "redis", shards: count, processes, devices: DEVICES } as const;
      const runs: Run[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        runs.push(await runCase(scale, "codec1-10", wish));
      }
      const value = median(runs.map((one) => one.deltasPerS));
      const name = `${count} shards in ${processes} processes`;
      scale.say(`${name}: ${value.toFixed(0)}/s`);
      rows.push({ scenario: "shards, codec1-10", name, value, unit: "deltas/s" });
    }
  }
  return { rows, floors: [] };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
