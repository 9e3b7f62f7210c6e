/**
 * The device's link over a simulated connection: what device/link.ts and mqtt.js do together,
 * packet by packet: CONNECT and SUBSCRIBE with their deadlines, one message
 * after another, a PUBACK when a message was dealt with, pings.
 * @module
 */
import type { Link, LinkHandlers, LinkOptions, OpenLink } from "../../../device/index.ts";
import {
  NetworkError,
  type OmegaError,
  TimeoutError,
  type Timer,
  TransportError,
} from "../../core/index.ts";
import { parseTopic, topicOf } from "../../wire/index.ts";
import type { DownPacket, EndHandlers, Wire } from "./wire.ts";

/** Makes a connection to the gateway of `url`; `handlers` is the device's end of it. */
export type Dial = (url: string, handlers: EndHandlers<DownPacket>) => Wire;

const CONNACK_BUSY = 3;

/** `onPublish` is called when a frame has been handed over. */
export function linkOver(dial: Dial, onPublish: () => void): OpenLink {
  return async (options, handlers) => {
    const link = new SimLink(dial, options, handlers, onPublish);
    try {
      await link.opened();
      options.signal.throwIfAborted();
    } catch (error) {
      link.abort();
      throw error;
    }
    return link;
  };
}

class SimLink implements Link {
  readonly #options: LinkOptions;
  readonly #handlers: LinkHandlers;
  readonly #wire: Wire;
  readonly #onPublish: () => void;
  readonly #acks = new Map<number, () => void>();
  #lastId = 0;
  #flowing = false;
  #ended = false;
  #open = false;
  #early: { readonly line: "down" | "err"; readonly payload: Uint8Array }[] = [];
  #delivered: Promise<void> = Promise.resolve();
  #waiting: { readonly cmd: string; settle(error: OmegaError | null): void } | null = null;
  #ping: Timer | null = null;
  #heard = true;

  constructor(dial: Dial, options: LinkOptions, handlers: LinkHandlers, onPublish: () => void) {
    this.#onPublish = onPublish;
    this.#options = options;
    this.#handlers = handlers;
    this.#wire = dial(options.url, {
      packet: (packet) => this.#take(packet),
      closed: () => this.#closed(new NetworkError("connection.closed", "connection closed")),
    });
  }

  async opened(): Promise<void> {
    const { key, username, keepaliveS, greeting, connectTimeoutMs, loginTimeoutMs } = this.#options;
    const clientId = key.device;
    this.#wire.sendUp({ cmd: "connect", clientId, username, keepaliveS });
    await this.#answer("connack", loginTimeoutMs);
    const greets = greeting();
    if (greets !== null) void this.publish(greets);
    const topics = [topicOf(key, "down"), topicOf(key, "err")];
    this.#wire.sendUp({ cmd: "subscribe", id: this.#nextId(), topics });
    await this.#answer("suback", connectTimeoutMs);
    this.#open = true;
    this.#pingLater();
  }

  #answer(cmd: string, withinMs: number): Promise<void> {
    const { clock, url } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = clock.after(withinMs, () => {
        this.#waiting?.settle(new TimeoutError("connect.timeout", `${url}: no ${cmd}`));
      });
      this.#waiting = {
        cmd,
        settle: (error) => {
          this.#waiting = null;
          timer.cancel();
          if (error === null) resolve();
          else reject(error);
        },
      };
    });
  }

  #take(packet: DownPacket): void {
    this.#heard = true;
    switch (packet.cmd) {
      case "connack":
        this.#waiting?.settle(packet.code === 0 ? null : connackError(packet.code));
        break;
      case "suback":
        this.#waiting?.settle(
          packet.granted.every((granted) => granted)
            ? null
            : new TransportError("connect.suback", "SUBSCRIBE refused"),
        );
        break;
      case "publish": {
        const ack = () => {
          if (!this.#ended) this.#wire.sendUp({ cmd: "puback", id: packet.id });
        };
        this.#receive(packet.topic, packet.payload).then(ack, ack);
        break;
      }
      case "puback":
        this.#acks.get(packet.id)?.();
        this.#acks.delete(packet.id);
        break;
      case "pingresp":
        break;
    }
  }

  /** What comes before `flow` is acknowledged at once and delivered by `flow`, as the real link does. */
  async #receive(topic: string, payload: Uint8Array): Promise<void> {
    const line = parseTopic(topic)?.direction;
    // A message for somebody else would be taken like any other here: the oracle must see it.
    if (line !== "down" && line !== "err") return;
    if (this.#flowing) await this.#deliver(line, payload);
    else this.#early.push({ line, payload });
  }

  #deliver(line: "down" | "err", payload: Uint8Array): Promise<void> {
    const after = this.#delivered.then(async () => {
      if (!this.#ended) await this.#handlers.message(line, payload);
    });
    this.#delivered = after.catch(() => {});
    return after;
  }

  flow(): void {
    this.#flowing = true;
    for (const { line, payload } of this.#early.splice(0)) void this.#deliver(line, payload);
  }

  publish(payload: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return;
      const id = this.#nextId();
      this.#acks.set(id, resolve);
      const topic = topicOf(this.#options.key, "up");
      this.#wire.sendUp({ cmd: "publish", id, topic, payload: Buffer.from(payload) });
      this.#onPublish();
    });
  }

  /** There are no codec models in a simulated world. */
  fetchModel(): void {}

  async close(): Promise<void> {
    if (!this.#ended) this.#wire.sendUp({ cmd: "disconnect" });
    this.abort();
  }

  abort(): void {
    this.#ended = true;
    this.#ping?.cancel();
    this.#wire.closeDevice();
  }

  #closed(error: OmegaError): void {
    if (this.#ended) return;
    if (!this.#open) {
      this.#waiting?.settle(error);
      return;
    }
    this.abort();
    this.#handlers.closed(error);
  }

  #pingLater(): void {
    const { clock, keepaliveS } = this.#options;
    this.#ping = clock.after(keepaliveS * 1_000, () => {
      if (!this.#heard) {
        this.#closed(new TimeoutError("connection.keepalive", "no PINGRESP"));
        return;
      }
      this.#heard = false;
      this.#wire.sendUp({ cmd: "pingreq" });
      this.#pingLater();
    });
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1;
    return this.#lastId;
  }
}

function connackError(code: number): OmegaError {
  return code === CONNACK_BUSY
    ? new TransportError("connect.busy", "busy (CONNACK 3)")
    : new TransportError("connect.credentials", `refused (CONNACK ${code})`);
}
