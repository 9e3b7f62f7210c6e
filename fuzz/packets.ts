/**
 * MQTT packets as bytes: right ones, odd ones, wrong ones.
 * @module
 */
import { integerBelow, type Random } from "../src/core/index.ts";
import { mutate, oneOf, randomBytes } from "./target.ts";

/** Whose packets they are; fields left out are what a device of the default tenant sends. */
export interface Sender {
  readonly clientId: string;
  readonly upTopic: string;
  readonly downTopic: string;
  /** Payloads to publish. */
  readonly frames: readonly Uint8Array[];
}

const NAMES = ["", "#", "+/+", "$SYS/#", "$share/g/#", "a", "\0", "omega/v1/default/d/other/up"];

/** CONNECT (MQTT 3.1.1 §3.1) with clean session 1 and a keepalive of 60 s. */
export function connectPacket(clientId: string): Buffer {
  const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x02, 0, 60]);
  return packet(0x10, [variable, text(clientId)]);
}

/** A packet that the server must take from `sender` once it is connected. */
export function goodPacket(random: Random, sender: Sender): Buffer {
  const id = identifier(1 + integerBelow(random, 65_535));
  // Subscriptions have a rate of their own, so there are few of them.
  if (random.next() < 0.01) return packet(0x82, [id, text(sender.downTopic), Buffer.of(1)]);
  if (random.next() < 0.01) return packet(0xa2, [id, text(sender.downTopic)]);
  switch (integerBelow(random, 6)) {
    case 0:
      return packet(0x40, [id]);
    case 1:
    case 2: {
      const payload = Buffer.from(oneOf(random, sender.frames));
      const dup = random.next() < 0.2 ? 0x08 : 0;
      const bytes = random.next() < 0.5 ? payload : Buffer.from(mutate(payload, random));
      return packet(0x32 | dup, [text(sender.upTopic), id, bytes.subarray(0, 2_048)]);
    }
    default:
      return Buffer.of(0xc0, 0);
  }
}

/** A packet that is wrong, or at least unusual: flags, lengths, topics, identifiers, types. */
export function oddPacket(random: Random, sender: Sender): Buffer {
  const good = goodPacket(random, sender);
  switch (integerBelow(random, 7)) {
    case 0:
      return Buffer.from(mutate(good, random));
    case 1: {
      const declared = varint(oneOf(random, [0, 1, 127, 128, 16_383, 65_536, 268_435_455]));
      return Buffer.concat([good.subarray(0, 1), declared, good.subarray(2)]);
    }
    case 2:
      return Buffer.concat([good.subarray(0, 1), Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff)]);
    case 3:
      return packet(integerBelow(random, 256), [randomBytes(random, integerBelow(random, 40))]);
    case 4:
      return packet(0x30 | integerBelow(random, 16), [
        text(oneOf(random, [...NAMES, sender.upTopic])),
        identifier(integerBelow(random, 3)),
        randomBytes(random, integerBelow(random, 80)),
      ]);
    case 5: {
      const count = oneOf(random, [0, 1, 2, 8, 9, 200]);
      const filters = Array.from({ length: count }, () =>
        Buffer.concat([text(oneOf(random, NAMES)), Buffer.of(integerBelow(random, 4))]),
      );
      return packet(0x82, [identifier(integerBelow(random, 3)), ...filters]);
    }
    default:
      return oddConnect(random, sender);
  }
}

function oddConnect(random: Random, sender: Sender): Buffer {
  const name = oneOf(random, ["MQTT", "MQIsdp", "MQTX", ""]);
  const level = oneOf(random, [3, 4, 5, 0, 132]);
  const flags = integerBelow(random, 256);
  const fields = Array.from({ length: 1 + integerBelow(random, 5) }, () =>
    text(oneOf(random, [...NAMES, sender.clientId, "x".repeat(300)])),
  );
  return packet(0x10, [
    text(name),
    Buffer.of(level, flags, integerBelow(random, 256), integerBelow(random, 256)),
    ...fields,
  ]);
}

function packet(first: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(first & 0xff), varint(body.length), body]);
}

/** A UTF-8 string with its length (§1.5.3). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([identifier(bytes.length), bytes]);
}

function identifier(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

/** Remaining Length (§2.2.3). */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest >= 128 ? 0x80 : 0;
    bytes.push((rest % 128) | more);
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}
