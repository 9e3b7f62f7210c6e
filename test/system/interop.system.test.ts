/**
 * What MQTT 3.1.1 promises a device, from the real gateway process on every transport: byte by byte, and with
 * Eclipse Paho's own client.
 *
 * test/gateway/uplink/paho.test.ts asks the same of the gateway as a library and goes further; here it is the
 * composition that is on trial.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { IPublishPacket, ISubackPacket } from "mqtt-packet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ConnectFields,
  connectBytes,
  DISCONNECT,
  downTopic,
  PINGREQ,
  publishBytes,
  type RawClient,
  subscribeBytes,
  upTopic,
} from "../gateway/uplink/raw-client.ts";
import { runToEnd } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";
import { GOLDEN_DIR, goldenBytes } from "../wire/golden-files.ts";
import { type Bench, EAGER, type OmegaProcess, openBench, settings } from "./bench.ts";
import {
  allTransports,
  logIn,
  openTransport,
  portOf,
  TRANSPORTS,
  type Transport,
} from "./transports.ts";

const FRAME = fileURLToPath(new URL("delta-acceptable-stored.bin", GOLDEN_DIR));
const PAHO = fileURLToPath(new URL("paho_client.py", import.meta.url));
/** Debian's own Python: the one that its package python3-paho-mqtt serves. */
const PYTHON = "/usr/bin/python3";
const REFUSED = 0x80;

let bench: Bench;
let gateway: OmegaProcess;
let caFile: string;
beforeAll(async () => {
  bench = await openBench({ redis: true });
  const transports = allTransports(bench);
  caFile = transports.caFile;
  const limits = settings({ "gateway.limits.keepaliveSMin": 1 });
  const redis = ["--redis", bench.redis.url, "--port", "0", "--http-port", "0"];
  gateway = await bench.start(["gateway", ...redis, ...EAGER, ...limits, ...transports.args]);
}, 150_000);
afterAll(() => bench?.close());

describe.each(TRANSPORTS)("MQTT 3.1.1 over %s", (transport) => {
  const open = () => openTransport(gateway, transport, caFile);
  const session = (fields: ConnectFields) => logIn(open, fields);
  /** Devices of one transport do not take over those of another. */
  const id = (name: string) => `${transport}-${name}`;

  it("interop: a refused filter gets 0x80 and is not kept over a reconnect with clean session 0", async () => {
    const [clientId, other] = [id("tv"), id("other")];
    const first = await session({ clientId, clean: false });
    first.send(subscribeBytes(7, [downTopic(clientId), downTopic(other), "#", upTopic(clientId)]));
    const suback = (await first.next("suback")) as ISubackPacket;
    expect(suback).toMatchObject({ messageId: 7, granted: [1, REFUSED, REFUSED, REFUSED] });
    await acknowledge(first, await message(first, 1));
    first.send(DISCONNECT);
    await first.closed;
    const again = await session({ clientId, clean: false });
    expect(again.heard[0]).toMatchObject({ sessionPresent: true });
    // The other device's retained message goes to the other device alone, also now.
    const victim = await session({ clientId: other });
    victim.send(subscribeBytes(1, [downTopic(other)]));
    await message(victim, 1);
    again.send(PINGREQ);
    await again.next("pingresp");
    for (const publish of again.all("publish") as IPublishPacket[]) {
      expect(publish.topic).toBe(downTopic(clientId));
    }
    again.end();
    victim.end();
  });

  it("[MQTT-3.1.3-8] interop: an empty client id with clean session 0 is refused with 0x02", async () => {
    const client = await open();
    const bytes = connectBytes({ clientId: "" });
    // Cleared by hand: the test's own encoder knows better than to send this.
    bytes.writeUInt8(0x00, 9);
    client.send(bytes);
    expect(await client.connack()).toBe(0x02);
    await client.closed;
  });

  it("[MQTT-3.1.2-24] interop: silence beyond 1.5 × keepalive closes, a ping in time does not", async () => {
    const quiet = await session({ clientId: id("quiet"), keepalive: 1 });
    const lively = await session({ clientId: id("lively"), keepalive: 1 });
    let pings = 0;
    while (!quiet.isClosed) {
      pings += 1;
      lively.send(PINGREQ);
      await lively.next("pingresp", pings);
      await Promise.race([quiet.closed, new Promise((resolve) => setTimeout(resolve, 200))]);
    }
    lively.send(PINGREQ);
    await lively.next("pingresp", pings + 1);
    lively.end();
  });

  it("[MQTT-4.4.0-1] interop: a release that was not acknowledged comes again with DUP, an acknowledged one does not", async () => {
    const clientId = id("forgetful");
    const first = await session({ clientId, clean: false });
    first.send(subscribeBytes(1, [downTopic(clientId)]));
    const original = await message(first, 1);
    expect(original).toMatchObject({ dup: false, qos: 1, retain: true });
    first.end();
    const second = await session({ clientId, clean: false });
    expect(second.heard[0]).toMatchObject({ sessionPresent: true });
    const again = await message(second, 1);
    expect(again).toMatchObject({ dup: true, qos: 1, messageId: original.messageId });
    expect(again.topic).toBe(original.topic);
    await acknowledge(second, again);
    second.send(DISCONNECT);
    await second.closed;
    const third = await session({ clientId, clean: false });
    third.send(PINGREQ);
    await third.next("pingresp");
    for (const publish of third.all("publish")) expect(publish).toMatchObject({ dup: false });
    third.end();
  });

  it("interop: a will is refused with 0x05", async () => {
    const client = await open();
    const will = { topic: downTopic("victim"), payload: Buffer.from("gone"), qos: 1 as const };
    client.send(connectBytes({ clientId: id("mortal"), will }));
    expect(await client.connack()).toBe(0x05);
    await client.closed;
  });

  it.each([0, 2] as const)(
    "interop: QoS %i on the up topic closes the connection unanswered",
    async (qos) => {
      const clientId = id(`qos-${qos}`);
      const client = await session({ clientId });
      const payload = Buffer.from(goldenBytes("delta-acceptable-stored"));
      client.send(publishBytes(qos === 0 ? 0 : 3, { topic: upTopic(clientId), payload, qos }));
      await client.closed;
      expect(client.heard.map(({ cmd }) => cmd)).toEqual(["connack"]);
    },
  );

  it("interop: QoS 1 on the up topic is acknowledged", async () => {
    const clientId = id("honest");
    const client = await session({ clientId });
    const payload = Buffer.from(goldenBytes("delta-acceptable-stored"));
    client.send(publishBytes(21, { topic: upTopic(clientId), payload }));
    expect(await client.next("puback")).toMatchObject({ messageId: 21 });
    client.end();
  });
});

