import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/index.ts";

const TWO_32 = 2 ** 32;

describe("shards", () => {
  // Frozen: state and queues are laid out by these numbers. The hash is 32-bit FNV-1a of
  // "tenant/device", which with 2^32 shards is the shard itself.
  it.each([
    ["default", "tv-1", 0x730cf977, 7],
    ["default", "tv-2", 0x740cfb0a, 2],
    ["acme", "living_room", 0x4a9ae4c5, 5],
    ["A", "-", 0xd7569b9c, 4],
  ])("%s/%s is where it has always been", (tenant, device, hash, ofEight) => {
    expect([shardOf({ tenant, device }, TWO_32), shardOf({ tenant, device }, 8)]).toEqual([
      hash,
      ofEight,
    ]);
  });

  it("the hash is FNV-1a, as its authors publish it", () => {
    // http://www.isthe.com/chongo/tech/comp/fnv: one step of the 32-bit hash, without BigInt tricks.
    const fnv1a = (text: string) => {
      let hash = 0x811c9dc5n;
      for (const byte of Buffer.from(text))
        hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
      return Number(hash);
    };
    expect(fnv1a("foobar")).toBe(0xbf9cf968);
    const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    fc.assert(
      fc.property(id, id, fc.integer({ min: 1, max: 1024 }), (tenant, device, shards) => {
        expect(shardOf({ tenant, device }, shards)).toBe(fnv1a(`${tenant}/${device}`) % shards);
      }),
    );
  });

  it.each([2, 8, 16, 31])("%i shards share 20,000 devices evenly", (shards) => {
    const counts = new Array<number>(shards).fill(0);
    for (let device = 0; device < 20_000; device += 1) {
      const shard = shardOf({ tenant: "default", device: `tv-${device}` }, shards);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    const mean = 20_000 / shards;
    for (const count of counts) expect(Math.abs(count - mean)).toBeLessThan(mean * 0.15);
  });
});
