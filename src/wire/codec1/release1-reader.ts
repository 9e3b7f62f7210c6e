/**
 * Reading a transition part by part: the device's side.
 *
 *   idle ──part 1──▶ reading ──part n──▶ … ──last part, hash holds──▶ idle, with the release
 *     ▲                 │
 *     └── a part that does not follow, a broken one ──┘
 *
 * After each part there is a preview: everything as well as it is known so far.
 * The release itself is taken after the last part, when its content hash holds;
 * until then what was held before stays what is held (P5). A part of another
 * transition is no error: a newer release may overtake one that is half said.
 * @module
 */
import { ProtocolError, sameBytes } from "../../core/index.ts";
import type { Frame } from "../frame.ts";
import type { FrameHeader, Part } from "../header.ts";
import type { CodecModel, CodecModels } from "./model.ts";
import type { Preview1, Release1 } from "./release1.ts";
import { CODEC1, type PartBody, unpackPart } from "./release1-body.ts";
import { ReleaseDraft } from "./release1-draft.ts";
import { contentHash1 } from "./release1-hash.ts";

export type TransitionStep =
  /** More parts are to come; what is known so far. */
  | { readonly kind: "preview"; readonly release: Preview1 }
  /** The whole release, verified. It is held from now on. */
  | { readonly kind: "release"; readonly release: Release1; readonly contentHash: Uint8Array }
  /** The release that is held already: it is the newest, or its parts came twice. */
  | { readonly kind: "same" }
  /** A part that was read already. */
  | { readonly kind: "duplicate" }
  /** A part that does not build on what is held or was read: start over with a pull. */
  | { readonly kind: "stray" }
  /** This codec model is needed and not at hand: fetch it, then start over with a pull. */
  | { readonly kind: "model"; readonly version: number };

type ReleaseHeader = Extract<FrameHeader, { kind: "snapshot" | "release-delta" }>;

/** The transition under way. */
interface Reading {
  readonly header: ReleaseHeader;
  readonly model: CodecModel | null;
  readonly draft: ReleaseDraft;
  /** Parts read so far, 1 … of. */
  read: number;
}

const WHOLE: Part = { n: 1, of: 1 };

export class TransitionReader {
  readonly #models: CodecModels;
  #held: Release1 | null;
  /** Computed when first needed. */
  #heldHash: Uint8Array | null = null;
  #reading: Reading | null = null;

  /** `held`: a release verified earlier, null for none. */
  constructor(held: Release1 | null, models: CodecModels) {
    this.#held = held;
    this.#models = models;
  }

  get held(): Release1 | null {
    return this.#held;
  }

  /**
   * Takes the next down frame of rendition 1.
   *
   * Throws `ProtocolError`: `frame.kind`, `release.…`, `columns.…`, `codec.…`; or
   * `SerializationError("cbor.…")`. The transition under way is then given up, what is held is not.
   */
  feed(frame: Frame): TransitionStep {
    try {
      return this.#feed(requireRelease1(frame), frame);
    } catch (error) {
      this.#reading = null;
      throw error;
    }
  }

  #feed(header: ReleaseHeader, frame: Frame): TransitionStep {
    const part = header.part ?? WHOLE;
    const upToDate = isUpToDate(header);
    if (upToDate && (frame.body.bytes.length > 0 || part.of > 1)) {
      throw new ProtocolError("release.body", "the body is empty exactly when nothing changed");
    }
    if (this.#holds(header)) return { kind: "same" };
    if (upToDate) return { kind: "stray" };
    if (this.#reading !== null && sameTransition(this.#reading.header, header)) {
      if (part.n <= this.#reading.read) return { kind: "duplicate" };
      if (part.n === this.#reading.read + 1) return this.#read(this.#reading, part, frame);
    }
    this.#reading = null;
    if (part.n > 1) return { kind: "stray" };
    return this.#begin(header, part, frame);
  }

  #holds(header: ReleaseHeader): boolean {
    const held = this.#held;
    if (held?.version !== header.version || held.space !== (header.model ?? 0)) return false;
    if (this.#heldHash === null) {
      const model = this.#modelOf(header);
      if (model === undefined) return false;
      this.#heldHash = contentHash1(held, model);
    }
    return sameBytes(this.#heldHash, header.contentHash);
  }

  #begin(header: ReleaseHeader, part: Part, frame: Frame): TransitionStep {
    const base = header.kind === "snapshot" ? null : this.#held;
    if (header.kind === "release-delta") {
      if (header.base > header.version)
        throw new ProtocolError("release.version", "the base is newer");
      const builds = base?.version === header.base && base.space === (header.model ?? 0);
      if (!builds) return { kind: "stray" };
    }
    const model = this.#modelOf(header);
    if (model === undefined) return { kind: "model", version: header.model ?? 0 };
    const draft = new ReleaseDraft(base, header.version, model);
    const reading: Reading = { header, model, draft, read: 0 };
    this.#reading = reading;
    return this.#read(reading, part, frame);
  }

  #read(reading: Reading, part: Part, frame: Frame): TransitionStep {
    const body: PartBody = unpackPart(frame.body);
    reading.draft.add(body, part.n === 1);
    reading.read = part.n;
    if (part.n < part.of) return { kind: "preview", release: reading.draft.preview() };
    const release = reading.draft.finish();
    const contentHash = contentHash1(release, reading.model);
    if (!sameBytes(contentHash, reading.header.contentHash)) {
      throw new ProtocolError(
        "release.hash",
        `version ${release.version} is not what it claims to be`,
      );
    }
    this.#held = release;
    this.#heldHash = contentHash;
    this.#reading = null;
    return { kind: "release", release, contentHash };
  }

  /** undefined: needed and not at hand. */
  #modelOf(header: ReleaseHeader): CodecModel | null | undefined {
    if (header.model === undefined) return null;
    return this.#models.get(header.model) ?? undefined;
  }
}

function requireRelease1(frame: Frame): ReleaseHeader {
  const { header } = frame;
  if (header.kind !== "snapshot" && header.kind !== "release-delta") {
    throw new ProtocolError("frame.kind", `expected a release: got a ${header.kind}`);
  }
  if (header.codec !== CODEC1) {
    throw new ProtocolError("codec.unknown", `codec ${header.codec} has no rendition 1`);
  }
  return header;
}

/** The frame that brings a watermark and no news. */
function isUpToDate(header: ReleaseHeader): boolean {
  return header.kind === "release-delta" && header.base === header.version;
}

function sameTransition(a: ReleaseHeader, b: ReleaseHeader): boolean {
  const baseOf = (header: ReleaseHeader) => (header.kind === "snapshot" ? 0 : header.base);
  return (
    a.version === b.version &&
    baseOf(a) === baseOf(b) &&
    a.model === b.model &&
    (a.part?.of ?? 1) === (b.part?.of ?? 1) &&
    sameBytes(a.contentHash, b.contentHash)
  );
}
