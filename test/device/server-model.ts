/**
 * The server as one device sees it, small enough to be obviously right: dedup,
 * registers, refusals, watermark, both renditions of a release and codec models
 * exactly as PROTOCOL.md and ARCHITECTURE.md say.
 * @module
 */
import { limits, OmegaError } from "../../src/core/index.ts";
import {
  buildLadder,
  type CodecModel,
  codec0,
  contentHash1,
  type DecodedDelta,
  decodeDelta,
  decodeModel,
  downFrame,
  downFrames1,
  emptyLadder,
  emptyLadder1,
  encodeModel,
  encodeModelFrame,
  encodeRefusal,
  encodeTransition,
  type GridVector,
  type Ladder,
  type Ladder1,
  layRelease1,
  type Position,
  type Problem,
  peekFrame,
  quantiseRelease,
  type Release,
  type Release1,
  reconstruct,
  toSpace,
  type Zstd,
} from "../../src/wire/index.ts";
import { learntModel } from "../wire/codec1/models.ts";

/** Small, so that a release of a dozen patterns takes several parts. */
const PART_BYTES_MAX = 220;

export interface Register {
  readonly epoch: number;
  readonly seq: number;
  /** null is a tombstone. */
  readonly vector: GridVector | null;
  /** 0, or the codec model whose coordinates it is in. */
  readonly space: number;
  readonly weight: number;
}

export class ServerModel {
  readonly registers = new Map<string, Register>();
  /** Every delta that arrived first under its position, to prove that resends are identical. */
  readonly seen = new Map<string, Uint8Array>();
  readonly problems: Problem[] = [];
  /** Frames with the position of another but other bytes: must stay 0. */
  altered = 0;
  /** Reasons to refuse the delta that carries this pattern. */
  readonly poison = new Map<string, string>();
  /** As if it were an older version of the software. */
  refusesCodec1 = false;
  /** The release version it believes the device holds, and the minor the device speaks. */
  base = 0;
  minor = 0;
  /** The codec models it decodes with. */
  readonly models = new Map<number, CodecModel>();
  /** What it publishes on codec topics; a test may take one away or spoil it. */
  readonly modelFrames = new Map<number, Uint8Array>();
  readonly #epochs = new Map<number, { low: number; ahead: Set<number> }>();
  readonly #zstd: Zstd;
  readonly #dim: number;
  readonly #sender: string;
  #releases: Release[] = [];
  #releases1: Release1[] = [];
  #ladder: Ladder;
  #ladder1: Ladder1;

  /** `sender` is `tenant/device`. */
  constructor(zstd: Zstd, dim: number, sender = "default/tv") {
    this.#zstd = zstd;
    this.#dim = dim;
    this.#sender = sender;
    this.#ladder = emptyLadder("default", dim, zstd);
    this.#ladder1 = emptyLadder1("default", dim);
  }

