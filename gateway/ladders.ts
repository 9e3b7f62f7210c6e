/**
 * The version ladders this gateway holds: one per tenant, loaded once and
 * shared by every device of the tenant.
 *
 * P5: a ladder is replaced by a higher version only, so a lagging replica or
 * two loads that cross never take a device back.
 * @module
 */
import type { Clock } from "../src/core/index.ts";
import { downFrame, type Ladder, type PackedBody } from "../src/wire/index.ts";
import type { DownlinkSource } from "./ports.ts";
import type { DownContent, Newest } from "./subscriber.ts";

/** A down frame in the two pieces it is written in; together they are wire's `downFrame`. */
export interface DownParts {
  /** Prefix and header: this device's own, some tens of bytes. */
  readonly head: Uint8Array;
  /** Shared by all devices at this base; empty when nothing changed but the watermark. */
  readonly body: Uint8Array;
  readonly kind: "snapshot" | "release-delta" | "watermark";
}

/** A ladder beside its hollow twin, whose bodies are empty, so that framing it yields the head alone. */
export interface HeldLadder {
  readonly version: number;
  readonly full: Ladder;
  readonly hollow: Ladder;
  /** When the source was last asked, on the monotonic clock. */
  readonly lookedMs: number;
}

const LOOK_AGAIN_MS = 1_000;

const NOTHING = new Uint8Array(0);
const hollowed = (body: PackedBody): PackedBody => ({
  compressed: body.compressed,
  bytes: NOTHING,
});

export function holdLadder(full: Ladder, lookedMs: number): HeldLadder {
  const deltas = new Map([...full.deltas].map(([base, body]) => [base, hollowed(body)]));
  return {
    version: full.version,
    lookedMs,
    full,
    hollow: { ...full, snapshot: hollowed(full.snapshot), deltas },
  };
}

/** The frame for a device at `view.base`, as one small head of its own and one shared body. */
export function downParts(
  held: HeldLadder,
  view: Pick<DownContent, "base" | "applied">,
): DownParts {
  const head = downFrame(held.hollow, view);
  if (view.base === held.version && held.version > 0)
    return { head, body: NOTHING, kind: "watermark" };
  const delta = held.full.deltas.get(view.base);
  return delta === undefined
    ? { head, body: held.full.snapshot.bytes, kind: "snapshot" }
    : { head, body: delta.bytes, kind: "release-delta" };
}

/** What a subscriber must know of a ladder. */
export function newestOf(held: HeldLadder): Newest {
  return { version: held.version, parts: () => 1 };
}

interface Load {
  readonly promise: Promise<HeldLadder>;
  /** The load that follows this one, when a notice arrived after it began. */
  next: Promise<HeldLadder> | null;
}

export interface LaddersOptions {
  /** Must not freeze: see `Reach`. */
  readonly source: Pick<DownlinkSource, "ladder">;
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
      .ladder(tenant)
      .then((ladder) => this.#accept(tenant, ladder))
      .finally(() => this.#loads.delete(tenant));
    this.#loads.set(tenant, { promise, next: null });
    return promise;
  }

  #accept(tenant: string, ladder: Ladder): HeldLadder {
    const lookedMs = this.#options.clock.monotonicMs();
    const held = this.#held.get(tenant);
    const accepted =
      held !== undefined && held.version >= ladder.version
        ? { ...held, lookedMs }
        : holdLadder(ladder, lookedMs);
    this.#held.set(tenant, accepted);
    return accepted;
  }
}
