/**
 * Codec models: what a tenant's embeddings have in common, so that a frame need not say it again.
 *
 * A model is the Karhunen–Loève transform (Karhunen 1947, Loève 1948; principal components) of a
 * tenant's patterns: a rotation into coordinates that are uncorrelated, with the mean and the
 * standard deviation of each. The server learns it, gives it a version and publishes it; both ends
 * compute with what {@link decodeModel} makes of the published bytes, never with what was learnt.
 *
 *   offset       bytes    field (little-endian)
 *   0            1        format, 1
 *   1            2        version, uint16, 1–65535
 *   3            2        dim, uint16, 8–1024
 *   5            2·dim    mean in the model's own coordinates, int16 grid steps
 *   5 + 2·dim    2·dim    spectrum, int16: round(32 · log2 of the standard deviation), 0–1023
 *   5 + 4·dim    dim·dim  basis, row by row, int8 levels −127…127
 *
 * A row of the basis is the unit vector along its levels, so that it needs no scale. Rounding to
 * eight bits leaves rows that are orthogonal only within 1 %; orthonormal.ts mends that.
 * @module
 */
import { assert, limits, ProtocolError, SerializationError } from "../../core/index.ts";
import type { GridVector } from "../grid.ts";
import { orthonormalise } from "./orthonormal.ts";

/** One version of a tenant's transform. Never changed in place. */
export interface CodecModel {
  /** 1 … 65535; also the number of the space that its coordinates span. */
  readonly version: number;
  readonly dim: number;
  /** The mean pattern in the model's coordinates, grid steps. */
  readonly mean: GridVector;
  /** Of each coordinate: round(32 · log2 σ), σ in grid steps; 0 … SPECTRUM_MAX. */
  readonly spectrum: Int16Array;
  /** dim × dim, orthonormal; row i is what coordinate i is measured along. */
  readonly basis: Float32Array;
}

/** The models at hand at the moment. */
export interface CodecModels {
  get(version: number): CodecModel | null;
}

export const MODEL_VERSION_MAX = 0xffff;
/** Beyond it the basis would weigh megabytes and learning it minutes; the rotation serves. */
export const MODEL_DIMENSION_MAX = 1024;
export const SPECTRUM_MAX = 1023;

const FORMAT = 1;
const HEAD_BYTES = 5;
const LEVEL_MAX = 127;
const LEVEL_NONE = -128;

export const MODEL_BYTES_MAX = modelBytes(MODEL_DIMENSION_MAX);

assert(MODEL_DIMENSION_MAX <= limits.DIMENSION_MAX, "a model is of patterns that may exist");
assert(limits.DIMENSION_DEFAULT <= MODEL_DIMENSION_MAX, "the usual dimension has models");

/** How many bytes {@link encodeModel} makes of a model. */
export function modelBytes(dim: number): number {
  return HEAD_BYTES + 4 * dim + dim * dim;
}

/**
 * The bytes of a model, whose basis loses precision on the way. Throws `SerializationError`:
 * `model.version`, `model.dim`, `model.spectrum` or `model.basis`.
 */
export function encodeModel(model: CodecModel): Uint8Array {
  const { version, dim, mean, spectrum, basis } = model;
  demand(isVersion(version), "version", `must be 1 to ${MODEL_VERSION_MAX}: got ${version}`);
  demand(isDimension(dim), "dim", `must be ${dimensions()}: got ${dim}`);
  assert(mean.length === dim && spectrum.length === dim, "mean and spectrum have the dimension");
  assert(basis.length === dim * dim, "the basis is square");
  demand(spectrum.every(isSpectrum), "spectrum", `must be 0 to ${SPECTRUM_MAX}`);
  const bytes = new Uint8Array(modelBytes(dim));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setUint16(1, version, true);
  view.setUint16(3, dim, true);
  for (let at = 0; at < dim; at += 1) {
    view.setInt16(HEAD_BYTES + 2 * at, mean[at] as number, true);
    view.setInt16(HEAD_BYTES + 2 * (dim + at), spectrum[at] as number, true);
  }
  const levels = new Int8Array(bytes.buffer, HEAD_BYTES + 4 * dim);
  for (let row = 0; row < dim; row += 1) writeRow(basis, levels, row * dim, dim);
  return bytes;
}

