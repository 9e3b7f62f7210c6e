/**
 * Bringing devices up to date: what the server knows of them and the newest
 * release become the messages that their sockets get.
 *
 * A batch reads the views of its devices in one round trip. What follows a
 * PUBACK, the next part of a release above all, is computed from the view that
 * the part before it was computed from, and leaves in the PUBACK's own turn: no
 * look-up, no promise, no timer of its own.
 * @module
 */
import { assert, type Clock, type DeviceKey } from "../src/core/index.ts";
import type { Counter, Logger, Metrics } from "../src/observe/index.ts";
import { encodeRefusal } from "../src/wire/index.ts";
import { downParts, type HeldLadder, type Ladders } from "./ladders.ts";
import type { Link, Message } from "./link.ts";
import type { DeviceView, DownlinkSource } from "./ports.ts";
import type { Shipment } from "./subscriber.ts";

const NOTHING = new Uint8Array(0);
/** A batch pauses after so long, so that uplinks do not wait for the whole of it. */
const TURN_MS_MAX = 4;
/** The clock is read once for so many devices. */
const DEVICES_PER_LOOK = 8;

export interface DeliveryOptions {
  /** Must not freeze: see `Reach`. */
  readonly source: Pick<DownlinkSource, "views">;
  readonly ladders: Ladders;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  /** Frames sent, by kind; metrics read it when they are asked. */
  readonly #frames: Record<string, number> = {};
  readonly #bytes: Counter;

  constructor(options: DeliveryOptions) {
    const { metrics } = options;
    this.#options = options;
    const name = "omega_gateway_down_frames_total";
    metrics.readCounter(name, "Frames sent to devices.", "kind", () => this.#frames);
    this.#bytes = metrics.counter(
      "omega_gateway_down_bytes_total",
      "Bytes of down frames and codec models sent.",
    );
  }

  /** One round trip for all of `links`; rejects when the source fails, having sent nothing. */
  async serve(links: readonly Link[]): Promise<void> {
    const open = links.filter((link) => link.open);
    if (open.length === 0) return;
    const keys = open.map((link) => link.subscriber.key);
    const views = await this.#options.source.views(keys);
    assert(views.length === keys.length, "the source answers for every key");
    const ladders = await this.#laddersFor(keys, views);
    const { clock } = this.#options;
    let turnEndsMs = clock.monotonicMs() + TURN_MS_MAX;
    for (const [index, link] of open.entries()) {
      if (index % DEVICES_PER_LOOK === 0 && clock.monotonicMs() > turnEndsMs) {
        await new Promise((resolve) => setImmediate(resolve));
        turnEndsMs = clock.monotonicMs() + TURN_MS_MAX;
      }
      const view = views[index];
      const ladder = ladders.get(link.subscriber.key.tenant);
      assert(view !== undefined && ladder !== undefined, "a view and a ladder for every link");
      this.#deliver(link, view, ladder);
    }
  }

  /** What waits for a line of `link` that is free now; false when the source must be asked first. */
  goOn(link: Link): boolean {
    const { key, known } = link.subscriber;
    const ladder = this.#options.ladders.current(key.tenant);
    if (known === null || ladder === undefined || known.base > ladder.version) return false;
    this.#deliver(link, known, ladder);
    return true;
  }

  /** A codec model was sent. */
  countModel(bytes: number): void {
    this.#count("model", bytes);
  }

  /** The ladders of all tenants among `keys`; a device ahead of ours means that ours is old. */
  async #laddersFor(
    keys: readonly DeviceKey[],
    views: readonly DeviceView[],
  ): Promise<Map<string, HeldLadder>> {
    const newestBase = new Map<string, number>();
    for (const [index, { tenant }] of keys.entries()) {
      newestBase.set(tenant, Math.max(newestBase.get(tenant) ?? 0, views[index]?.base ?? 0));
    }
    const loads = [...newestBase].map(async ([tenant, base]) => {
      return [tenant, await this.#options.ladders.get(tenant, base)] as const;
    });
    return new Map(await Promise.all(loads));
  }

  #deliver(link: Link, view: DeviceView, ladder: HeldLadder): void {
    if (!link.open) return;
    const messages: Message[] = [];
    try {
      for (const shipment of link.subscriber.next(view, ladder.newest)) {
        messages.push(this.#messageOf(shipment, ladder));
      }
    } catch (error) {
      // What one device's view cannot be encoded to keeps nothing else waiting, neither what goes
      // before it nor the rest of the batch.
      this.#options.log.error("downlink.failed", { ...link.subscriber.key, error });
    }
    if (messages.length > 0) link.send(messages);
  }

  #messageOf(shipment: Shipment, ladder: HeldLadder): Message {
    const { content } = shipment;
    assert(content.line !== "model", "models have their own way out");
    if (content.line === "err") {
      this.#count("refusal", 0);
      return { shipment, head: encodeRefusal(content.problems), body: NOTHING };
    }
    const { head, body, kind } = downParts(ladder, content);
    this.#count(kind, head.length + body.length);
    return { shipment, head, body };
  }

  #count(kind: string, bytes: number): void {
    this.#frames[kind] = (this.#frames[kind] ?? 0) + 1;
    this.#bytes.add(bytes);
  }
}
