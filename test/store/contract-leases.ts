/**
 * Leases: one holder at a time, and tokens that only rise.
 * @module
 */
import { expect, test } from "vitest";
import { waitFor } from "../support/wait.ts";
import type { Bench } from "./contract.ts";
import { outcomeOf } from "./observe.ts";
import { commitOf, held, leaseShard, TTL_MS } from "./samples.ts";

const SHORT_MS = 60;

export function leaseContract(bench: Bench): void {
  test("lease: one owner holds it, others get nothing until it is released", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = held(await store.acquireLease("shard-1", "a", TTL_MS));
    expect(await other.acquireLease("shard-1", "b", TTL_MS)).toBeNull();
    expect(await other.acquireLease("shard-2", "b", TTL_MS)).not.toBeNull();
    await store.releaseLease("shard-1", token);
    expect(held(await other.acquireLease("shard-1", "b", TTL_MS))).toBeGreaterThan(token);
  });

  test("lease: of many who ask at once exactly one gets it", async () => {
    const store = bench.store();
    const other = await bench.another();
    const asked = Array.from({ length: 12 }, (_, index) =>
      (index % 2 ? store : other).acquireLease("shard-0", `owner-${index}`, TTL_MS),
    );
    const tokens = (await Promise.all(asked)).filter((token) => token !== null);
    expect(tokens).toHaveLength(1);
  });

  test("lease: the owner who asks again gets a higher token, and the lower one is worth nothing", async () => {
    const store = bench.store();
    const first = held(await store.acquireLease("shard-0", "a", TTL_MS));
    const second = held(await store.acquireLease("shard-0", "a", TTL_MS));
    expect(second).toBeGreaterThan(first);
    expect(await store.renewLease("shard-0", first, TTL_MS)).toBe(false);
    await store.releaseLease("shard-0", first);
    expect(await store.acquireLease("shard-0", "b", TTL_MS)).toBeNull();
    expect(await store.renewLease("shard-0", second, TTL_MS)).toBe(true);
  });

  test("lease: an expired one can be taken, not renewed, and its token commits nothing", async () => {
    const store = bench.store();
    const late = held(await store.acquireLease("shard-0", "a", SHORT_MS));
    await bench.elapse(SHORT_MS + 20);
    expect(await store.renewLease("shard-0", late, TTL_MS)).toBe(false);
    expect(await outcomeOf(store.commit(0, late, 1, commitOf()))).toBe("lease.lost");
    expect((await store.loadShard(0)).commitNumber).toBe(0);
    expect(await leaseShard(store, 0, "b")).toBeGreaterThan(late);
  });

  test("lease: renewing keeps it past its first end", async () => {
    const store = bench.store();
    const token = held(await store.acquireLease("shard-0", "a", SHORT_MS * 10));
    expect(await store.renewLease("shard-0", token, TTL_MS)).toBe(true);
    await bench.elapse(SHORT_MS * 10 + 20);
    expect(await store.acquireLease("shard-0", "b", TTL_MS)).toBeNull();
    expect(await outcomeOf(store.commit(0, token, 1, commitOf()))).toBe("ok");
  });

  test("lease: tokens of one name strictly rise over expiry, release and owners", async () => {
    const store = bench.store();
    const tokens: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      tokens.push(held(await store.acquireLease("releaser-acme", `owner-${round}`, SHORT_MS)));
      if (round % 2 === 0) await store.releaseLease("releaser-acme", tokens.at(-1) as number);
      const next = await waitFor(
        async () => {
          await bench.elapse(10);
          return await store.acquireLease("releaser-acme", `next-${round}`, SHORT_MS);
        },
        { what: "the lease to expire" },
      );
      tokens.push(next);
      await store.releaseLease("releaser-acme", next);
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  });
}
