/**
 * Packets that no library would write.
 * @module
 */

/** A control packet with any first byte and body; `declared` lies about its length. */
export function rawPacket(first: number, body: Uint8Array, declared = body.length): Buffer {
  return Buffer.concat([Buffer.of(first), varint(declared), body]);
}

/** A string as §1.5.3 has it, of any bytes. */
export function rawString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes);
  return Buffer.concat([Buffer.of(content.length >> 8, content.length & 0xff), content]);
}

/** A PUBLISH with any flags, topic bytes and identifier. */
export function rawPublish(topic: Uint8Array | string, messageId = 1, flags = 0x02): Buffer {
  const id = flags & 0x06 ? Buffer.of(messageId >> 8, messageId & 0xff) : Buffer.alloc(0);
  return rawPacket(0x30 | flags, Buffer.concat([rawString(topic), id, Buffer.from("x")]));
}

/** A SUBSCRIBE with any first byte and filters. */
export function rawSubscribe(
  filters: readonly (Uint8Array | string)[],
  { first = 0x82, messageId = 1, qos = 1 } = {},
): Buffer {
  const each = filters.flatMap((filter) => [rawString(filter), Buffer.of(qos)]);
  return rawPacket(first, Buffer.concat([Buffer.of(messageId >> 8, messageId & 0xff), ...each]));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.from(bytes);
}
