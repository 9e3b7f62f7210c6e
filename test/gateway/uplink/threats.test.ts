/**
 * The rows of the threat table that a device's uplink can meet, each with the
 * answer it must get. Numbers are the table's.
 * @module
 */

import { PassThrough } from "node:stream";
import { generate } from "mqtt-packet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../../src/observe/index.ts";
import { waitFor } from "../../support/wait.ts";
import { type Fixture, metricOf, startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  downTopic,
  openRaw,
  openSession,
  PINGREQ,
  publishBytes,
  type RawClient,
  subscribeBytes,
  upTopic,
} from "./raw-client.ts";

let fixture: Fixture;

beforeEach(async () => {
  fixture = await startGateway();
});
afterEach(stopGateways);

/** A PUBLISH whose topic is the given bytes, whatever they are. */
function publishTopicBytes(topic: Buffer, messageId = 1): Buffer {
  const body = Buffer.concat([
    Buffer.of(topic.length >> 8, topic.length & 0xff),
    topic,
    Buffer.of(messageId >> 8, messageId & 0xff),
    Buffer.from("x"),
  ]);
  return Buffer.concat([Buffer.of(0x32), remainingLength(body.length), body]);
}

function remainingLength(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.from(bytes);
}

async function closedUnacknowledged(client: RawClient): Promise<void> {
  await client.closed;
  expect(client.pubacks()).toEqual([]);
  expect(client.count("pubrec")).toBe(0);
  expect(fixture.producer.added).toEqual([]);
}

async function stillServed(client: RawClient): Promise<void> {
  const already = client.count("pingresp");
  client.send(PINGREQ);
  await client.next("pingresp", already + 1);
}

describe("THREATS 3: publishing for another device closes the socket without PUBACK", () => {
  test.each([
    ["another device", upTopic("tv2")],
    ["another tenant", upTopic("tv1", "other")],
    ["a prefix of its own id", upTopic("tv")],
    ["its own id with more behind", upTopic("tv12")],
    ["a parent step", `${upTopic("tv1")}/..`],
    ["case", upTopic("TV1")],
    ["a percent form", upTopic("tv%31")],
    ["a composed letter", upTopic("tv1\u0301")],
    ["a full-width digit", upTopic("tv\uff11")],
    ["a trailing slash", `${upTopic("tv1")}/`],
    ["a leading slash", `/${upTopic("tv1")}`],
    ["its own down topic", downTopic("tv1")],
    ["a wildcard", "omega/v1/default/d/+/up"],
    ["another protocol version", "omega/v2/default/d/tv1/up"],
    ["an empty topic", ""],
  ])("%s", async (_name, topic) => {
    const client = await openSession(fixture.port);
    client.send(publishTopicBytes(Buffer.from(topic)));
    await closedUnacknowledged(client);
  });
});

describe("THREATS 4: forbidden bytes in a topic close the socket", () => {
  test.each([
    ["U+0000", Buffer.of(0)],
    ["an overlong slash", Buffer.of(0xc0, 0xaf)],
    ["a surrogate", Buffer.of(0xed, 0xa0, 0x80)],
    ["no UTF-8 at all", Buffer.of(0xff, 0xfe)],
  ])("%s", async (_name, bytes) => {
    const whole = await openSession(fixture.port);
    whole.send(publishTopicBytes(bytes));
    await closedUnacknowledged(whole);
    const behind = await openSession(fixture.port);
    behind.send(publishTopicBytes(Buffer.concat([Buffer.from(upTopic("tv1")), bytes])));
    await closedUnacknowledged(behind);
    const filter = await openSession(fixture.port);
    const length = Buffer.of(0, bytes.length);
    const body = Buffer.concat([Buffer.of(0, 1), length, bytes, Buffer.of(1)]);
    filter.send(Buffer.concat([Buffer.of(0x82), remainingLength(body.length), body]));
    await filter.closed;
    expect(filter.count("suback")).toBe(0);
  });

  test("packet identifier 0 closes the socket", async () => {
    const client = await openSession(fixture.port);
    client.send(publishTopicBytes(Buffer.from(upTopic("tv1")), 0));
    await closedUnacknowledged(client);
  });

  test("a string that claims more than its packet closes the socket", async () => {
    const client = await openSession(fixture.port);
    client.send(Buffer.concat([Buffer.of(0x32, 0x04, 0x00, 0x16, 0x6f, 0x6d), publishBytes(7)]));
    await closedUnacknowledged(client);
  });
});

