/**
 * The server as one device sees it, small enough to be obviously right: dedup,
 * registers, refusals and watermark exactly as PROTOCOL.md and ARCHITECTURE.md say.
 * @module
 */
import { limits } from "../../src/core/index.ts";
import {
  buildLadder,
  codec0,
  decodeDelta,
  downFrame,
  emptyLadder,
  encodeRefusal,
  type GridVector,
  type Ladder,
  type Position,
  type Problem,
  peekFrame,
  quantiseRelease,
  type Release,
  reconstruct,
  type Zstd,
} from "../../src/wire/index.ts";

export interface Register {
  readonly epoch: number;
  readonly seq: number;
  /** null is a tombstone. */
  readonly vector: GridVector | null;
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
  /** The release version it believes the device holds. */
  base = 0;
  readonly #epochs = new Map<number, { low: number; ahead: Set<number> }>();
  readonly #zstd: Zstd;
  readonly #dim: number;
  #releases: Release[] = [];
  #ladder: Ladder;

  constructor(zstd: Zstd, dim: number) {
    this.#zstd = zstd;
    this.#dim = dim;
    this.#ladder = emptyLadder("default", dim, zstd);
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
    const delta = decodeDelta(peekFrame(bytes, limits.UP_FRAME_BYTES_MAX), this.#zstd);
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
      const referenced = held?.epoch === epoch && held.seq === referenceSeq ? held.vector : null;
      if (mode !== "absolute" && referenced === null) return "reference.missing";
      const vector = residual === null ? referenced : reconstruct(referenced, residual);
      writes.set(id, { epoch, seq, vector, weight });
    }
    for (const id of delta.removals) {
      if (newer(this.registers.get(id))) continue;
      writes.set(id, { epoch, seq, vector: null, weight: 0 });
    }
    for (const [id, register] of writes) this.registers.set(id, register);
    return null;
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
    const next = quantiseRelease({ version, dim: this.#dim, patterns, trends: [] }, codec0);
    this.#ladder = buildLadder("default", next, this.#releases, codec0, this.#zstd);
    this.#releases = [next, ...this.#releases].slice(0, 3);
  }

  get contentHash(): Uint8Array {
    return this.#ladder.contentHash;
  }

  down(): Uint8Array {
    return downFrame(this.#ladder, { base: this.base, applied: this.applied });
  }

  err(): Uint8Array | null {
    const newest = this.problems.slice(-8);
    return newest.length === 0 ? null : encodeRefusal(newest);
  }
}
