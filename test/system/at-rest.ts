/**
 * The judgement after the kills: what the devices were promised against what the store holds.
 *
 * Both sides are counted on their own, acknowledgements by the devices that got
 * them and applications by the store's commits, and every fault found is named
 * with the invariant it breaks. No faults: an empty list.
 * @module
 */
import { isConsumed } from "../../src/aggregate/dedup.ts";
import {
  DEFAULT_RETENTION,
  decodeRegister,
  type Register,
  Releaser,
  verifyShards,
} from "../../src/aggregate/index.ts";
import { messageOf, systemClock } from "../../src/core/index.ts";
import type { ShardStats, Store } from "../../src/store/index.ts";
import { loadZstd, sameVector } from "../../src/wire/index.ts";
import { waitFor } from "../support/wait.ts";
import { DIM, type FleetUnderTest, TENANT, type TestDevice } from "./fleet-under-test.ts";

/** A killed releaser's lease must run out first; how long it lasts the scene says. */
const LEASE_TIMEOUT_MS = 60_000;

export async function totalsOf(store: Store): Promise<ShardStats> {
  const totals = { applied: 0, duplicates: 0, deadLettered: 0 };
  for (let shard = 0; shard < store.shards; shard += 1) {
    const { applied, duplicates, deadLettered } = await store.stats(shard);
    totals.applied += applied;
    totals.duplicates += duplicates;
    totals.deadLettered += deadLettered;
  }
  return totals;
}

/** P2, P3, P4: every acknowledged delta is consumed, counted once, and in the sums; nothing is left over. */
export async function deltaFaults(store: Store, fleet: FleetUnderTest): Promise<string[]> {
  const faults = fleet.devices.flatMap((device) => [...device.complaints, ...outboxFaults(device)]);
  const keys = fleet.devices.map(({ key }) => key);
  const cursors = await store.cursors(keys);
  for (const [index, { key, acked }] of fleet.devices.entries()) {
    const epochs = cursors[index]?.epochs ?? [];
    const lost = [...acked].filter(([, position]) => !isConsumed(epochs, position));
    if (lost.length > 0) {
      const names = lost.map(([name]) => name).join(" ");
      faults.push(`P1 P2: ${key.device} was acknowledged ${names}, never consumed`);
    }
  }
  const { applied, deadLettered } = await totalsOf(store);
  if (applied !== fleet.acked()) {
    faults.push(`P2: ${fleet.acked()} deltas were acknowledged and ${applied} applied`);
  }
  if (deadLettered > 0) faults.push(`${deadLettered} dead letters: ${await reasons(store)}`);
  const verdicts = await verifyShards(store, keys, DEFAULT_RETENTION, systemClock.nowMs());
  for (const { shard, mismatches, rows } of verdicts) {
    if (rows === 0) faults.push(`shard ${shard} has no sums, so nothing was verified`);
    for (const { pattern, kind } of mismatches) {
      faults.push(`P4: the sums of ${pattern} on shard ${shard} are ${kind}`);
    }
  }
  return faults;
}

function outboxFaults({ key, client, sent, acked }: TestDevice): string[] {
  const faults: string[] = [];
  if (client.pending > 0) faults.push(`P3: ${key.device} still holds ${client.pending} changes`);
  if (sent.size !== acked.size) {
    faults.push(`P3: ${key.device} sent ${sent.size} deltas and got ${acked.size} acknowledged`);
  }
  // A second epoch would say everything again and hide a loss of the first.
  if (client.stats.epochs !== 1) {
    faults.push(`P3: ${key.device} began ${client.stats.epochs} epochs`);
  }
  return faults;
}

async function reasons(store: Store): Promise<string> {
  const shards = Array.from({ length: store.shards }, (_, shard) => store.deadLetters(shard, 100));
  const letters = (await Promise.all(shards)).flat();
  return [...new Set(letters.map(({ reason }) => reason))].join(", ");
}

/** P6: what each device believes confirmed is what the store holds, and nothing is missing from it. */
export async function registerFaults(store: Store, fleet: FleetUnderTest): Promise<string[]> {
  const faults: string[] = [];
  for (const { key, client } of fleet.devices) {
    const stored = new Map<string, Register>();
    for (const [id, blob] of await store.registers(key)) stored.set(id, decodeRegister(blob));
    const believed = client.believedRegisters();
    for (const id of new Set([...stored.keys(), ...believed.keys()])) {
      const [held, belief] = [stored.get(id), believed.get(id)];
      const live = held?.kind === "live" ? held : null;
      if (live === null && belief === undefined) continue;
      const same =
        live !== null &&
        belief !== undefined &&
        live.epoch === belief.epoch &&
        live.seq === belief.seq &&
        live.space === belief.space &&
        sameVector(live.vector, belief.vector);
      if (same) continue;
      const name = (of: { seq: number } | null | undefined) => (of ? `seq ${of.seq}` : "nothing");
      faults.push(`P6: ${key.device} believes ${name(belief)} of ${id}, stored is ${name(live)}`);
    }
  }
  return faults;
}

/** P5: every device holds the current release, with its very content. */
export async function versionFaults(store: Store, fleet: FleetUnderTest): Promise<string[]> {
  // The devices under test speak minor 1, so what they hold is rendition 1.
  const ladder = (await store.currentRelease(TENANT))?.ladder1 ?? null;
  if (ladder === null || ladder.version === 0) return ["P5: nothing was ever released"];
  const hex = (hash: Uint8Array | null) => Buffer.from(hash ?? []).toString("hex");
  const newest = `version ${ladder.version} (${hex(ladder.contentHash)})`;
  return fleet.devices.flatMap(({ key, client }) => {
    const held = `version ${client.version} (${hex(client.contentHash)})`;
    if (client.patterns.size === 0) return [`P5: ${key.device} holds no pattern`];
    return held === newest ? [] : [`P5: ${key.device} holds ${held}, the newest is ${newest}`];
  });
}

/**
 * Makes the release of what is stored now, or gives the fault that kept it from being made. The
 * releasers of other processes must have stopped; the lease of one that was killed runs out first.
 */
export async function releaseAtRest(store: Store): Promise<string[]> {
  const zstd = await loadZstd();
  const releaser = new Releaser({ store, zstd, dimOf: () => DIM, policy: { minDevices: 2 } });
  const round = async () => {
    const outcome = await releaser.releaseNow(TENANT);
    return outcome.kind === "elsewhere" ? null : outcome;
  };
  try {
    const outcome = await waitFor(round, { timeoutMs: LEASE_TIMEOUT_MS, everyMs: 250 });
    return outcome.kind === "failed" ? [`P5: the last release failed: ${outcome.reason}`] : [];
  } catch (error) {
    return [`P5: no last release: ${messageOf(error)}`];
  } finally {
    await releaser.stop();
  }
}
