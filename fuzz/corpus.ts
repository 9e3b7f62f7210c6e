/**
 * The inputs that are kept: golden frames, frames of full size, and those that once were attacks or findings.
 *
 * `corpus/TARGET.txt` holds one input a line, `name hex`; `#` begins a comment.
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../src/core/index.ts";
import { encodeDelta1, toGrid, type Upsert, type Zstd } from "../src/wire/index.ts";

export interface KeptInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Whom the frames say they are from; the unbiased mode draws its seeds from it. */
export const FRAME_SENDER = "acme/tv-1";
const LINE = /^(\S+)\s+([0-9a-f]*)$/;

/** The kept inputs of a target; none when it has no file. Throws on a line that is neither. */
export function keptInputs(root: string, target: string): KeptInput[] {
  const dir = join(root, "fuzz/corpus");
  if (!readdirSync(dir).includes(`${target}.txt`)) return [];
  const text = readFileSync(join(dir, `${target}.txt`), "utf8");
  return text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name, hex] = LINE.exec(line) ?? [];
      if (name === undefined || hex === undefined) throw new Error(`${target}.txt: ${line}`);
      return { name, bytes: new Uint8Array(Buffer.from(hex, "hex")) };
    });
}

/** The golden frames of the wire protocol. */
export function goldenFrames(root: string): Uint8Array[] {
  const dir = join(root, "test/golden/v1");
  return readdirSync(dir)
    .filter((file) => file.endsWith(".bin"))
    .map((file) => new Uint8Array(readFileSync(join(dir, file))));
}

/** Frames as large as real ones: ten patterns of 384 numbers in both modes. */
export function fullFrames(zstd: Zstd): Uint8Array[] {
  const random = seededRandom(20_261_126);
  const upserts: Upsert[] = Array.from({ length: 10 }, (_, at) => ({
    id: `pattern-${at}`,
    ...{ weight: 1 + at, success: 0.5, samples: 10 * at, updatedAtS: 1_790_000_000 + at },
    embedding: {
      mode: "absolute",
      target: toGrid(Float32Array.from({ length: 384 }, () => (random.next() - 0.5) / 6)),
    },
  }));
  const content = { dim: 384, upserts, removals: [] };
  return (["tracking", "unbiased"] as const).flatMap((mode) => {
    const options = {
      bytesMax: 1_024,
      model: null,
      mode,
      states: 8,
      sender: FRAME_SENDER,
    } as const;
    return encodeDelta1({ epoch: 7, seq: 1, base: 0 }, content, options, zstd)?.frame ?? [];
  });
}
