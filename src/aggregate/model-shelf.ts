/**
 * The model shelf: codec models that are decoded and at hand, of every tenant this process serves.
 *
 * A model is fetched when a frame names it, once, however many ask for it at
 * the same time, and decoded in slices so that the event loop does not stall.
 * Any device may name any version (P8): what the store does not have is
 * remembered for a while as absent, and the shelf is bounded in bytes, the
 * least recently used models going first. A version never changes its content,
 * so nothing on the shelf is ever wrong; a dropped model is merely useless.
 * @module
 */
import { type Clock, messageOf, TransportError, within } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import type { Store } from "../store/index.ts";
import { type CodecModel, type CodecModels, prepareModel } from "../wire/index.ts";
import { pause } from "./pause.ts";

export interface ModelShelfSettings {
  /** Decoded models kept, bytes; one of 384 dimensions takes 0.6 MB. */
  readonly bytesMax: number;
  /** How long a version that the store does not have is not asked for again, milliseconds. */
  readonly absentMs: number;
  /** Absent versions remembered. */
  readonly absentMax: number;
  /** How long a model may take to come, milliseconds. */
  readonly loadMs: number;
}

const DEFAULT_SETTINGS: ModelShelfSettings = {
  bytesMax: 64 * 1024 * 1024,
  absentMs: 10_000,
  absentMax: 4_096,
  loadMs: 10_000,
};

interface ModelShelfOptions {
  readonly store: Pick<Store, "model" | "models">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings?: Partial<ModelShelfSettings>;
}

export class ModelShelf {
  readonly #store: Pick<Store, "model" | "models">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #settings: ModelShelfSettings;
  /** The least recently used first. */
  readonly #models = new Map<string, CodecModel>();
  /** Until when each is absent, on the monotonic clock; the oldest first. */
  readonly #absent = new Map<string, number>();
  readonly #loading = new Map<string, Promise<CodecModel | null>>();
  #bytes = 0;

  constructor({ store, clock, log, settings }: ModelShelfOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#settings = { ...DEFAULT_SETTINGS, ...settings };
  }

  /** A tenant's models at hand. */
  of(tenant: string): CodecModels {
    return { get: (version) => this.#take(nameOf(tenant, version)) };
  }

  /**
   * A model, from the store when it is not at hand; null when the store has none. Rejects as the
   * store does, or with `TransportError("model.late")` after `loadMs`.
   */
  async load(tenant: string, version: number): Promise<CodecModel | null> {
    const name = nameOf(tenant, version);
    const known = this.#take(name);
    if (known !== null) return known;
    if (this.#isAbsent(name)) return null;
    const loading = this.#loading.get(name) ?? this.#begin(name, tenant, version);
    const late = () =>
      new TransportError("model.late", `codec model ${version} did not come in time`, {
        detail: { tenant, version },
      });
    return await within(this.#clock, this.#settings.loadMs, loading, late, { background: true });
  }

  /** The tenant's newest model; null when it has none. Rejects as {@link load} does. */
  async newest(tenant: string): Promise<CodecModel | null> {
    const [newest] = await this.#store.models(tenant);
    return newest === undefined ? null : await this.load(tenant, newest.version);
  }

  #begin(name: string, tenant: string, version: number): Promise<CodecModel | null> {
    const loading = this.#load(tenant, version)
      .then((model) => {
        if (model === null) this.#keepAbsent(name);
        else this.#keep(name, model);
        return model;
      })
      .finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    return loading;
  }

  async #load(tenant: string, version: number): Promise<CodecModel | null> {
    const bytes = await this.#store.model(tenant, version);
    if (bytes === null) return null;
    try {
      const model = await prepareModel(bytes, pause);
      if (model.version === version) return model;
      throw new Error(`it says that it is version ${model.version}`);
    } catch (error) {
      // Nobody can decode it, so no frame can be coded with it.
      this.#log.error("model.broken", { tenant, version, message: messageOf(error) });
      return null;
    }
  }

  #take(name: string): CodecModel | null {
    const model = this.#models.get(name);
    if (model === undefined) return null;
    this.#models.delete(name);
    this.#models.set(name, model);
    return model;
  }

  #keep(name: string, model: CodecModel): void {
    this.#models.set(name, model);
    this.#bytes += model.basis.byteLength;
    for (const [oldest, { basis }] of this.#models) {
      if (this.#bytes <= this.#settings.bytesMax || this.#models.size === 1) break;
      this.#models.delete(oldest);
      this.#bytes -= basis.byteLength;
    }
  }

  #isAbsent(name: string): boolean {
    const untilMs = this.#absent.get(name) ?? Number.NEGATIVE_INFINITY;
    if (untilMs > this.#clock.monotonicMs()) return true;
    this.#absent.delete(name);
    return false;
  }

  #keepAbsent(name: string): void {
    const { absentMs, absentMax } = this.#settings;
    this.#absent.set(name, this.#clock.monotonicMs() + absentMs);
    for (const oldest of this.#absent.keys()) {
      if (this.#absent.size <= absentMax) break;
      this.#absent.delete(oldest);
    }
  }
}

function nameOf(tenant: string, version: number): string {
  return `${tenant}/${version}`;
}
