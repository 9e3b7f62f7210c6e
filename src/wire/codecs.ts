/**
 * The codecs this version speaks, by the id in the frame header.
 * @module
 */
import { ProtocolError } from "../core/index.ts";
import type { Codec } from "./codec.ts";
import { codec0 } from "./codec0.ts";

const CODECS: readonly Codec[] = [codec0];

/** The codec with this id. Throws `ProtocolError("codec.unknown")`. */
export function codecById(id: number): Codec {
  const codec = CODECS.find((candidate) => candidate.id === id);
  if (codec !== undefined) return codec;
  throw new ProtocolError("codec.unknown", `codec ${id} is not known to this version`, {
    detail: { codec: id },
  });
}
