/**
 * The codec model of the golden frames, and who sends their deltas.
 * @module
 */
import {
  type CodecModel,
  type CodecModels,
  decodeModel,
  encodeModel,
} from "../../src/wire/index.ts";

/** Rows of a Hadamard matrix of order 8, the first bent a little so that there is something to mend. */
export const MODEL: CodecModel = {
  version: 7,
  dim: 8,
  mean: Int16Array.from([900, -40, 12, 0, 0, -1, 3, 0]),
  spectrum: Int16Array.from([400, 352, 320, 288, 256, 192, 64, 0]),
  basis: Float32Array.from({ length: 64 }, (_, at) => {
    const [row, column] = [at >> 3, at & 7];
    const bits = row & column;
    const sign = ((bits >> 2) ^ (bits >> 1) ^ bits) & 1 ? -1 : 1;
    return (sign / Math.sqrt(8)) * (row === 0 && column === 0 ? 1.0625 : 1);
  }),
};

/** As every peer holds it. */
export const HELD_MODEL: CodecModel = decodeModel(encodeModel(MODEL));

export const GOLDEN_CONTEXT: { readonly models: CodecModels; readonly sender: string } = {
  models: { get: (version) => (version === HELD_MODEL.version ? HELD_MODEL : null) },
  sender: "acme/tv-1",
};
