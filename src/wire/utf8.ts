/**
 * UTF-8 validity without allocation (RFC 3629 §4): no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 *
 * `TextDecoder` would also tell, but costs more than the whole walk for the
 * short strings of our frames.
 * @module
 */

/** The index of the first byte of the first bad sequence in `bytes[from, to)`, or −1. */
export function firstBadUtf8(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const first = bytes[at] as number;
    if (first < 0x80) {
      at += 1;
      continue;
    }
    const length = sequenceLength(bytes, at, to, first);
    if (length === 0) return at;
    at += length;
  }
  return -1;
}

/** The length of the valid multi-byte sequence at `at`, or 0 when it is not one. */
function sequenceLength(bytes: Uint8Array, at: number, to: number, first: number): number {
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > to) return 0;
  // The second byte rules out overlong forms (E0, F0), surrogates (ED) and values past U+10FFFF (F4).
  const second = bytes[at + 1] as number;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let index = 2; index < length; index += 1) {
    if (((bytes[at + index] as number) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
