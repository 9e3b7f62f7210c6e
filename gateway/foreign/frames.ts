/**
 * What one device is told through another broker, as messages in order. Pure.
 *
 *   pull      refusals, the release in parts, watermark
 *   anything  refusals, watermark
 *
 * The broker answers a SUBSCRIBE with what it retained, and that was computed
 * when nobody knew what the device would hold by then. So what is retained is
 * the frame for those who hold the newest version, some sixty bytes: whoever
 * does holds nothing to learn from it but the watermark, and whoever does not
 * is bound by the protocol to pull, and says what it holds. The transition is
 * then its answer and not retained.
 *
 * P6: a watermark never comes without the refusals it passes before it. A
 * SUBSCRIBE may bring the two retained messages in the wrong order, so with
 * refusals the retained frame says no watermark and a second one, not
 * retained, does.
 * @module
 */
import { assert, type DeviceKey } from "../../src/core/index.ts";
import { encodeRefusal, topicOf } from "../../src/wire/index.ts";
import { downParts, type HeldLadder } from "../ladders.ts";
import type { DeviceView, Told } from "../ports.ts";
import type { Outgoing } from "./outbox.ts";

/** A device unheard of for so long is gone; its retained message goes too. */
const RETAINED_EXPIRY_S = 30 * 86_400;

export interface Telling {
  readonly key: DeviceKey;
  /** The minor it speaks. */
  readonly minor: number;
  /** What its pull said, or null when it has not pulled. */
  readonly asked: Told | null;
  readonly view: DeviceView;
  readonly held: HeldLadder;
}

export interface Message extends Outgoing {
  readonly kind: "refusal" | "snapshot" | "release-delta" | "watermark";
}

export function messagesFor({ key, minor, asked, view, held }: Telling): Message[] {
  const { applied, problems } = view;
  const messages: Message[] = [];
  if (problems.length > 0) {
    const payload = encodeRefusal(problems);
    messages.push({ kind: "refusal", topic: topicOf(key, "err"), payload, retain: false });
  }
  const topic = topicOf(key, "down");
  const { version } = held;
  const frame = (told: Told, part: number, watermark: DeviceView["applied"]) => {
    const { head, body, kind } = downParts(held, { ...told, part, applied: watermark });
    return { kind, topic, payload: Buffer.concat([head, body]) };
  };
  if (asked !== null && asked.base !== version) {
    const parts = held.newest.parts(asked);
    for (let part = 1; part <= parts; part += 1) {
      messages.push({ ...frame(asked, part, applied), retain: false });
    }
  }
  const newest = { base: version, minor: asked?.minor ?? minor };
  if (problems.length > 0) messages.push({ ...frame(newest, 1, applied), retain: false });
  const retained = frame(newest, 1, problems.length > 0 ? null : applied);
  assert(held.newest.parts(newest) === 1, "a device that is up to date needs one frame");
  messages.push({ ...retained, retain: true, expiryS: RETAINED_EXPIRY_S });
  return messages;
}
