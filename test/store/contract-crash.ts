/**
 * kill -9 of the server between and during commits: afterwards each commit is
 * there whole or not at all, and none that was answered is missing unless the
 * server says it may forget.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { integerBelow, seededRandom } from "../../src/core/index.ts";
import type { Commit, Store } from "../../src/store/index.ts";
import { waitFor } from "../support/wait.ts";
import { outcomeOf } from "./observe.ts";
import { commitOf, cursorOf, deviceOf, keysOn, leaseShard, letterOf, sumOf } from "./samples.ts";

export interface CrashRig {
  open(): Promise<Store>;
  kill9(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** The server may forget what it answered last (Redis with "everysec"). */
  readonly forgets?: boolean;
}

const SHARD = 0;
const KEYS = keysOn(SHARD, 40);
const ROUNDS = 5;
const SEED = 20261122;

/** Everything in it says `number`, so a mixture would show. */
function commitNumbered(number: number): Commit {
  const blob = Buffer.alloc(200, String(number % 10));
  blob.writeUInt32LE(number);
  return commitOf({
    sums: KEYS.map((_, index) => sumOf(`p-${index}`, blob)),
    devices: KEYS.map((key) => deviceOf(key, cursorOf(number), { a: blob, b: blob })),
    deadLetters: [letterOf(KEYS[0] as (typeof KEYS)[0], `letter-${number}`)],
    stats: { applied: 1, duplicates: 0, deadLettered: 1 },
  });
}

/** The one number that everything stored says; fails when parts disagree. */
async function storedNumber(store: Store): Promise<number> {
  const { sums, commitNumber } = await store.loadShard(SHARD);
  const numbers = new Set([commitNumber]);
  for (const row of sums) numbers.add(Buffer.from(row.blob ?? []).readUInt32LE());
  for (const cursor of await store.cursors(KEYS)) numbers.add(cursor?.epochs[0]?.low ?? 0);
  for (const key of KEYS) {
    for (const blob of (await store.registers(key)).values()) {
      numbers.add(Buffer.from(blob).readUInt32LE());
    }
  }
  const stats = await store.stats(SHARD);
  expect(stats).toEqual({ applied: commitNumber, duplicates: 0, deadLettered: commitNumber });
  expect(await store.deadLetters(SHARD, 1_000)).toHaveLength(Math.min(1_000, commitNumber));
  expect([...numbers]).toEqual([commitNumber]);
  return commitNumber;
}

export function crashContract(name: string, start: () => Promise<CrashRig>): void {
  describe(`store in ${name}, killed`, () => {
    let rig: CrashRig;
    beforeAll(async () => {
      rig = await start();
    }, 120_000);
    afterAll(async () => {
      await rig?.stop();
    }, 60_000);

    test("P2: kill -9 leaves commits whole or absent, none answered is lost, and the same store goes on", async () => {
      const store = await rig.open();
      const random = seededRandom(SEED);
      let lastToken = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const token = await leaseShard(store, SHARD);
        expect(token).toBeGreaterThan(lastToken);
        lastToken = token;
        let next = (await storedNumber(store)) + 1;
        for (let left = 1 + integerBelow(random, 12); left > 0; left -= 1, next += 1) {
          await store.commit(SHARD, token, next, commitNumbered(next));
        }
        const cut = outcomeOf(store.commit(SHARD, token, next, commitNumbered(next)));
        await rig.kill9();
        const outcome = await cut;
        expect(["ok", "store.unavailable", "store.timeout"]).toContain(outcome);
        await rig.restart();
        await waitFor(async () => (await outcomeOf(store.stats(SHARD))) === "ok", {
          what: "the store to come back",
        });
        const stored = await storedNumber(store);
        expect(stored).toBeLessThanOrEqual(next);
        if (rig.forgets) continue;
        expect(stored).toBeGreaterThanOrEqual(outcome === "ok" ? next : next - 1);
        // The lease outlives the crash, and so does the way to settle what is unknown.
        await store.commit(SHARD, token, next, commitNumbered(next));
        expect(await storedNumber(store)).toBe(next);
      }
      await store.close();
    }, 120_000);
  });
}
