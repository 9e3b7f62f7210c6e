/**
 * Releases for the bench, made by the releaser's own steps and published like its own.
 * @module
 */
import { DEFAULT_VERSION_POLICY } from "../../src/aggregate/version-policy.ts";
import { planningRendition1 } from "../../src/aggregate/version1.ts";
import { seededRandom } from "../../src/core/index.ts";
import { type RecentRelease, releaserLease, type Store } from "../../src/store/index.ts";
import {
  buildingLadder1,
  buildLadder,
  codec0,
  GRID,
  inSlices,
  loadZstd,
  quantiseRelease,
} from "../../src/wire/index.ts";
import { TENANT } from "./bench-device.ts";

const PATTERNS = 100;
const DIM = 384;
const NORM = 0.5;
/** How far a vector moves from one release to the next, as a share of its norm. */
const MOVED = 0.2;
const LEASE_MS = 600_000;
const SEED = 41;

/** A release that is made and not yet public. */
export interface Prepared {
  readonly version: number;
  /** How many bodies its ladders have: all that is ever encoded. */
  readonly bodies: number;
  publish(): Promise<void>;
}

/** Version after version of a hundred patterns that move. */
export class Releases {
  readonly #store: Store;
  readonly #random = seededRandom(SEED);
  #vectors: Float64Array[];
  #recent: RecentRelease[] = [];

  constructor(store: Store) {
    this.#store = store;
    this.#vectors = Array.from({ length: PATTERNS }, () => this.#direction(NORM));
  }

  /** The next version. */
  async prepare(): Promise<Prepared> {
    const zstd = await loadZstd();
    const version = (this.#recent[0]?.release.version ?? 0) + 1;
    const patterns = this.#vectors.map((vector, index) => ({
      id: `bench-${index}`,
      weight: 100 + index,
      devices: 60,
      vector: Int16Array.from(vector, (component) => Math.round(component * GRID)),
    }));
    const fresh = { version, dim: DIM, patterns, trends: [] };
    const release = quantiseRelease(fresh, codec0);
    const before = this.#recent[0]?.release1 ?? null;
    const context = { policy: DEFAULT_VERSION_POLICY, exact: false, newest: null };
    const plan1 = await inSlices(planningRendition1(fresh, before, context), pause);
    const bases = this.#recent.map((kept) => kept.release);
    const bases1 = this.#recent.flatMap((kept) => kept.release1 ?? []);
    const ladder = buildLadder(TENANT, release, bases, codec0, zstd);
    const building = buildingLadder1(TENANT, plan1.release, bases1, plan1.model);
    const ladder1 = await inSlices(building, pause);
    const token = await this.#store.acquireLease(releaserLease(TENANT), "bench", LEASE_MS);
    if (token === null) throw new Error("another releaser has the lease");
    const stored = { release, ladder, rendition1: { release: plan1.release, ladder: ladder1 } };
    this.#recent = [{ release, release1: plan1.release }, ...this.#recent];
    this.#move();
    const parts = [ladder1.snapshot, ...ladder1.deltas.values()].flat().length;
    return {
      version,
      bodies: 1 + ladder.deltas.size + parts,
      publish: () => this.#store.publishRelease(TENANT, token, stored),
    };
  }

  #move(): void {
    this.#vectors = this.#vectors.map((vector) => {
      const step = this.#direction(NORM * MOVED);
      const moved = vector.map((component, axis) => component + (step[axis] ?? 0));
      return scaled(moved, NORM);
    });
  }

  #direction(norm: number): Float64Array {
    return scaled(
      Float64Array.from({ length: DIM }, () => this.#random.next() - 0.5),
      norm,
    );
  }
}

function scaled(vector: Float64Array, norm: number): Float64Array {
  const factor = norm / Math.hypot(...vector);
  return vector.map((component) => component * factor);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
