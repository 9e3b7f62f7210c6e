/**
 * Commits: all or nothing, in order, once.
 * @module
 */
import { expect, test } from "vitest";
import type { Commit, SumRow } from "../../src/store/index.ts";
import type { Bench } from "./contract.ts";
import { observe, outcomeOf, refusalOf, sorted } from "./observe.ts";
import {
  ALL_BYTES,
  bytes,
  commitOf,
  cursorOf,
  deviceOf,
  fullCommitOf,
  INTEGER_MAX,
  keyOn,
  keysOn,
  leaseShard,
  letterOf,
  PROBLEM,
  SHARDS,
  sumOf,
} from "./samples.ts";

const SHARD = 2;
const KEY = keyOn(SHARD);

const fullCommit = (seq: number) => fullCommitOf(KEY, seq);

export function commitContract(bench: Bench): void {
  const look = () => observe(bench.store(), [KEY], ["acme", "other"]);

  test("commit: everything in it can be read back, also by another process", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    await store.commit(SHARD, token, 1, fullCommit(1));
    const { sums, commitNumber } = await (await bench.another()).loadShard(SHARD);
    expect(commitNumber).toBe(1);
    expect(sorted(sums)).toEqual(sorted(fullCommit(1).sums));
    const [device] = await store.loadDevices(SHARD, [{ key: KEY, patterns: ["drama", "news"] }]);
    expect(device?.cursor).toEqual(cursorOf(1, [PROBLEM]));
    expect(device?.registers).toEqual(new Map([["drama", bytes(1, 1)]]));
    expect(await store.deadLetters(SHARD, 9)).toEqual([letterOf(KEY, "letter-1")]);
    expect(await store.stats(SHARD)).toEqual({ applied: 1, duplicates: 2, deadLettered: 1 });
    expect(await store.tenants()).toEqual(["acme", "other"]);
  });

  test("dead letters: dropped ones are gone for everyone, the totals stay", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    for (const seq of [1, 2, 3]) await store.commit(SHARD, token, seq, fullCommit(seq));
    const ids = ["letter-1", "letter-3", "letter-9"];
    expect(await store.dropDeadLetters(SHARD, ids)).toBe(2);
    expect(await store.dropDeadLetters(SHARD, ids)).toBe(0);
    expect(await store.dropDeadLetters(SHARD, [])).toBe(0);
    const other = await bench.another();
    expect(await other.deadLetters(SHARD, 9)).toEqual([letterOf(KEY, "letter-2")]);
    expect((await other.stats(SHARD)).deadLettered).toBe(3);
    // An id that was dropped is new when it comes again.
    await store.commit(SHARD, token, 4, {
      ...fullCommit(4),
      deadLetters: [letterOf(KEY, "letter-1")],
    });
    const kept = (await store.deadLetters(SHARD, 9)).map((letter) => letter.id);
    expect(kept).toEqual(["letter-1", "letter-2"]);
  });

  test("commit: without the lease, or with a stale token, nothing of it is visible", async () => {
    const store = bench.store();
    const before = await look();
    expect(await refusalOf(store.commit(SHARD, 1, 1, fullCommit(1)))).toBe("Transport lease.lost");
    const stale = await leaseShard(store, SHARD, "a");
    await store.releaseLease(`shard-${SHARD}`, stale);
    expect(await outcomeOf(store.commit(SHARD, stale, 1, fullCommit(1)))).toBe("lease.lost");
    const token = await leaseShard(store, SHARD, "b");
    expect(await outcomeOf(store.commit(SHARD, stale, 1, fullCommit(1)))).toBe("lease.lost");
    expect(await outcomeOf(store.commit(SHARD, token + 1, 1, fullCommit(1)))).toBe("lease.lost");
    expect(await outcomeOf(store.forget(SHARD, stale, KEY))).toBe("lease.lost");
    expect(await look()).toEqual(before);
  });

  test("commit: the lease of another shard is not enough", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD + 1);
    expect(await outcomeOf(store.commit(SHARD, token, 1, fullCommit(1)))).toBe("lease.lost");
  });

  test("commit: only the next number is taken, and nothing of any other is visible", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    expect(await outcomeOf(store.commit(SHARD, token, 2, fullCommit(2)))).toBe("commit.order");
    expect(await outcomeOf(store.commit(SHARD, token, 0, fullCommit(2)))).toBe("commit.order");
    await store.commit(SHARD, token, 1, fullCommit(1));
    await store.commit(SHARD, token, 2, fullCommit(2));
    const before = await look();
    for (const number of [0, 1, 4, INTEGER_MAX]) {
      expect(await refusalOf(store.commit(SHARD, token, number, fullCommit(9)))).toBe(
        "Transport commit.order",
      );
    }
    expect(await look()).toEqual(before);
  });

  test("P2: a commit sent again with its token and number is done once, even at the same time", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = await leaseShard(store, SHARD);
    await Promise.all([
      store.commit(SHARD, token, 1, fullCommit(1)),
      other.commit(SHARD, token, 1, fullCommit(1)),
      store.commit(SHARD, token, 1, fullCommit(1)),
    ]);
    const before = await look();
    await other.commit(SHARD, token, 1, fullCommit(1));
    // It was done, so it is reported as done even when the lease is gone.
    await store.releaseLease(`shard-${SHARD}`, token);
    await store.commit(SHARD, token, 1, fullCommit(1));
    expect(await look()).toEqual(before);
    expect((await store.stats(SHARD)).applied).toBe(1);
  });

  test("commit: a new holder with the old number is refused, not told that it was done", async () => {
    const store = bench.store();
    await store.commit(SHARD, await leaseShard(store, SHARD, "a"), 1, fullCommit(1));
    const token = await leaseShard(store, SHARD, "a");
    expect(await outcomeOf(store.commit(SHARD, token, 1, fullCommit(5)))).toBe("commit.order");
    expect((await store.loadShard(SHARD)).commitNumber).toBe(1);
  });

  const wrongParts: [string, string, Partial<Commit>][] = [
    ["a pattern that is no id", "commit.id", { sums: [sumOf("a b", bytes(1))] }],
    ["a bucket that is no integer", "commit.number", { sums: [sumOf("a", bytes(1), 0.5)] }],
    ["a row twice", "commit.duplicate", { sums: [sumOf("a", null), sumOf("a", bytes(1))] }],
    ["a device of another shard", "commit.shard", { devices: [deviceOf(keyOn(0), cursorOf(1))] }],
    [
      "a device twice",
      "commit.duplicate",
      { devices: [deviceOf(KEY, cursorOf(1)), deviceOf(KEY, cursorOf(2))] },
    ],
    ["a negative low", "commit.number", { devices: [deviceOf(KEY, cursorOf(-1))] }],
    ["a low past 2^53", "commit.number", { devices: [deviceOf(KEY, cursorOf(2 ** 53))] }],
    [
      "nine problems",
      "commit.cursor",
      { devices: [deviceOf(KEY, cursorOf(1, new Array(9).fill(PROBLEM)))] },
    ],
    ["a letter without id", "commit.id", { deadLetters: [letterOf(KEY, "")] }],
    [
      "a negative count",
      "commit.number",
      { stats: { applied: 1, duplicates: 0, deadLettered: -1 } },
    ],
  ];
  test.each(wrongParts)(
    "commit: %s is refused with all that came with it",
    async (_, reason, part) => {
      const store = bench.store();
      const token = await leaseShard(store, SHARD);
      const before = await look();
      const commit = { ...fullCommit(1), ...part };
      expect(await refusalOf(store.commit(SHARD, token, 1, commit))).toBe(
        `Serialization ${reason}`,
      );
      expect(await look()).toEqual(before);
      await store.commit(SHARD, token, 1, fullCommit(1));
    },
  );

  test("commit: null deletes rows and registers, and a tenant without rows is gone", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    await store.commit(SHARD, token, 1, fullCommit(1));
    const commit = commitOf({
      sums: [sumOf("news", null, -3, "other"), sumOf("never", null, 4)],
      devices: [deviceOf(KEY, cursorOf(2), { drama: null, news: bytes(9), never: null })],
    });
    await store.commit(SHARD, token, 2, commit);
    expect((await store.loadShard(SHARD)).sums).toEqual([sumOf("drama", bytes(1))]);
    expect(await store.registers(KEY)).toEqual(new Map([["news", bytes(9)]]));
    expect(await store.tenants()).toEqual(["acme"]);
  });

  test("commit: bytes and integers up to 2^53 − 1 come back exactly", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    const ahead = ALL_BYTES.subarray(100, 132);
    const epochs = [
      { epoch: 1, low: 0, ahead },
      { epoch: INTEGER_MAX, low: INTEGER_MAX, ahead },
    ];
    const position = { epoch: INTEGER_MAX, seq: INTEGER_MAX };
    const problems = [{ reason: "a", title: "ü \u0000 \u202e", detail: "", position }];
    const cursor = { epochs, base: INTEGER_MAX, patterns: INTEGER_MAX, problems };
    const registers = {
      ["__proto__"]: bytes(),
      constructor: ALL_BYTES,
      NULL: ALL_BYTES,
      null: bytes(0),
    };
    const letter = { ...letterOf(KEY, "x!~"), detail: "\n\u0000", receivedAtMs: INTEGER_MAX };
    const commit = commitOf({
      sums: [
        sumOf("NULL", ALL_BYTES, INTEGER_MAX, "null"),
        sumOf("NULL", bytes(), -INTEGER_MAX, "null"),
        sumOf("__proto__", ALL_BYTES, 2 ** 52 + 1, "x".repeat(64)),
      ],
      devices: [deviceOf(KEY, cursor, registers)],
      deadLetters: [{ ...letter, position }],
      stats: { applied: INTEGER_MAX, duplicates: 2 ** 52 + 1, deadLettered: 1 },
    });
    await store.commit(SHARD, token, 1, commit);
    expect(sorted((await store.loadShard(SHARD)).sums)).toEqual(sorted(commit.sums));
    expect(await store.cursors([KEY])).toEqual([cursor]);
    expect(await store.registers(KEY)).toEqual(new Map(Object.entries(registers)));
    expect(await store.deadLetters(SHARD, 1)).toEqual([{ ...letter, position }]);
    expect(await store.stats(SHARD)).toEqual(commit.stats);
  });

  test("commit: 512 devices with 10 registers each, and as many sums, in one step", async () => {
    const store = bench.store();
    const token = await leaseShard(store, SHARD);
    const patterns = Array.from({ length: 10 }, (_, index) => `pattern-${index}`);
    const keys = keysOn(SHARD, 512);
    const blobOf = (device: number, pattern: number) =>
      Uint8Array.from({ length: 100 }, (_, index) => (device * 7 + pattern * 13 + index) & 255);
    const devices = keys.map((key, device) => ({
      key,
      cursor: cursorOf(device),
      registers: new Map(patterns.map((name, pattern) => [name, blobOf(device, pattern)])),
    }));
    const sums = Array.from({ length: 5_120 }, (_, index) =>
      sumOf(`p-${index}`, bytes(index & 255)),
    );
    const stats = { applied: 512, duplicates: 0, deadLettered: 0 };
    await store.commit(SHARD, token, 1, commitOf({ sums, devices, stats }));
    const loaded = await store.loadDevices(
      SHARD,
      keys.map((key) => ({ key, patterns })),
    );
    // Deep equality over half a million bytes takes seconds; their text does not.
    const told = loaded.map(({ cursor, registers }) => textOf(cursor?.epochs[0]?.low, registers));
    expect(told).toEqual(devices.map(({ registers }, device) => textOf(device, registers)));
    const rows = sorted((await store.loadShard(SHARD)).sums).map(rowText);
    expect(rows).toEqual(sorted(sums).map(rowText));
  }, 30_000);

  test("commit: shards do not see one another", async () => {
    const store = bench.store();
    for (let shard = 0; shard < SHARDS; shard += 1) {
      const token = await leaseShard(store, shard);
      const sums = [sumOf("drama", bytes(shard))];
      const devices = [deviceOf(keyOn(shard), cursorOf(shard))];
      await store.commit(shard, token, 1, commitOf({ sums, devices }));
    }
    const perShard = await store.loadTenantSums("acme");
    expect(perShard).toEqual(
      Array.from({ length: SHARDS }, (_, shard) => ({
        shard,
        rows: [sumOf("drama", bytes(shard))],
      })),
    );
    expect(await outcomeOf(store.commit(SHARDS, 1, 1, commitOf()))).toBe("commit.shard");
  });
}

function textOf(low: number | undefined, registers: ReadonlyMap<string, Uint8Array>): string {
  const blobs = [...registers].map(
    ([name, blob]) => `${name}=${Buffer.from(blob).toString("hex")}`,
  );
  return `${low} ${blobs.sort().join(" ")}`;
}

function rowText({ tenant, pattern, bucket, blob }: SumRow): string {
  return `${tenant}/${pattern}/${bucket}=${Buffer.from(blob ?? []).toString("hex")}`;
}