test("THREATS 5: publishing to $SYS closes the attacker, and the victim stays", async () => {
  const victim = await openSession(fixture.port, { clientId: "victim" });
  for (const payload of ["victim", "default/victim"]) {
    const attacker = await openSession(fixture.port, { clientId: "attacker" });
    const topic = "$SYS/x/new/clients";
    attacker.send(publishBytes(1, { topic, payload: Buffer.from(payload) }));
    await closedUnacknowledged(attacker);
    const willing = await openRaw(fixture.port);
    const will = { topic, payload: Buffer.from(payload) };
    willing.send(connectBytes({ clientId: "attacker", will }));
    expect(await willing.connack()).toBe(5);
  }
  await stillServed(victim);
});

describe("THREATS 6: every filter but its own two and its tenant's models is answered 0x80", () => {
  test.each([
    "#",
    "+/+",
    "$SYS/#",
    "$share/g/#",
    `$share/g/${downTopic("tv1")}`,
    "omega/v1/default/d/+/down",
    "omega/v1/default/d/tv1/#",
    "omega/v1/default/d/tv1/+",
    downTopic("tv2"),
    downTopic("tv1", "other"),
    downTopic("TV1"),
    `${downTopic("tv1")}/`,
    `/${downTopic("tv1")}`,
    upTopic("tv1"),
    "omega/v1/default/codec/#",
    "omega/v1/default/codec/+",
    "omega/v1/default/codec/0",
    "omega/v1/default/codec/01",
    "omega/v1/default/codec/65536",
    "omega/v1/other/codec/1",
    "omega/v1/+/codec/1",
    "constructor",
    "__proto__",
  ])("%s", async (filter) => {
    const client = await openSession(fixture.port);
    client.send(subscribeBytes(1, [filter]));
    expect(await client.next("suback")).toMatchObject({ messageId: 1, granted: [0x80] });
    await stillServed(client);
    expect(client.count("publish")).toBe(0);
  });

  test("its own two topics are granted", async () => {
    const client = await openSession(fixture.port);
    client.send(subscribeBytes(1, [downTopic("tv1"), "omega/v1/default/d/tv1/err"]));
    expect(await client.next("suback")).toMatchObject({ granted: [1, 1] });
  });

  test("P8: four codec topics are granted at once, and one more when one is given back", async () => {
    const client = await openSession(fixture.port);
    const models = [1, 2, 3, 4, 5, 1].map((version) => `omega/v1/default/codec/${version}`);
    client.send(subscribeBytes(1, models.slice(0, 4)));
    expect(await client.next("suback")).toMatchObject({ granted: [1, 1, 1, 1] });
    client.send(subscribeBytes(2, models.slice(4)));
    expect(await client.next("suback", 2)).toMatchObject({ granted: [0x80, 1] });
    const unsubscriptions = ["omega/v1/default/codec/2"];
    client.send(generate({ cmd: "unsubscribe", messageId: 3, unsubscriptions }));
    await client.next("unsuback");
    client.send(subscribeBytes(4, models.slice(4)));
    expect(await client.next("suback", 3)).toMatchObject({ granted: [1, 1] });
  });
});

test("THREATS 7: a refused filter beside a granted one is not kept, not even across a reconnect", async () => {
  const login = { clientId: "attacker", clean: false };
  const attacker = await openSession(fixture.port, login);
  const others = [downTopic("victim"), "#", upTopic("victim")];
  attacker.send(subscribeBytes(1, [downTopic("attacker"), ...others]));
  expect(await attacker.next("suback")).toMatchObject({ granted: [1, 0x80, 0x80, 0x80] });
  attacker.end();

  const victim = await openSession(fixture.port, { clientId: "victim" });
  victim.send(subscribeBytes(1, [downTopic("victim")]));
  await victim.next("publish");
  victim.send(publishBytes(2, { topic: upTopic("victim") }));
  await victim.next("puback");

  const again = await openSession(fixture.port, login);
  await again.next("publish");
  victim.send(publishBytes(3, { topic: upTopic("victim") }));
  await victim.next("puback", 2);
  await stillServed(again);
  const topics = new Set(again.all("publish").map((packet) => "topic" in packet && packet.topic));
  expect([...topics]).toEqual([downTopic("attacker")]);
});

