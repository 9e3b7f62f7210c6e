/**
 * What the live targets say: MQTT at the device listener, HTTP at the health listener.
 * @module
 */
import { integerBelow, type Random } from "../src/core/index.ts";
import type { Talk } from "./live-talk.ts";
import { connectPacket, goodPacket, oddPacket, type Sender } from "./packets.ts";
import { mutate, oneOf } from "./target.ts";

/** Few devices, so that logins take each other's sessions over. */
const DEVICES = 200;
const PACKETS_MAX = 400;

/** A session that behaves, for a while; then one odd packet, and a few behind it. */
export function mqttTalk(random: Random, frames: readonly Uint8Array[]): Talk {
  const clientId = `tv-${integerBelow(random, DEVICES)}`;
  const topic = (direction: string) => `omega/v1/default/d/${clientId}/${direction}`;
  const sender: Sender = { clientId, upTopic: topic("up"), downTopic: topic("down"), frames };
  const packets = [random.next() < 0.95 ? connectPacket(clientId) : oddPacket(random, sender)];
  const count = integerBelow(random, PACKETS_MAX);
  for (let at = 0; at < count; at += 1) packets.push(goodPacket(random, sender));
  packets.push(oddPacket(random, sender));
  for (let at = 0; at < 3; at += 1) packets.push(goodPacket(random, sender));
  return { bytes: Buffer.concat(packets), messages: packets.length };
}

const REQUESTS = [
  "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "HEAD /metrics HTTP/1.0\r\n\r\n",
  "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\nx",
  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nx",
  "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "GET http://[::1/%00%ff HTTP/1.1\r\nHost: \r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
  `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(900)}\r\n`,
].map((text) => Buffer.from(text, "latin1"));

/** Requests behind one another, most of them changed. */
export function httpTalk(random: Random): Talk {
  const requests = Array.from({ length: 1 + integerBelow(random, 20) }, () => {
    const request = oneOf(random, REQUESTS);
    return random.next() < 0.3 ? request : Buffer.from(mutate(request, random));
  });
  return { bytes: Buffer.concat(requests), messages: requests.length };
}
