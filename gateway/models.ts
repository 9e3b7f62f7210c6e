/**
 * The codec models this gateway has at hand, framed once and shared by every
 * device that asks.
 *
 * A model never changes, so what is held is right for ever and the bound is
 * only for memory. That a version does *not* exist is remembered for a while
 * too: devices may ask for any of 65,535 (P8).
 * @module
 */
import { type Clock, OmegaError } from "../src/core/index.ts";
import type { Logger } from "../src/observe/index.ts";
import { codecTopicOf, encodeModelFrame, type ModelKey } from "../src/wire/index.ts";
import type { DownlinkSource } from "./ports.ts";

export interface ModelsOptions {
  /** Must not freeze: see `Reach`. */
  readonly source: Pick<DownlinkSource, "model">;
  readonly clock: Clock;
  /** Models held at once; the one used longest ago makes room. */
  readonly countMax: number;
  /** How long "there is none" is believed. */
  readonly absentMs: number;
  readonly log: Logger;
}

/** Absences remembered at once; each is a topic and a number. */
const ABSENT_COUNT_MAX = 256;

export class Models {
  readonly #options: ModelsOptions;
  /** In order of last use: a Map keeps insertion order and every use inserts again. */
  readonly #held = new Map<string, Uint8Array>();
  /** When each absence was learnt, oldest first. */
  readonly #absentSinceMs = new Map<string, number>();
  readonly #loads = new Map<string, Promise<Uint8Array | null>>();

  constructor(options: ModelsOptions) {
    this.#options = options;
  }

  /**
   * The whole frame of a model, or null when there is none. Single flight: all who ask for a model
   * that is not held wait for one load. Rejects as the source does.
   */
  async get(key: ModelKey): Promise<Uint8Array | null> {
    const name = codecTopicOf(key);
    const held = this.#held.get(name);
    if (held !== undefined) {
      this.#hold(name, held);
      return held;
    }
    if (this.#isAbsent(name)) return null;
    const running = this.#loads.get(name);
    if (running !== undefined) return running;
    const load = this.#load(name, key).finally(() => this.#loads.delete(name));
    this.#loads.set(name, load);
    return load;
  }

  async #load(name: string, { tenant, version }: ModelKey): Promise<Uint8Array | null> {
    const model = await this.#options.source.model(tenant, version);
    const frame = model === null ? null : this.#framed({ tenant, version }, model);
    if (frame === null) this.#rememberAbsent(name);
    else this.#hold(name, frame);
    return frame;
  }

  /** Null for a model that no frame can carry: one bad model must not hold up the others. */
  #framed({ tenant, version }: ModelKey, model: Uint8Array): Uint8Array | null {
    try {
      return encodeModelFrame(version, model);
    } catch (error) {
      if (!(error instanceof OmegaError)) throw error;
      this.#options.log.error("downlink.model-unusable", { tenant, version, error });
      return null;
    }
  }

  #hold(name: string, frame: Uint8Array): void {
    this.#held.delete(name);
    this.#held.set(name, frame);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#options.countMax) return;
      this.#held.delete(oldest);
    }
  }

  #isAbsent(name: string): boolean {
    const sinceMs = this.#absentSinceMs.get(name);
    if (sinceMs === undefined) return false;
    return this.#options.clock.monotonicMs() - sinceMs < this.#options.absentMs;
  }

  #rememberAbsent(name: string): void {
    this.#absentSinceMs.delete(name);
    this.#absentSinceMs.set(name, this.#options.clock.monotonicMs());
    for (const oldest of this.#absentSinceMs.keys()) {
      if (this.#absentSinceMs.size <= ABSENT_COUNT_MAX) return;
      this.#absentSinceMs.delete(oldest);
    }
  }
}
