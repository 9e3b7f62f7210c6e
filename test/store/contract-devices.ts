/**
 * Devices: cursors, registers, dead letters, forgetting.
 * @module
 */
import { expect, test } from "vitest";
import { type DeviceKey, shardOf } from "../../src/core/index.ts";
import { waitFor } from "../support/wait.ts";
import type { Bench } from "./contract.ts";
import {
  bytes,
  commitOf,
  cursorOf,
  deviceOf,
  keyOn,
  keysOn,
  leaseShard,
  letterOf,
  PROBLEM,
  SHARDS,
  sumOf,
} from "./samples.ts";

const SHARD = 1;
const KEY = keyOn(SHARD);

export function deviceContract(bench: Bench): void {
  test("cursors: of devices on all shards, in the order asked, null for strangers", async () => {
    const store = bench.store();
    const keys: DeviceKey[] = [];
    for (let shard = 0; shard < SHARDS; shard += 1) {
      const mine = keysOn(shard, 3);
      keys.push(...mine);
      const devices = mine.map((key, index) => deviceOf(key, cursorOf(shard * 10 + index)));
      await store.commit(shard, await leaseShard(store, shard), 1, commitOf({ devices }));
    }
    const stranger = { tenant: "acme", device: "stranger" };
    const asked = [stranger, ...keys.reverse(), keys[0] as DeviceKey];
    const lows = (await store.cursors(asked)).map((cursor) => cursor?.epochs[0]?.low ?? null);
    expect(lows).toEqual([null, 32, 31, 30, 22, 21, 20, 12, 11, 10, 2, 1, 0, 32]);
    expect(await store.cursors([])).toEqual([]);
    const many = Array.from({ length: 1_000 }, (_, at) => asked[at % asked.length] as DeviceKey);
    const found = (await store.cursors(many)).map((cursor) => cursor?.epochs[0]?.low ?? null);
    expect(found).toEqual(many.map((_, at) => lows[at % asked.length]));
  });

  test("devices: loading gives the order asked, strangers as null, only wanted registers", async () => {
    const store = bench.store();
    const [first, second] = keysOn(SHARD, 2) as [DeviceKey, DeviceKey];
    const devices = [deviceOf(first, cursorOf(5), { a: bytes(1), b: bytes(2), c: bytes(3) })];
    await store.commit(SHARD, await leaseShard(store, SHARD), 1, commitOf({ devices }));
    const loaded = await store.loadDevices(SHARD, [
      { key: second, patterns: ["a"] },
      { key: first, patterns: ["c", "a", "zzz"] },
      { key: first, patterns: [] },
    ]);
    expect(loaded).toEqual([
      { cursor: null, registers: new Map() },
      {
        cursor: cursorOf(5),
        registers: new Map([
          ["c", bytes(3)],
          ["a", bytes(1)],
        ]),
      },
      { cursor: cursorOf(5), registers: new Map() },
    ]);
    expect(await store.loadDevices(SHARD, [])).toEqual([]);
  });

  test("devices: the same name in another tenant is another device", async () => {
    const store = bench.store();
    const device = "tv";
    for (const [index, tenant] of ["a", "b", "c"].entries()) {
      const key = { tenant, device };
      const shard = shardOf(key, SHARDS);
      const { commitNumber } = await store.loadShard(shard);
      const devices = [deviceOf(key, cursorOf(index), { p: bytes(index) })];
      const token = await leaseShard(store, shard);
      await store.commit(shard, token, commitNumber + 1, commitOf({ devices }));
    }
    const blobs = await Promise.all(
      ["a", "b", "c"].map(async (tenant) => (await store.registers({ tenant, device })).get("p")),
    );
    expect(blobs).toEqual([bytes(0), bytes(1), bytes(2)]);
  });

  test("forget: drops the cursor and every register, and may be repeated", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    const [other, gone] = keysOn(SHARD, 2) as [DeviceKey, DeviceKey];
    const devices = [
      deviceOf(other, cursorOf(1), { a: bytes(1) }),
      deviceOf(gone, cursorOf(2), { a: bytes(2), b: bytes(3) }),
    ];
    await store.commit(SHARD, token, 1, commitOf({ devices, sums: [sumOf("a", bytes(3))] }));
    await store.forget(SHARD, token, gone);
    await store.forget(SHARD, token, gone);
    expect(await store.cursors([other, gone])).toEqual([cursorOf(1), null]);
    expect((await store.registers(gone)).size).toBe(0);
    expect((await store.registers(other)).size).toBe(1);
    expect(await store.loadShard(SHARD)).toEqual({
      sums: [sumOf("a", bytes(3))],
      commitNumber: 1,
    });
  });

  test("dead letters: newest first, the oldest payloads go, the count never falls", async () => {
    const store = await bench.another({ deadLettersKept: 5 });
    const token = await leaseShard(store, SHARD);
    for (let number = 1; number <= 3; number += 1) {
      const deadLetters = [0, 1, 2].map((index) => letterOf(KEY, `${number}-${index}`));
      const stats = { applied: 0, duplicates: 0, deadLettered: 3 };
      await store.commit(SHARD, token, number, commitOf({ deadLetters, stats }));
    }
    const ids = (await store.deadLetters(SHARD, 100)).map((letter) => letter.id);
    expect(ids).toEqual(["3-2", "3-1", "3-0", "2-2", "2-1"]);
    expect((await store.deadLetters(SHARD, 2)).map((letter) => letter.id)).toEqual(["3-2", "3-1"]);
    expect(await store.deadLetters(SHARD, 0)).toEqual([]);
    expect((await store.stats(SHARD)).deadLettered).toBe(9);
  });

  test("P2: a dead letter that comes again is counted as a duplicate", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    const stats = { applied: 1, duplicates: 0, deadLettered: 2 };
    const batch = (...ids: string[]) =>
      commitOf({ deadLetters: ids.map((id) => letterOf(KEY, id)), stats });
    await store.commit(SHARD, token, 1, batch("a", "b"));
    await store.commit(SHARD, token, 2, batch("b", "c"));
    expect((await store.deadLetters(SHARD, 9)).map(({ id }) => id)).toEqual(["c", "b", "a"]);
    expect(await store.stats(SHARD)).toEqual({ applied: 2, duplicates: 1, deadLettered: 3 });
  });

  test("watch: devices whose new problems were committed are announced, others are not", async () => {
    const store = bench.store();
    const heard: string[] = [];
    const onProblems = (key: DeviceKey) => heard.push(key.device);
    const other = await bench.another();
    await other.watch({ onRelease() {}, onProblems });
    const token = await leaseShard(store, SHARD);
    const keys = keysOn(SHARD, 300);
    const refused = keys.slice(1);
    const devices = [
      deviceOf(keys[0] as DeviceKey, cursorOf(1, [PROBLEM])),
      ...refused.map((key) => deviceOf(key, cursorOf(1, [PROBLEM]))),
    ];
    const deadLetters = refused.map((key) => letterOf(key, key.device));
    await store.commit(SHARD, token, 1, commitOf({ devices, deadLetters }));
    const last = refused.at(-1)?.device as string;
    await waitFor(() => heard.includes(last), { what: "the announcements" });
    expect(new Set(heard)).toEqual(new Set(refused.map((key) => key.device)));
  });
}
