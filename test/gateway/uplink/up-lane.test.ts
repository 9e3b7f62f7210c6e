/**
 * The deltas' lane past aedes. What it may take is compared with mqtt-packet and
 * the access rules; what it does to a session, with the same packets behind a
 * ping, which the broker handles itself.
 * @module
 */
import fc from "fast-check";
import { parser } from "mqtt-packet";
import { afterEach, describe, expect, test } from "vitest";
import { publishRefusal, topicsOf } from "../../../gateway/acl.ts";
import { PacketFramer } from "../../../gateway/framer.ts";
import { takeDelta } from "../../../gateway/up-lane.ts";
import { TransportError } from "../../../src/core/index.ts";
import { encodePull } from "../../../src/wire/index.ts";
import { waitFor } from "../../support/wait.ts";
import { type BrokerFixtureOptions, startBroker } from "./broker-fixture.ts";
import { metricOf } from "./fixture.ts";
import {
  connectBytes,
  DISCONNECT,
  downTopic,
  PINGREQ,
  publishBytes,
  type RawClient,
  subscribeBytes,
  upTopic,
} from "./raw-client.ts";

const TOPIC = Buffer.from(upTopic("tv1"));
const TOPICS = topicsOf({ tenant: "default", device: "tv1" });
const PUBACK_5 = Buffer.of(0x40, 0x02, 0x00, 0x05);

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
const turn = () => new Promise(setImmediate);

/** The same short packet with identifier 0. */
function withoutIdentifier(packet: Buffer): Buffer {
  const at = 2 + 2 + TOPIC.length;
  return Buffer.from(packet).fill(0, at, at + 2);
}

interface Delta {
  readonly packetId: number;
  readonly frame: Buffer;
}

/** What the lane takes of one whole packet; null when it leaves it. */
function taken(packet: Buffer): Delta | null {
  let delta: Delta | null = null;
  const take = (packetId: number, frame: Buffer) => {
    delta = { packetId, frame: Buffer.from(frame) };
  };
  const headerBytes = 1 + packet.subarray(1).findIndex((byte) => byte < 0x80) + 1;
  expect(takeDelta({ topic: TOPIC, take }, packet, headerBytes)).toBe(delta !== null);
  return delta;
}

/** What mqtt-packet reads and the access rules let pass. */
function allowed(packet: Buffer): Delta | null {
  const found: Delta[] = [];
  const parsing = parser({ protocolVersion: 4 });
  parsing.on("error", () => {});
  parsing.on("packet", (read) => {
    if (read.cmd !== "publish" || publishRefusal(TOPICS, read) !== null) return;
    found.push({ packetId: read.messageId ?? 0, frame: Buffer.from(read.payload) });
  });
  parsing.parse(packet);
  return found[0] ?? null;
}

