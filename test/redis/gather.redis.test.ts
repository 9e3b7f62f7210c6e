import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gather } from "../../src/redis/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const turn = () => new Promise(setImmediate);

describe("gather", () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url, { maxRetriesPerRequest: null });
    await redis.ping();
  }, 30_000);
  afterAll(async () => {
    redis?.disconnect();
    await server?.stop();
  });

  it("holds back what a turn says and lets it go at the turn's end, what was left for it last", async () => {
    const { stream } = redis;
    gather(redis, () => void redis.append("told", "c"));
    const first = redis.append("told", "a");
    expect(stream.writableCorked).toBe(1);
    // Whoever asks again in the same turn is part of it.
    gather(redis, () => void redis.append("told", "d"));
    const second = Promise.resolve().then(() => redis.append("told", "b"));
    expect(stream.writableCorked).toBe(1);
    const held = stream.writableLength;
    expect(held).toBeGreaterThan(0);
    await turn();
    expect(stream.writableCorked).toBe(0);
    expect(await Promise.all([first, second])).toEqual([1, 2]);
    expect(await redis.get("told")).toBe("abcd");
  });

  it("leaves nothing held back where nobody asked, nor in the next turn", async () => {
    gather(redis);
    await turn();
    const said = redis.set("later", "1");
    expect(redis.stream.writableCorked).toBe(0);
    expect(await said).toBe("OK");
  });

  it("a connection that ends within the turn fails what was said, and the next one is free", async () => {
    const client = new Redis(server.url, {
      ...{ maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
      retryStrategy: () => 10,
    });
    client.on("error", () => {});
    await client.ping();
    const before = client.stream;
    gather(client);
    const said = client.set("never", "sent");
    before.destroy();
    await expect(said).rejects.toThrow();
    await new Promise((resolve) => client.once("ready", resolve));
    expect(client.stream).not.toBe(before);
    expect(await client.get("never")).toBe(null);
    client.disconnect();
  });
});