describe("THREATS 8: a will is refused with CONNACK 5", () => {
  test.each(["#", "a/+/b", "a\u0000b", downTopic("tv2"), upTopic("tv1"), "harmless"])(
    "%j",
    async (topic) => {
      const client = await openRaw(fixture.port);
      client.send(connectBytes({ will: { topic, payload: Buffer.from("x"), retain: true } }));
      expect(await client.connack()).toBe(5);
      await client.closed;
      expect(fixture.gateway.sessionCount).toBe(0);
    },
  );
});

test("THREATS 9: a retained PUBLISH closes the socket", async () => {
  const client = await openSession(fixture.port);
  client.send(publishBytes(1, { retain: true }));
  await closedUnacknowledged(client);
});

describe("THREATS 10: a delta with QoS 0 or 2 closes the socket", () => {
  test.each([0, 2] as const)("QoS %i", async (qos) => {
    const client = await openSession(fixture.port);
    client.send(publishBytes(1, { qos }));
    await closedUnacknowledged(client);
  });

  test("the forbidden QoS 3", async () => {
    const client = await openSession(fixture.port);
    const bytes = publishBytes(1);
    bytes[0] = 0x36;
    client.send(bytes);
    await closedUnacknowledged(client);
  });
});

describe("THREATS 12: a packet that declares too much is never read", () => {
  test("before CONNACK more than 2 KB, after it more than 16 KB", async () => {
    const before = await openRaw(fixture.port);
    before.send(Buffer.concat([Buffer.of(0x10), remainingLength(2 * 1024 + 1)]));
    await before.closed;
    expect(before.heard).toEqual([]);

    const after = await openSession(fixture.port);
    after.send(Buffer.concat([Buffer.of(0x32), remainingLength(16 * 1024 + 1)]));
    await closedUnacknowledged(after);
  });

  test("the largest packets that are allowed pass", async () => {
    const client = await openRaw(fixture.port);
    const bytes = connectBytes({ username: "tv1", password: Buffer.alloc(2_000) });
    expect(bytes.length).toBeLessThan(2 * 1024 + 3);
    client.send(bytes);
    expect(await client.connack()).toBe(0);
    const payload = Buffer.alloc(16 * 1024 - 4 - upTopic("tv1").length);
    client.send(publishBytes(1, { payload }));
    await client.next("puback");
    expect(fixture.producer.added[0]?.frame.length).toBe(payload.length);
  });

  test("1,000 sockets that each declare 256 MB cost next to nothing", async () => {
    const start = process.memoryUsage();
    const hostile = Buffer.concat([Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f), Buffer.alloc(1_024)]);
    for (let round = 0; round < 10; round += 1) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => openRaw(fixture.port)));
      for (const client of clients) client.send(hostile);
      await Promise.all(clients.map((client) => client.closed));
    }
    const end = process.memoryUsage();
    expect(end.arrayBuffers - start.arrayBuffers).toBeLessThan(50 * 1024 * 1024);
  });
});

describe("THREATS 13: nobody stays in the hall", () => {
  test.each([
    ["silence", Buffer.alloc(0)],
    ["half a CONNECT", connectBytes().subarray(0, 9)],
    ["a fixed header", Buffer.of(0x10)],
  ])("%s is closed at the deadline", async (_name, bytes) => {
    const { port, metrics } = await startGateway({ limits: { connectDeadlineMs: 40 } });
    const client = await openRaw(port);
    if (bytes.length > 0) client.send(bytes);
    await client.closed;
    expect(client.heard).toEqual([]);
    const deadline = 'omega_gateway_turned_away_total{reason="deadline"}';
    expect(await metricOf(metrics, deadline)).toBe(1);
  });

  test("a CONNECT that dribbles in byte by byte is closed at the deadline all the same", async () => {
    const { port, metrics } = await startGateway({ limits: { connectDeadlineMs: 100 } });
    const client = await openRaw(port);
    // The length says that there is more to come than will ever be sent in time.
    const bytes = connectBytes({ username: "u".repeat(1_000) });
    let sent = 0;
    const dribble = setInterval(() => {
      client.send(bytes.subarray(sent, sent + 1));
      sent += 1;
    }, 5);
    await client.closed;
    clearInterval(dribble);
    expect(client.heard).toEqual([]);
    expect(sent).toBeGreaterThan(1);
    const deadline = 'omega_gateway_turned_away_total{reason="deadline"}';
    expect(await metricOf(metrics, deadline)).toBe(1);
  });

  test("an accepted session outlives the deadline", async () => {
    const { port, metrics } = await startGateway({ limits: { connectDeadlineMs: 40 } });
    const client = await openSession(port);
    const silent = await openRaw(port);
    await silent.closed;
    await stillServed(client);
    expect(await metricOf(metrics, "omega_gateway_unauthenticated_count")).toBe(0);
  });

  test("sockets beyond the cap for the unaccepted are closed at once, accepted ones do not count", async () => {
    const { port } = await startGateway({ limits: { unauthenticatedMax: 2 } });
    for (const clientId of ["a", "b", "c"]) await openSession(port, { clientId });
    const [one, two] = [await openRaw(port), await openRaw(port)];
    const three = await openRaw(port);
    await three.closed;
    expect([one.isClosed, two.isClosed]).toEqual([false, false]);
  });
});

