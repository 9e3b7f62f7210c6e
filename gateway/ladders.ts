/**
 * The version ladders this gateway holds: one per tenant, loaded once and
 * shared by every device of the tenant.
 *
 * P5: a ladder is replaced by a higher version only, so a lagging replica or
 * two loads that cross never take a device back.
 * @module
 */
import { assert, type Clock } from "../src/core/index.ts";
import {
  type DownHead,
  downFrame,
  downFrames1,
  downHead,
  hollowLadder1,
  type Ladder,
  type Ladder1,
  type PackedBody,
  rungOf,
} from "../src/wire/index.ts";
import type { DownlinkSource, Renditions, Told } from "./ports.ts";
import type { DownContent, Newest } from "./subscriber.ts";

/** A down frame in the two pieces it is written in; together they are wire's own down frame. */
export interface DownParts {
  /** Prefix and header: this device's own, some tens of bytes. */
  readonly head: Uint8Array;
  /** Shared by all devices at this base; empty when nothing changed but the watermark. */
  readonly body: Uint8Array;
  readonly kind: "snapshot" | "release-delta" | "watermark";
}

/** What all devices on one rung get, in this order. */
interface Rung {
  readonly kind: DownParts["kind"];
  readonly frames: readonly { readonly head: DownHead; readonly body: Uint8Array }[];
}

/**
 * A release beside its hollow twin, whose bodies are empty, so that framing it yields the heads
 * alone, and the rungs that somebody has stood on: as many as the ladders have, whatever bases
 * devices claim.
 */
export interface HeldLadder {
  readonly version: number;
  readonly full: Renditions;
  readonly hollow: Renditions;
  readonly rungs: Map<number, Rung>;
  /** What a subscriber must know of the release. */
  readonly newest: Newest;
  /** When the source was last asked, on the monotonic clock. */
  readonly lookedMs: number;
}

/** From this minor on a device reads rendition 1, which comes in parts. */
const RENDITION1_MINOR = 1;
const LOOK_AGAIN_MS = 1_000;

const NOTHING = new Uint8Array(0);
const hollowed = (body: PackedBody): PackedBody => ({
  compressed: body.compressed,
  bytes: NOTHING,
});

export function holdLadder(full: Renditions, lookedMs: number): HeldLadder {
  const { ladder, ladder1 } = full;
  assert(ladder1 === null || ladder1.version === ladder.version, "renditions are of one release");
  const hollow1 = ladder1 === null ? null : hollowLadder1(ladder1);
  const { version } = ladder;
  const held: HeldLadder = {
    version,
    lookedMs,
    full,
    rungs: new Map(),
    newest: { version, parts: (told) => rungAt(held, told).frames.length },
    hollow: { ladder: hollowLadder(ladder), ladder1: hollow1 },
  };
  return held;
}

function hollowLadder(ladder: Ladder): Ladder {
  const deltas = new Map([...ladder.deltas].map(([base, body]) => [base, hollowed(body)]));
  return { ...ladder, snapshot: hollowed(ladder.snapshot), deltas };
}

/** One frame for a device that told its base and minor, as a small head of its own and a shared body. */
export function downParts(held: HeldLadder, told: Omit<DownContent, "line">): DownParts {
  const { kind, frames } = rungAt(held, told);
  const frame = frames[told.part - 1];
  assert(frame !== undefined, "a part is one of those announced");
  return { head: frame.head(told.applied), body: frame.body, kind };
}

function rungAt(held: HeldLadder, { base, minor }: Told): Rung {
  const { ladder, ladder1 } = held.full;
  const layered = ladder1 !== null && minor >= RENDITION1_MINOR;
  const { deltas } = layered ? ladder1 : ladder;
  // P8: a base that is no rung is told like none at all.
  const rung = base === held.version || deltas.has(base) ? base : 0;
  const place = layered ? rung : -1 - rung;
  const known = held.rungs.get(place);
  if (known !== undefined) return known;
  const made = layered ? rungOf1(held, ladder1, rung) : rungOf0(held, rung);
  held.rungs.set(place, made);
  return made;
}

