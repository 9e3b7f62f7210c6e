/**
 * Rest: asks all devices, and the store where it can be asked, until everything has arrived.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { firstMessage } from "../../bench/support/processes.ts";
import type { Finals } from "../../src/fleet/oracle/finals.ts";
import type { CrowdReport, DeviceReport } from "./messages.ts";
import type { Part } from "./part.ts";
import type { Rig } from "./rig.ts";

/** What can be asked of the server's side. */
export interface ServerView {
  /** Jobs that wait or run. */
  depth(): Promise<number>;
  /** Null where nobody may look: then the newest release is the newest that any device holds. */
  newest(): Promise<Finals["newest"] | null>;
}

export interface Rest {
  readonly rested: Finals["rested"];
  /** From the end of the last fault, milliseconds; how long was waited when it never came to rest. */
  readonly afterMs: number;
  /** Devices on the newest release with nothing pending, light ones by its number and real ones by its hash. */
  readonly converged: number;
  readonly devices: number;
  readonly reports: readonly DeviceReport[];
  readonly crowds: readonly CrowdReport[];
  /** What is missing, in words. */
  readonly missing: string;
}

const POLL_MS = 500;
const REPORT_MS_MAX = 5_000;
/** Longer than a release takes: what looks at rest must still be so after it. */
const STILL_MS = 2_500;

/** Waits up to `msMax` for all to be at rest. */
export async function waitForRest(rig: Rig, view: ServerView, msMax: number): Promise<Rest> {
  const fromMs = performance.now();
  let restedAtMs: number | null = null;
  let newestSeen = -1;
  for (;;) {
    const look = await lookAt(rig, view);
    const nowMs = performance.now() - fromMs;
    const isRest = look.isDrained && look.isConverged && look.newest === newestSeen;
    if (!isRest) restedAtMs = null;
    else restedAtMs ??= nowMs;
    newestSeen = look.newest;
    const isStill = restedAtMs !== null && nowMs - restedAtMs > STILL_MS;
    if (isStill || (restedAtMs === null && nowMs > msMax)) {
      const { reports, crowds, converged, devices, missing } = look;
      const rested = { drained: look.isDrained, converged: look.isConverged };
      const afterMs = Math.round(restedAtMs ?? nowMs);
      return { rested, afterMs, converged, devices, reports, crowds, missing };
    }
    await sleep(POLL_MS);
  }
}

interface Look {
  readonly newest: number;
  readonly isDrained: boolean;
  readonly isConverged: boolean;
  readonly converged: number;
  readonly devices: number;
  readonly reports: readonly DeviceReport[];
  readonly crowds: readonly CrowdReport[];
  readonly missing: string;
}

async function lookAt(rig: Rig, view: ServerView): Promise<Look> {
  const { targets } = rig;
  const crowds = await ask<CrowdReport>(rig, targets.crowds);
  const reports = await ask<DeviceReport>(rig, targets.devices);
  const real = reports.flatMap(({ devices }) => devices);
  const held = [
    ...real.map(({ version }) => version),
    ...crowds.flatMap((c) => c.versions.map(([v]) => v)),
  ];
  const stored = await view.newest();
  const version = stored?.version ?? Math.max(0, ...held);
  const depth = await view.depth();
  const devices = sum(crowds.map((c) => c.devices)) + rig.realDevices.length;
  const isNewest = (of: { readonly version: number; readonly hash: string }) =>
    of.version === version && (stored?.hashes.includes(of.hash) ?? true);
  const onNewest =
    sum(crowds.map((c) => new Map(c.versions).get(version) ?? 0)) + real.filter(isNewest).length;
  const pending = sum([...crowds, ...real].map((each) => each.pending));
  const isWhole =
    crowds.length === targets.crowds.length && reports.length === targets.devices.length;
  return {
    newest: version,
    isDrained: isWhole && depth === 0 && pending === 0,
    isConverged: isWhole && onNewest === devices,
    ...{ converged: onNewest, devices, reports, crowds },
    missing: `${depth} jobs queued, ${pending} deltas pending, ${onNewest} of ${devices} devices on version ${version}`,
  };
}

/** The answers of those that answer in time. */
async function ask<Report extends { readonly kind: "report" }>(
  rig: Rig,
  names: readonly string[],
): Promise<Report[]> {
  const parts = names.flatMap((name) => rig.parts.get(name) ?? []);
  const answers = await Promise.all(parts.map((part) => askOne<Report>(part)));
  return answers.filter((answer) => answer !== null);
}

async function askOne<Report extends { readonly kind: "report" }>(
  part: Part,
): Promise<Report | null> {
  const { child } = part;
  if (child === null) return null;
  const isReport = (message: Report): message is Report => message.kind === "report";
  const answer = firstMessage<Report, Report>(child, isReport, {
    ...{ what: part.name, msMax: REPORT_MS_MAX },
  });
  part.send({ kind: "report" });
  return await answer.catch(() => null);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