  /** Learns and publishes a codec model; the next release is in its space. */
  learn(version: number): void {
    const bytes = encodeModel(learntModel(this.#dim, version));
    this.models.set(version, decodeModel(bytes));
    this.modelFrames.set(version, encodeModelFrame(version, bytes));
  }

  get version(): number {
    return this.#ladder.version;
  }

  get applied(): Position | null {
    const epoch = Math.max(0, ...this.#epochs.keys());
    return epoch === 0 ? null : { epoch, seq: this.#epochs.get(epoch)?.low ?? 0 };
  }

  /** Takes one up frame; false when it had been seen before. */
  receive(bytes: Uint8Array): boolean {
    const frame = peekFrame(bytes, limits.UP_FRAME_BYTES_MAX);
    if (frame.header.kind === "pull") {
      this.base = frame.header.base;
      this.minor = frame.header.minor ?? 0;
      return true;
    }
    if (frame.header.kind !== "delta") throw new Error(`unexpected ${frame.header.kind}`);
    const { epoch, seq, base } = frame.header;
    this.base = base;
    const name = `${epoch}.${seq}`;
    const before = this.seen.get(name);
    if (before !== undefined) {
      if (Buffer.compare(before, bytes) !== 0) this.altered += 1;
      return false;
    }
    this.seen.set(name, bytes);
    this.#consume(epoch, seq);
    const reason = this.#apply(bytes);
    if (reason !== null) this.problems.push({ reason, title: reason, position: { epoch, seq } });
    return true;
  }

  #consume(epoch: number, seq: number): void {
    const cursor = this.#epochs.get(epoch) ?? { low: 0, ahead: new Set<number>() };
    this.#epochs.set(epoch, cursor);
    cursor.ahead.add(seq);
    while (cursor.ahead.delete(cursor.low + 1)) cursor.low += 1;
  }

  #apply(bytes: Uint8Array): string | null {
    const delta = this.#decode(bytes);
    if (typeof delta === "string") return delta;
    const { epoch, seq } = delta.header;
    const newer = (register: Register | undefined) =>
      register !== undefined &&
      (register.epoch > epoch || (register.epoch === epoch && register.seq > seq));
    const writes = new Map<string, Register>();
    for (const { id, weight, mode, referenceSeq, residual } of delta.upserts) {
      const poison = this.poison.get(id);
      if (poison !== undefined) return poison;
      const held = this.registers.get(id);
      if (newer(held)) continue;
      const isMeant = held?.epoch === epoch && held.seq === referenceSeq;
      const referenced = isMeant && mode !== "absolute" ? held.vector : null;
      if (mode !== "absolute" && referenced === null) return "reference.missing";
      if (mode === "difference" && held?.space !== delta.space) return "reference.space";
      const space = mode === "kept" ? (held?.space ?? 0) : delta.space;
      const vector = residual === null ? referenced : reconstruct(referenced, residual);
      writes.set(id, { epoch, seq, vector, space, weight });
    }
    for (const id of delta.removals) {
      if (newer(this.registers.get(id))) continue;
      writes.set(id, { epoch, seq, vector: null, space: 0, weight: 0 });
    }
    for (const [id, register] of writes) this.registers.set(id, register);
    return null;
  }

  /** The delta, or the reason why it is refused. */
  #decode(bytes: Uint8Array): DecodedDelta | string {
    const models = { get: (version: number) => this.models.get(version) ?? null };
    try {
      const frame = peekFrame(bytes, limits.UP_FRAME_BYTES_MAX);
      const { header } = frame;
      if (this.refusesCodec1 && "codec" in header && header.codec === 1) return "codec.unknown";
      return decodeDelta(frame, this.#zstd, { models, sender: this.#sender });
    } catch (error) {
      if (error instanceof OmegaError) return error.reason;
      throw error;
    }
  }

  /** Publishes the next release: twelve patterns that stay and one whose embedding is `fill`. */
  release(fill: number): void {
    const patterns = Array.from({ length: 13 }, (_, index) => ({
      id: `g${index + 10}`,
      weight: 10,
      devices: 3,
      vector: new Int16Array(this.#dim).map((_, at) => (index === 0 ? fill : 300 * index - at)),
    }));
    const version = this.version + 1;
    const release = { version, dim: this.#dim, patterns, trends: [] };
    const next = quantiseRelease(release, codec0);
    this.#ladder = buildLadder("default", next, this.#releases, codec0, this.#zstd);
    this.#releases = [next, ...this.#releases].slice(0, 3);
    this.#release1(release);
  }

  #release1(release: Release): void {
    const model = this.models.get(Math.max(0, ...this.models.keys())) ?? null;
    const images = release.patterns.map((pattern) => {
      const [vector = pattern.vector] = model === null ? [] : toSpace(model, [pattern.vector]);
      return { ...pattern, vector };
    });
    const [previous = null] = this.#releases1;
    const inSpace = { ...release, patterns: images };
    const next = layRelease1(inSpace, model, previous, PART_BYTES_MAX);
    const parts = (base: Release1 | null) => encodeTransition(base, next, model, PART_BYTES_MAX);
    const { steps, space, version } = next;
    const bases = this.#releases1.filter(
      (base) => base.space === space && JSON.stringify(base.steps) === JSON.stringify(steps),
    );
    this.#ladder1 = {
      tenant: "default",
      version,
      contentHash: contentHash1(next, model),
      model: space,
      snapshot: parts(null),
      deltas: new Map(bases.map((base) => [base.version, parts(base)])),
    };
    this.#releases1 = [next, ...this.#releases1].slice(0, 3);
  }

  /** What gateways serve. */
  get renditions(): { readonly ladder: Ladder; readonly ladder1: Ladder1 } {
    return { ladder: this.#ladder, ladder1: this.#ladder1 };
  }

  get contentHash(): Uint8Array {
    return (this.minor === 0 ? this.#ladder : this.#ladder1).contentHash;
  }

  /** The down frames for the device, in the order a gateway sends them. */
  downs(): Uint8Array[] {
    const view = { base: this.base, applied: this.applied };
    return this.minor === 0 ? [downFrame(this.#ladder, view)] : downFrames1(this.#ladder1, view);
  }

  /** The one that rendition 0 comes in. */
  down(): Uint8Array {
    return downFrame(this.#ladder, { base: this.base, applied: this.applied });
  }

  err(): Uint8Array | null {
    const newest = this.problems.slice(-8);
    return newest.length === 0 ? null : encodeRefusal(newest);
  }
}
