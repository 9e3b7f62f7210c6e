import fc from "fast-check";
import { generate, type Packet } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import {
  PACKET,
  PacketReader,
  pubackPacket,
  publishPacket,
  type ReadPacket,
  readPublish,
} from "../../../src/fleet/load/packets.ts";

const anyPacket: fc.Arbitrary<Packet> = fc.oneof(
  fc.constant<Packet>({ cmd: "connack", returnCode: 0, sessionPresent: false }),
  fc.integer({ min: 1, max: 65_535 }).map((messageId): Packet => ({ cmd: "puback", messageId })),
  fc.constant<Packet>({ cmd: "pingresp" }),
  fc
    .record({
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      qos: fc.constantFrom(0 as const, 1 as const),
    })
    .map(({ payload, qos }): Packet => {
      const id = qos === 1 ? { messageId: 77 } : {};
      return { cmd: "publish", topic: "a/b", retain: true, dup: false, qos, payload, ...id };
    }),
);

function read(chunks: readonly Buffer[]): ReadPacket[] | "invalid" {
  const reader = new PacketReader();
  const packets: ReadPacket[] = [];
  // Copied, since a body is a view of a chunk that the socket may use again.
  const take = (packet: ReadPacket) => {
    packets.push({ ...packet, body: Buffer.from(packet.body) });
  };
  return chunks.every((chunk) => reader.push(chunk, take)) ? packets : "invalid";
}

describe("load packets", () => {
  it("are the same wherever the chunks end", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }));
    fc.assert(
      fc.property(fc.array(anyPacket, { minLength: 1, maxLength: 8 }), sizes, (packets, cuts) => {
        const bytes = Buffer.concat(packets.map((packet) => generate(packet)));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const size of cuts) {
          if (at < bytes.length) chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        if (at < bytes.length) chunks.push(bytes.subarray(at));
        const byOne = Array.from(bytes, (byte) => Buffer.of(byte));
        const whole = read([bytes]);
        expect(whole).toHaveLength(packets.length);
        expect(read(chunks)).toEqual(whole);
        expect(read(byOne)).toEqual(whole);
      }),
    );
  });

  it("a PUBLISH comes back as it was written, a PUBACK as mqtt-packet writes it", () => {
    const payload = Uint8Array.of(1, 2, 3);
    const [packet] = read([publishPacket(40_000, "omega/v1/t/d/x/up", payload)]) as ReadPacket[];
    expect(packet?.type).toBe(PACKET.publish);
    expect(readPublish(packet as ReadPacket)).toEqual({
      ...{ topic: "omega/v1/t/d/x/up", qos: 1, messageId: 40_000 },
      payload: Buffer.from(payload),
    });
    expect(pubackPacket(40_000)).toEqual(generate({ cmd: "puback", messageId: 40_000 }));
  });

  it("a length that never ends, or of more than any message, is no MQTT", () => {
    expect(read([Buffer.of(0x30, 0xff, 0xff, 0xff, 0xff)])).toBe("invalid");
    expect(read([Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f)])).toBe("invalid");
  });

  it("a PUBLISH whose topic is longer than itself is none", () => {
    expect(readPublish({ type: 3, flags: 2, body: Buffer.of(0, 9, 97) })).toBeNull();
    expect(readPublish({ type: 3, flags: 2, body: Buffer.of(0) })).toBeNull();
  });
});
