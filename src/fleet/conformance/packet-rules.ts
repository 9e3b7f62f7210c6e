/**
 * Assertions about packets as bytes: lengths, flags, strings, identifiers.
 * @module
 */

import { topicOf } from "../../wire/index.ts";
import { PACKET, PINGREQ, publishPacket } from "../load/packets.ts";
import type { Assertion, World } from "./assertion.ts";
import { rawPacket, rawPublish, rawString, rawSubscribe } from "./raw.ts";

/** A session that must be closed for each of these, without an acknowledgement. */
function eachRefused(
  cases: (world: World) => readonly (readonly [why: string, bytes: Buffer])[],
): Assertion["check"] {
  return async (world) => {
    for (const [why, bytes] of cases(world)) {
      const peer = await world.session();
      await peer.send(bytes);
      await world.refused(peer, why);
    }
  };
}

const up = ({ key }: World) => topicOf(key, "up");
const down = ({ key }: World) => topicOf(key, "down");

export const PACKET_RULES: readonly Assertion[] = [
  {
    id: "P1",
    must: "read packets wherever their bytes are cut",
    source: "§2.2.3",
    async check(world) {
      const peer = world.open();
      await peer.dribble(await world.connectBytes());
      await peer.connack();
      await peer.dribble(Buffer.concat([PINGREQ, publishPacket(7, up(world), Buffer.from("x"))]));
      await peer.next(PACKET.pingresp, "a PINGRESP");
      await peer.next(PACKET.puback, "a PUBACK");
    },
  },
  {
    id: "P2",
    must: "close at a Remaining Length of more than four bytes",
    source: "§2.2.3",
    check: eachRefused(() => [["five length bytes", Buffer.of(0x32, 0xff, 0xff, 0xff, 0xff, 1)]]),
  },
  {
    id: "P3",
    must: "close at reserved packet types and at flags other than the reserved ones",
    source: "[MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.8.1-1] [MQTT-3.10.1-1]",
    check: eachRefused((world) => [
      ["type 0", Buffer.of(0x00, 0)],
      ["type 15", Buffer.of(0xf0, 0)],
      ["flags on PINGREQ", Buffer.of(0xc1, 0)],
      ["SUBSCRIBE without its flags", rawSubscribe([down(world)], { first: 0x80 })],
      [
        "UNSUBSCRIBE without its flags",
        rawPacket(0xa0, Buffer.concat([Buffer.of(0, 1), rawString(down(world))])),
      ],
    ]),
  },
  {
    id: "P4",
    must: "close at QoS 3",
    source: "[MQTT-3.3.1-4]",
    check: eachRefused((world) => [["QoS 3", rawPublish(up(world), 1, 0x06)]]),
  },
  {
    id: "P5",
    must: "close at packet identifier 0",
    source: "[MQTT-2.3.1-1]",
    check: eachRefused((world) => [
      ["PUBLISH with identifier 0", rawPublish(up(world), 0)],
      ["SUBSCRIBE with identifier 0", rawSubscribe([down(world)], { messageId: 0 })],
    ]),
  },
  {
    id: "P6",
    must: "close at strings that are not UTF-8",
    source: "[MQTT-1.5.3-1]",
    check: eachRefused(() => [
      ["an overlong slash", rawPublish(Buffer.of(0xc0, 0xaf))],
      ["a surrogate", rawPublish(Buffer.of(0xed, 0xa0, 0x80))],
      ["a filter that is not UTF-8", rawSubscribe([Buffer.of(0xff, 0xfe)])],
    ]),
  },
  {
    id: "P7",
    must: "close at U+0000 in a string",
    source: "[MQTT-1.5.3-2]",
    check: eachRefused((world) => [["U+0000", rawPublish(`${up(world)}\0`)]]),
  },
  {
    id: "P8",
    must: "close at a string that is longer than its packet",
    source: "§1.5.3",
    check: eachRefused(() => [
      ["a long string", rawPacket(0x32, Buffer.of(0xff, 0xff, 0x61, 0x62))],
    ]),
  },
  {
    id: "P9",
    must: "close at SUBSCRIBE and UNSUBSCRIBE without a filter",
    source: "[MQTT-3.8.3-3] [MQTT-3.10.3-2]",
    check: eachRefused(() => [
      ["SUBSCRIBE without a filter", rawSubscribe([])],
      ["UNSUBSCRIBE without a filter", rawPacket(0xa2, Buffer.of(0, 1))],
    ]),
  },
  {
    id: "P10",
    must: "close before login at a packet of more than 2 KiB, unread",
    source: "PROTOCOL.md, limits",
    async check(world) {
      const peer = world.open();
      await peer.send(
        rawPacket(0x10, Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54]), 256 * 2 ** 20 - 1),
      );
      await peer.closed("a CONNECT of 256 MB");
    },
  },
  {
    id: "P11",
    must: "close after login at a packet of more than 16 KiB, unread",
    source: "PROTOCOL.md, limits",
    check: eachRefused(() => [["a PUBLISH of 1 MB", rawPacket(0x32, Buffer.alloc(9), 2 ** 20)]]),
  },
  {
    id: "P12",
    must: "close at packets that only a server sends",
    source: "§2.2.1",
    check: eachRefused(() => [
      ["CONNACK", Buffer.of(0x20, 2, 0, 0)],
      ["SUBACK", Buffer.of(0x90, 3, 0, 1, 1)],
      ["PINGRESP", Buffer.of(0xd0, 0)],
    ]),
  },
];
