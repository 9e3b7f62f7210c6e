/**
 * Topics: where a device speaks and listens.
 *
 *   omega/v1/{tenant}/d/{device}/up     device → gateway, QoS 1
 *   omega/v1/{tenant}/d/{device}/down   gateway → device, retained
 *   omega/v1/{tenant}/d/{device}/err    gateway → device, refusals
 *   omega/v1/{tenant}/codec/{version}   gateway → devices, a codec model, retained
 *
 * The major version stands in the topic, so two generations of devices share
 * one broker without meeting. Ids hold neither `/` nor a wildcard, so a topic
 * has exactly one reading.
 * @module
 */
import { type DeviceKey, ID_PATTERN, isId } from "../core/index.ts";

export type Direction = "up" | "down" | "err";

/** A codec model of a tenant; its version is 1 to {@link MODEL_VERSION_MAX}. */
export interface ModelKey {
  readonly tenant: string;
  readonly version: number;
}

/** A frame names the version in two bytes, and 0 there means "none". */
export const MODEL_VERSION_MAX = 65_535;

const ID_CHARACTERS = ID_PATTERN.source.slice(1, -1);
const TOPIC = new RegExp(`^omega/v1/(${ID_CHARACTERS})/d/(${ID_CHARACTERS})/(up|down|err)$`);
/** No leading zeros: one version, one topic. */
const CODEC_TOPIC = new RegExp(`^omega/v1/(${ID_CHARACTERS})/codec/([1-9][0-9]{0,4})$`);

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

/** The topic of a codec model. `key` must hold a valid id and version; anything else is a bug. */
export function codecTopicOf({ tenant, version }: ModelKey): string {
  const valid = Number.isInteger(version) && version >= 1 && version <= MODEL_VERSION_MAX;
  if (!isId(tenant) || !valid) {
    throw new Error(`assertion failed: not a model: ${JSON.stringify({ tenant, version })}`);
  }
  return `omega/v1/${tenant}/codec/${version}`;
}

/** The model that `topic` names, or null when it is not the topic of one, byte for byte. */
export function parseCodecTopic(topic: string): ModelKey | null {
  const match = CODEC_TOPIC.exec(topic);
  if (match === null) return null;
  const [, tenant, digits] = match as unknown as [string, string, string];
  const version = Number(digits);
  return version <= MODEL_VERSION_MAX ? { tenant, version } : null;
}
