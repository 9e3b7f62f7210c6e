/**
 * The quality ladder: how many bytes a delta frame may take right now.
 *
 *   rung        0       1       2
 *   of budget  all     3/4     1/2        1024, 768, 512 bytes by default
 *
 * The codec takes a byte budget and finds the finest step that fits, so asking
 * for less *is* the adaptive compression: the same patterns, a little coarser,
 * and the closed loop mends them when the link is better. Three things press
 * the rung down, and the worst of them decides:
 *
 *   - how long a PUBACK takes, smoothed as TCP smooths its round trips (RFC 6298 §2);
 *   - trouble: frames that were lost with their connection or never answered;
 *   - a data cap that is being used up faster than the day passes.
 *
 * Pure: numbers in, numbers out, and no clock.
 * @module
 */

export interface QualityOptions {
  /** What a frame may take on a good link. */
  readonly budgetBytes: number;
  /** Bytes up and down within 24 hours; null is no cap. */
  readonly dailyBytesMax: number | null;
}

/** What the link has shown so far. */
export interface LinkQuality {
  /** Smoothed time from publish to PUBACK; null before the first. */
  readonly roundTripMs: number | null;
  /** The rung that round trips ask for; it moves with hysteresis. */
  readonly delayRung: Rung;
  readonly troubleRung: Rung;
  /** Frames acknowledged since the last trouble, or since it was forgiven. */
  readonly calmCount: number;
  /** The current day of the data cap: when it began (monotonic ms), and the bytes in it. */
  readonly dayFromMs: number;
  readonly dayBytes: number;
}

export type Rung = 0 | 1 | 2;

export const DAY_MS = 24 * 3_600_000;
/** The share of the budget that each rung leaves. */
const SHARES = [1, 3 / 4, 1 / 2] as const;
/** RFC 6298 §2.3, alpha. */
const SMOOTHING = 1 / 8;
/** Round trips above these take a rung; at half of it the rung is given back. */
const ROUND_TRIP_MS = [1_500, 6_000] as const;
/** So many frames acknowledged in a row forgive one trouble. */
const CALM_COUNT = 8;
/** The share of a data cap below which nobody needs to save. */
const CAP_EASY_SHARE = 1 / 4;
/** This much ahead of the day, or this near the cap, is worth two rungs. */
const CAP_AHEAD_SHARE = 1 / 4;
const CAP_NEAR_SHARE = 9 / 10;

/** A link of which nothing is known yet gets the whole budget. */
export function unknownQuality(nowMs: number): LinkQuality {
  return {
    roundTripMs: null,
    delayRung: 0,
    troubleRung: 0,
    calmCount: 0,
    dayFromMs: nowMs,
    dayBytes: 0,
  };
}

/** A frame published by this process was acknowledged after `ms`. */
export function afterAck(quality: LinkQuality, ms: number): LinkQuality {
  const former = quality.roundTripMs ?? ms;
  const roundTripMs = former + SMOOTHING * (ms - former);
  const calmCount = quality.calmCount + 1;
  const forgiven = calmCount >= CALM_COUNT && quality.troubleRung > 0;
  return {
    ...quality,
    roundTripMs,
    delayRung: delayRungOf(quality.delayRung, roundTripMs),
    troubleRung: forgiven ? lower(quality.troubleRung) : quality.troubleRung,
    calmCount: forgiven ? 0 : calmCount,
  };
}

/** Frames were lost with their connection, or waited for their PUBACK in vain. */
export function afterTrouble(quality: LinkQuality): LinkQuality {
  return { ...quality, troubleRung: raise(quality.troubleRung), calmCount: 0 };
}

/** `bytes` went over the link, either way. A day begins with the first byte after the last one ended. */
export function afterBytes(quality: LinkQuality, bytes: number, nowMs: number): LinkQuality {
  if (nowMs - quality.dayFromMs < DAY_MS) {
    return { ...quality, dayBytes: quality.dayBytes + bytes };
  }
  return { ...quality, dayFromMs: nowMs, dayBytes: bytes };
}

export function rungOf(quality: LinkQuality, options: QualityOptions, nowMs: number): Rung {
  const { delayRung, troubleRung } = quality;
  const worst = Math.max(delayRung, troubleRung, capRungOf(quality, options, nowMs));
  return worst as Rung;
}

/** The bytes a frame may take now. */
export function budgetOf(quality: LinkQuality, options: QualityOptions, nowMs: number): number {
  return Math.floor(options.budgetBytes * SHARES[rungOf(quality, options, nowMs)]);
}

/** How long new deltas must wait because the data cap is used up; 0 when they need not. */
export function restMs(quality: LinkQuality, options: QualityOptions, nowMs: number): number {
  const { dailyBytesMax } = options;
  const leftMs = quality.dayFromMs + DAY_MS - nowMs;
  if (dailyBytesMax === null || leftMs <= 0) return 0;
  return quality.dayBytes >= dailyBytesMax ? leftMs : 0;
}

function delayRungOf(held: Rung, roundTripMs: number): Rung {
  const [slow, verySlow] = ROUND_TRIP_MS;
  const asked = roundTripMs > verySlow ? 2 : roundTripMs > slow ? 1 : 0;
  if (asked >= held) return asked;
  const threshold = held === 2 ? verySlow : slow;
  return roundTripMs <= threshold / 2 ? lower(held) : held;
}

function capRungOf(quality: LinkQuality, { dailyBytesMax }: QualityOptions, nowMs: number): Rung {
  const dayShare = (nowMs - quality.dayFromMs) / DAY_MS;
  if (dailyBytesMax === null || dayShare >= 1) return 0;
  const usedShare = quality.dayBytes / dailyBytesMax;
  if (usedShare >= CAP_NEAR_SHARE) return 2;
  if (usedShare <= Math.max(CAP_EASY_SHARE, dayShare)) return 0;
  return usedShare - dayShare > CAP_AHEAD_SHARE * 2 ? 2 : 1;
}

function raise(rung: Rung): Rung {
  return rung === 0 ? 1 : 2;
}

function lower(rung: Rung): Rung {
  return rung === 2 ? 1 : 0;
}
