/**
 * zstd at level 19 for the baselines and as the yardstick of cost. The product packs at level 9,
 * which a frame of entropy-coded vectors does not notice; float32 gets the best zstd has.
 * @module
 */
import { CompressionError } from "../../src/core/index.ts";

export type Compress = (raw: Uint8Array) => Uint8Array;

const LEVEL = 19;

interface ZlibWithZstd {
  readonly zstdCompressSync?: (raw: Uint8Array, options: object) => Uint8Array;
  readonly constants: Readonly<Record<string, number>>;
}

/** One context, reused. Throws `CompressionError("zstd.unavailable")`. */
export async function loadZstd19(): Promise<Compress> {
  try {
    const imported = await import("zstd-napi/binding.js");
    const binding = (imported as unknown as { default?: typeof imported }).default ?? imported;
    const context = new binding.CCtx();
    context.setParameter(binding.CParameter.compressionLevel, LEVEL);
    let target = new Uint8Array(0);
    return (raw) => {
      const bound = binding.compressBound(raw.length);
      if (target.length < bound) target = new Uint8Array(bound);
      return target.slice(0, context.compress2(target, raw));
    };
  } catch (cause) {
    const zlib = process.getBuiltinModule("node:zlib") as unknown as ZlibWithZstd;
    const { zstdCompressSync, constants } = zlib;
    const key = constants.ZSTD_c_compressionLevel;
    if (!zstdCompressSync || key === undefined) {
      throw new CompressionError("zstd.unavailable", "no zstd on this machine", { cause });
    }
    return (raw) => zstdCompressSync(raw, { params: { [key]: LEVEL }, pledgedSrcSize: raw.length });
  }
}
