/**
 * For golden frames that are to be stored.
 * @module
 */
import type { Zstd } from "../../src/wire/index.ts";

/** Never shrinks anything, so every body is stored. */
export const storingZstd: Zstd = {
  name: "storing",
  compress: (raw) => raw,
  decompress: () => {
    throw new Error("assertion failed: a stored body is not decompressed");
  },
};
