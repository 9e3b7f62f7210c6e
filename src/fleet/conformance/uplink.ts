/**
 * Assertions about what a device publishes.
 * @module
 */

import { topicOf } from "../../wire/index.ts";
import { DISCONNECT, PACKET, publishPacket } from "../load/packets.ts";
import type { Assertion } from "./assertion.ts";
import { ConformanceFault, mustBe } from "./fault.ts";
import { deltaOf } from "./frames.ts";
import { rawPublish } from "./raw.ts";

const BURST = 20;

export const UPLINK: readonly Assertion[] = [
  {
    id: "U1",
    must: "acknowledge a QoS 1 delta on the device's own up topic with its packet identifier",
    source: "[MQTT-3.3.4-1] [MQTT-3.4]",
    async check(world) {
      const peer = await world.session();
      await peer.send(publishPacket(0xbeef, topicOf(world.key, "up"), deltaOf(world, 1)));
      await peer.next(PACKET.puback, "a PUBACK");
      mustBe("identifiers", peer.pubacks(), [0xbeef]);
    },
  },
  {
    id: "U2",
    must: "send PUBACKs in the order of the deltas",
    source: "[MQTT-4.6.0-2]",
    async check(world) {
      const peer = await world.session();
      const ids = Array.from({ length: BURST }, (_, at) => 100 - at);
      const packets = ids.map((id, at) =>
        publishPacket(id, topicOf(world.key, "up"), deltaOf(world, at + 1)),
      );
      await peer.send(...packets);
      await peer.next(PACKET.puback, `${BURST} PUBACKs`, BURST);
      mustBe("identifiers", peer.pubacks(), ids);
    },
  },
  {
    id: "U3",
    must: "acknowledge a delta that is sent again with DUP, on the same and on the next connection",
    source: "[MQTT-4.4.0-1] PROTOCOL.md, deltas",
    async check(world) {
      const packet = publishPacket(5, topicOf(world.key, "up"), deltaOf(world, 1));
      const again = Buffer.concat([Buffer.of((packet[0] ?? 0) | 0x08), packet.subarray(1)]);
      const first = await world.session();
      await first.send(packet, again);
      await first.next(PACKET.puback, "two PUBACKs", 2);
      await first.send(DISCONNECT);
      const second = await world.session();
      await second.send(again);
      await second.next(PACKET.puback, "a PUBACK");
    },
  },
  {
    id: "U4",
    must: "acknowledge bytes that are no frame: the device is told on its err topic instead",
    source: "PROTOCOL.md, refusals",
    async check(world) {
      const peer = await world.session();
      await peer.send(publishPacket(1, topicOf(world.key, "up"), Buffer.from("no frame")));
      await peer.next(PACKET.puback, "a PUBACK");
    },
  },
  {
    id: "U5",
    must: "close without PUBACK at a publish to any other topic",
    source: "PROTOCOL.md, topics; [MQTT-3.3.5-2]",
    async check(world) {
      const own = topicOf(world.key, "up");
      const topics = [
        ...[
          topicOf(world.other, "up"),
          topicOf(world.key, "down"),
          `${own}/`,
          `/${own}`,
          `${own}/..`,
        ],
        ...["$SYS/x/new/clients", "omega/v1/default/d/+/up", own.toUpperCase()],
      ];
      for (const topic of topics) {
        const peer = await world.session();
        await peer.send(rawPublish(topic));
        await world.refused(peer, `a publish to ${topic}`);
      }
    },
  },
  {
    id: "U6",
    must: "close without an answer at QoS 0 and QoS 2 on the up topic",
    source: "PROTOCOL.md, deltas",
    async check(world) {
      for (const flags of [0x00, 0x04]) {
        const peer = await world.session();
        await peer.send(rawPublish(topicOf(world.key, "up"), 1, flags));
        await world.refused(peer, `QoS ${flags >> 1}`);
      }
    },
  },
  {
    id: "U7",
    must: "close without PUBACK at a retained delta",
    source: "PROTOCOL.md, deltas",
    async check(world) {
      const peer = await world.session();
      await peer.send(rawPublish(topicOf(world.key, "up"), 1, 0x03));
      await world.refused(peer, "a retained delta");
    },
  },
  {
    id: "U8",
    must: "keep nothing of a delta's connection: a device that leaves without its PUBACK is served when it comes again",
    source: "PROTOCOL.md, sessions",
    async check(world) {
      const leaving = await world.session();
      await leaving.send(publishPacket(9, topicOf(world.key, "up"), deltaOf(world, 1)));
      leaving.end();
      const back = await world.session({ clean: false });
      const { body } = await back.next(PACKET.connack, "a CONNACK");
      if (body[0] !== 0) throw new ConformanceFault("a session was kept of a clean one");
    },
  },
];
