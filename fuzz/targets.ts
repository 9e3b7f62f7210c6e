/**
 * The targets that are functions of bytes, by name.
 * @module
 */
import { loadZstd } from "../src/wire/index.ts";
import { cborTarget } from "./cbor-target.ts";
import { fullFrames, goldenFrames, keptInputs } from "./corpus.ts";
import { codecTarget, frameTarget, zstdTarget } from "./frame-targets.ts";
import { packetTarget } from "./packet-target.ts";
import type { Target } from "./target.ts";

export const PURE_TARGETS = ["packets", "frame", "cbor", "codec", "zstd"] as const;
export type PureTargetName = (typeof PURE_TARGETS)[number];

/** The target called `name`; `root` is the checkout, where the corpora lie. */
export async function pureTarget(name: PureTargetName, root: string): Promise<Target> {
  const zstd = await loadZstd();
  const kept = keptInputs(root, name).map(({ bytes }) => bytes);
  const frames = () => [...goldenFrames(root), ...fullFrames(zstd)];
  switch (name) {
    case "packets":
      return packetTarget(kept, frames());
    case "frame":
      return frameTarget([...frames(), ...kept], zstd);
    case "cbor":
      return cborTarget(kept);
    case "codec":
      return codecTarget(frames(), zstd);
    case "zstd":
      return zstdTarget(kept, zstd);
  }
}
