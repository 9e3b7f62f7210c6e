/**
 * A Lua script as Redis knows it.
 * @module
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
  /** SHA-1 of the text, as Redis names it. */
  readonly sha: string;
}

export function script(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}
