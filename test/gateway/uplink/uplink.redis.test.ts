/**
 * The uplink on the real queue: what was acknowledged is in Redis, whatever happens to Redis.
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/observe/index.ts";
import { type QueueEntry, redisQueue } from "../../../src/queue/index.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { waitFor } from "../../support/wait.ts";
import { startGateway, stopGateways } from "./fixture.ts";
import { openSession, publishBytes, type RawClient, upTopic } from "./raw-client.ts";

const SHARDS = 4;
let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis({ appendfsync: "always" });
}, 30_000);
afterAll(() => redis.stop());
afterEach(stopGateways);

const payloadOf = (device: string, id: number) => Buffer.from(`${device} ${id}`);

function publishFrom(client: RawClient, device: string, from: number, to: number): void {
  for (let id = from; id <= to; id += 1) {
    const payload = payloadOf(device, id);
    client.send(publishBytes(id, { topic: upTopic(device), payload }));
  }
}

const textOf = (entry: QueueEntry) => Buffer.from(entry.frame).toString();

/** What is queued, once `wanted` different frames have come out. */
async function consumeAll(prefix: string, wanted: number): Promise<QueueEntry[]> {
  const backend = await redisQueue({ url: redis.url, shards: SHARDS, prefix, log: silentLogger });
  const consumed: QueueEntry[] = [];
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const consumer = backend.consumer(shard, (entries) => {
      consumed.push(...entries);
      return Promise.resolve();
    });
    await consumer.start();
  }
  await waitFor(() => new Set(consumed.map(textOf)).size >= wanted, {
    what: "every acknowledged delta",
  });
  await backend.close();
  return consumed;
}

describe("the uplink on Redis", () => {
  test("P1: every acknowledged delta is in the queue once", async () => {
    const backend = await redisQueue({
      ...{ url: redis.url, shards: SHARDS, prefix: "all", log: silentLogger },
    });
    const producer = await backend.producer();
    const { port } = await startGateway({ producer, shards: SHARDS });
    const devices = ["a", "b", "c", "d", "e"];
    const clients = await Promise.all(devices.map((clientId) => openSession(port, { clientId })));
    for (const [index, client] of clients.entries()) {
      publishFrom(client, devices[index] ?? "", 1, 400);
    }
    await Promise.all(clients.map((client) => client.next("puback", 400)));
    const consumed = await consumeAll("all", 2_000);
    for (const device of devices) {
      const own = consumed.filter((entry) => entry.key.device === device);
      const frames = own.map(textOf);
      const sent = Array.from({ length: 400 }, (_, index) => `${device} ${index + 1}`);
      expect(new Set(frames)).toEqual(new Set(sent));
      expect(frames).toHaveLength(400);
    }
    await stopGateways();
    await backend.close();
  }, 60_000);

  test("P1: kill -9 of Redis that is back soon costs no device its connection, and every delta is acknowledged in order", async () => {
    const backend = await redisQueue({
      ...{ url: redis.url, shards: SHARDS, prefix: "soon", log: silentLogger },
    });
    const producer = await backend.producer();
    const { port } = await startGateway({ producer, shards: SHARDS });
    const client = await openSession(port);
    let last = 0;
    const flood = setInterval(() => {
      publishFrom(client, "tv1", last + 1, last + 10);
      last += 10;
    }, 5);
    await client.next("puback", 300);
    await redis.kill9();
    const acked = client.pubacks().length;
    await redis.restart();
    await client.next("puback", acked + 300);
    clearInterval(flood);
    await waitFor(() => client.pubacks().length === last);
    expect(client.isClosed).toBe(false);
    expect(last).toBeGreaterThan(acked);
    expect(client.pubacks()).toEqual(Array.from({ length: last }, (_, index) => index + 1));
    await stopGateways();
    await backend.close();
    const consumed = await consumeAll("soon", last);
    const frames = new Set(consumed.map(textOf));
    const sent = Array.from({ length: last }, (_, index) => `tv1 ${index + 1}`);
    expect(sent.filter((frame) => !frames.has(frame))).toEqual([]);
  }, 60_000);

  test("P1: kill -9 of Redis that stays away loses nothing that was acknowledged, and the client is closed", async () => {
    const backend = await redisQueue({
      ...{ url: redis.url, shards: SHARDS, prefix: "killed", log: silentLogger },
      addTimeoutMs: 1_000,
    });
    const producer = await backend.producer();
    const limits = { addTimeoutMs: 2_000 };
    const { port } = await startGateway({ producer, shards: SHARDS, limits });
    const client = await openSession(port);
    let last = 0;
    const flood = setInterval(() => {
      if (client.isClosed || last >= 60_000) return;
      publishFrom(client, "tv1", last + 1, last + 50);
      last += 50;
    }, 1);
    await client.next("puback", 500);
    await redis.kill9();
    await client.closed;
    clearInterval(flood);
    const acked = client.pubacks();
    expect(acked).toEqual(Array.from({ length: acked.length }, (_, index) => index + 1));
    await redis.restart();
    // The gateway needs no restart: sooner or later a device that comes back is acknowledged.
    await waitFor(async () => {
      const again = await openSession(port).catch(() => null);
      again?.send(publishBytes(1, { payload: payloadOf("again", 1) }));
      return again?.next("puback").then(
        () => true,
        () => false,
      );
    });
    await stopGateways();
    await backend.close();
    const consumed = await consumeAll("killed", acked.length);
    const frames = new Set(consumed.map(textOf));
    expect(acked.filter((id) => !frames.has(`tv1 ${id}`))).toEqual([]);
  }, 60_000);
});
