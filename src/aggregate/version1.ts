/**
 * Rendition 1 of the next release: the same patterns in layers. Pure.
 *
 * Its calm is its own. A vector in layers differs from the mean it stands for
 * by far more than a pattern moves from one release to the next, so the
 * question is not how far the mean lies from what was released, but how much
 * nearer new rows would come:
 *
 *   old rows stay while  ‖G − old‖² ≤ ‖G − new‖² + hold²
 *
 * which is the square of the movement, in expectation. Every release compares
 * with the mean itself, so what is held never drifts. Counts are held apart
 * from rows: a weight alone is a few bits.
 * @module
 */
import { sameBytes } from "../core/index.ts";
import {
  type CodecModel,
  contentHash1,
  GRID,
  type GridVector,
  layingRelease1,
  RELEASE1_FRAME_BYTES_MAX,
  type Release,
  type Release1,
  type Release1Pattern,
  type ReleasePattern,
  type Slices,
  sharesRows,
  toSpace,
  vectorsOf,
} from "../wire/index.ts";
import type { VersionPolicy } from "./version-policy.ts";

export interface Rendition1Plan {
  readonly release: Release1;
  /** That of the release's space; null in the pattern domain. */
  readonly model: CodecModel | null;
  /** Whether its content differs from the previous one's. */
  readonly changed: boolean;
}

interface Rendition1Context {
  readonly policy: VersionPolicy;
  /** Publish every pattern afresh, however little it moved. */
  readonly exact: boolean;
  /** The newest model; one of another dimension counts as none. */
  readonly newest: CodecModel | null;
}

/** Plans rendition 1 of `fresh` (vectors in the pattern domain) after `previous` (null: none). */
export function* planningRendition1(
  fresh: Release,
  previous: Release1 | null,
  { policy, exact, newest }: Rendition1Context,
): Slices<Rendition1Plan> {
  const model = newest?.dim === fresh.dim ? newest : null;
  const wanted = model === null ? fresh : turned(fresh, model);
  const settle = (laid: Release1): Release1 =>
    previous === null || exact ? laid : calmed(laid, previous, wanted, model, policy);
  const bytesMax = RELEASE1_FRAME_BYTES_MAX;
  const release = yield* layingRelease1(wanted, model, previous, bytesMax, settle);
  return { release, model, changed: hasChanged(release, previous, model) };
}

function hasChanged(
  release: Release1,
  previous: Release1 | null,
  model: CodecModel | null,
): boolean {
  if (previous === null) return release.patterns.length + release.trends.length > 0;
  if (!sharesRows(previous, release)) return true;
  return !sameBytes(contentHash1(release, model), contentHash1(previous, model));
}

function turned(release: Release, model: CodecModel): Release {
  const vectors = toSpace(
    model,
    release.patterns.map(({ vector }) => vector),
  );
  const patterns = release.patterns.map((pattern, index): ReleasePattern => {
    return { ...pattern, vector: vectors[index] as GridVector };
  });
  return { ...release, patterns };
}

/** `laid` with the rows and counts of `previous` where the difference is not worth telling. */
function calmed(
  laid: Release1,
  previous: Release1,
  wanted: Release,
  model: CodecModel | null,
  policy: VersionPolicy,
): Release1 {
  if (!sharesRows(previous, laid)) return laid;
  const means = new Map(wanted.patterns.map(({ id, vector }) => [id, vector]));
  const before = new Map(previous.patterns.map((pattern) => [pattern.id, pattern]));
  const said = vectorsById(previous, model);
  const saying = vectorsById(laid, model);
  const rowsStay = (id: string): boolean => {
    const [mean, old, now] = [means.get(id), said.get(id), saying.get(id)];
    if (mean === undefined || old === undefined || now === undefined) return false;
    return squared(mean, old) <= squared(mean, now) + (policy.holdDistance * GRID) ** 2;
  };
  const patterns = laid.patterns.map((pattern): Release1Pattern => {
    const old = before.get(pattern.id);
    if (old === undefined) return pattern;
    const layers = rowsStay(pattern.id) ? old.layers : pattern.layers;
    const { weight, devices } = countsStay(old, pattern, policy) ? old : pattern;
    return { id: pattern.id, weight, devices, layers };
  });
  return { ...laid, patterns };
}

function vectorsById(release: Release1, model: CodecModel | null): Map<string, GridVector> {
  const { full } = vectorsOf(release, model);
  return new Map(release.patterns.map(({ id }, index) => [id, full[index] as GridVector]));
}

function countsStay(old: Release1Pattern, fresh: Release1Pattern, policy: VersionPolicy): boolean {
  const near = (a: number, b: number) => Math.abs(a - b) <= policy.holdShare * a;
  return near(old.weight, fresh.weight) && near(old.devices, fresh.devices);
}

function squared(a: GridVector, b: GridVector): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += ((a[at] as number) - (b[at] as number)) ** 2;
  return sum;
}
