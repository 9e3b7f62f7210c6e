/**
 * The golden frames as they lie on disk.
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { decodeRelease, peekFrame, type Release, type Zstd } from "../../src/wire/index.ts";

export const GOLDEN_DIR = new URL("../golden/v1/", import.meta.url);

export interface GoldenDescription {
  readonly name: string;
  readonly description: string;
  readonly held?: string;
  readonly input: unknown;
  readonly expected: unknown;
}

export function goldenNames(): string[] {
  return readdirSync(GOLDEN_DIR)
    .filter((file) => file.endsWith(".bin"))
    .map((file) => file.slice(0, -".bin".length))
    .sort();
}

export function goldenBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.bin`, GOLDEN_DIR)));
}

export function goldenDescription(name: string): GoldenDescription {
  return JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN_DIR), "utf8"));
}

/**
 * What a golden frame builds on: the release that a release delta changes, or, in layers, the frame
 * that must be read before; null for nothing.
 */
export type GoldenHeld = Release | Uint8Array | null;

export function goldenHeld(name: string, zstd: Zstd): GoldenHeld {
  const { held } = goldenDescription(name);
  return held === undefined ? null : heldIn(goldenBytes(held), zstd);
}

/** What the golden frame `bytes` leaves to a frame that builds on it. */
export function heldIn(bytes: Uint8Array, zstd: Zstd): GoldenHeld {
  const frame = peekFrame(bytes, 64 * 1024);
  const layered = frame.header.kind === "snapshot" && frame.header.codec === 1;
  return layered ? bytes : decodeRelease(frame, null, zstd);
}
