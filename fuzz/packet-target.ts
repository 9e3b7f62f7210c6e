/**
 * Streams of MQTT packets through the gateway's framer: however a stream is cut into reads, the
 * broker must get the same packets, in the same order, and the peer the same refusal.
 * @module
 */

import { PacketFramer } from "../gateway/framer.ts";
import { integerBelow, ProtocolError, seededRandom } from "../src/core/index.ts";
import { connectPacket, goodPacket, oddPacket, type Sender } from "./packets.ts";
import { mutate, oneOf, type Target } from "./target.ts";

const PACKETS_MAX = 12;

export function packetTarget(corpus: readonly Uint8Array[], frames: readonly Uint8Array[]): Target {
  const topic = (direction: string) => `omega/v1/default/d/tv-1/${direction}`;
  const sender: Sender = {
    ...{ clientId: "tv-1", upTopic: topic("up"), downTopic: topic("down") },
    frames: frames.filter(({ length }) => length < 2_000),
  };
  return {
    name: "packets",
    make(random) {
      if (corpus.length > 0 && random.next() < 0.1) return mutate(oneOf(random, corpus), random);
      const first = random.next() < 0.9 ? connectPacket("tv-1") : oddPacket(random, sender);
      const count = integerBelow(random, PACKETS_MAX);
      const rest = Array.from({ length: count }, () =>
        random.next() < 0.9 ? goodPacket(random, sender) : oddPacket(random, sender),
      );
      return Buffer.concat([first, ...rest]);
    },
    run(input) {
      const stream = Buffer.from(input);
      const whole = passed([stream]);
      const cut = passed(pieces(stream));
      if (whole.outcome !== cut.outcome || !isBeginning(whole, cut)) {
        throw new Error(`in one piece: ${whole.outcome}; in several: ${cut.outcome}`);
      }
      return whole.outcome;
    },
  };
}

/**
 * A bad packet may take good ones with it that came in the same read: they were not acknowledged.
 * But nothing may be let through that the other way does not have, or in another order.
 */
function isBeginning(whole: Passed, cut: Passed): boolean {
  const [shorter, longer] = whole.packets.length < cut.packets.length ? [whole, cut] : [cut, whole];
  if (whole.outcome === "read" && shorter.packets.length < longer.packets.length) return false;
  return longer.packets.subarray(0, shorter.packets.length).equals(shorter.packets);
}

interface Passed {
  readonly outcome: string;
  readonly packets: Buffer;
}

/** What the framer lets through of a stream that arrives in `chunks`, and how that ends. */
function passed(chunks: readonly Buffer[]): Passed {
  const framer = new PacketFramer();
  const packets: Buffer[] = [];
  const drain = () => {
    for (let turn = framer.take(); turn !== null; turn = framer.take()) packets.push(turn);
  };
  let opened = false;
  let outcome = "read";
  try {
    for (const chunk of chunks) {
      framer.push(chunk);
      if (framer.waiting && !opened) {
        opened = true;
        framer.open();
      }
      drain();
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    outcome = error.reason;
  }
  // What stood before a bad packet may or may not have been handed over; it counts either way.
  drain();
  return { outcome, packets: Buffer.concat(packets) };
}

/** `stream` in pieces whose sizes follow from its bytes, so that an input says everything. */
function pieces(stream: Buffer): Buffer[] {
  const sum = stream.reduce((before, byte) => (Math.imul(before, 31) + byte) >>> 0, stream.length);
  const random = seededRandom(sum);
  const out: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const size = random.next() < 0.5 ? 1 : 1 + integerBelow(random, 200);
    out.push(stream.subarray(at, at + size));
    at += size;
  }
  return out;
}
