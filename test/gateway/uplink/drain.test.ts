import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import { startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  openRaw,
  openSession,
  openSocket,
  PINGREQ,
  publishBytes,
  upTopic,
} from "./raw-client.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

afterEach(stopGateways);

describe("draining", () => {
  test("says not ready first, while clients are still served and accepted", async () => {
    const { gateway, port } = await startGateway({
      http: LOOPBACK,
      // Long enough for a busy machine to do all of this within it.
      drain: { readyGraceMs: 3_000, closeMs: 10, flushMs: 100 },
    });
    const client = await openSession(port);
    const drained = gateway.drain();
    const answer = await fetch(`http://127.0.0.1:${gateway.addresses.http?.port}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ ready: false, reasons: ["gateway.draining"] });
    client.send(publishBytes(1));
    await client.next("puback");
    await openSession(port, { clientId: "late" });
    await drained;
    await client.closed;
    // The late session was closed as well; its socket may tell a moment later.
    await waitFor(() => gateway.sessionCount === 0, { what: "no session left" });
    await expect(openSocket(port)).rejects.toThrow();
  });

  test("P1, P3: a client is closed only after the deltas it had sent are acknowledged", async () => {
    const { gateway, port, producer } = await startGateway();
    producer.hold();
    const names = ["a", "b", "c"];
    const clients = await Promise.all(names.map((clientId) => openSession(port, { clientId })));
    for (const [index, client] of clients.entries()) {
      const topic = upTopic(names[index] ?? "");
      client.send(Buffer.concat([1, 2, 3].map((id) => publishBytes(id, { topic }))));
    }
    await producer.holding(9);
    const drained = gateway.drain();
    producer.releaseAll();
    await drained;
    for (const client of clients) {
      await client.closed;
      expect(client.pubacks()).toEqual([1, 2, 3]);
    }
  });

  test("what is sent after its turn has come is neither taken nor acknowledged", async () => {
    const { gateway, port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await producer.holding(1);
    const drained = gateway.drain();
    while (await listening(port)) await new Promise(setImmediate);
    client.send(Buffer.concat([publishBytes(2), PINGREQ]));
    producer.releaseAll();
    await drained;
    await client.closed;
    expect(client.pubacks()).toEqual([1]);
    expect(producer.added).toHaveLength(1);
  });

  test("ends in bounded time though the queue never answers", async () => {
    const { gateway, port, producer } = await startGateway({
      drain: { readyGraceMs: 1, closeMs: 10, flushMs: 30 },
    });
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await producer.holding(1);
    await gateway.drain();
    await gateway.stop();
    await client.closed;
    expect(client.pubacks()).toEqual([]);
  });

  test("a CONNECT that waited in the hall is answered 3", async () => {
    const { gateway, port } = await startGateway();
    const late = await openRaw(port);
    await gateway.drain();
    late.send(connectBytes());
    expect(await late.connack()).toBe(3);
  });

  test("drain and stop may be called twice and in any order", async () => {
    const { gateway, port } = await startGateway();
    await openSession(port);
    await Promise.all([gateway.drain(), gateway.drain()]);
    await Promise.all([gateway.stop(), gateway.stop()]);
    await gateway.drain();
    const never = await startGateway();
    await never.gateway.stop();
    await never.gateway.drain();
  });
});

async function listening(port: number): Promise<boolean> {
  try {
    (await openSocket(port)).destroy();
    return true;
  } catch {
    return false;
  }
}