describe("what the lane takes", () => {
  test.each([
    ["a delta", publishBytes(7)],
    ["a delta sent again", publishBytes(7, { dup: true })],
    ["an empty one", publishBytes(7, { payload: Buffer.alloc(0) })],
    ["the largest identifier", publishBytes(65_535)],
    ["one of three length bytes", publishBytes(7, { payload: Buffer.alloc(16_000, 1) })],
  ])("%s", (_what, packet) => {
    expect(taken(packet)).toEqual(allowed(packet));
    expect(taken(packet)).not.toBeNull();
  });

  test.each([
    ["QoS 0", publishBytes(7, { qos: 0 })],
    ["QoS 2", publishBytes(7, { qos: 2 })],
    ["RETAIN", publishBytes(7, { retain: true })],
    ["another device's topic", publishBytes(7, { topic: upTopic("tv2") })],
    ["another line", publishBytes(7, { topic: downTopic("tv1") })],
    ["a longer topic", publishBytes(7, { topic: `${TOPIC}/x`, payload: Buffer.alloc(0) })],
    ["a shorter topic", publishBytes(7, { topic: TOPIC.toString().slice(0, -1) })],
    ["identifier 0", withoutIdentifier(publishBytes(7))],
    [
      "no room for the identifier",
      Buffer.concat([Buffer.of(0x32, 2 + TOPIC.length, 0, TOPIC.length), TOPIC]),
    ],
    ["no topic", Buffer.of(0x32, 0x00)],
    ["a ping", PINGREQ],
    ["a SUBSCRIBE", subscribeBytes(7, [upTopic("tv1")])],
  ])("never %s", (_what, packet) => {
    expect(taken(packet)).toBeNull();
  });

  test("agrees with mqtt-packet and the access rules on any mutation of a delta", () => {
    const whole = publishBytes(7, { payload: Buffer.from("payload") });
    const mutation = fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        const packet = Buffer.from(whole);
        // The length is the framer's: what it hands over is whole.
        for (const { at, value } of mutations) if (at !== 1) packet[at] = value;
        expect(taken(packet)).toEqual(allowed(packet));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("the lane in the framer", () => {
  const PACKETS = [
    publishBytes(1, { payload: Buffer.alloc(300, 7) }),
    publishBytes(2, { payload: Buffer.alloc(0) }),
    PINGREQ,
    publishBytes(3, { dup: true }),
    subscribeBytes(4, [downTopic("tv1")]),
    publishBytes(5, { topic: upTopic("tv2") }),
    publishBytes(6, { payload: Buffer.alloc(200, 9) }),
    PUBACK_5,
    publishBytes(7),
    publishBytes(8),
  ];
  const STREAM = Buffer.concat(PACKETS);

  /** Feeds `chunks`; `broker` says whether it reads at once. Answers all packets in the order they left. */
  function run(chunks: readonly Buffer[], reads: (index: number) => boolean = () => true) {
    const left: Buffer[] = [];
    let unread = false;
    const laned: number[] = [];
    const lane = {
      topic: TOPIC,
      isFree: () => !unread,
      take: (packetId: number, frame: Buffer) => {
        laned.push(packetId);
        const dup = packetId === 3;
        left.push(publishBytes(packetId, { payload: Buffer.from(frame), dup }));
      },
    };
    const framer = new PacketFramer();
    framer.push(connectBytes());
    framer.take();
    framer.open(lane);
    const readAll = () => {
      for (let next = framer.take(); next !== null; next = framer.take()) {
        left.push(Buffer.from(next));
      }
      unread = false;
    };
    for (const [index, chunk] of chunks.entries()) {
      framer.push(chunk);
      if (reads(index)) readAll();
      else unread = true;
    }
    readAll();
    return { left: Buffer.concat(left), laned };
  }

  test("every packet leaves once and in order, wherever the stream is cut", () => {
    for (let cut = 0; cut <= STREAM.length; cut += 1) {
      const { left, laned } = run([STREAM.subarray(0, cut), STREAM.subarray(cut)]);
      expect(left.equals(STREAM)).toBe(true);
      expect(laned.slice(0, 2)).toEqual([1, 2]);
    }
  });

  test("from single bytes, every delta of the device takes the lane", () => {
    const { left, laned } = run([...STREAM].map((byte) => Buffer.of(byte)));
    expect(left.equals(STREAM)).toBe(true);
    expect(laned).toEqual([1, 2, 3, 6, 7, 8]);
  });

  test("from any cuts, with a broker that reads when it likes, in order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(STREAM.length), { maxLength: 20 }),
        fc.infiniteStream(fc.boolean()),
        (cuts, reads) => {
          const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
          const chunks = at.slice(1).map((end, index) => STREAM.subarray(at[index], end));
          const { left } = run(chunks, () => reads.next().value ?? true);
          expect(left.equals(STREAM)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("behind a packet for the broker in one chunk, deltas go to the broker too", () => {
    expect(run([STREAM]).laned).toEqual([1, 2]);
  });

  test("nothing is taken while the broker has not read, nor before the CONNECT is accepted", () => {
    expect(run(PACKETS, (index) => index === 8).laned).toEqual([1, 8]);
    const framer = new PacketFramer();
    framer.push(Buffer.concat([connectBytes(), publishBytes(1)]));
    const laned: number[] = [];
    framer.take();
    expect(framer.take()).toBeNull();
    framer.open({ topic: TOPIC, isFree: () => true, take: (packetId) => laned.push(packetId) });
    expect(laned).toEqual([1]);
  });
});

type Fixture = Awaited<ReturnType<typeof startBroker>>;
const running: Fixture[] = [];

afterEach(async () => {
  for (const fixture of running.splice(0)) await fixture.stop();
});

/** A session, and how many publishes aedes was asked about. */
async function session(options: BrokerFixtureOptions = {}) {
  const fixture = await startBroker(options);
  running.push(fixture);
  const { aedes } = fixture;
  const ask = aedes.authorizePublish;
  const asked = { count: 0 };
  aedes.authorizePublish = (...args) => {
    asked.count += 1;
    ask(...args);
  };
  const { client } = fixture.open();
  client.send(connectBytes());
  expect(await client.connack()).toBe(0);
  await waitFor(() => fixture.ready.length === 1);
  return { ...fixture, client, asked };
}

async function roundTrip(client: RawClient): Promise<void> {
  const already = client.count("pingresp");
  client.send(PINGREQ);
  await client.next("pingresp", already + 1);
}

describe("a session with the lane", () => {
  test("aedes is not asked about deltas, only about those behind another packet", async () => {
    const { client, asked, producer } = await session();
    client.send(Buffer.concat([publishBytes(1), publishBytes(2)]));
    await client.next("puback", 2);
    expect(asked.count).toBe(0);
    client.send(Buffer.concat([publishBytes(3), PINGREQ, publishBytes(4)]));
    await client.next("puback", 4);
    expect(asked.count).toBe(1);
    expect(client.pubacks()).toEqual([1, 2, 3, 4]);
    expect(producer.added).toHaveLength(4);
  });

  const own = (id: number, fields: Parameters<typeof publishBytes>[1] = {}) =>
    publishBytes(id, { payload: Buffer.from(`frame ${id}`), ...fields });
  const SCRIPTS: readonly (readonly [string, readonly Buffer[]])[] = [
    ["deltas in one chunk", [Buffer.concat(range(1, 100).map((id) => own(id)))]],
    ["deltas one by one", range(1, 20).map((id) => own(id))],
    ["a delta sent twice", [own(1), own(1, { dup: true })]],
    ["a pull between deltas", [own(1), own(2, { payload: Buffer.from(encodePull(0)) }), own(3)]],
    ["a SUBSCRIBE between deltas", [own(1), subscribeBytes(2, [downTopic("tv1")]), own(3)]],
    ["all in one chunk", [Buffer.concat([own(1), PINGREQ, own(2), PUBACK_5, own(3)])]],
    ["a DISCONNECT behind deltas", [Buffer.concat([own(1), own(2), DISCONNECT, own(3)])]],
    ["another device's topic", [Buffer.concat([own(1, { topic: upTopic("tv2") }), own(2)])]],
    ["QoS 0", [own(1, { qos: 0 })]],
    ["QoS 2", [own(1, { qos: 2 })]],
    ["RETAIN", [own(1, { retain: true })]],
    ["identifier 0", [withoutIdentifier(own(1))]],
    ["a length of five bytes", [Buffer.of(0x32, 0xff, 0xff, 0xff, 0xff, 0x01)]],
    ["a length beyond the bound", [Buffer.of(0x32, 0xff, 0xff, 0x7f)]],
    ["a topic longer than its packet", [Buffer.of(0x32, 0x04, 0xff, 0xff, 0x61, 0x62)]],
    ["a second CONNECT", [connectBytes()]],
  ];

  /** What a script leads to: PUBACKs, what was stored, and why the connection closed. */
  async function outcome(chunks: readonly Buffer[]) {
    const { client, producer, metrics, broker } = await session();
    for (const chunk of chunks) {
      client.send(chunk);
      await turn();
    }
    client.send(PINGREQ);
    await client
      .until(() => client.isClosed || client.count("pingresp") > 0, "an end")
      .catch(() => {});
    for (let count = 0; count < 20; count += 1) await turn();
    await broker.retire("default/tv1");
    await client.closed;
    const queued = await metricOf(metrics, 'omega_gateway_frames_total{kind="unreadable"}');
    await waitFor(() => producer.added.length === queued);
    const text = await metrics.render();
    return {
      pubacks: client.pubacks(),
      frames: producer.added.map((entry) => Buffer.from(entry.frame).toString()),
      closes: text.split("\n").filter((line) => line.startsWith("omega_gateway_closes_total{")),
      kinds: text.split("\n").filter((line) => line.startsWith("omega_gateway_frames_total{")),
    };
  }

  test.each(SCRIPTS)("answers as the broker does: %s", async (_what, chunks) => {
    const withLane = await outcome(chunks);
    const behindPings = await outcome(chunks.map((chunk) => Buffer.concat([PINGREQ, chunk])));
    expect(withLane).toEqual(behindPings);
  });

  test("a delta puts the keepalive off [MQTT-3.1.2-24]", async () => {
    const { client, ready } = await session();
    const inner = ready[0]?.client as unknown as { _keepaliveTimer: NodeJS.Timeout } | undefined;
    if (inner === undefined) throw new Error("the session is ready");
    const timer = inner._keepaliveTimer;
    let refreshed = 0;
    const refresh = timer.refresh.bind(timer);
    timer.refresh = () => {
      refreshed += 1;
      return refresh();
    };
    client.send(publishBytes(1));
    await client.next("puback");
    expect(refreshed).toBe(1);
  });

  test("P1: deltas of a session that is taken over in the middle of a packet", async () => {
    const { client, producer, open, broker } = await session();
    producer.hold();
    const half = publishBytes(2);
    client.send(Buffer.concat([publishBytes(1), half.subarray(0, 20)]));
    await producer.holding(1);
    const { client: second } = open();
    second.send(connectBytes());
    expect(await second.connack()).toBe(0);
    client.send(half.subarray(20));
    await client.closed;
    producer.answer = (add) => add.resolve();
    producer.releaseAll();
    second.send(publishBytes(1));
    await second.next("puback");
    expect(client.pubacks()).toEqual([]);
    expect(second.pubacks()).toEqual([1]);
    expect(producer.added).toHaveLength(2);
    expect(broker.sessionCount).toBe(1);
  });

  test("P1: an add that fails until its deadline closes the client without the PUBACKs of that batch", async () => {
    const { client, producer, metrics } = await session({ limits: { addTimeoutMs: 100 } });
    producer.answer = (add) => add.reject(new TransportError("queue.unavailable", "no queue"));
    client.send(Buffer.concat([publishBytes(1), publishBytes(2)]));
    await client.closed;
    expect(client.pubacks()).toEqual([]);
    const closes = 'omega_gateway_closes_total{reason="queue.unavailable"}';
    expect(await metricOf(metrics, closes)).toBe(1);
  });

  test("P8: with a full window no more is taken, pings are answered, and room goes on with the rest", async () => {
    const { client, producer } = await session({ limits: { inFlightCountMax: 4 } });
    producer.hold();
    client.send(Buffer.concat(range(1, 200).map((id) => publishBytes(id))));
    await producer.holding(4);
    for (let count = 0; count < 20; count += 1) await turn();
    expect(producer.held.flatMap((add) => add.entries)).toHaveLength(4);
    expect(client.isClosed).toBe(false);
    producer.answer = (add) => add.resolve();
    producer.releaseAll();
    await client.next("puback", 200);
    expect(client.pubacks()).toEqual(range(1, 200));
    await roundTrip(client);
  });

  test("a session that retires takes nothing further, and acknowledges what it took", async () => {
    const { client, producer, broker } = await session();
    producer.hold();
    client.send(publishBytes(1));
    await producer.holding(1);
    const retired = broker.retire("default/tv1");
    client.send(publishBytes(2));
    await turn();
    producer.releaseAll();
    await retired;
    await client.closed;
    expect(client.pubacks()).toEqual([1]);
    expect(producer.added).toHaveLength(1);
  });
});
