/**
 * Bytes from bits as one writes them down, padded with zeros. Comments begin with a semicolon.
 * @module
 */
export function bitText(text: string): Uint8Array {
  const bits = text.replace(/;.*/g, "").replace(/[^01]/g, "");
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (let at = 0; at < bits.length; at += 1) {
    if (bits[at] === "1") bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (0x80 >> (at & 7));
  }
  return bytes;
}
