/**
 * Frames: whole ones with changed bytes, and ones whose body was changed before it was packed, so
 * that the change gets past zstd to the codecs.
 * @module
 */
import { limits, OmegaError, ProtocolError, type Random } from "../src/core/index.ts";
import {
  type CborValue,
  type CodecModel,
  type CodecModels,
  decodeCbor,
  decodeDelta,
  decodeModel,
  decodeRefusal,
  decodeRelease,
  encodeCbor,
  encodeFrame,
  type Frame,
  packBody,
  peekFrame,
  type Release,
  readModelFrame,
  TransitionReader,
  unpackBody,
  vectorsOf,
  type Zstd,
} from "../src/wire/index.ts";
import { FRAME_SENDER } from "./corpus.ts";
import { mutate, oneOf, randomBytes, type Target } from "./target.ts";

const REFUSALS = /^(?:frame|header|cbor|zstd|codec|columns|delta|release|refusal|pattern|model)\./;

/** What a reader holds when a frame arrives. */
interface World {
  readonly zstd: Zstd;
  readonly models: CodecModels;
  readonly release: Release | null;
  readonly layers: Frame | null;
}

/** Frames of every kind, as bytes change on a wire or in the hands of someone. */
export function frameTarget(frames: readonly Uint8Array[], zstd: Zstd): Target {
  const world = worldOf(frames, zstd);
  return {
    name: "frame",
    make: (random) => mutate(oneOf(random, frames), random),
    run: (input) => outcomeOf(() => read(input, world)),
  };
}

/** Bodies that are what zstd and CBOR make of them, with columns and coded bytes that are not. */
export function codecTarget(frames: readonly Uint8Array[], zstd: Zstd): Target {
  const world = worldOf(frames, zstd);
  const whole = frames.flatMap((bytes) => {
    const frame = peekFrame(bytes, limits.MODEL_FRAME_BYTES_MAX);
    if (frame.header.kind === "model" || frame.body.bytes.length === 0) return [];
    return [{ header: frame.header, raw: unpackBody(frame.body, zstd) }];
  });
  return {
    name: "codec",
    make(random) {
      const { header, raw } = oneOf(random, whole);
      const changed = random.next() < 0.4 ? mutate(raw, random) : mutateColumns(raw, random);
      const body = changed.subarray(0, limits.BODY_BYTES_MAX);
      const packed =
        random.next() < 0.1 ? packBody(body, zstd) : { compressed: false, bytes: body };
      return encodeFrame(header, packed);
    },
    run: (input) => outcomeOf(() => read(input, world)),
  };
}

/** zstd frames, and what only begins like one. */
export function zstdTarget(corpus: readonly Uint8Array[], zstd: Zstd): Target {
  const contents = [
    new Uint8Array(0),
    new Uint8Array(60_000),
    Uint8Array.from({ length: 999 }, (_, at) => at * at),
  ];
  const whole = [...corpus, ...contents.map((content) => zstd.compress(content))];
  const magic = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
  return {
    name: "zstd",
    make(random) {
      if (random.next() < 0.8) return mutate(oneOf(random, whole), random);
      return Buffer.concat([magic, randomBytes(random, Math.floor(random.next() * 40))]);
    },
    run: (input) =>
      outcomeOf(() => {
        const content = zstd.decompress(input, limits.BODY_BYTES_MAX);
        if (content.length > limits.BODY_BYTES_MAX) throw new Error("more than was asked for");
      }),
  };
}

function outcomeOf(act: () => void): string {
  try {
    act();
    return "read";
  } catch (error) {
    if (error instanceof OmegaError && REFUSALS.test(error.reason)) return error.reason;
    throw error;
  }
}

/** Reads a frame as its receiver would. */
function read(bytes: Uint8Array, world: World): void {
  const { zstd, models } = world;
  const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
  const { header } = frame;
  switch (header.kind) {
    case "delta":
      decodeDelta(frame, zstd, { models, sender: FRAME_SENDER });
      return;
    case "pull":
      return;
    case "refusal":
      decodeRefusal(frame, zstd);
      return;
    case "model":
      decodeModel(readModelFrame(bytes).model);
      return;
    case "snapshot":
    case "release-delta":
      if (header.codec !== 1) decodeRelease(frame, world.release, zstd);
      else readLayers(frame, world);
  }
}

function readLayers(frame: Frame, { models, layers }: World): void {
  const reader = new TransitionReader(null, models);
  if (layers !== null) reader.feed(layers);
  const step = reader.feed(frame);
  if (step.kind === "release" || step.kind === "preview") vectorsOf(step.release, null);
}

/** The models, the release and the layers among `frames`: what the others build on. */
function worldOf(frames: readonly Uint8Array[], zstd: Zstd): World {
  const models = new Map<number, CodecModel>();
  let release: Release | null = null;
  let layers: Frame | null = null;
  for (const bytes of frames) {
    const frame = peekFrame(bytes, limits.MODEL_FRAME_BYTES_MAX);
    const { header } = frame;
    if (header.kind === "model") {
      const model = decodeModel(readModelFrame(bytes).model);
      models.set(model.version, model);
    } else if (header.kind === "snapshot" && header.codec === 1) {
      if (header.part === undefined || header.part.of === 1) layers = frame;
    } else if (header.kind === "snapshot" && release === null) {
      release = quietly(() => decodeRelease(frame, null, zstd));
    }
  }
  const found = (version: number) => models.get(version) ?? null;
  return { zstd, models: { get: found }, release, layers };
}

function quietly<T>(act: () => T): T | null {
  try {
    return act();
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

/** A body as CBOR with one column changed: another number, another length, other bytes. */
function mutateColumns(raw: Uint8Array, random: Random): Uint8Array {
  const body = decodeCbor(raw);
  if (!(body instanceof Map) || body.size === 0) return mutate(raw, random);
  const key = oneOf(random, [...body.keys()]);
  const columns = new Map(body);
  if (random.next() < 0.1) columns.delete(key);
  else columns.set(key, changed(columns.get(key) as CborValue, random));
  return encodeCbor(columns);
}

const NUMBERS = [0, 1, 7, 8, 9, 255, 384, 4095, 4096, 4097, 65_536, 2 ** 32, 2 ** 53 - 1, -1];

function changed(value: CborValue, random: Random): CborValue {
  if (typeof value === "number") return oneOf(random, NUMBERS);
  if (value instanceof Uint8Array) return mutate(value, random);
  if (!Array.isArray(value) || value.length === 0) return oneOf(random, NUMBERS);
  const at = Math.floor(random.next() * value.length);
  const copy = [...value];
  const kind = random.next();
  if (kind < 0.3) copy.splice(at, 1);
  else if (kind < 0.5) copy.splice(at, 0, copy[at] as CborValue);
  else copy[at] = changed(copy[at] as CborValue, random);
  return copy;
}
