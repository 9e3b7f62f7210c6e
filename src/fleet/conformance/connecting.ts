/**
 * Assertions about CONNECT, sessions and how they end.
 * @module
 */
import { DISCONNECT, PACKET, PINGREQ } from "../load/packets.ts";
import type { Assertion } from "./assertion.ts";
import { mustBe } from "./fault.ts";
import { rawPacket, rawString } from "./raw.ts";

const KEEPALIVE_S_MIN = 5;
const CLEAN_SESSION = 0x02;
const GRACE_MS = 5_000;

export const CONNECTING: readonly Assertion[] = [
  {
    id: "C1",
    must: "accept a device with its own id and credentials: CONNACK 0, session present 0",
    source: "[MQTT-3.2.0-1] [MQTT-3.2.2-1]",
    async check(world) {
      const peer = await world.session();
      const { body } = await peer.next(PACKET.connack, "a CONNACK");
      mustBe("CONNACK", [...body], [0, 0]);
    },
  },
  {
    id: "C2",
    must: "answer a protocol level other than 4 with CONNACK 1 and close",
    source: "[MQTT-3.1.2-2]",
    async check(world) {
      const peer = world.open();
      const head = Buffer.of(0, 4, 0x4d, 0x51, 0x54, 0x54, 5, CLEAN_SESSION, 0, 60, 0);
      await peer.send(rawPacket(0x10, Buffer.concat([head, rawString(world.key.device)])));
      mustBe("return code", await peer.connack(), 1);
      await peer.closed("CONNACK 1");
    },
  },
  {
    id: "C3",
    must: "close when the first packet is not a CONNECT",
    source: "[MQTT-3.1.0-1]",
    async check(world) {
      const peer = world.open();
      await peer.send(PINGREQ);
      await peer.closed("a PINGREQ as first packet");
      mustBe("packets before it closed", peer.heard(PACKET.pingresp).length, 0);
    },
  },
  {
    id: "C4",
    must: "close at a second CONNECT",
    source: "[MQTT-3.1.0-2]",
    async check(world) {
      const peer = await world.session();
      await peer.send(await world.connectBytes());
      await peer.closed("a second CONNECT");
    },
  },
  {
    id: "C5",
    must: "refuse a client id that is no device id with CONNACK 2, the empty one with clean session 0 included",
    source: "[MQTT-3.1.3-8] [MQTT-3.1.3-9]",
    async check(world) {
      for (const clientId of ["", "a/b", "x".repeat(65)]) {
        const peer = world.open();
        const flags = clientId === "" ? 0 : CLEAN_SESSION;
        const head = Buffer.of(0, 4, 0x4d, 0x51, 0x54, 0x54, 4, flags, 0, 60);
        await peer.send(rawPacket(0x10, Buffer.concat([head, rawString(clientId)])));
        mustBe(`return code for ${JSON.stringify(clientId)}`, await peer.connack(), 2);
        await peer.closed("CONNACK 2");
      }
    },
  },
  {
    id: "C6",
    must: "refuse a client id other than the one the user name is for with CONNACK 5",
    source: "PROTOCOL.md, topics; [MQTT-3.1.4-2]",
    async check(world) {
      const peer = await world.connecting({ clientId: world.other.device });
      mustBe("return code", await peer.connack(), 5);
      await peer.closed("CONNACK 5");
    },
  },
  {
    id: "C7",
    must: "refuse any will with CONNACK 5: a device never speaks through the server when it is gone",
    source: "PROTOCOL.md, sessions",
    async check(world) {
      const will = { topic: "a", payload: Buffer.from("x") };
      const peer = await world.connecting({ will });
      mustBe("return code", await peer.connack(), 5);
      await peer.closed("CONNACK 5");
    },
  },
  {
    id: "C8",
    must: "refuse a keepalive of 0 with CONNACK 5",
    source: "PROTOCOL.md, sessions",
    async check(world) {
      const peer = await world.connecting({ keepaliveS: 0 });
      mustBe("return code", await peer.connack(), 5);
      await peer.closed("CONNACK 5");
    },
  },
  {
    id: "C9",
    must: "close a connection that is silent for one and a half times its keepalive",
    source: "[MQTT-3.1.2-24]",
    async check(world) {
      const peer = await world.session({ keepaliveS: KEEPALIVE_S_MIN });
      await peer.closed("silence", 1.5 * KEEPALIVE_S_MIN * 1_000 + GRACE_MS);
    },
  },
  {
    id: "C10",
    must: "close the older connection of a device that connects again",
    source: "[MQTT-3.1.4-2]",
    async check(world) {
      const older = await world.session();
      const newer = await world.session();
      await older.closed("a takeover");
      await newer.send(PINGREQ);
      await newer.next(PACKET.pingresp, "a PINGRESP on the newer connection");
    },
  },
  {
    id: "C11",
    must: "close after DISCONNECT and send nothing more",
    source: "[MQTT-3.14.4-1] [MQTT-3.14.4-2]",
    async check(world) {
      const peer = await world.session();
      await peer.send(DISCONNECT);
      await peer.closed("DISCONNECT");
    },
  },
  {
    id: "C12",
    must: "answer PINGREQ with PINGRESP",
    source: "[MQTT-3.12.4-1]",
    async check(world) {
      const peer = await world.session();
      await peer.send(PINGREQ, PINGREQ);
      await peer.next(PACKET.pingresp, "two PINGRESP", 2);
    },
  },
  {
    id: "C13",
    must: "take packets that arrive before its CONNACK left, and only after accepting the CONNECT",
    source: "[MQTT-3.1.4-5]",
    async check(world) {
      const peer = world.open();
      await peer.send(await world.connectBytes(), PINGREQ);
      mustBe("return code", await peer.connack(), 0);
      await peer.next(PACKET.pingresp, "a PINGRESP");
    },
  },
];
