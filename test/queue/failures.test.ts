import { describe, expect, test } from "vitest";
import { InvalidConfigError } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { judgeDurability, redisFaults } from "../../src/queue/durability.ts";
import { failureOf } from "../../src/queue/failures.ts";

const failing = (message: string, fields: Record<string, unknown> = {}) =>
  Object.assign(new Error(message), fields);

describe("failures", () => {
  test("only a failure that surely stored nothing is called so; the rest is unknown", () => {
    const cases: [Error, string][] = [
      [
        failing("Stream isn't writeable and enableOfflineQueue options is false"),
        "queue.unavailable",
      ],
      [
        failing("connect ECONNREFUSED 127.0.0.1:6379", { code: "ECONNREFUSED" }),
        "queue.unavailable",
      ],
      [failing("timeout exceeded when trying to connect"), "queue.unavailable"],
      [failing("OOM command not allowed", { name: "ReplyError" }), "queue.refused"],
      [
        failing("READONLY You can't write against a replica", { name: "ReplyError" }),
        "queue.refused",
      ],
      [failing("disk full", { code: "53100" }), "queue.refused"],
      [failing("CLUSTERDOWN Hash slot not served", { name: "ReplyError" }), "queue.unknown"],
      [failing("MOVED 3999 127.0.0.1:7001", { name: "ReplyError" }), "queue.unknown"],
      [
        failing("terminating connection due to administrator command", { code: "57P01" }),
        "queue.unknown",
      ],
      [failing("connection failure", { code: "08006" }), "queue.unknown"],
      [failing("Connection terminated unexpectedly"), "queue.unknown"],
      [failing("Query read timeout"), "queue.unknown"],
      [failing("Reached the max retries per request limit (which is 0)."), "queue.unknown"],
      [failing("Command aborted due to connection close"), "queue.unknown"],
    ];
    for (const [error, reason] of cases)
      expect(failureOf(error).reason, error.message).toBe(reason);
  });

  test("a Redis that may forget or evict is named with its remedy, and refused when asked to", () => {
    const info = (policy: string, aof: number) =>
      `# Memory\r\nmaxmemory_policy:${policy}\r\n# Persistence\r\naof_enabled:${aof}\r\n`;
    expect(redisFaults(info("noeviction", 1), "always", 0)).toEqual([]);
    expect(redisFaults(info("noeviction", 1), null, 0)).toEqual([]);
    expect(redisFaults(info("noeviction", 1), "everysec", 0)).toEqual([
      expect.stringContaining("appendfsync is everysec, set it to always"),
    ]);
    const alone = `${info("noeviction", 1)}# Replication\r\nconnected_slaves:1\r\n`;
    expect(redisFaults(alone, "always", 1)).toEqual([]);
    expect(redisFaults(alone, "always", 2)).toEqual([expect.stringContaining("has 1 replicas")]);
    const faults = redisFaults(info("allkeys-lru", 0), "everysec", 0);
    expect(faults).toHaveLength(2);
    expect(faults[0]).toContain("noeviction");
    expect(faults[1]).toContain("appendonly yes");
    expect(() => judgeDurability(faults, "refuse", silentLogger)).toThrow(InvalidConfigError);
    judgeDurability(faults, "warn", silentLogger);
    judgeDurability([], "refuse", silentLogger);
  });
});
