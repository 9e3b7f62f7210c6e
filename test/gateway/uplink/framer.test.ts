import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PacketFramer } from "../../../gateway/framer.ts";
import { startBroker } from "./broker-fixture.ts";
import { connectBytes, downTopic, PINGREQ, publishBytes, subscribeBytes } from "./raw-client.ts";

const CONNECT = connectBytes({ username: "tv1", password: "secret" });
const REST = [
  publishBytes(1, { payload: Buffer.alloc(300, 7) }),
  subscribeBytes(2, [downTopic("tv1"), "other"]),
  PINGREQ,
  publishBytes(3, { payload: Buffer.alloc(0) }),
  Buffer.of(0x40, 0x02, 0x00, 0x05),
  publishBytes(4, { payload: Buffer.alloc(9_000, 9) }),
];

function takeAll(framer: PacketFramer): Buffer {
  const taken: Buffer[] = [];
  for (let next = framer.take(); next !== null; next = framer.take()) taken.push(Buffer.from(next));
  return Buffer.concat(taken);
}

/** Feeds `chunks`, opening as soon as the CONNECT is out; returns all that came out. */
function run(chunks: readonly Buffer[]): Buffer {
  const framer = new PacketFramer();
  const out: Buffer[] = [];
  let open = false;
  for (const chunk of chunks) {
    framer.push(chunk);
    out.push(takeAll(framer));
    if (!open && out.some((bytes) => bytes.length > 0)) {
      open = true;
      expect(Buffer.concat(out)).toEqual(CONNECT);
      framer.open();
      out.push(takeAll(framer));
    }
  }
  return Buffer.concat(out);
}

describe("the framer", () => {
  const whole = Buffer.concat([CONNECT, ...REST]);
  const short = Buffer.concat([CONNECT, ...REST.slice(0, 5)]);

  test("releases the same packets wherever the stream is cut once", () => {
    for (let cut = 0; cut <= short.length; cut += 1) {
      const released = run([short.subarray(0, cut), short.subarray(cut)]);
      expect(released.equals(short)).toBe(true);
    }
  });

  test("releases the same packets from single bytes", () => {
    expect(run([...whole].map((byte) => Buffer.of(byte))).equals(whole)).toBe(true);
  });

  test("releases the same packets from any cuts, and only whole ones at any time", () => {
    const ends = new Set([0]);
    for (const packet of [CONNECT, ...REST]) ends.add(Math.max(...ends) + packet.length);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const framer = new PacketFramer();
        let released = 0;
        for (let index = 1; index < at.length; index += 1) {
          framer.push(whole.subarray(at[index - 1], at[index]));
          released += takeAll(framer).length;
          if (released === CONNECT.length && ends.has(released) && !opened.has(framer)) {
            opened.add(framer);
            framer.open();
            released += takeAll(framer).length;
          }
          expect(ends.has(released)).toBe(true);
        }
        expect(released).toBe(whole.length);
      }),
    );
  });
  const opened = new WeakSet<PacketFramer>();

  test("releases nothing behind the CONNECT until it is opened", () => {
    const framer = new PacketFramer();
    framer.push(whole);
    expect(takeAll(framer)).toEqual(CONNECT);
    framer.open();
    expect(takeAll(framer)).toEqual(Buffer.concat(REST));
  });

  test("gives the broker at most 64 packets in one turn", () => {
    const framer = new PacketFramer();
    framer.push(CONNECT);
    framer.take();
    framer.open();
    framer.push(Buffer.concat(Array.from({ length: 1_000 }, () => PINGREQ)));
    expect(framer.take()).toHaveLength(64 * PINGREQ.length);
  });

  test("P8: a peer may not send more than a bounded amount ahead of its CONNACK", () => {
    const framer = new PacketFramer();
    framer.push(CONNECT);
    const chunk = Buffer.alloc(64 * 1024);
    framer.push(chunk);
    framer.push(chunk);
    expect(() => framer.push(chunk)).toThrow(expect.objectContaining({ reason: "packet.early" }));
  });

  test("P8: any bytes either pass, wait, or are refused with a typed error", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (chunks) => {
        const framer = new PacketFramer();
        framer.push(CONNECT);
        framer.take();
        framer.open();
        try {
          for (const chunk of chunks) framer.push(Buffer.from(chunk));
        } catch (error) {
          expect(error).toMatchObject({ code: "Protocol" });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("one mutated byte never makes it throw anything but a typed error", () => {
    const body = Buffer.concat(REST.slice(0, 5));
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.nat(255), (index, value) => {
        const framer = new PacketFramer();
        framer.push(CONNECT);
        framer.take();
        framer.open();
        const mutated = Buffer.from(body);
        mutated[index] = value;
        try {
          framer.push(mutated);
        } catch (error) {
          expect(error).toMatchObject({ code: "Protocol" });
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("the guard before a real broker", () => {
  test("a session works though every packet arrives cut at every byte", async () => {
    const fixture = await startBroker();
    const session = Buffer.concat([CONNECT, publishBytes(1), PINGREQ]);
    const { client } = fixture.open();
    for (const byte of session) client.send(Buffer.of(byte));
    await client.next("pingresp");
    await client.next("puback");
    for (let cut = 1; cut < session.length; cut += 1) {
      const { client: next } = fixture.open();
      next.send(session.subarray(0, cut));
      await new Promise(setImmediate);
      next.send(session.subarray(cut));
      await next.next("pingresp");
      await next.next("puback");
      expect(next.pubacks()).toEqual([1]);
      next.end();
      await next.closed;
    }
    await fixture.stop();
  });

  test("a client that floods is read no faster than its deltas become durable", async () => {
    const fixture = await startBroker({ limits: { inFlightCountMax: 8, waitingCountMax: 256 } });
    fixture.producer.hold();
    const { client } = fixture.open();
    client.send(CONNECT);
    await client.connack();
    let flushed = 0;
    const packet = publishBytes(1, { payload: Buffer.alloc(4_000) });
    for (let count = 0; count < 2_000; count += 1) {
      client.stream.write(packet, () => {
        flushed += 1;
      });
    }
    // Sent in the turn in which CONNACK arrived, so this also covers what precedes the opening.
    await fixture.producer.holding(8);
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    const stalledAt = flushed;
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    expect(client.isClosed).toBe(false);
    expect(flushed).toBe(stalledAt);
    expect(stalledAt).toBeLessThan(300);
    fixture.producer.answer = (add) => add.resolve();
    fixture.producer.releaseAll();
    await client.next("puback", 2_000);
    await fixture.stop();
  });
});