function rungOf1({ hollow }: HeldLadder, full: Ladder1, base: number): Rung {
  const { ladder1 } = hollow;
  assert(ladder1 !== null, "a hollow twin has what the full one has");
  const { kind, parts } = rungOf(full, base);
  const frames = parts.map(({ bytes }, index) => {
    const head = downHead((applied) => {
      const framed = downFrames1(ladder1, { base, applied })[index];
      assert(framed !== undefined, "a hollow twin has as many parts");
      return framed;
    });
    return { head, body: bytes };
  });
  return { kind, frames };
}

function rungOf0({ full, hollow }: HeldLadder, base: number): Rung {
  const { ladder } = full;
  const head = downHead((applied) => downFrame(hollow.ladder, { base, applied }));
  if (base === ladder.version && base > 0) {
    return { kind: "watermark", frames: [{ head, body: NOTHING }] };
  }
  const delta = ladder.deltas.get(base);
  return delta === undefined
    ? { kind: "snapshot", frames: [{ head, body: ladder.snapshot.bytes }] }
    : { kind: "release-delta", frames: [{ head, body: delta.bytes }] };
}

interface Load {
  readonly promise: Promise<HeldLadder>;
  /** The load that follows this one, when a notice arrived after it began. */
  next: Promise<HeldLadder> | null;
}

export interface LaddersOptions {
  /** Must not freeze: see `Reach`. */
  readonly source: Pick<DownlinkSource, "ladders">;
  readonly clock: Clock;
}

export class Ladders {
  readonly #options: LaddersOptions;
  readonly #held = new Map<string, HeldLadder>();
  readonly #loads = new Map<string, Load>();

  constructor(options: LaddersOptions) {
    this.#options = options;
  }

  /** The newest ladder held, without asking anyone. */
  current(tenant: string): HeldLadder | undefined {
    return this.#held.get(tenant);
  }

  /**
   * The ladder held, or else the one load under way for all who ask. A device
   * that holds `base` above our version shows that a notice was lost; we look
   * again, but at most once a second, because a device may claim any base (P8).
   */
  async get(tenant: string, base = 0): Promise<HeldLadder> {
    const held = this.#held.get(tenant);
    if (held === undefined) return this.#load(tenant);
    const lookedMsAgo = this.#options.clock.monotonicMs() - held.lookedMs;
    if (base <= held.version || lookedMsAgo < LOOK_AGAIN_MS) return held;
    return this.refresh(tenant);
  }

  /** Asks the source again. Single flight: callers during a load share the one load that follows it. */
  refresh(tenant: string): Promise<HeldLadder> {
    const running = this.#loads.get(tenant);
    if (running === undefined) return this.#load(tenant);
    // The load under way may have read just before the release that this call is about.
    running.next ??= running.promise.then(
      () => this.#load(tenant),
      () => this.#load(tenant),
    );
    return running.next;
  }

  /** Forgets a tenant nobody here listens to, so that memory follows the devices connected. */
  forget(tenant: string): void {
    this.#held.delete(tenant);
  }

  #load(tenant: string): Promise<HeldLadder> {
    const running = this.#loads.get(tenant);
    if (running !== undefined) return running.promise;
    const promise = this.#options.source
      .ladders(tenant)
      .then((renditions) => this.#accept(tenant, renditions))
      .finally(() => this.#loads.delete(tenant));
    this.#loads.set(tenant, { promise, next: null });
    return promise;
  }

  #accept(tenant: string, renditions: Renditions): HeldLadder {
    const lookedMs = this.#options.clock.monotonicMs();
    const held = this.#held.get(tenant);
    const accepted =
      held !== undefined && held.version >= renditions.ladder.version
        ? { ...held, lookedMs }
        : holdLadder(renditions, lookedMs);
    this.#held.set(tenant, accepted);
    return accepted;
  }
}
