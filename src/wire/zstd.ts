/**
 * zstd, the only file that knows where it comes from.
 *
 * The native package is optional because it compiles on install and must not
 * be able to fail it; Node ≥ 22.15 brings zstd along. Either way the outline
 * of a frame is checked first, so the decompressor gets a complete single
 * frame of a known, bounded size.
 *
 * The native package throws for every later call after some nine-byte inputs
 * (`28b52ffd0090010000`) unless its session is reset; we reset before each.
 * @module
 */
import { assert, CompressionError, messageOf } from "../core/index.ts";
import { ZSTD_WINDOW_LOG_MAX, zstdContentBytes } from "./zstd-frame.ts";

export interface Zstd {
  /** Where it comes from, for logs. */
  readonly name: string;
  /** One frame that states its content size; no dictionary, no checksum. Deterministic per library version. */
  compress(raw: Uint8Array): Uint8Array;
  /** The content, at most `bytesMax` bytes, a fresh array. Throws `CompressionError("zstd.…")`. */
  decompress(compressed: Uint8Array, bytesMax: number): Uint8Array;
}

/** Bodies are small: level 9 costs well under a millisecond and is paid once per frame. */
const LEVEL = 9;

type Binding = typeof import("zstd-napi/binding.js");

/**
 * The zstd of this machine: `zstd-napi` when it was installed, else `node:zlib`.
 *
 * Throws `CompressionError("zstd.unavailable")` when there is neither.
 */
export async function loadZstd(): Promise<Zstd> {
  let cause: unknown;
  try {
    return await napiZstd();
  } catch (error) {
    cause = error;
  }
  const zlib = zlibZstd();
  if (zlib !== null) return zlib;
  throw new CompressionError(
    "zstd.unavailable",
    "no zstd on this machine: run Node 22.15 or newer, or install a C++ compiler and run " +
      `\`npm install zstd-napi\` (with install scripts allowed). It said: ${messageOf(cause)}`,
    { cause },
  );
}

/** zstd from the optional native package. Rejects when it is not installed or was not built. */
export async function napiZstd(): Promise<Zstd> {
  const imported = await import("zstd-napi/binding.js");
  // A CommonJS module whose names the ESM loader may not have seen.
  const binding: Binding = (imported as unknown as { default?: Binding }).default ?? imported;
  const cctx = new binding.CCtx();
  cctx.setParameter(binding.CParameter.compressionLevel, LEVEL);
  const dctx = new binding.DCtx();
  dctx.setParameter(binding.DParameter.windowLogMax, ZSTD_WINDOW_LOG_MAX);
  let scratch = new Uint8Array(0);
  const scratchOf = (bytes: number): Uint8Array => {
    if (scratch.length < bytes) scratch = new Uint8Array(bytes);
    return scratch;
  };
  return {
    name: "zstd-napi",
    compress(raw) {
      cctx.reset(binding.ResetDirective.sessionOnly);
      const target = scratchOf(binding.compressBound(raw.length));
      return target.slice(0, cctx.compress2(target, raw));
    },
    decompress(compressed, bytesMax) {
      const contentBytes = zstdContentBytes(compressed, bytesMax);
      return guarded(contentBytes, () => {
        dctx.reset(binding.ResetDirective.sessionOnly);
        // Exactly the stated size, so that a frame which holds more fails instead of growing.
        const target = scratchOf(contentBytes).subarray(0, contentBytes);
        return target.slice(0, dctx.decompress(target, compressed));
      });
    },
  };
}

/** The part of `node:zlib` we use; its zstd is younger than the oldest Node we run on. */
interface ZlibWithZstd {
  readonly zstdCompressSync?: (raw: Uint8Array, options: object) => Uint8Array;
  readonly zstdDecompressSync?: (compressed: Uint8Array, options: object) => Uint8Array;
  readonly constants: Readonly<Record<string, number>>;
}

/** zstd from Node itself, or null where Node has none. */
export function zlibZstd(): Zstd | null {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as unknown as
    | ZlibWithZstd
    | undefined;
  const { zstdCompressSync, zstdDecompressSync } = zlib ?? {};
  if (zlib === undefined || !zstdCompressSync || !zstdDecompressSync) return null;
  const constant = (name: string): number => {
    const value = zlib.constants[name];
    assert(value !== undefined, `node:zlib has zstd but no ${name}`);
    return value;
  };
  const compressParams = { [constant("ZSTD_c_compressionLevel")]: LEVEL };
  const decompressParams = { [constant("ZSTD_d_windowLogMax")]: ZSTD_WINDOW_LOG_MAX };
  return {
    name: "node:zlib",
    compress(raw) {
      return plain(zstdCompressSync(raw, { params: compressParams, pledgedSrcSize: raw.length }));
    },
    decompress(compressed, bytesMax) {
      const contentBytes = zstdContentBytes(compressed, bytesMax);
      return guarded(contentBytes, () => {
        // maxOutputLength must be ≥ 1; an empty frame is told apart by its length below.
        const maxOutputLength = Math.max(1, contentBytes);
        return plain(zstdDecompressSync(compressed, { params: decompressParams, maxOutputLength }));
      });
    },
  };
}

/** A Buffer as the plain array it is, so that both adapters return the same type. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function guarded(contentBytes: number, decompress: () => Uint8Array): Uint8Array {
  let content: Uint8Array;
  try {
    content = decompress();
  } catch (error) {
    throw new CompressionError("zstd.corrupt", `zstd refused the frame: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (content.length === contentBytes) return content;
  throw new CompressionError(
    "zstd.corrupt",
    `the frame states ${contentBytes} bytes and holds ${content.length}`,
  );
}
