/**
 * The judgement: the histories of all processes and what there is at rest, before the oracle.
 *
 * Processes that are killed may have done more than they wrote down, and what one wrote comes beside
 * what another did in no sure order. So what was consumed is not taken from the aggregators' records
 * but from the store itself, and told to the oracle as one last commit of each shard; everything
 * else is the oracle's own reading of what devices and gateways wrote before they acted.
 * @module
 */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { DEFAULT_RETENTION } from "../../src/aggregate/index.ts";
import { type DeviceKey, deviceName, shardOf } from "../../src/core/index.ts";
import { followDeltas, gapFaults } from "../../src/fleet/oracle/delivery.ts";
import {
  type Dated,
  type HistoryEvent,
  type Place,
  placeName,
} from "../../src/fleet/oracle/events.ts";
import type { FinalDevice, Finals } from "../../src/fleet/oracle/finals.ts";
import { isIn } from "../../src/fleet/oracle/recorders.ts";
import { readHistoryFile } from "../../src/fleet/oracle/sinks.ts";
import { beliefFaults, stateFaults, watermarkFaults } from "../../src/fleet/oracle/state.ts";
import {
  believedRegisters,
  newestRelease,
  storedRegisters,
  wrongSums,
} from "../../src/fleet/oracle/stored.ts";
import {
  convergenceFaults,
  sessionFaults,
  versionFaults,
} from "../../src/fleet/oracle/versions.ts";
import type { Violation } from "../../src/fleet/oracle/violation.ts";
import { wordFaults } from "../../src/fleet/oracle/words.ts";
import type { DeviceCursor, Store } from "../../src/store/index.ts";
import { loadZstd } from "../../src/wire/index.ts";
import { type Log, ledgerFaults } from "./ledger.ts";
import type { DeviceReport } from "./messages.ts";
import type { OpenStage } from "./stage.ts";

export const TENANT = "default";
/** Letters of one shard that are read: more than a run makes. */
const LETTERS_MAX = 10_000;

export interface Verdict {
  /** Deltas that a device has a PUBACK for. */
  readonly acked: number;
  /** Some are applied whose PUBACK got lost. */
  readonly applied: number;
  /** Acknowledged, and neither applied nor dead-lettered. */
  readonly lost: number;
  /** Applied more often than once. */
  readonly duplicates: number;
  /** Came again and were recognised. */
  readonly recognised: number;
  readonly deadLettered: number;
  readonly violations: readonly Violation[];
}

export interface Evidence {
  readonly historyDir: string;
  readonly framesDir: string;
  readonly stage: OpenStage;
  readonly reports: readonly DeviceReport[];
  readonly rested: Finals["rested"];
  /** Frames that no device should publish, acknowledged: at least so many. */
  readonly poisoned: number;
  /** What no part should have done. */
  readonly crashes: readonly string[];
  readonly tailMayBeLost: boolean;
}

export async function judgeRun(evidence: Evidence): Promise<Verdict> {
  const { stage, rested, crashes } = evidence;
  const { store } = stage;
  const logs = readLogs(evidence.historyDir);
  const history = logs.flatMap(({ events }) => events).sort((a, b) => a.atMs - b.atMs);
  const keys = keysIn(history);
  const cursors = await store.cursors(keys);
  const { told, totals } = await lastWords(store, keys, cursors);
  const kept = [...history.filter(({ kind }) => kind === "enqueue"), ...told];
  const spoken = history.filter(({ kind }) => BY_DEVICES.has(kind));
  const whole = [...kept, ...spoken];
  const delivered = followDeltas(whole);
  const devices = await realDevices(store, evidence.reports);
  const finals: Finals = {
    devices,
    newest: await newestRelease(store, TENANT),
    queued: await depthOf(stage),
    wrongSums: await wrongSums(store, keys, DEFAULT_RETENTION, Date.now()),
    ...{ rested, crashes, frameOf: framesIn(evidence.framesDir) },
  };
  const everyone = { ...finals, devices: keys.map((key, n) => bare(key, cursors[n] ?? null)) };
  const acked = placesOf(history, "acked");
  const { consumed, buried } = delivered;
  const deadLettered = sum(totals.map((total) => total.deadLettered));
  const lost = [...acked].filter((name) => !consumed.has(name) && !buried.has(name)).length;
  return {
    ...{ acked: acked.size, lost, duplicates: twice(totals) },
    applied: sum(totals.map(({ applied }) => applied)),
    recognised: sum(totals.map(({ recognised }) => recognised)),
    deadLettered,
    violations: [
      ...crashes.map((what): Violation => ({ invariant: "I0", what })),
      ...delivered.violations,
      ...poisonFaults(evidence.poisoned, deadLettered),
      ...wordFaults(spoken, finals),
      ...gapFaults(spoken, everyone),
      ...versionFaults(spoken),
      ...sessionFaults(history),
      ...ledgerFaults(logs, evidence.tailMayBeLost),
      ...convergenceFaults(finals),
      ...stateFaults(spoken, delivered, finals, await loadZstd()),
      ...drainFaults(finals),
      ...watermarkFaults(whole),
      ...beliefFaults(devices),
    ],
  };
}

