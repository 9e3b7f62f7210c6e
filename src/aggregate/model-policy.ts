/**
 * When to learn a codec model, whether to publish it, and which old ones to drop. Pure.
 *
 * A model costs every device a download of 150 KB and splits the sums once
 * more, so there are few: the first when there is enough to learn from, another
 * when there is twice as much, or after a long time, because catalogues change;
 * and none is published that is not clearly better than what is there.
 * @module
 */

/** What must be known of a stored model; the store's `StoredModel` has it. */
interface KnownModel {
  readonly version: number;
  readonly samples: number;
  readonly learntAtMs: number;
}

export interface ModelPolicy {
  /** Vectors to learn from, at least; and never fewer than two per dimension. */
  readonly minSamples: number;
  /** Devices that must have given them. */
  readonly minDevices: number;
  /** How old a model must be before it is replaced, milliseconds. */
  readonly minAgeMs: number;
}

export const DEFAULT_MODEL_POLICY: ModelPolicy = {
  minSamples: 1_000,
  minDevices: 50,
  minAgeMs: 86_400_000,
};

/** Vectors in the training; more change the third digit of nothing. */
export const SAMPLES_MAX = 4_096;
/** By how much a model must be better than the one in use, or than none. */
const GAIN_DB_MIN = 0.3;
const GROWTH = 2;
/** After this many times `minAgeMs` a model is judged again, however little has come since. */
const STALE_AGES = 7;
/** Models that stay in any case: what a device may hold. */
const KEPT_MIN = 2;

/** The last attempt of this process, whatever came of it. */
export interface Attempt {
  readonly samples: number;
  readonly atMs: number;
}

/** Whether the model in use is old enough to think of another; a tenant without one always is. */
export function isRipe(newest: KnownModel | null, policy: ModelPolicy, nowMs: number): boolean {
  return newest === null || nowMs - newest.learntAtMs >= policy.minAgeMs;
}

/** Why there is nothing to learn yet; null when there is. */
export function lacks(
  sample: { readonly offered: number; readonly devices: number },
  dim: number,
  policy: ModelPolicy,
): "samples" | "devices" | null {
  if (sample.devices < policy.minDevices) return "devices";
  return sample.offered < Math.max(policy.minSamples, 2 * dim) ? "samples" : null;
}

/**
 * Whether so much has come since the model in use, and since the last attempt, that learning may
 * be worth its price.
 */
export function isPromising(
  offered: number,
  newest: KnownModel | null,
  last: Attempt | null,
  policy: ModelPolicy,
  nowMs: number,
): boolean {
  const since = [
    ...(newest === null ? [] : [{ samples: newest.samples, atMs: newest.learntAtMs }]),
    ...(last === null ? [] : [last]),
  ];
  return since.every(
    ({ samples, atMs }) =>
      offered >= GROWTH * samples || nowMs - atMs >= STALE_AGES * policy.minAgeMs,
  );
}

/** Whether a model of `gainDb` is clearly better than the one in use, null: than the rotation. */
export function isBetter(gainDb: number, currentGainDb: number | null): boolean {
  return gainDb - Math.max(0, currentGainDb ?? 0) >= GAIN_DB_MIN;
}

/** The versions, of those that are kept newest first, that nothing needs: no sums, no device. */
export function droppable(
  kept: readonly { readonly version: number }[],
  spacesInUse: ReadonlySet<number>,
): number[] {
  return kept
    .slice(KEPT_MIN)
    .map(({ version }) => version)
    .filter((version) => !spacesInUse.has(version));
}
