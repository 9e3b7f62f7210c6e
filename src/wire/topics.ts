/**
 * Topics: where a device speaks and listens.
 *
 *   omega/v1/{tenant}/d/{device}/up     device → gateway, QoS 1
 *   omega/v1/{tenant}/d/{device}/down   gateway → device, retained
 *   omega/v1/{tenant}/d/{device}/err    gateway → device, refusals
 *
 * The major version stands in the topic, so two generations of devices share
 * one broker without meeting. Ids hold neither `/` nor a wildcard, so a topic
 * has exactly one reading.
 * @module
 */
import { type DeviceKey, ID_PATTERN, isId } from "../core/index.ts";

export type Direction = "up" | "down" | "err";

const ID_CHARACTERS = ID_PATTERN.source.slice(1, -1);
const TOPIC = new RegExp(`^omega/v1/(${ID_CHARACTERS})/d/(${ID_CHARACTERS})/(up|down|err)$`);

/** The topic of a device in one direction. `key` must hold valid ids; anything else is a bug. */
export function topicOf(key: DeviceKey, direction: Direction): string {
  if (!isId(key.tenant) || !isId(key.device)) {
    throw new Error(`assertion failed: not ids: ${JSON.stringify(key)}`);
  }
  return `omega/v1/${key.tenant}/d/${key.device}/${direction}`;
}

/** The device and direction that `topic` names, or null when it is not one of ours, byte for byte. */
export function parseTopic(topic: string): { key: DeviceKey; direction: Direction } | null {
  const match = TOPIC.exec(topic);
  if (match === null) return null;
  const [, tenant, device, direction] = match as unknown as [string, string, string, Direction];
  return { key: { tenant, device }, direction };
}
