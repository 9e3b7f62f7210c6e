/**
 * Which shard a device belongs to: 32-bit FNV-1a (Fowler, Noll, Vo) over `tenant/device`, modulo the shard count.
 *
 * Every gateway must agree with every other and with the past, so the function
 * is frozen: changing it, or the shard count, means resharding the state.
 * @module
 */
import { type DeviceKey, deviceName } from "./ids.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The shard of a device, an integer in [0, shards). Ids are ASCII, so code units are bytes. */
export function shardOf(key: DeviceKey, shards: number): number {
  const name = deviceName(key);
  let hash = FNV_OFFSET;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), FNV_PRIME);
  }
  return (hash >>> 0) % shards;
}
