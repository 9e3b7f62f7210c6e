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

/** The release that a golden release delta builds on, or null. */
export function goldenHeld(name: string, zstd: Zstd): Release | null {
  const { held } = goldenDescription(name);
  if (held === undefined) return null;
  return decodeRelease(peekFrame(goldenBytes(held), 64 * 1024), null, zstd);
}
