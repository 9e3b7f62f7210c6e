/**
 * Which patterns a device has, and which of them its next delta carries. Pure.
 *
 * The catalogue is cut into sets of what one delta carries, at most ten patterns. A device owns
 * neighbouring sets and sends them in turn, so that sets, not patterns, are what frames are made of:
 * a pool has one body for each set.
 * @module
 */
import type { DeviceKey } from "../../src/core/index.ts";
import type { Shape } from "./points.ts";

/** Patterns in one delta; a hundred of codec 0 would not fit a frame. */
const PER_DELTA_MAX = 10;
/** A tenant has at most 4,096 on a shard, so a larger catalogue is that of several tenants. */
const TENANT_PATTERNS_MAX = 2_500;
const ID_DIGITS = 6;

export interface DeviceSets {
  readonly perDelta: number;
  /** Deltas until a device has said all of its patterns. */
  readonly setsPerDevice: number;
  /** Of the whole catalogue. */
  readonly setCount: number;
  readonly tenants: number;
}

export function deviceSetsOf({ patternsPerDevice, catalogue }: Shape): DeviceSets {
  const perDelta = Math.min(patternsPerDevice, PER_DELTA_MAX);
  return {
    perDelta,
    setsPerDevice: Math.ceil(patternsPerDevice / perDelta),
    setCount: catalogue / perDelta,
    tenants: Math.ceil(catalogue / TENANT_PATTERNS_MAX),
  };
}

/** The set in the delta number `turn` (from 0) of device number `device`. */
export function setOf(sets: DeviceSets, device: number, turn: number): number {
  return (device * sets.setsPerDevice + (turn % sets.setsPerDevice)) % sets.setCount;
}

/** Ids of one length, so that one set's ids take the place of another's. */
export function patternsOf(perDelta: number, set: number): string[] {
  return Array.from({ length: perDelta }, (_, at) => {
    return `p${String(set * perDelta + at).padStart(ID_DIGITS, "0")}`;
  });
}

/** Devices of one tenant share its part of the catalogue. */
export function keyOf(sets: DeviceSets, device: number): DeviceKey {
  const tenant = Math.floor(setOf(sets, device, 0) / (sets.setCount / sets.tenants));
  return { tenant: tenant === 0 ? "default" : `tenant-${tenant}`, device: `tv-${device}` };
}