describe("Eclipse Paho's Python client", () => {
  it("interop: its package is installed", async () => {
    expect(existsSync(PYTHON), "apt-get install python3").toBe(true);
    const { code } = await runToEnd(PYTHON, ["-c", "import paho.mqtt.client"]);
    expect(code, "apt-get install python3-paho-mqtt").toBe(0);
  });

  it.each(TRANSPORTS)(
    "interop: Paho lives one session over %s",
    async (transport: Transport) => {
      const device = `paho-${transport}`;
      const args = [PAHO, transport, `${portOf(gateway, transport)}`, caFile, device, FRAME];
      const { code, stdout, stderr } = await runToEnd(PYTHON, args);
      expect(stderr).toBe("");
      const { messages, ...rest } = JSON.parse(stdout);
      expect(rest).toEqual({
        connacks: [0, 0],
        sessionPresent: [0, 1],
        granted: [1, REFUSED],
        acked: true,
      });
      // The kept session is told the watermark again, if it stays long enough to hear it.
      const [first, again, ...more] = messages;
      expect(first).toEqual({ topic: downTopic(device), retain: 1, qos: 1, dup: 0 });
      expect(again ?? { ...first, retain: 0 }).toEqual({ ...first, retain: 0 });
      expect(more).toEqual([]);
      expect(code).toBe(0);
    },
    60_000,
  );
});

it("interop: no session is left behind", async () => {
  await waitFor(async () => (await gateway.metric("omega_gateway_sessions_count")) === 0, {
    what: "all sessions to end",
  });
});

async function message(client: RawClient, count: number): Promise<IPublishPacket> {
  return (await client.next("publish", count)) as IPublishPacket;
}

/** PUBACK, and a PING behind it, so that it was read when this resolves. */
async function acknowledge(client: RawClient, publish: IPublishPacket): Promise<void> {
  const id = publish.messageId ?? 0;
  client.send(Buffer.of(0x40, 0x02, id >> 8, id & 0xff));
  const pings = client.count("pingresp");
  client.send(PINGREQ);
  await client.next("pingresp", pings + 1);
}
