/**
 * Reading a queued frame: the first and only place that looks into a body.
 *
 * Whatever the bytes are, the answer is a value: a delta, or a refusal with its
 * reason and as much of its position as could be read. The frame was
 * acknowledged already, so a refusal becomes a dead letter, never an exception
 * that would hold up the batch around it (P2, P8; THREATS 18 and 19).
 *
 * A frame of codec 1 may need a codec model that is not at hand. Then the
 * refusal says which, and whoever can get it reads the frame again.
 * @module
 */
import { limits, messageOf, OmegaError } from "../core/index.ts";
import {
  type CodecModel,
  type CodecModels,
  type DecodedDelta,
  type DeltaContext,
  decodeDelta,
  type Frame,
  type Position,
  peekFrame,
  type Zstd,
} from "../wire/index.ts";

export interface ReadDelta {
  readonly kind: "delta";
  readonly position: Position;
  readonly delta: DecodedDelta;
}

interface ReadRefusal {
  readonly kind: "refused";
  /** null when not even the header could be read, or when it was no delta's. */
  readonly position: Position | null;
  readonly reason: string;
  readonly detail: string;
  /** The codec model for want of which it was refused; null when it was for something else. */
  readonly wantsModel: number | null;
}

export type ReadFrame = ReadDelta | ReadRefusal;

/** Decodes one frame; never throws for what its bytes are. `context.sender` is a `deviceName`. */
export function readFrame(bytes: Uint8Array, zstd: Zstd, context: DeltaContext): ReadFrame {
  let frame: Frame;
  try {
    frame = peekFrame(bytes, limits.UP_FRAME_BYTES_MAX);
  } catch (error) {
    return refused(null, error, null);
  }
  const { header } = frame;
  if (header.kind !== "delta") {
    const detail = `a device sends deltas, not ${header.kind}`;
    return { kind: "refused", position: null, reason: "frame.kind", detail, wantsModel: null };
  }
  const position = { epoch: header.epoch, seq: header.seq };
  const models = new WatchedModels(context.models);
  try {
    const delta = decodeDelta(frame, zstd, { models, sender: context.sender });
    return { kind: "delta", position, delta };
  } catch (error) {
    return refused(position, error, models.lacking);
  }
}

/** Codec models that remember which one was asked for in vain. */
class WatchedModels implements CodecModels {
  readonly #models: CodecModels;
  lacking: number | null = null;

  constructor(models: CodecModels) {
    this.#models = models;
  }

  get(version: number): CodecModel | null {
    const model = this.#models.get(version);
    if (model === null) this.lacking = version;
    return model;
  }
}

/** A decoder that fails in a way it never announced still only costs its own frame. */
function refused(
  position: Position | null,
  error: unknown,
  wantsModel: number | null,
): ReadRefusal {
  const reason = error instanceof OmegaError ? error.reason : "frame.undecodable";
  return { kind: "refused", position, reason, detail: messageOf(error), wantsModel };
}
