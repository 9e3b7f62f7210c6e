/**
 * The downlink's source, asked with a deadline, and whether it answers.
 *
 * `/readyz` must say at once when releases and cursors cannot be read, so the
 * outcome of every question is remembered here instead of asking again for it.
 * @module
 */
import { type Clock, type DeviceKey, TimeoutError, within } from "../src/core/index.ts";
import type { DeviceView, DownlinkSource, Renditions } from "./ports.ts";

export interface ReachOptions {
  readonly source: Pick<DownlinkSource, "ladders" | "views" | "model">;
  readonly clock: Clock;
  /** How long one answer may take. */
  readonly timeoutMs: number;
}

export class Reach {
  readonly #options: ReachOptions;
  #failing: string | null = null;

  constructor(options: ReachOptions) {
    this.#options = options;
  }

  /** The tenant whose question failed last and whose next question will show a recovery; null when all is well. */
  get failing(): string | null {
    return this.#failing;
  }

  /** Rejects with `TimeoutError("ladder.timeout")` or with the source's own error. */
  ladders(tenant: string): Promise<Renditions> {
    return this.#ask(tenant, "ladder.timeout", this.#options.source.ladders(tenant));
  }

  /** Rejects with `TimeoutError("views.timeout")` or with the source's own error. `keys` is not empty. */
  views(keys: readonly DeviceKey[]): Promise<DeviceView[]> {
    const tenant = keys[0]?.tenant ?? "";
    return this.#ask(tenant, "views.timeout", this.#options.source.views(keys));
  }

  /** Rejects with `TimeoutError("model.timeout")` or with the source's own error. */
  model(tenant: string, version: number): Promise<Uint8Array | null> {
    return this.#ask(tenant, "model.timeout", this.#options.source.model(tenant, version));
  }

  async #ask<T>(tenant: string, reason: string, answer: Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#options;
    try {
      // A frozen store neither answers nor fails, so what is asked of it has a deadline.
      const late = () => new TimeoutError(reason, `no answer within ${timeoutMs} ms`);
      const value = await within(clock, timeoutMs, answer, late, { background: true });
      this.#failing = null;
      return value;
    } catch (error) {
      this.#failing = tenant;
      throw error;
    }
  }
}
