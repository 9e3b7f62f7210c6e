/**
 * From what an application says to what the outbox stores.
 *
 * Everything wrong with a delta is found here, before it becomes durable: a
 * pattern that the server must refuse would otherwise be learnt of minutes
 * later, from another machine.
 * @module
 */
import { isId, limits, messageOf, SerializationError } from "../src/core/index.ts";
import { toGrid } from "../src/wire/index.ts";
import type { PutItem } from "./session-log.ts";
import { show } from "./show.ts";

/** What one device has learnt about one taste or habit. Counts are absolute, never increments. */
export interface Pattern {
  /** 1–64 characters of `A–Z a–z 0–9 _ -`. */
  readonly id: string;
  /** `dim` finite numbers, not all zero; a norm above 1 is scaled down to 1. */
  readonly embedding: Float32Array | readonly number[];
  /** This device's say about the pattern: integer 1..1023. */
  readonly weight: number;
  /** Success rate 0..1, kept to a thousandth. Default 0. */
  readonly success?: number;
  /** Observations behind it: integer 0..2^32−1. Default 0. */
  readonly samples?: number;
  /** Default: now. */
  readonly updatedAt?: Date;
}

/** What changed on a device since it last spoke. */
export interface Delta {
  readonly upserts: readonly Pattern[];
  /** Ids of patterns this device no longer stands for. */
  readonly removals?: readonly string[];
}

const SAMPLES_MAX = 2 ** 32 - 1;
const UPDATED_AT_S_MAX = 2 ** 40;

/**
 * The outbox items of a delta; `nowS` (unix seconds) stands in for missing times.
 * Throws `SerializationError("delta.invalid")` with every fault in `detail.faults`.
 */
export function intake(delta: Delta, dim: number, nowS: number): PutItem[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  const items: PutItem[] = [];
  const claim = (what: string, id: unknown): string | null => {
    if (!isId(id)) faults.push(`${what}: id must match [A-Za-z0-9_-]{1,64}: got ${show(id)}`);
    else if (seen.has(id)) faults.push(`${what}: id ${id} appears twice in one delta`);
    else {
      seen.add(id);
      return id;
    }
    return null;
  };
  for (const [index, pattern] of delta.upserts.entries()) {
    const id = claim(`upserts[${index}]`, pattern.id);
    const value = patternValue(pattern, `upserts[${index}]`, dim, nowS, faults);
    if (id !== null && value !== null) items.push({ id, value, attempts: 0 });
  }
  for (const [index, removal] of (delta.removals ?? []).entries()) {
    const id = claim(`removals[${index}]`, removal);
    if (id !== null) items.push({ id, value: null, attempts: 0 });
  }
  if (faults.length > 0) {
    throw new SerializationError("delta.invalid", `invalid delta:\n  ${faults.join("\n  ")}`, {
      detail: { faults },
    });
  }
  return items;
}

function patternValue(
  pattern: Pattern,
  what: string,
  dim: number,
  nowS: number,
  faults: string[],
): PutItem["value"] {
  const { embedding, weight, success = 0, samples = 0, updatedAt } = pattern;
  const count = faults.length;
  if (!Number.isInteger(weight) || weight < 1 || weight > limits.WEIGHT_MAX) {
    faults.push(`${what}: weight must be an integer 1..${limits.WEIGHT_MAX}: got ${show(weight)}`);
  }
  if (!(success >= 0 && success <= 1)) {
    faults.push(`${what}: success must be 0..1: got ${show(success)}`);
  }
  if (!Number.isInteger(samples) || samples < 0 || samples > SAMPLES_MAX) {
    faults.push(`${what}: samples must be an integer 0..${SAMPLES_MAX}: got ${show(samples)}`);
  }
  const updatedAtS = updatedAt === undefined ? nowS : Math.floor(updatedAt.getTime() / 1000);
  if (!Number.isSafeInteger(updatedAtS) || updatedAtS < 0 || updatedAtS > UPDATED_AT_S_MAX) {
    faults.push(`${what}: updatedAt must be a date after 1970: got ${show(updatedAt)}`);
  }
  if (embedding?.length !== dim) {
    faults.push(`${what}: embedding must hold ${dim} numbers: got ${show(embedding?.length)}`);
  }
  if (faults.length > count) return null;
  try {
    return { target: toGrid(embedding), weight, success, samples, updatedAtS };
  } catch (error) {
    faults.push(`${what}: ${messageOf(error)}`);
    return null;
  }
}
