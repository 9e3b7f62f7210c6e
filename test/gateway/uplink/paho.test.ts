/**
 * Behaviours of MQTT 3.1.1 that a device can meet, after the Eclipse Paho
 * interoperability suite, on raw sockets.
 * @module
 */
import { generate } from "mqtt-packet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Fixture, startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  DISCONNECT,
  downTopic,
  openRaw,
  openSession,
  PINGREQ,
  publishBytes,
  subscribeBytes,
} from "./raw-client.ts";

let fixture: Fixture;

beforeEach(async () => {
  fixture = await startGateway({ limits: { keepaliveSMin: 1 } });
});
afterEach(stopGateways);

describe("CONNECT", () => {
  test("is answered with CONNACK 0 and no session", async () => {
    const client = await openSession(fixture.port);
    expect(client.heard[0]).toMatchObject({ cmd: "connack", returnCode: 0, sessionPresent: false });
  });

  test("[MQTT-3.1.3-8] an empty client id with clean session 0 is refused with 2", async () => {
    for (const clean of [false, true]) {
      const client = await openRaw(fixture.port);
      const bytes = connectBytes({ clientId: "" });
      // The flag is cleared by hand: the test's own encoder knows better than to send this.
      bytes.writeUInt8(clean ? 0x02 : 0x00, 9);
      client.send(bytes);
      expect(await client.connack()).toBe(2);
      await client.closed;
    }
  });

  test("[MQTT-3.1.2-2] MQTT 5, 3.1 and levels yet unknown are refused with 1", async () => {
    const five = connectBytes({ protocolVersion: 5 });
    const three = connectBytes({ protocolVersion: 3 });
    const [six, bridge] = [connectBytes(), connectBytes()];
    six[8] = 6;
    bridge[8] = 0x84;
    for (const bytes of [five, three, six, bridge]) {
      const client = await openRaw(fixture.port);
      client.send(bytes);
      await client.closed;
      expect(Buffer.concat(client.bytes)).toEqual(Buffer.of(0x20, 0x02, 0x00, 0x01));
    }
  });

  test("[MQTT-3.1.0-1] anything else first closes the socket unanswered", async () => {
    for (const bytes of [PINGREQ, publishBytes(1), Buffer.from("GET / HTTP/1.1\r\n\r\n")]) {
      const client = await openRaw(fixture.port);
      client.send(bytes);
      await client.closed;
      expect(client.heard).toEqual([]);
    }
  });

  test("[MQTT-3.1.0-2] a second CONNECT closes the socket", async () => {
    const client = await openSession(fixture.port);
    client.send(connectBytes());
    await client.closed;
    expect(client.count("connack")).toBe(1);
  });

  test("packets sent right behind it, without waiting for CONNACK, are served", async () => {
    const client = await openRaw(fixture.port);
    client.send(
      Buffer.concat([
        connectBytes(),
        subscribeBytes(1, [downTopic("tv1")]),
        publishBytes(2),
        PINGREQ,
      ]),
    );
    await client.next("puback");
    await client.next("suback");
    await client.next("pingresp");
    expect(client.heard[0]).toMatchObject({ cmd: "connack", returnCode: 0 });
  });
});

describe("keepalive", () => {
  test("[MQTT-3.1.2-24] a silent client is closed after one and a half times its keepalive", async () => {
    const client = await openSession(fixture.port, { keepalive: 1 });
    await client.closed;
  });

  test("a client that pings is kept, and a device is not a will", async () => {
    const quiet = await openSession(fixture.port, { clientId: "quiet", keepalive: 1 });
    const lively = await openSession(fixture.port, { clientId: "lively", keepalive: 1 });
    // Pings until the silent one is gone: as long as that takes, the lively one lives.
    let pings = 0;
    while (!quiet.isClosed) {
      pings += 1;
      lively.send(PINGREQ);
      await lively.next("pingresp", pings);
      await Promise.race([quiet.closed, new Promise((resolve) => setTimeout(resolve, 200))]);
    }
    lively.send(PINGREQ);
    await lively.next("pingresp", pings + 1);
  });
});

describe("sessions", () => {
  test("[MQTT-3.2.2-2] clean session 0 finds its subscriptions again, clean session 1 none", async () => {
    const first = await openSession(fixture.port, { clean: false });
    first.send(subscribeBytes(1, [downTopic("tv1")]));
    await first.next("publish");
    first.send(DISCONNECT);
    await first.closed;
    const second = await openSession(fixture.port, { clean: false });
    expect(second.heard[0]).toMatchObject({ sessionPresent: true });
    second.send(DISCONNECT);
    await second.closed;
    const third = await openSession(fixture.port, { clean: true });
    expect(third.heard[0]).toMatchObject({ sessionPresent: false });
  });

  test("[MQTT-4.4.0-1] a delta sent again with DUP is acknowledged again", async () => {
    const client = await openSession(fixture.port, { clean: false });
    client.send(publishBytes(9));
    await client.next("puback");
    client.end();
    const again = await openSession(fixture.port, { clean: false });
    again.send(publishBytes(9, { dup: true }));
    await again.next("puback");
    expect(again.pubacks()).toEqual([9]);
  });

  test("[MQTT-3.14.4-1] DISCONNECT closes the socket", async () => {
    const client = await openSession(fixture.port);
    client.send(DISCONNECT);
    await client.closed;
    expect(fixture.gateway.sessionCount).toBe(0);
  });

  test("UNSUBSCRIBE is acknowledged", async () => {
    const client = await openSession(fixture.port);
    const unsubscriptions = [downTopic("tv1"), "never/subscribed"];
    client.send(generate({ cmd: "unsubscribe", messageId: 4, unsubscriptions }));
    expect(await client.next("unsuback")).toMatchObject({ messageId: 4 });
  });
});

describe("what is not offered closes the socket", () => {
  test.each([
    ["PUBREC", Buffer.of(0x50, 0x02, 0x00, 0x01)],
    ["PUBREL", Buffer.of(0x62, 0x02, 0x00, 0x01)],
    ["PUBCOMP", Buffer.of(0x70, 0x02, 0x00, 0x01)],
    ["a server's packet", Buffer.of(0x20, 0x02, 0x00, 0x00)],
    ["AUTH of MQTT 5", Buffer.of(0xf0, 0x00)],
    ["type 0", Buffer.of(0x00, 0x00)],
    ["a SUBSCRIBE with wrong flags", Buffer.concat([Buffer.of(0x80, 0x02, 0x00, 0x01)])],
    ["a SUBSCRIBE without filters", Buffer.of(0x82, 0x02, 0x00, 0x01)],
    ["a PINGREQ with a body", Buffer.of(0xc0, 0x01, 0x00)],
    ["a length of five bytes", Buffer.of(0xc0, 0x80, 0x80, 0x80, 0x80, 0x01)],
  ])("%s", async (_name, bytes) => {
    const client = await openSession(fixture.port);
    client.send(bytes);
    await client.closed;
    expect(client.heard.map((packet) => packet.cmd)).toEqual(["connack"]);
  });
});
