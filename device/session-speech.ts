/**
 * What vectors are said with: the newest codec model, the rotation that needs
 * none, or int8, which every server understands.
 *
 *   newest model ──refused──▶ rotation ──refused──▶ codec 0
 *        ▲                                              │
 *        └────────── a new connection, a new model ◀────┘
 *
 * A server may have dropped a model, or not have it yet; its refusal says so
 * with a reason `codec.…`. Several frames may be under way by then and all be
 * refused for one cause, so only a refusal of a frame sent after the last step
 * leads to the next.
 * @module
 */
import type { CodecModel, Position } from "../src/wire/index.ts";
import type { CodecChoice } from "./session-events.ts";
import type { HeldModels } from "./session-models.ts";

export type Voice =
  | { readonly codec: 0 }
  /** Without a model the rotation serves. */
  | { readonly codec: 1; readonly model: CodecModel | null };

export class Speech {
  readonly #codec: CodecChoice;
  readonly #models: HeldModels;
  #step: "model" | "rotation" | "codec 0" = "model";
  /** The first position that is said in the current way. */
  #since: Position = { epoch: 0, seq: 0 };

  constructor(codec: CodecChoice, models: HeldModels) {
    this.#codec = codec;
    this.#models = models;
  }

  get voice(): Voice {
    if (this.#codec === 0 || this.#step === "codec 0") return { codec: 0 };
    return { codec: 1, model: this.#step === "model" ? this.#models.newest() : null };
  }

  /** The frame at `position` was refused for `reason`; the next new frame will be at `next`. */
  refused(reason: string, position: Position, next: Position): void {
    if (!reason.startsWith("codec.") || isBefore(position, this.#since)) return;
    const { voice } = this;
    this.#step = voice.codec === 1 && voice.model !== null ? "rotation" : "codec 0";
    this.#since = next;
  }

  /** Another server may be at the other end now, or what it lacked has come. */
  reset(): void {
    this.#step = "model";
  }
}

function isBefore(a: Position, b: Position): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);
}
