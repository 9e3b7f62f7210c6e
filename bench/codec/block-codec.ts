/**
 * What a baseline does with a block of vectors: bytes of its own, and back.
 *
 * The vectors are what is left after the mean or the reference was subtracted,
 * which both ends know; the envelope around the bytes is the same for all.
 * @module
 */

export interface BlockCodec {
  /** `vectors` holds whole rows of `dim`; it is not changed. */
  encode(vectors: Float64Array, dim: number, seed: number): Uint8Array;
  decode(bytes: Uint8Array, dim: number, seed: number): Float64Array;
}

/** What is subtracted before a method codes an absolute vector. */
export type Centre = "mean" | "nothing";

/** Packs codes of 1, 2, 4 or 8 bits, the first in the lowest bits of the first byte. */
export function packCodes(codes: Uint8Array, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const bytes = new Uint8Array(Math.ceil(codes.length / perByte));
  for (let at = 0; at < codes.length; at += 1) {
    const byte = Math.floor(at / perByte);
    bytes[byte] = (bytes[byte] as number) | ((codes[at] as number) << ((at % perByte) * bits));
  }
  return bytes;
}

export function unpackCodes(bytes: Uint8Array, bits: number, count: number): Uint8Array {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const codes = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) {
    codes[at] = ((bytes[Math.floor(at / perByte)] as number) >> ((at % perByte) * bits)) & mask;
  }
  return codes;
}
