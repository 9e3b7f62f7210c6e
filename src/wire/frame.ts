/**
 * Frames: what one MQTT payload means, byte by byte.
 *
 *   0      1        2      3…n            n…
 *   0xCE   0x01     flags  header (CBOR)  body, zstd when flag Z is set
 *   magic  version
 *
 * The header stays uncompressed so the gateway can route a frame without
 * inflating bytes from a device it has not yet decided to trust.
 * @module
 */
import { limits, ProtocolError, SerializationError } from "../core/index.ts";
import {
  encodeHeader,
  type FrameHeader,
  type FrameKind,
  type ReadHeader,
  readHeader,
} from "./header.ts";
import { usualHeader } from "./usual-header.ts";
import { WIRE_VERSION } from "./version.ts";
import type { Zstd } from "./zstd.ts";

/** A body as it travels. */
export interface PackedBody {
  /** Whether `bytes` are a zstd frame; otherwise they are the raw body. */
  readonly compressed: boolean;
  readonly bytes: Uint8Array;
}

export interface Frame {
  readonly header: FrameHeader;
  /** `body.bytes` is a view of the bytes the frame was read from. */
  readonly body: PackedBody;
}

export const EMPTY_BODY: PackedBody = { compressed: false, bytes: new Uint8Array(0) };

const MAGIC = 0xce;
const PREFIX_BYTES = 3;
const FLAG_ZSTD = 0x01;

/** The largest packed body that fits a frame of `frameBytesMax` under the largest header. */
export function bodyBytesMax(frameBytesMax: number): number {
  return frameBytesMax - PREFIX_BYTES - limits.HEADER_BYTES_MAX;
}

/**
 * Compresses a raw body (at most 64 KiB), or stores it when zstd would not shrink it.
 *
 * Throws `SerializationError("frame.budget")` for a larger one (P7).
 */
export function packBody(raw: Uint8Array, zstd: Zstd): PackedBody {
  if (raw.length > limits.BODY_BYTES_MAX) {
    throw new SerializationError(
      "frame.budget",
      `a body holds at most ${limits.BODY_BYTES_MAX} bytes: got ${raw.length}`,
      { detail: { bytes: raw.length, bytesMax: limits.BODY_BYTES_MAX } },
    );
  }
  if (raw.length === 0) return EMPTY_BODY;
  const bytes = zstd.compress(raw);
  return bytes.length < raw.length
    ? { compressed: true, bytes }
    : { compressed: false, bytes: raw };
}

/** The raw body, at most 64 KiB. Throws `CompressionError("zstd.…")`, `ProtocolError("frame.size")`. */
export function unpackBody(body: PackedBody, zstd: Zstd): Uint8Array {
  if (body.compressed) return zstd.decompress(body.bytes, limits.BODY_BYTES_MAX);
  if (body.bytes.length > limits.BODY_BYTES_MAX) {
    throw new ProtocolError("frame.size", `a body holds at most ${limits.BODY_BYTES_MAX} bytes`);
  }
  return body.bytes;
}

/** The bytes of a frame. */
export function encodeFrame(header: FrameHeader, body: PackedBody): Uint8Array {
  const head = encodeHeader(header);
  const bytes = new Uint8Array(PREFIX_BYTES + head.length + body.bytes.length);
  bytes[0] = MAGIC;
  bytes[1] = WIRE_VERSION;
  bytes[2] = body.compressed ? FLAG_ZSTD : 0;
  bytes.set(head, PREFIX_BYTES);
  bytes.set(body.bytes, PREFIX_BYTES + head.length);
  return bytes;
}

/**
 * Reads prefix and header and leaves the body alone; its cost does not depend on the body (P8).
 *
 * Throws `ProtocolError("frame.…" | "header.…")` or `SerializationError("cbor.…")`.
 */
export function peekFrame(bytes: Uint8Array, bytesMax: number): Frame {
  const { header, end } = readHead(bytes, bytesMax);
  return { header, body: { compressed: bytes[2] === FLAG_ZSTD, bytes: bytes.subarray(end) } };
}

/** The header alone of what {@link peekFrame} reads. */
export function peekHeader(bytes: Uint8Array, bytesMax: number): FrameHeader {
  return readHead(bytes, bytesMax).header;
}

function readHead(bytes: Uint8Array, bytesMax: number): ReadHeader {
  if (bytes.length > bytesMax) {
    throw new ProtocolError("frame.size", `at most ${bytesMax} bytes: got ${bytes.length}`, {
      detail: { bytes: bytes.length, bytesMax },
    });
  }
  const { 0: magic, 1: version, 2: flags } = bytes;
  if (magic === undefined || version === undefined || flags === undefined) {
    throw new ProtocolError("frame.truncated", "a frame begins with three bytes");
  }
  if (magic !== MAGIC) throw new ProtocolError("frame.magic", "not a frame", { detail: { magic } });
  if (version !== WIRE_VERSION) {
    throw new ProtocolError("frame.version", `version ${version} is not spoken here`, {
      detail: { version },
    });
  }
  if ((flags & ~FLAG_ZSTD) !== 0) {
    throw new ProtocolError("frame.flags", "a reserved flag is set", { detail: { flags } });
  }
  const usual = usualHeader(bytes, PREFIX_BYTES);
  if (usual !== null) return usual;
  const { header, end } = readHeader(bytes.subarray(PREFIX_BYTES));
  return { header, end: PREFIX_BYTES + end };
}

/** The header of `frame` when it is of `kind`. Throws `ProtocolError("frame.kind")` otherwise. */
export function requireKind<Kind extends FrameKind>(
  frame: Frame,
  kind: Kind,
): Extract<FrameHeader, { kind: Kind }> {
  if (frame.header.kind === kind) return frame.header as Extract<FrameHeader, { kind: Kind }>;
  throw new ProtocolError("frame.kind", `expected a ${kind}: got a ${frame.header.kind}`);
}
