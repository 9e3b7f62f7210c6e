import { describe, expect, it } from "vitest";
import { type CachedDevice, DeviceCache } from "../../src/aggregate/device-cache.ts";
import type { Register } from "../../src/aggregate/register.ts";

const SHARD = {};
const OTHER = {};

function deviceOf(registers: number, dim = 384): CachedDevice {
  const register: Register = {
    ...{ kind: "live", epoch: 1, seq: 1, bucket: 1, weight: 1, successPermille: 1 },
    ...{ samples: 1, updatedAtS: 1, space: 0, vector: new Int16Array(dim) },
  };
  const held = Array.from({ length: registers }, (_, at) => [`p${at}`, register] as const);
  return { cursor: null, registers: new Map(held), whole: false };
}

describe("device cache", () => {
  it("finds what was kept, for the shard that kept it", () => {
    const cache = new DeviceCache(100_000);
    const device = deviceOf(2);
    cache.keep(SHARD, "acme/tv", device);
    expect(cache.find(SHARD, "acme/tv")).toBe(device);
    expect(cache.find(OTHER, "acme/tv")).toBeUndefined();
    expect([...cache.of(SHARD)]).toEqual([["acme/tv", device]]);
    expect([...cache.of(OTHER)]).toEqual([]);
  });

  it("stays below its bound: the least recently used go first", () => {
    const cache = new DeviceCache(40_000);
    for (let at = 0; at < 3; at += 1) cache.keep(SHARD, `acme/tv-${at}`, deviceOf(10));
    cache.keep(SHARD, "acme/tv-0", deviceOf(10));
    cache.keep(OTHER, "acme/tv-3", deviceOf(10));
    expect(cache.bytes).toBeLessThanOrEqual(40_000);
    expect(cache.find(SHARD, "acme/tv-1")).toBeUndefined();
    expect(cache.find(SHARD, "acme/tv-0")).toBeDefined();
    expect(cache.find(OTHER, "acme/tv-3")).toBeDefined();
  });

  it("counts a device once, as large as it is now", () => {
    const cache = new DeviceCache(100_000);
    const device = deviceOf(1);
    cache.keep(SHARD, "acme/tv", device);
    const small = cache.bytes;
    for (const [id, register] of deviceOf(10).registers) device.registers.set(id, register);
    cache.keep(SHARD, "acme/tv", device);
    expect(cache.bytes).toBeGreaterThan(5 * small);
    cache.forget(OTHER, "acme/tv");
    expect(cache.find(SHARD, "acme/tv")).toBe(device);
    cache.forget(SHARD, "acme/tv");
    expect(cache.bytes).toBe(0);
  });

  it("a device larger than the bound is not kept, nor anything with a bound of 0", () => {
    const cache = new DeviceCache(5_000);
    cache.keep(SHARD, "acme/tv", deviceOf(10));
    expect(cache.bytes).toBe(0);
    const none = new DeviceCache(0);
    none.keep(SHARD, "acme/tv", deviceOf(0));
    expect(none.find(SHARD, "acme/tv")).toBeUndefined();
  });

  it("a shard that is not written here any more leaves nothing behind", () => {
    const cache = new DeviceCache(100_000);
    for (let at = 0; at < 4; at += 1) {
      cache.keep(at % 2 === 0 ? SHARD : OTHER, `acme/tv-${at}`, deviceOf(1));
    }
    cache.drop(SHARD);
    expect([...cache.of(SHARD)]).toEqual([]);
    expect([...cache.of(OTHER)].map(([name]) => name)).toEqual(["acme/tv-1", "acme/tv-3"]);
  });
});