describe("THREATS 14: keepalive out of bounds is refused with CONNACK 5", () => {
  test.each([
    [0, 5],
    [4, 5],
    [5, 0],
    [3_600, 0],
    [3_601, 5],
    [65_535, 5],
  ])("keepalive %i → %i", async (keepalive, code) => {
    const client = await openRaw(fixture.port);
    client.send(connectBytes({ keepalive }));
    expect(await client.connack()).toBe(code);
  });
});

describe("THREATS 15: a SUBSCRIBE of many filters never reaches the broker", () => {
  const filters = (count: number) => Array.from({ length: count }, (_, index) => `f${index}`);

  test.each([9, 2_000])("%i filters close the socket", async (count) => {
    const client = await openSession(fixture.port, { clean: false });
    const bytes = subscribeBytes(1, filters(count));
    expect(bytes.length).toBeLessThan(16 * 1024);
    client.send(bytes);
    await client.closed;
    expect(client.count("suback")).toBe(0);
    const closes = 'omega_gateway_closes_total{reason="packet.filters"}';
    expect(await metricOf(fixture.metrics, closes)).toBe(1);
  });

  test("10,000 filters are cut off by the length they announce", async () => {
    const client = await openSession(fixture.port, { clean: false });
    client.send(subscribeBytes(1, filters(10_000)));
    await client.closed;
    expect(client.count("suback")).toBe(0);
    const closes = 'omega_gateway_closes_total{reason="packet.size"}';
    expect(await metricOf(fixture.metrics, closes)).toBe(1);
  });

  test("8 filters are answered one by one", async () => {
    const client = await openSession(fixture.port);
    client.send(subscribeBytes(1, filters(8)));
    expect(await client.next("suback")).toMatchObject({ granted: Array(8).fill(0x80) });
  });

  test("9 filters to unsubscribe close the socket", async () => {
    const client = await openSession(fixture.port);
    client.send(generate({ cmd: "unsubscribe", messageId: 1, unsubscriptions: filters(9) }));
    await client.closed;
    expect(client.count("unsuback")).toBe(0);
  });

  test("one SUBSCRIBE after the other is stopped by the session's rate", async () => {
    const client = await openSession(fixture.port);
    for (let id = 1; id <= 40; id += 1) client.send(subscribeBytes(id, [downTopic("tv1")]));
    await client.closed;
    expect(client.count("suback")).toBeLessThanOrEqual(17);
  });
});

describe("THREATS 22, 23: names", () => {
  test.each(["constructor", "__proto__", "toString", "meta", "stalled"])(
    "a device called %s is a device like any other",
    async (clientId) => {
      const client = await openSession(fixture.port, { clientId, clean: false });
      client.send(subscribeBytes(1, [downTopic(clientId)]));
      expect(await client.next("suback")).toMatchObject({ granted: [1] });
      client.send(publishBytes(2, { topic: upTopic(clientId) }));
      await client.next("puback");
      expect(fixture.producer.added[0]?.key).toEqual({ tenant: "default", device: clientId });
    },
  );

  test.each(["a\nINFO forged", "\u202Eevil", "\u001b[2J", "a/b", "a.b", "", "x".repeat(65)])(
    "client id %j is refused with CONNACK 2 and never logged",
    async (clientId) => {
      const lines = new PassThrough();
      const log = createLogger({ level: "debug", name: "gateway", destination: lines });
      const { port, metrics } = await startGateway({ log });
      const client = await openRaw(port);
      client.send(connectBytes({ clientId, username: clientId }));
      expect(await client.connack()).toBe(2);
      const closes = 'omega_gateway_closes_total{reason="connect.clientid"}';
      await waitFor(async () => (await metricOf(metrics, closes)) === 1);
      const text = String(lines.read());
      expect(text).toContain("connect.clientid");
      if (clientId !== "") expect(text).not.toContain(clientId.slice(1));
      for (const line of text.trim().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
    },
  );
});
