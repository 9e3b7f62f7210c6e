/**
 * Durations as people type them: `90s`, `15m`, `24h`, `30d`.
 * @module
 */
import { InvalidArgumentError } from "commander";

const SECONDS_OF_UNIT: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const DURATION_S_MAX = 3_650 * 86_400;

/** Whole seconds, 1 … 10 years. Throws commander's `InvalidArgumentError` (a usage error) on anything else. */
export function parseDurationS(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const durationS = Number(digits) * (SECONDS_OF_UNIT[unit ?? ""] ?? Number.NaN);
  if (durationS >= 1 && durationS <= DURATION_S_MAX) return durationS;
  throw new InvalidArgumentError(
    "Expected a duration such as 90s, 15m, 24h or 30d, at most 3650d.",
  );
}
