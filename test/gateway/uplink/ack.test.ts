import { afterEach, describe, expect, test } from "vitest";
import { seededRandom, TransportError } from "../../../src/core/index.ts";
import { encodePull } from "../../../src/wire/index.ts";
import { startBroker } from "./broker-fixture.ts";
import { metricOf, startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  downTopic,
  openSession,
  PINGREQ,
  publishBytes,
  type RawClient,
  subscribeBytes,
  upTopic,
} from "./raw-client.ts";

afterEach(stopGateways);

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** One round trip behind everything sent so far, so that what should not have come would have. */
async function roundTrip(client: RawClient): Promise<void> {
  const already = client.count("pingresp");
  client.send(PINGREQ);
  await client.next("pingresp", already + 1);
}

describe("the acknowledgement seam", () => {
  test("P1: no PUBACK leaves before the add of its delta has resolved", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await producer.holding(1);
    await roundTrip(client);
    expect(client.pubacks()).toEqual([]);
    producer.releaseAll();
    await client.next("puback");
    expect(client.pubacks()).toEqual([1]);
    expect(producer.added.map((entry) => entry.key)).toEqual([
      { tenant: "default", device: "tv1" },
    ]);
  });

  test("P1: PUBACKs leave in arrival order though a later batch is durable first [MQTT-4.6.0-2]", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(Buffer.concat(range(1, 128).map((id) => publishBytes(id))));
    await producer.holding(128);
    expect(producer.held.map((add) => add.entries.length)).toEqual([64, 64]);
    producer.held[1]?.resolve();
    await roundTrip(client);
    expect(client.pubacks()).toEqual([]);
    producer.held[0]?.resolve();
    await client.next("puback", 128);
    expect(client.pubacks()).toEqual(range(1, 128));
  });

  test("P1: a durable batch acknowledges its own deltas and none of the next", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(Buffer.concat(range(1, 128).map((id) => publishBytes(id))));
    await producer.holding(128);
    producer.held[0]?.resolve();
    await client.next("puback", 64);
    await roundTrip(client);
    expect(client.pubacks()).toEqual(range(1, 64));
  });

  test("P1: 20,000 deltas under random add delays are acknowledged in order, within the window", async () => {
    const { port, producer } = await startGateway();
    const random = seededRandom(20_000);
    let inFlight = 0;
    let inFlightMax = 0;
    producer.answer = (add) => {
      inFlight += add.entries.length;
      inFlightMax = Math.max(inFlightMax, inFlight);
      const done = () => {
        inFlight -= add.entries.length;
        add.resolve();
      };
      if (random.next() < 0.3) setImmediate(done);
      else setTimeout(done, random.next() * 8);
    };
    const client = await openSession(port);
    for (let first = 1; first <= 20_000; first += 1_000) {
      client.send(Buffer.concat(range(first, first + 999).map((id) => publishBytes(id))));
    }
    await client.next("puback", 20_000);
    expect(client.pubacks()).toEqual(range(1, 20_000));
    expect(producer.added).toHaveLength(20_000);
    expect(inFlightMax).toBeGreaterThan(64);
    expect(inFlightMax).toBeLessThanOrEqual(256);
  }, 30_000);

  test("pings are answered while the queue stalls, and the client is kept", async () => {
    const { port, producer } = await startGateway({ limits: { keepaliveSMin: 1 } });
    producer.hold();
    const client = await openSession(port, { keepalive: 1 });
    client.send(Buffer.concat(range(1, 200).map((id) => publishBytes(id))));
    await producer.holding(200);
    for (const _ of range(1, 8)) await roundTrip(client);
    expect(client.pubacks()).toEqual([]);
    producer.releaseAll();
    await client.next("puback", 200);
    expect(client.pubacks()).toEqual(range(1, 200));
  });

  test("a full window holds further deltas back until room is made", async () => {
    const { port, producer } = await startGateway({ limits: { inFlightCountMax: 4 } });
    producer.hold();
    const client = await openSession(port);
    client.send(Buffer.concat(range(1, 10).map((id) => publishBytes(id))));
    await producer.holding(4);
    expect(producer.held.flatMap((add) => add.entries)).toHaveLength(4);
    producer.answer = (add) => add.resolve();
    producer.releaseAll();
    await client.next("puback", 10);
    expect(client.pubacks()).toEqual(range(1, 10));
  });

  test("a client that sends past its wait list is closed, with nothing acknowledged", async () => {
    const { port, producer } = await startGateway({
      limits: { inFlightCountMax: 4, waitingCountMax: 4 },
    });
    producer.hold();
    const client = await openSession(port);
    // Behind a ping they go to the broker, which handles all that it is given in one turn.
    client.send(Buffer.concat([PINGREQ, ...range(1, 9).map((id) => publishBytes(id))]));
    await client.closed;
    expect(client.pubacks()).toEqual([]);
  });

  test("P1: an add that fails until its deadline closes the client without a PUBACK", async () => {
    const { port, producer, metrics } = await startGateway({ limits: { addTimeoutMs: 100 } });
    producer.answer = (add) => add.reject(new TransportError("queue.unavailable", "no queue"));
    const client = await openSession(port);
    client.send(publishBytes(1));
    await client.closed;
    expect(client.pubacks()).toEqual([]);
    const closes = 'omega_gateway_closes_total{reason="queue.unavailable"}';
    expect(await metricOf(metrics, closes)).toBe(1);
  });

  test("P1: a queue that is away for a moment costs a late PUBACK and no connection", async () => {
    const { port, producer, metrics } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await producer.holding(1);
    client.send(Buffer.concat([publishBytes(2), PINGREQ]));
    producer.held.splice(0)[0]?.reject(new TransportError("queue.unavailable", "no queue"));
    await client.next("pingresp");
    expect(client.pubacks()).toEqual([]);
    producer.answer = (add) => add.resolve();
    producer.releaseAll();
    await client.next("puback", 2);
    expect(client.pubacks()).toEqual([1, 2]);
    expect(producer.added).toHaveLength(2);
    const again = 'omega_gateway_adds_again_total{reason="queue.unavailable"}';
    expect(await metricOf(metrics, again)).toBe(1);
    expect(client.isClosed).toBe(false);
  });

  test("P1: an add without an answer counts as unknown: no PUBACK, not even when it lands later", async () => {
    const { port, producer } = await startGateway({ limits: { addTimeoutMs: 20 } });
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await client.closed;
    producer.releaseAll();
    expect(client.pubacks()).toEqual([]);
    // The device resends the same bytes; the aggregator drops the second copy.
    producer.answer = (add) => add.resolve();
    const again = await openSession(port);
    again.send(publishBytes(1, { dup: true }));
    await again.next("puback");
    expect(producer.added).toHaveLength(2);
  });

  test("a socket that closes with deltas in flight disturbs nobody", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const leaving = await openSession(port, { clientId: "leaving" });
    const staying = await openSession(port, { clientId: "staying" });
    leaving.send(publishBytes(1, { topic: upTopic("leaving") }));
    staying.send(publishBytes(2, { topic: upTopic("staying") }));
    await producer.holding(2);
    leaving.end();
    await leaving.closed;
    producer.releaseAll();
    await staying.next("puback");
    expect(staying.pubacks()).toEqual([2]);
    expect(producer.added).toHaveLength(2);
  });

  test("P8: all clients together never hold more bytes than the budget", async () => {
    const inFlightBytesMax = 64 * 1024;
    const { port, producer } = await startGateway({ limits: { inFlightBytesMax } });
    producer.hold();
    const names = range(1, 5).map((number) => `tv${number}`);
    const clients = await Promise.all(names.map((clientId) => openSession(port, { clientId })));
    const payload = Buffer.alloc(8 * 1024);
    for (const [index, client] of clients.entries()) {
      const topic = upTopic(names[index] ?? "");
      client.send(Buffer.concat(range(1, 20).map((id) => publishBytes(id, { topic, payload }))));
    }
    await producer.holding(7);
    let bytesMax = 0;
    producer.answer = (add) => {
      producer.held.push(add);
      setImmediate(() => {
        const bytes = producer.held.flatMap((held) => held.entries).length * payload.length;
        bytesMax = Math.max(bytesMax, bytes);
        producer.releaseAll();
      });
    };
    producer.releaseAll();
    await Promise.all(clients.map((client) => client.next("puback", 20)));
    for (const client of clients) expect(client.pubacks()).toEqual(range(1, 20));
    expect(bytesMax).toBeGreaterThan(0);
    expect(bytesMax).toBeLessThanOrEqual(inFlightBytesMax);
  });
});

