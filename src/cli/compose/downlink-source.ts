/**
 * What gateways serve downwards, read from the store: the wire between two rooms that never meet.
 * @module
 */
import type { DeviceView, DownlinkSource } from "../../../gateway/index.ts";
import { InvalidConfigError } from "../../core/index.ts";
import type { DeviceCursor, Store } from "../../store/index.ts";
import { emptyLadder, type Zstd } from "../../wire/index.ts";

/**
 * `dims` gives each configured tenant's dimension. `ladders` rejects with
 * `InvalidConfigError` for a tenant without one, and as the store does otherwise.
 */
export function downlinkSource(
  store: Store,
  dims: Readonly<Record<string, number>>,
  zstd: Zstd,
): DownlinkSource {
  return {
    async ladders(tenant) {
      const dim = dims[tenant];
      if (dim === undefined) {
        throw new InvalidConfigError([`tenants must name ${JSON.stringify(tenant)} to serve it`]);
      }
      const current = await store.currentRelease(tenant);
      return current ?? { ladder: emptyLadder(tenant, dim, zstd), ladder1: null };
    },
    model: (tenant, version) => store.model(tenant, version),
    views: async (keys) => (await store.cursors(keys)).map(viewOf),
    watch: (listener) => store.watch(listener),
  };
}

/** P6: the watermark is the newest epoch's contiguous prefix; problems travel before it. */
function viewOf(cursor: DeviceCursor | null): DeviceView {
  const newest = cursor?.epochs.at(-1);
  return {
    base: cursor?.base ?? 0,
    applied: newest === undefined ? null : { epoch: newest.epoch, seq: newest.low },
    problems: cursor?.problems ?? [],
  };
}
