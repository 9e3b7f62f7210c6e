/**
 * How a request looks and where an answer ends, per protocol, on a raw socket.
 * @module
 */
import { deviceKeyOf } from "./device.ts";

export type ProtocolName = "mqtt" | "http" | "redis";

/** One connection's view of a protocol. */
export interface Protocol {
  /** Sent first, or null when the protocol has no greeting. */
  greeting(device: number): Buffer | null;
  /** One request that carries `frame`; `count` is the connection's number of it, from 1. */
  request(device: number, count: number, frame: Buffer): Buffer;
  /** Whole answers in `bytes`, and where the first that is not whole begins. Throws on a refusal. */
  answers(bytes: Buffer): { readonly count: number; readonly end: number };
}

/** The list that raw Redis pushes onto. */
export const RAW_KEY = "omega-bench:raw";
const PACKET_ID_MAX = 65_535;
const ACK_BYTES = 4;
const CONNACK = 0x20;
const PUBACK = 0x40;

const mqtt: Protocol = {
  greeting(device) {
    const id = Buffer.from(deviceKeyOf(device).client);
    const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 1, 44, 0, id.length]);
    return Buffer.concat([Buffer.from([0x10, variable.length + id.length]), variable, id]);
  },
  request(device, count, frame) {
    const topic = Buffer.from(deviceKeyOf(device).topic);
    const packetId = ((count - 1) % PACKET_ID_MAX) + 1;
    const length = 2 + topic.length + 2 + frame.length;
    const fixed = [0x32, ...remainingLength(length), topic.length >> 8, topic.length & 0xff];
    const id = Buffer.from([packetId >> 8, packetId & 0xff]);
    return Buffer.concat([Buffer.from(fixed), topic, id, frame]);
  },
  answers(bytes) {
    const count = Math.floor(bytes.length / ACK_BYTES);
    for (let at = 0; at < count * ACK_BYTES; at += ACK_BYTES) {
      const connected = bytes[at] === CONNACK && bytes[at + 3] === 0;
      if (!connected && bytes[at] !== PUBACK) throw refusal("MQTT", bytes.subarray(at, at + 4));
    }
    return { count, end: count * ACK_BYTES };
  },
};

const HTTP_END = "\r\n\r\n";

/** Answers have no body; what is not 202 is a refusal. */
const http: Protocol = {
  greeting: () => null,
  request(device, count, frame) {
    const { client } = deviceKeyOf(device);
    const body = JSON.stringify({ device: client, count, frame: frame.toString("base64") });
    const head = `POST /deltas HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
    return Buffer.from(`${head}Content-Length: ${body.length}${HTTP_END}${body}`);
  },
  answers(bytes) {
    let count = 0;
    let end = 0;
    for (;;) {
      const at = bytes.indexOf(HTTP_END, end);
      if (at < 0) return { count, end };
      const status = bytes.toString("latin1", end, end + "HTTP/1.1 202".length);
      if (status !== "HTTP/1.1 202") throw refusal("HTTP", bytes.subarray(end, at));
      count++;
      end = at + HTTP_END.length;
    }
  },
};

const redis: Protocol = {
  greeting: () => null,
  request(_device, _count, frame) {
    const head = `*3\r\n$5\r\nRPUSH\r\n$${RAW_KEY.length}\r\n${RAW_KEY}\r\n$${frame.length}\r\n`;
    return Buffer.concat([Buffer.from(head), frame, Buffer.from("\r\n")]);
  },
  answers(bytes) {
    let count = 0;
    let end = 0;
    for (;;) {
      const at = bytes.indexOf("\r\n", end);
      if (at < 0) return { count, end };
      if (bytes[end] !== 0x3a) throw refusal("Redis", bytes.subarray(end, at));
      count++;
      end = at + 2;
    }
  },
};

export const PROTOCOLS: Readonly<Record<ProtocolName, Protocol>> = { mqtt, http, redis };

function remainingLength(length: number): number[] {
  if (length < 0x80) return [length];
  return [(length & 0x7f) | 0x80, ...remainingLength(length >> 7)];
}

function refusal(protocol: string, bytes: Buffer): Error {
  return new Error(`${protocol} answered something else than yes: ${bytes.toString("latin1")}`);
}