describe("what the gateway reads of a frame", () => {
  test("a pull is acknowledged in its turn and never queued", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    client.send(publishBytes(2, { payload: Buffer.from(encodePull(0)) }));
    await producer.holding(1);
    await roundTrip(client);
    expect(client.pubacks()).toEqual([]);
    producer.releaseAll();
    await client.next("puback", 2);
    expect(client.pubacks()).toEqual([1, 2]);
    expect(producer.added).toHaveLength(1);
  });

  test("a pull is answered with the newest release", async () => {
    const { port } = await startGateway();
    const client = await openSession(port);
    client.send(subscribeBytes(1, [downTopic("tv1")]));
    await client.next("publish");
    client.send(publishBytes(2, { payload: Buffer.from(encodePull(0)) }));
    const first = client.all("publish")[0]?.messageId ?? 0;
    client.send(Buffer.of(0x40, 0x02, first >> 8, first & 0xff));
    await client.next("publish", 2);
  });

  test("P2: a frame that cannot be read is queued as it came, so that it is dead-lettered", async () => {
    const { port, producer, metrics } = await startGateway();
    const client = await openSession(port);
    const payloads = [Buffer.from("not a frame"), Buffer.alloc(0), Buffer.alloc(15_900, 0xce)];
    for (const [index, payload] of payloads.entries()) {
      client.send(publishBytes(index + 1, { payload }));
    }
    await client.next("puback", 3);
    expect(producer.added.map((entry) => Buffer.from(entry.frame))).toEqual(payloads);
    expect(await metricOf(metrics, 'omega_gateway_frames_total{kind="unreadable"}')).toBe(3);
  });

  test("an uplink never fans out, whoever listens", async () => {
    const { port } = await startGateway();
    const other = await openSession(port, { clientId: "other" });
    other.send(subscribeBytes(1, ["#", upTopic("tv1"), "+/+/+/+/+/+"]));
    expect(await other.next("suback")).toMatchObject({ granted: [0x80, 0x80, 0x80] });
    const client = await openSession(port);
    client.send(publishBytes(1));
    await client.next("puback");
    await roundTrip(other);
    expect(other.all("publish")).toEqual([]);
  });
});

