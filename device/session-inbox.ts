/**
 * What a down frame means to a device that already holds something.
 *
 * P5: versions never fall. A frame of an older release still carries a
 * watermark worth having; a frame that does not build on what is held asks
 * for a pull; a frame whose content does not hash to what it claims is broken.
 *
 * A release of rendition 0 is one frame, one of rendition 1 comes in parts:
 * after each but the last there is a preview, and what is held stays held
 * until the last has proved the whole.
 * @module
 */
import { limits, OmegaError, ProtocolError, sameBytes } from "../src/core/index.ts";
import {
  CODEC1,
  type CodecModel,
  type CodecModels,
  decodeRelease,
  type Frame,
  type FrameHeader,
  type Position,
  type Preview1,
  peekFrame,
  TransitionReader,
  type Zstd,
} from "../src/wire/index.ts";
import { framesAfter, type Held, heldRelease1 } from "./session-held.ts";

/** P8: of one transition; 255 parts of 5 KB are within it. */
const PARTS_BYTES_MAX = 2 * 1024 * 1024;

type ReleaseHeader = Extract<FrameHeader, { kind: "snapshot" | "release-delta" }>;

/** What the frame was about. */
type Meaning =
  /** A release to take. */
  | { readonly kind: "release"; readonly held: Held }
  /** The release as far as its parts have come; not verified. */
  | { readonly kind: "preview"; readonly preview: Preview }
  /** The release already held, or a part already read. */
  | { readonly kind: "same" | "again" }
  /** An older release than one this device has had. */
  | { readonly kind: "older"; readonly version: number }
  /** It does not build on what is held: pull, as one that holds this version. */
  | { readonly kind: "base"; readonly base: number }
  /** It needs this codec model, which is not held. */
  | { readonly kind: "model"; readonly version: number };

export type DownFrame =
  | (Meaning & { readonly applied: Position | null })
  | { readonly kind: "broken"; readonly error: OmegaError };

/** What can be shown of a release that is still coming. */
export interface Preview {
  readonly release: Preview1;
  readonly model: CodecModel | null;
  readonly part: number;
  readonly parts: number;
}

export class Inbox {
  readonly #models: CodecModels;
  readonly #zstd: Zstd;
  #held: Held | null;
  #reader: TransitionReader;
  /** The frames of the transition under way. */
  #parts: Uint8Array[] = [];

  constructor(held: Held | null, models: CodecModels, zstd: Zstd) {
    this.#models = models;
    this.#zstd = zstd;
    this.#held = held;
    this.#reader = this.#newReader();
  }

  /** The newest release verified; null for none. */
  get held(): Held | null {
    return this.#held;
  }

  get version(): number {
    return this.#held?.release.version ?? 0;
  }

  /** Reads one down frame, given the highest version ever held. */
  read(bytes: Uint8Array, floor: number): DownFrame {
    try {
      const frame = peekFrame(bytes, limits.DOWN_FRAME_BYTES_MAX);
      const { header } = frame;
      if (header.kind !== "snapshot" && header.kind !== "release-delta") {
        throw new ProtocolError("down.kind", `a ${header.kind} frame has no place on a down topic`);
      }
      return { ...this.#meaning(bytes, frame, header, floor), applied: header.applied };
    } catch (error) {
      if (error instanceof OmegaError) return { kind: "broken", error };
      throw error;
    }
  }

  #meaning(bytes: Uint8Array, frame: Frame, header: ReleaseHeader, floor: number): Meaning {
    const { version } = header;
    if (version < Math.max(floor, this.version)) return { kind: "older", version };
    return header.codec === CODEC1 ? this.#read1(bytes, frame, header) : this.#read0(frame, header);
  }

  #read0(frame: Frame, header: ReleaseHeader): Meaning {
    const held = this.#held?.rendition === 0 ? this.#held : null;
    const { version, contentHash, codec } = header;
    if (held?.release.version === version && sameBytes(contentHash, held.hash)) {
      return { kind: "same" };
    }
    if (header.kind === "release-delta") {
      if (this.#held === null && version === 0) return { kind: "same" };
      const builds = header.base === held?.release.version && header.base !== version;
      if (!builds) return this.#baseFor(header);
    }
    const release = decodeRelease(frame, held?.release ?? null, this.#zstd);
    return this.#take({ rendition: 0, release, hash: contentHash.slice(), codec });
  }

  #read1(bytes: Uint8Array, frame: Frame, header: ReleaseHeader): Meaning {
    const step = this.#reader.feed(frame);
    const { n: part, of: parts } = header.part ?? { n: 1, of: 1 };
    if (step.kind === "release" || step.kind === "preview") this.#keep(part, bytes);
    switch (step.kind) {
      case "release": {
        const frames = framesAfter(this.#held, header.kind === "snapshot", this.#parts);
        return this.#take(heldRelease1(step, this.#models, frames));
      }
      case "preview": {
        const model = header.model === undefined ? null : this.#models.get(header.model);
        return { kind: "preview", preview: { release: step.release, model, part, parts } };
      }
      case "stray":
        return this.#baseFor(header);
      case "duplicate":
        return { kind: "again" };
      case "model":
      case "same":
        return step;
    }
  }

  #keep(part: number, bytes: Uint8Array): void {
    if (part === 1) this.#parts = [];
    this.#parts.push(bytes.slice());
    const kept = this.#parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (kept <= PARTS_BYTES_MAX) return;
    this.#reader = this.#newReader();
    throw new ProtocolError("down.parts", `a release holds at most ${PARTS_BYTES_MAX} bytes`);
  }

  /**
   * What to pull with. A difference to the very version held that still does not build on it means
   * another content (the other rendition, or a number used twice): then nothing held is of use.
   */
  #baseFor(header: ReleaseHeader): Meaning {
    const first = (header.part?.n ?? 1) === 1;
    const claims = first && header.kind === "release-delta" && header.base === this.version;
    return { kind: "base", base: claims ? 0 : this.version };
  }

  #take(held: Held): Meaning {
    this.#held = held;
    this.#parts = [];
    if (held.rendition === 0) this.#reader = this.#newReader();
    return { kind: "release", held };
  }

  #newReader(): TransitionReader {
    const release = this.#held?.rendition === 1 ? this.#held.release : null;
    return new TransitionReader(release, this.#models);
  }
}