const BY_DEVICES: ReadonlySet<string> = new Set<HistoryEvent["kind"]>([
  ...(["boot", "put", "stored", "unstored", "dropped"] as const),
  ...(["send", "acked", "told", "release", "holds"] as const),
]);

function readLogs(dir: string): Log[] {
  return readdirSync(dir).map((file) => ({
    file: basename(file, ".jsonl"),
    events: readHistoryFile(join(dir, file)),
  }));
}

/** Every device that ever spoke. */
function keysIn(history: readonly Dated[]): DeviceKey[] {
  const names = new Set<string>();
  for (const event of history) {
    if (event.kind === "boot" || event.kind === "enqueue") names.add(event.device);
  }
  return [...names].map((name) => {
    const [tenant = "", device = ""] = name.split("/");
    return { tenant, device };
  });
}

function placesOf(history: readonly Dated[], kind: "acked" | "send"): Set<string> {
  const names = new Set<string>();
  for (const event of history) if (event.kind === kind) names.add(placeName(event));
  return names;
}

interface ShardTotals {
  readonly applied: number;
  /** Positions consumed and not dead-lettered. */
  readonly fresh: number;
  readonly recognised: number;
  readonly deadLettered: number;
}

/** What the store says was consumed, as one commit of each shard with its letters. */
async function lastWords(
  store: Store,
  keys: readonly DeviceKey[],
  cursors: readonly (DeviceCursor | null)[],
): Promise<{ readonly told: Dated[]; readonly totals: ShardTotals[] }> {
  const told: Dated[] = [];
  const totals: ShardTotals[] = [];
  for (let shard = 0; shard < store.shards; shard += 1) {
    const consumed = keys.flatMap((key, index) =>
      shardOf(key, store.shards) === shard ? placesIn(key, cursors[index] ?? null) : [],
    );
    const letters = (await store.deadLetters(shard, LETTERS_MAX)).map(
      ({ key, position, reason }) => {
        const device = deviceName(key);
        const place = position === null ? null : { device, ...position };
        return { kind: "dead-letter", atMs: 0, device, place, reason } as const;
      },
    );
    const { applied, duplicates, deadLettered } = await store.stats(shard);
    const names = new Set(consumed.map(placeName));
    const buried = letters.filter(({ place }) => place !== null && names.has(placeName(place)));
    told.push(
      { kind: "commit", atMs: 0, shard, token: 1, number: 1, applied, consumed },
      ...letters,
    );
    const fresh = consumed.length - buried.length;
    totals.push({ applied, fresh, recognised: duplicates, deadLettered });
  }
  return { told, totals };
}

function placesIn(key: DeviceKey, cursor: DeviceCursor | null): Place[] {
  const device = deviceName(key);
  return (cursor?.epochs ?? []).flatMap((seen) => {
    const last = seen.low + seen.ahead.length * 8;
    const places: Place[] = [];
    for (let seq = 1; seq <= last; seq += 1) {
      if (isIn(seen, seq)) places.push({ device, epoch: seen.epoch, seq });
    }
    return places;
  });
}

function twice(totals: readonly ShardTotals[]): number {
  return sum(totals.map(({ applied, fresh }) => Math.max(0, applied - fresh)));
}

async function realDevices(store: Store, reports: readonly DeviceReport[]): Promise<FinalDevice[]> {
  const found: FinalDevice[] = [];
  for (const { device, pending, version, hash, believed } of reports.flatMap((r) => r.devices)) {
    const key = { tenant: TENANT, device };
    const [cursor = null] = await store.cursors([key]);
    const registers = await storedRegisters(store, key);
    found.push({
      ...{ key, pending, version, hash, registers, cursor },
      believed: believedRegisters(believed),
    });
  }
  return found;
}

/** A device of which only its cursor matters. */
function bare(key: DeviceKey, cursor: DeviceCursor | null): FinalDevice {
  const nothing = { registers: new Map(), believed: new Map() };
  return { key, cursor, pending: 0, version: 0, hash: "", ...nothing };
}

async function depthOf({ queue }: OpenStage): Promise<number> {
  const producer = await queue.producer();
  return await producer.depth();
}

/** Looks frames up that real devices kept. */
function framesIn(dir: string): Finals["frameOf"] {
  const frames = new Map<string, Uint8Array>();
  for (const file of readdirSync(dir)) {
    for (const event of readHistoryFile(join(dir, file))) {
      if (event.kind === "frame") frames.set(event.hash, Buffer.from(event.bytes, "base64"));
    }
  }
  return (hash) => frames.get(hash);
}

/** P2: what cannot be read and was acknowledged is dead-lettered too. */
function poisonFaults(poisoned: number, deadLettered: number): Violation[] {
  if (deadLettered >= poisoned) return [];
  const what = `${poisoned} frames of garbage were acknowledged and ${deadLettered} dead-lettered`;
  return [{ invariant: "I1", what }];
}

function drainFaults({ rested, queued, devices }: Finals): Violation[] {
  if (rested.drained && queued === 0) return [];
  const pending = sum(devices.map((device) => device.pending));
  const what = `${queued} jobs are still queued and ${pending} changes in outboxes of real devices`;
  return [{ invariant: "I8", what }];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