describe("a device that never reads", () => {
  test("P8: is closed when its PUBACKs pile up", async () => {
    const fixture = await startBroker({ limits: { unreadBytesMax: 1_024 } });
    const { client, serverSide } = fixture.open();
    client.send(connectBytes());
    await client.connack();
    // The socket takes nothing more: what is written to it waits for ever.
    serverSide._write = () => {};
    client.send(Buffer.concat(range(1, 512).map((id) => publishBytes(id))));
    await client.closed;
    expect(await metricOf(fixture.metrics, UNREAD_CLOSES)).toBe(1);
    await fixture.stop();
  });
});

const UNREAD_CLOSES = 'omega_gateway_closes_total{reason="client.unread"}';

describe("what aedes asks on behalf of nobody", () => {
  test("a publish without a client is refused", async () => {
    const fixture = await startBroker();
    const packet = {
      cmd: "publish" as const,
      topic: upTopic("tv1"),
      payload: Buffer.alloc(1),
      qos: 1 as const,
      dup: false,
      retain: false,
      messageId: 1,
    };
    const answer = await new Promise<unknown>((resolve) => {
      fixture.aedes.authorizePublish(null, packet, resolve);
    });
    expect(answer).toMatchObject({ reason: "publish.session" });
    expect(fixture.producer.added).toEqual([]);
    await fixture.stop();
  });
});
