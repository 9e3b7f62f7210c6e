/**
 * Delivery: I1, I2 and I4, from the history and the cursors. Pure.
 * @module
 */
import { deviceName } from "../../core/index.ts";
import { type Dated, type Place, placeName } from "./events.ts";
import type { Finals } from "./finals.ts";
import { isIn } from "./recorders.ts";
import type { Violation } from "./violation.ts";

export interface Delivered {
  /** Places consumed, whatever became of them. */
  readonly consumed: ReadonlyMap<string, Place>;
  /** Places dead-lettered. */
  readonly buried: ReadonlySet<string>;
  /** The hashes under which each place was sent and queued. */
  readonly hashes: ReadonlyMap<string, ReadonlySet<string>>;
  readonly violations: readonly Violation[];
}

/** Follows every delta from its device to its commit. */
export function followDeltas(history: readonly Dated[]): Delivered {
  const consumed = new Map<string, Place>();
  const hashes = new Map<string, Set<string>>();
  const queued = new Set<string>();
  const acked = new Map<string, Place>();
  const violations: Violation[] = [];
  const buried = new Set<string>();
  for (const event of history) {
    if (event.kind === "dead-letter" && event.place) buried.add(placeName(event.place));
  }
  for (const [index, event] of history.entries()) {
    if (event.kind === "send") note(hashes, event, event.hash);
    if (event.kind === "acked") acked.set(placeName(event), event);
    if (event.kind === "enqueue" && event.place !== null) {
      note(hashes, event.place, event.hash);
      queued.add(placeName(event.place));
    }
    if (event.kind !== "commit") continue;
    for (const place of event.consumed) {
      const name = placeName(place);
      if (!queued.has(name)) violations.push(i1(`${name} was consumed and had never come`));
      consumed.set(name, place);
    }
    violations.push(...countFaults(history, index));
  }
  for (const name of acked.keys()) {
    if (consumed.has(name) || buried.has(name)) continue;
    violations.push(i1(`${name} was acknowledged and never applied`));
  }
  for (const [name, contents] of hashes) {
    if (contents.size < 2) continue;
    violations.push({ invariant: "I2", what: `${name} was said in ${contents.size} ways` });
  }
  return { consumed, buried, hashes, violations };
}

/** What a commit says it applied against the positions that it consumed for the first time. */
function countFaults(history: readonly Dated[], index: number): Violation[] {
  const commit = history[index];
  if (commit?.kind !== "commit") return [];
  const consumed = new Set(commit.consumed.map(placeName));
  let letters = 0;
  for (let at = index + 1; history[at]?.kind === "dead-letter"; at += 1) {
    const letter = history[at];
    if (letter?.kind === "dead-letter" && letter.place && consumed.has(placeName(letter.place))) {
      letters += 1;
    }
  }
  const fresh = consumed.size - letters;
  if (commit.applied === fresh) return [];
  const { shard, number, applied } = commit;
  const what = `commit ${number} of shard ${shard} applied ${applied} deltas, of which ${fresh} are new`;
  return [{ invariant: applied > fresh ? "I2" : "I1", what }];
}

function note(hashes: Map<string, Set<string>>, place: Place, hash: string): void {
  const name = placeName(place);
  const known = hashes.get(name);
  if (known === undefined) hashes.set(name, new Set([hash]));
  else known.add(hash);
}

function i1(what: string): Violation {
  return { invariant: "I1", what };
}

/** P1, [MQTT-4.6.0-2]: on every connection PUBACKs leave in the order in which PUBLISHes came. */
export function pubackFaults(history: readonly Dated[]): Violation[] {
  const open = new Map<number, number[]>();
  const violations: Violation[] = [];
  for (const event of history) {
    if (event.kind === "receive") {
      const { connection, packet } = event;
      open.set(connection, [...(open.get(connection) ?? []), packet]);
    }
    if (event.kind !== "puback") continue;
    const { connection, packet, gateway } = event;
    const oldest = open.get(connection)?.shift();
    if (oldest === packet) continue;
    violations.push(i1(`${gateway} acknowledged packet ${packet} before ${oldest}`));
  }
  return violations;
}

/** I4: in the epoch that a device spoke last, with the memory it has now, everything up to the last thing said is consumed. */
export function gapFaults(history: readonly Dated[], { devices }: Finals): Violation[] {
  const newest = new Map<string, Place>();
  for (const event of history) {
    // What was sent before, and not yet acknowledged, is lost with the memory.
    if (event.kind === "boot" && event.memory !== "kept") newest.delete(event.device);
    if (event.kind !== "send") continue;
    const known = newest.get(event.device);
    const later =
      known === undefined ||
      event.epoch > known.epoch ||
      (event.epoch === known.epoch && event.seq > known.seq);
    if (later) newest.set(event.device, event);
  }
  return devices.flatMap(({ key, cursor }): Violation[] => {
    const last = newest.get(deviceName(key));
    if (last === undefined) return [];
    const seen = cursor?.epochs.find(({ epoch }) => epoch === last.epoch);
    const missing: number[] = [];
    for (let seq = 1; seq <= last.seq; seq += 1) {
      if (seen === undefined || !isIn(seen, seq)) missing.push(seq);
    }
    if (missing.length === 0) return [];
    const what = `${last.device}: of epoch ${last.epoch}, seq ${missing.join(", ")} of ${last.seq} never came`;
    return [{ invariant: "I4", what }];
  });
}