function writeRow(basis: Float32Array, levels: Int8Array, from: number, dim: number): void {
  let largest = 0;
  for (let at = from; at < from + dim; at += 1) {
    const size = Math.abs(basis[at] as number);
    demand(Number.isFinite(size), "basis", "must be finite");
    largest = Math.max(largest, size);
  }
  demand(largest > 0, "basis", "has a row of zeros");
  for (let at = from; at < from + dim; at += 1) {
    levels[at] = Math.round(((basis[at] as number) / largest) * LEVEL_MAX);
  }
}

/**
 * The model that every peer computes with. Bit-identical on every engine. Throws
 * `ProtocolError`: `model.length`, `model.format`, `model.version`, `model.dim`,
 * `model.spectrum` or `model.basis` (a level that does not exist, or rows that are no basis).
 *
 * Takes about 70 ms for 384 dimensions and 1.3 s for 1024; {@link prepareModel} does the same
 * in small slices.
 */
export function decodeModel(bytes: Uint8Array): CodecModel {
  const work = decoding(bytes);
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
  }
}

/** {@link decodeModel}, awaiting `pause()` every few milliseconds so that no event loop stalls. */
export async function prepareModel(
  bytes: Uint8Array,
  pause: () => Promise<void>,
): Promise<CodecModel> {
  const work = decoding(bytes);
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
    await pause();
  }
}

function* decoding(bytes: Uint8Array): Generator<void, CodecModel> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { version, dim } = readHead(view);
  const mean = new Int16Array(dim);
  const spectrum = new Int16Array(dim);
  for (let at = 0; at < dim; at += 1) {
    mean[at] = view.getInt16(HEAD_BYTES + 2 * at, true);
    spectrum[at] = view.getInt16(HEAD_BYTES + 2 * (dim + at), true);
  }
  if (!spectrum.every(isSpectrum)) refuse("spectrum", `must be 0 to ${SPECTRUM_MAX}`);
  const rows = new Float64Array(dim * dim);
  for (let at = 0; at < rows.length; at += 1) {
    const level = view.getInt8(HEAD_BYTES + 4 * dim + at);
    if (level === LEVEL_NONE) refuse("basis", "holds a level that does not exist", { at });
    rows[at] = level;
  }
  const wholly = yield* orthonormalise(rows, dim);
  if (!wholly) refuse("basis", "has rows that are not nearly orthogonal");
  return { version, dim, mean, spectrum, basis: Float32Array.from(rows) };
}

/** Nothing is allocated before the length is known to be right. */
function readHead(view: DataView): { version: number; dim: number } {
  const length = view.byteLength;
  if (length < HEAD_BYTES) refuse("length", "is cut short", { length });
  const format = view.getUint8(0);
  if (format !== FORMAT) refuse("format", `must be ${FORMAT}: got ${format}`);
  const version = view.getUint16(1, true);
  if (!isVersion(version)) refuse("version", "must not be 0");
  const dim = view.getUint16(3, true);
  if (!isDimension(dim)) refuse("dim", `must be ${dimensions()}: got ${dim}`);
  if (length !== modelBytes(dim)) {
    refuse("length", `must be ${modelBytes(dim)} bytes for dimension ${dim}: got ${length}`);
  }
  return { version, dim };
}

function isVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 1 && version <= MODEL_VERSION_MAX;
}

function isDimension(dim: number): boolean {
  return Number.isInteger(dim) && dim >= limits.DIMENSION_MIN && dim <= MODEL_DIMENSION_MAX;
}

function dimensions(): string {
  return `${limits.DIMENSION_MIN} to ${MODEL_DIMENSION_MAX}`;
}

function isSpectrum(level: number): boolean {
  return level >= 0 && level <= SPECTRUM_MAX;
}

function refuse(field: string, what: string, detail: Record<string, unknown> = {}): never {
  throw new ProtocolError(`model.${field}`, `the ${field} of a codec model ${what}`, { detail });
}

function demand(condition: boolean, field: string, what: string): void {
  if (condition) return;
  throw new SerializationError(`model.${field}`, `the ${field} of a codec model ${what}`);
}
