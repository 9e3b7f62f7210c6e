/**
 * The codec models that one connected device has asked for and not yet got.
 *
 * A model never changes, so its topic has exactly one message, and a SUBSCRIBE
 * is answered once: what is kept is a wish, not a subscription, and nothing of
 * it outlives the connection. Pure; one model at a time is under way, because
 * one is as large as thirty releases.
 * @module
 */
import { assert } from "../src/core/index.ts";
import type { GrantedQos } from "./publish-packet.ts";

export interface ModelInFlight {
  readonly version: number;
  /** 0 with QoS 0. */
  readonly messageId: number;
  readonly qos: GrantedQos;
}

export class ModelLine {
  /** By version; as many as the access rules grant topics. */
  readonly #wanted = new Map<number, GrantedQos>();
  #inFlight: ModelInFlight | null = null;

  get inFlight(): ModelInFlight | null {
    return this.#inFlight;
  }

  /** The model to send next; null while one is under way and when none is wanted. */
  get next(): number | null {
    if (this.#inFlight !== null) return null;
    const [version] = this.#wanted.keys();
    return version ?? null;
  }

  /** SUBSCRIBE: the model is owed, again if it was sent before [MQTT-3.8.4-3]. */
  subscribed(version: number, qos: GrantedQos): void {
    this.#wanted.set(version, qos);
  }

  /** UNSUBSCRIBE, or there is no such model: nothing is owed. */
  drop(version: number): void {
    this.#wanted.delete(version);
  }

  /** Whether model `version` is wanted and none is under way. */
  mayShip(version: number): boolean {
    return this.#inFlight === null && this.#wanted.has(version);
  }

  /** Model `version` is being sent; it {@link mayShip}. */
  ship(version: number, newMessageId: () => number): ModelInFlight {
    const qos = this.#wanted.get(version);
    assert(qos !== undefined && this.#inFlight === null, "one wanted model is in flight");
    this.#wanted.delete(version);
    this.#inFlight = { version, qos, messageId: qos === 0 ? 0 : newMessageId() };
    return this.#inFlight;
  }

  /** Its PUBACK came, or with QoS 0 the socket has taken it. */
  landed(): void {
    this.#inFlight = null;
  }
}
