/**
 * Looking at a store from outside: what happened, and everything it shows.
 * @module
 */
import { type DeviceKey, OmegaError } from "../../src/core/index.ts";
import type { Store, SumRow } from "../../src/store/index.ts";

/** "ok", or the reason of the refusal; any other error goes on. */
export async function outcomeOf(act: Promise<unknown>): Promise<string> {
  try {
    await act;
    return "ok";
  } catch (error) {
    if (error instanceof OmegaError) return error.reason;
    throw error;
  }
}

/** The stable code and the reason of what `act` is refused with; null when it is not. */
export async function refusalOf(act: Promise<unknown>): Promise<string | null> {
  try {
    await act;
    return null;
  } catch (error) {
    if (error instanceof OmegaError) return `${error.code} ${error.reason}`;
    throw error;
  }
}

/** All that can be read of a store, in an order that does not depend on the backend. */
export async function observe(
  store: Store,
  keys: readonly DeviceKey[],
  tenants: readonly string[],
) {
  const shards = [];
  for (let shard = 0; shard < store.shards; shard += 1) {
    const { sums, commitNumber } = await store.loadShard(shard);
    const stats = await store.stats(shard);
    const deadLetters = await store.deadLetters(shard, 1_000);
    shards.push({ sums: sorted(sums), commitNumber, stats, deadLetters });
  }
  const devices = [];
  const cursors = await store.cursors(keys);
  for (const [index, key] of keys.entries()) {
    const registers = [...(await store.registers(key))].sort(([a], [b]) => (a < b ? -1 : 1));
    devices.push({ key, cursor: cursors[index], registers });
  }
  const releases = [];
  for (const tenant of tenants) {
    const sums = (await store.loadTenantSums(tenant)).map(({ shard, rows }) => ({
      shard,
      rows: sorted(rows),
    }));
    const ladder = await store.currentRelease(tenant);
    const recent = await store.recentReleases(tenant);
    releases.push({ tenant, sums, ladder, recent, models: await store.models(tenant) });
  }
  return { shards, devices, tenants: await store.tenants(), releases };
}

export function sorted(rows: readonly SumRow[]): SumRow[] {
  const name = (row: SumRow) => `${row.tenant}/${row.pattern}/${row.bucket}`;
  return [...rows].sort((a, b) => (name(a) < name(b) ? -1 : 1));
}
