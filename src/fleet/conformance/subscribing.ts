/**
 * Assertions about subscriptions and what comes down.
 * @module
 */

import { limits } from "../../core/index.ts";
import { encodePull, peekFrame, topicOf } from "../../wire/index.ts";
import { PACKET, type Publish, publishPacket } from "../load/packets.ts";
import type { Assertion, World } from "./assertion.ts";
import { ConformanceFault, mustBe } from "./fault.ts";
import { deltaOf } from "./frames.ts";
import type { Peer } from "./peer.ts";
import { rawPacket, rawString, rawSubscribe } from "./raw.ts";

const REFUSED = 0x80;
/** What became of a delta is known when its commit is: a moment after its PUBACK. */
const APPLIED_MS_MAX = 20_000;
const UNSUBACK = 11;

async function subscribe(peer: Peer, filters: readonly string[], count = 1): Promise<number[]> {
  await peer.send(rawSubscribe(filters, { messageId: count }));
  const { body } = await peer.next(PACKET.suback, "a SUBACK", count);
  mustBe("identifier of the SUBACK", body.readUInt16BE(0), count);
  return [...body.subarray(2)];
}

const on = (topic: string) => (message: Publish) => message.topic === topic;

export const SUBSCRIBING: readonly Assertion[] = [
  {
    id: "S1",
    must: "grant QoS 1 on the device's own down and err topics, in one SUBACK, in their order",
    source: "[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.9.3-1]",
    async check(world) {
      const peer = await world.session();
      const filters = [topicOf(world.key, "down"), topicOf(world.key, "err")];
      mustBe("codes", await subscribe(peer, filters), [1, 1]);
    },
  },
  {
    id: "S2",
    must: "answer every other filter with 0x80: others' topics, wildcards, $SYS, shares",
    source: "[MQTT-3.8.4-5] PROTOCOL.md, topics",
    async check(world) {
      const filters = [
        ...["#", "+/+", "$SYS/#", "$share/g/#", "omega/v1/default/d/+/down"],
        ...[topicOf(world.other, "down"), topicOf(world.key, "up")],
      ];
      const peer = await world.session();
      mustBe(
        "codes",
        await subscribe(peer, filters),
        filters.map(() => REFUSED),
      );
    },
  },
  {
    id: "S3",
    must: "grant the own filter beside a foreign one, and keep nothing of the foreign one, clean session 0 included",
    source: "[MQTT-3.8.4-4] PROTOCOL.md, topics",
    async check(world) {
      const foreign = topicOf(world.other, "down");
      const first = await world.session({ clean: false });
      mustBe("codes", await subscribe(first, [topicOf(world.key, "down"), foreign]), [1, REFUSED]);
      first.end();
      const back = await world.session({ clean: false });
      const other = await world.session({}, world.other);
      await subscribe(other, [foreign]);
      await other.message(on(foreign));
      await back.send(Buffer.of(0xc0, 0));
      await back.next(PACKET.pingresp, "a PINGRESP");
      if (back.messages().some(on(foreign))) {
        throw new ConformanceFault("a message of another device arrived");
      }
    },
  },
  {
    id: "S4",
    must: "close at a SUBSCRIBE of more filters than it takes, before it costs anything",
    source: "PROTOCOL.md, limits",
    async check(world) {
      const peer = await world.session();
      await peer.send(rawSubscribe(Array.from({ length: 1_000 }, (_, at) => `a/${at}`)));
      await peer.closed("1,000 filters");
    },
  },
  {
    id: "S5",
    must: "answer UNSUBSCRIBE with UNSUBACK, for a filter that was never granted too",
    source: "[MQTT-3.10.4-4] [MQTT-3.10.4-5]",
    async check(world) {
      const peer = await world.session();
      await peer.send(rawPacket(0xa2, Buffer.concat([Buffer.of(0, 7), rawString("a")])));
      const { body } = await peer.next(UNSUBACK, "an UNSUBACK");
      mustBe("identifier", body.readUInt16BE(0), 7);
    },
  },
  {
    id: "D1",
    must: "send a retained down frame at the SUBSCRIBE, with the RETAIN flag set",
    source: "[MQTT-3.3.1-6] [MQTT-3.3.1-8]",
    async check(world) {
      const peer = await world.session();
      const down = topicOf(world.key, "down");
      await subscribe(peer, [down]);
      const message = await peer.message(on(down));
      if (message === null) throw new ConformanceFault("no message after the SUBACK");
      const [packet] = peer.heard(PACKET.publish);
      mustBe("RETAIN", (packet?.flags ?? 0) & 1, 1);
      peekFrame(message.payload, limits.DOWN_FRAME_BYTES_MAX);
    },
  },
  {
    id: "D2",
    must: "answer a pull with a down frame",
    source: "PROTOCOL.md, pulls",
    async check(world) {
      const peer = await world.session();
      const down = topicOf(world.key, "down");
      await subscribe(peer, [down]);
      await peer.message(on(down));
      const before = peer.messages().filter(on(down)).length;
      await peer.send(publishPacket(1, topicOf(world.key, "up"), encodePull(0)));
      await peer.next(PACKET.puback, "a PUBACK");
      const later = await peer.message(() => peer.messages().filter(on(down)).length > before);
      if (later === null) throw new ConformanceFault("no message after the pull");
    },
  },
  {
    id: "D3",
    must: "tell in the watermark of a down frame that a delta it acknowledged was accounted for",
    source: "PROTOCOL.md, watermark",
    check: watermarkRises,
  },
  {
    id: "D4",
    must: "report a delta that was refused on the err topic, with its reason",
    source: "PROTOCOL.md, refusals",
    async check(world) {
      const peer = await world.session();
      const err = topicOf(world.key, "err");
      await subscribe(peer, [err]);
      await peer.send(publishPacket(1, topicOf(world.key, "up"), Buffer.from("no frame")));
      await peer.next(PACKET.puback, "a PUBACK");
      const message = await peer.message(on(err), APPLIED_MS_MAX);
      if (message === null) throw new ConformanceFault("nothing on the err topic");
      mustBe(
        "kind",
        peekFrame(message.payload, limits.DOWN_FRAME_BYTES_MAX).header.kind,
        "refusal",
      );
    },
  },
];

async function watermarkRises(world: World): Promise<void> {
  const peer = await world.session();
  const down = topicOf(world.key, "down");
  await peer.send(publishPacket(1, topicOf(world.key, "up"), deltaOf(world, 1)));
  await peer.next(PACKET.puback, "a PUBACK");
  await subscribe(peer, [down]);
  const endsAtMs = performance.now() + APPLIED_MS_MAX;
  for (let id = 2; performance.now() < endsAtMs; id += 1) {
    const told = await peer.message((message) => on(down)(message) && seqIn(message) >= 1, 1_000);
    if (told !== null) return;
    await peer.send(publishPacket(id, topicOf(world.key, "up"), encodePull(0)));
  }
  throw new ConformanceFault(`the watermark did not rise in ${APPLIED_MS_MAX} ms`);
}

/** The seq of the watermark in a down frame; 0 where there is none. */
function seqIn({ payload }: Publish): number {
  const { header } = peekFrame(payload, limits.DOWN_FRAME_BYTES_MAX);
  return "applied" in header ? (header.applied?.seq ?? 0) : 0;
}
