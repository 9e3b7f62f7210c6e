/**
 * Versions: I5 and I6, and the sessions of I9. Pure.
 * @module
 */
import { deviceName } from "../../core/index.ts";
import type { Dated } from "./events.ts";
import type { Finals } from "./finals.ts";
import type { Violation } from "./violation.ts";

export function versionFaults(history: readonly Dated[]): Violation[] {
  const published = new Map<string, number>();
  const held = new Map<string, number>();
  const cached = new Map<string, number>();
  const violations: Violation[] = [];
  const fault = (what: string) => violations.push({ invariant: "I5", what });
  for (const event of history) {
    if (event.kind === "publish") {
      const { tenant, version } = event;
      const before = published.get(tenant) ?? 0;
      if (version !== before + 1) fault(`${tenant} published ${version} after ${before}`);
      published.set(tenant, version);
    }
    if (event.kind === "cached") cached.set(event.device, event.version);
    if (event.kind === "boot") {
      const { device, memory } = event;
      if (memory !== "kept") cached.delete(device);
      // The last one taken may not have reached the disk; what did is held by the next process too.
      held.set(device, cached.get(device) ?? 0);
    }
    if (event.kind === "release" || event.kind === "holds") {
      const { device, version } = event;
      const before = held.get(device) ?? 0;
      if (version < before) fault(`${device} went from ${before} back to ${version}`);
      held.set(device, version);
    }
  }
  return violations;
}

export function convergenceFaults(finals: Finals): Violation[] {
  const { newest, devices, rested } = finals;
  if (rested.converged) return [];
  const late = devices.filter(({ version, hash }) => {
    return version !== newest.version || !newest.hashes.includes(hash);
  });
  const held = late.map(
    ({ key, version, hash }) => `${deviceName(key)} holds ${version} (${hash})`,
  );
  const wanted = `the newest is ${newest.version} (${newest.hashes.join(", ")})`;
  return [{ invariant: "I6", what: `${held.join(", ")}; ${wanted}` }];
}

/** I9: a gateway has at most one live session of a device. */
export function sessionFaults(history: readonly Dated[]): Violation[] {
  const live = new Map<string, number>();
  const violations: Violation[] = [];
  for (const event of history) {
    if (event.kind !== "session") continue;
    const { gateway, device, connection, open } = event;
    const name = `${device} at ${gateway}`;
    const known = live.get(name);
    if (!open) {
      if (known === connection) live.delete(name);
      continue;
    }
    if (known !== undefined) {
      const what = `${name} has connection ${connection} beside ${known}`;
      violations.push({ invariant: "I9", what });
    }
    live.set(name, connection);
  }
  return violations;
}
