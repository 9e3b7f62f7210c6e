/**
 * The plain baselines: float32, float16, and int8 or int4 with one half-precision step per vector
 * (the largest component decides it). What makes them smaller is zstd, around the whole frame.
 * @module
 */
import { type BlockCodec, packCodes, unpackCodes } from "./block-codec.ts";
import { fromHalf, toHalf } from "./half.ts";

export const float32Codec: BlockCodec = {
  encode: (vectors) => new Uint8Array(Float32Array.from(vectors).buffer),
  decode: (bytes) => Float64Array.from(new Float32Array(bytes.slice().buffer)),
};

export const float16Codec: BlockCodec = {
  encode: (vectors) => new Uint8Array(Uint16Array.from(vectors, toHalf).buffer),
  decode: (bytes) => Float64Array.from(new Uint16Array(bytes.slice().buffer), fromHalf),
};

const STEP_BYTES = 2;

/** Levels −max…max of `bits` bits: the steps of all vectors, then the levels of each in turn. */
export function integerCodec(bits: 4 | 8): BlockCodec {
  const levelMax = 2 ** (bits - 1) - 1;
  return {
    encode(vectors, dim) {
      const count = vectors.length / dim;
      const steps = new Uint16Array(count);
      const codes = new Uint8Array(vectors.length);
      for (let row = 0; row < count; row += 1) {
        const vector = vectors.subarray(row * dim, (row + 1) * dim);
        steps[row] = toHalf(vector.reduce((max, x) => Math.max(max, Math.abs(x)), 0) / levelMax);
        const step = fromHalf(steps[row] as number);
        for (let j = 0; j < dim; j += 1) {
          const level = step === 0 ? 0 : Math.round((vector[j] as number) / step);
          // Offset, not two's complement: the entropy coder of zstd sees one hill, not two.
          codes[row * dim + j] = Math.max(-levelMax, Math.min(levelMax, level)) + levelMax;
        }
      }
      return joined(new Uint8Array(steps.buffer), packCodes(codes, bits));
    },
    decode(bytes, dim) {
      const count = Math.floor(bytes.length / (STEP_BYTES + (dim * bits) / 8));
      const steps = new Uint16Array(bytes.slice(0, count * STEP_BYTES).buffer);
      const codes = unpackCodes(bytes.subarray(count * STEP_BYTES), bits, count * dim);
      return Float64Array.from(codes, (code, at) => {
        return (code - levelMax) * fromHalf(steps[Math.floor(at / dim)] as number);
      });
    },
  };
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
