/**
 * Byte strings between us and the PostgreSQL driver.
 * @module
 */

/** A plain copy: drivers give Buffers that are windows of a whole network read. */
export function toBytes(blob: Uint8Array): Uint8Array {
  return new Uint8Array(blob);
}

/** pg sends Buffers as bytes and other views as JSON. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
