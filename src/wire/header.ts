/**
 * The frame header: a deterministic CBOR map with small integer keys, never
 * compressed, so that a gateway routes a frame without touching its body.
 *
 *   0 kind   1 minor   2 epoch   3 seq   4 base   5 version   6 codec
 *   7 dictionary id (reserved)   8 trace   9 content hash   10 applied [epoch, seq]
 *   11 part [n, of]   12 codec model
 *
 * Each kind has its own keys, and all of them are required except minor,
 * trace, applied, part and codec model. A device names its minor in deltas and
 * pulls, so that the server knows what it may say to it. Keys from 32 up are for
 * later minors: a peer that does not know them ignores them. Unknown keys below
 * 32 change the meaning and are refused.
 * @module
 */
import { limits, OmegaError, ProtocolError } from "../core/index.ts";
import { type CborKey, type CborMap, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import { walkCborPrefix } from "./cbor-walk.ts";
import { MODEL_VERSION_MAX } from "./topics.ts";

/** What orders the deltas of one device. epoch ≥ 1; seq ≥ 1 for a delta, 0 for "none yet". */
export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/** What a frame's sender speaks beyond minor 0; absent when it speaks nothing more. */
interface Minor {
  readonly minor?: number;
}

/** Which of the frames that make one transition this is; 1 ≤ n ≤ of. Absent when it is the only one. */
export interface Part {
  readonly n: number;
  /** 2 … {@link PARTS_MAX}. */
  readonly of: number;
}

/** What releases of codec 1 and above say besides (minor 1). */
interface LayeredRelease {
  readonly part?: Part;
  /** The codec model whose space the vectors are in, from 1; absent when there is none. */
  readonly model?: number;
}

export type FrameHeader =
  | (Minor & {
      readonly kind: "delta";
      readonly epoch: number;
      readonly seq: number;
      /** The release version the device holds; 0 is none. */
      readonly base: number;
      readonly codec: number;
      /** 1–16 opaque bytes that follow the delta through logs. */
      readonly trace?: Uint8Array;
    })
  | (Minor & { readonly kind: "pull"; readonly base: number; readonly trace?: Uint8Array })
  | (Minor &
      LayeredRelease & {
        readonly kind: "snapshot";
        readonly version: number;
        /** 8 bytes. */
        readonly contentHash: Uint8Array;
        readonly codec: number;
        /** The newest position of this device that the server has accounted for. */
        readonly applied: Position | null;
      })
  | (Minor &
      LayeredRelease & {
        readonly kind: "release-delta";
        readonly version: number;
        readonly base: number;
        readonly contentHash: Uint8Array;
        readonly codec: number;
        readonly applied: Position | null;
      })
  | (Minor & { readonly kind: "refusal" })
  | (Minor & {
      readonly kind: "model";
      /** 1–65,535. */
      readonly version: number;
      /** The first 8 bytes of SHA-256 over the body. */
      readonly contentHash: Uint8Array;
    });

export type FrameKind = FrameHeader["kind"];

/** A header, and where it ends in the bytes it was read from. */
export interface ReadHeader {
  readonly header: FrameHeader;
  readonly end: number;
}

/** Epochs, seqs and versions; 2^48 − 1 leaves room to add without leaving the safe integers. */
export const COUNTER_MAX = 2 ** 48 - 1;
export const CONTENT_HASH_BYTES = 8;
/** Frames that one transition from release to release may take. */
export const PARTS_MAX = 255;

const TRACE_BYTES_MAX = 16;
export const CODEC_MAX = 255;
export const MINOR_MAX = 65_535;
const IGNORABLE_KEY_MIN = 32;
const KINDS: readonly FrameKind[] = [
  "delta",
  "pull",
  "snapshot",
  "release-delta",
  "refusal",
  "model",
];
/** The key of each field. */
export const HEADER_KEY = {
  kind: 0,
  minor: 1,
  epoch: 2,
  seq: 3,
  base: 4,
  version: 5,
  codec: 6,
  dictionary: 7,
  trace: 8,
  contentHash: 9,
  applied: 10,
  part: 11,
  model: 12,
} as const;
const RELEASE_KEYS = [
  HEADER_KEY.version,
  HEADER_KEY.contentHash,
  HEADER_KEY.codec,
  HEADER_KEY.applied,
  HEADER_KEY.part,
  HEADER_KEY.model,
] as const;
const KEYS_OF: Readonly<Record<FrameKind, readonly number[]>> = {
  delta: [HEADER_KEY.epoch, HEADER_KEY.seq, HEADER_KEY.base, HEADER_KEY.codec, HEADER_KEY.trace],
  pull: [HEADER_KEY.base, HEADER_KEY.trace],
  snapshot: RELEASE_KEYS,
  "release-delta": [HEADER_KEY.base, ...RELEASE_KEYS],
  refusal: [],
  model: [HEADER_KEY.version, HEADER_KEY.contentHash],
};

/** The header's bytes. Its fields must be within range; anything else is a bug of the caller. */
export function encodeHeader(header: FrameHeader): Uint8Array {
  const map = new Map<CborKey, CborValue>([[HEADER_KEY.kind, KINDS.indexOf(header.kind) + 1]]);
  for (const [name, value] of Object.entries(header)) {
    if (name === "kind" || value === null || value === undefined) continue;
    const key = HEADER_KEY[name as keyof typeof HEADER_KEY];
    if (name === "applied") map.set(key, [value.epoch, value.seq]);
    else if (name === "part") map.set(key, [value.n, value.of]);
    else map.set(key, value);
  }
  const bytes = encodeCbor(map);
  readHeader(bytes); // What we would refuse from a peer we do not send.
  return bytes;
}

/**
 * Reads the header that `bytes` begin with and says where it ends.
 *
 * Throws `ProtocolError("header.…")` or `SerializationError("cbor.…")`.
 */
export function readHeader(bytes: Uint8Array): ReadHeader {
  const window = bytes.subarray(0, limits.HEADER_BYTES_MAX);
  const end = headerEnd(window, bytes.length > window.length);
  const value = decodeCbor(window.subarray(0, end));
  if (!(value instanceof Map)) throw new ProtocolError("header.shape", "a header is a map");
  return { header: headerOf(value), end };
}

function headerEnd(window: Uint8Array, more: boolean): number {
  try {
    return walkCborPrefix(window);
  } catch (error) {
    const cut =
      error instanceof OmegaError && ["cbor.truncated", "cbor.length"].includes(error.reason);
    if (!cut || !more) throw error;
    throw new ProtocolError(
      "header.size",
      `a header ends within ${limits.HEADER_BYTES_MAX} bytes`,
      {
        cause: error,
      },
    );
  }
}

function headerOf(map: CborMap): FrameHeader {
  const kind = KINDS[uint(map, HEADER_KEY.kind, "kind", 1, KINDS.length) - 1] as FrameKind;
  requireKnownKeys(map, kind);
  const minor = minorOf(map);
  const counter = (key: number, name: string, min: number) =>
    uint(map, key, name, min, COUNTER_MAX);
  switch (kind) {
    case "delta":
      return {
        kind,
        ...minor,
        epoch: counter(HEADER_KEY.epoch, "epoch", 1),
        seq: counter(HEADER_KEY.seq, "seq", 1),
        base: counter(HEADER_KEY.base, "base", 0),
        codec: uint(map, HEADER_KEY.codec, "codec", 0, CODEC_MAX),
        ...traceOf(map),
      };
    case "pull":
      return { kind, ...minor, base: counter(HEADER_KEY.base, "base", 0), ...traceOf(map) };
    case "snapshot":
      return {
        kind,
        ...minor,
        version: counter(HEADER_KEY.version, "version", 0),
        ...releaseFields(map),
      };
    case "release-delta":
      return {
        kind,
        ...minor,
        version: counter(HEADER_KEY.version, "version", 1),
        base: counter(HEADER_KEY.base, "base", 1),
        ...releaseFields(map),
      };
    case "refusal":
      return { kind, ...minor };
    case "model":
      return {
        kind,
        ...minor,
        version: uint(map, HEADER_KEY.version, "version", 1, MODEL_VERSION_MAX),
        contentHash: byteString(map, HEADER_KEY.contentHash, "content-hash", CONTENT_HASH_BYTES),
      };
  }
}

function minorOf(map: CborMap): Minor {
  return map.has(HEADER_KEY.minor)
    ? { minor: uint(map, HEADER_KEY.minor, "minor", 1, MINOR_MAX) }
    : {};
}

function releaseFields(map: CborMap): {
  contentHash: Uint8Array;
  codec: number;
  applied: Position | null;
} & LayeredRelease {
  const codec = uint(map, HEADER_KEY.codec, "codec", 0, CODEC_MAX);
  return {
    contentHash: byteString(map, HEADER_KEY.contentHash, "content-hash", CONTENT_HASH_BYTES),
    codec,
    applied: appliedOf(map.get(HEADER_KEY.applied)),
    ...layeredFields(map, codec),
  };
}

/** Codec 0 knows neither parts nor models. */
function layeredFields(map: CborMap, codec: number): LayeredRelease {
  const part = map.get(HEADER_KEY.part);
  for (const key of [HEADER_KEY.part, HEADER_KEY.model]) {
    if (codec === 0 && map.has(key)) throw unknownKey(key, "release of codec 0");
  }
  return {
    ...(part === undefined ? {} : { part: partOf(part) }),
    ...(map.has(HEADER_KEY.model)
      ? { model: uint(map, HEADER_KEY.model, "model", 1, MODEL_VERSION_MAX) }
      : {}),
  };
}

function partOf(value: CborValue): Part {
  const [n, of, ...rest] = Array.isArray(value) ? (value as CborValue[]) : [];
  const whole = typeof n === "number" && typeof of === "number" && rest.length === 0;
  if (whole && n >= 1 && n <= of && of >= 2 && of <= PARTS_MAX) return { n, of };
  throw new ProtocolError("header.part", `part must be [n, of], n ≤ of, of 2 to ${PARTS_MAX}`);
}

function requireKnownKeys(map: CborMap, kind: FrameKind): void {
  for (const key of map.keys()) {
    if (typeof key === "number" && key >= IGNORABLE_KEY_MIN) continue;
    if (key === HEADER_KEY.kind || key === HEADER_KEY.minor) continue;
    if (key === HEADER_KEY.dictionary) {
      throw new ProtocolError("header.dictionary", "dictionaries are reserved in this version");
    }
    if (typeof key === "number" && KEYS_OF[kind].includes(key)) continue;
    throw unknownKey(key, kind);
  }
}

function unknownKey(key: CborKey, kind: string): ProtocolError {
  return new ProtocolError("header.unknown-key", `key ${key} has no meaning in a ${kind}`, {
    detail: { key, kind },
  });
}

function uint(map: CborMap, key: number, name: string, min: number, max: number): number {
  const value = map.get(key);
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new ProtocolError(`header.${name}`, `${name} must be an integer ${min} to ${max}`, {
    detail: { [name]: value },
  });
}

/** Copied, because a header outlives the packet it came in. */
function byteString(map: CborMap, key: number, name: string, min: number, max = min): Uint8Array {
  const value = map.get(key);
  if (value instanceof Uint8Array && value.length >= min && value.length <= max) {
    return Uint8Array.from(value);
  }
  throw new ProtocolError(`header.${name}`, `${name} must be ${min} to ${max} bytes`);
}

function traceOf(map: CborMap): { trace?: Uint8Array } {
  if (!map.has(HEADER_KEY.trace)) return {};
  return { trace: byteString(map, HEADER_KEY.trace, "trace", 1, TRACE_BYTES_MAX) };
}

function appliedOf(value: CborValue | undefined): Position | null {
  if (value === undefined) return null;
  const [epoch, seq, ...rest] = Array.isArray(value) ? (value as CborValue[]) : [];
  const within = (part: CborValue | undefined, min: number): part is number =>
    typeof part === "number" && part >= min && part <= COUNTER_MAX;
  if (within(epoch, 1) && within(seq, 0) && rest.length === 0) return { epoch, seq };
  throw new ProtocolError("header.applied", "applied must be [epoch ≥ 1, seq ≥ 0]");
}
