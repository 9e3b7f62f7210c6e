/**
 * What an accepted device may do: publish its own deltas, subscribe to its own
 * answers and to its tenant's codec models, and nothing else.
 *
 * Topics are compared as whole strings with the device's own, never matched as
 * patterns. Own topics are ASCII, so NUL, ill-formed UTF-8, wildcards, `$SYS`,
 * `$share`, case variants and stray slashes all fail the same comparison
 * (THREATS 3–6, 9, 10). A codec topic must name one version in its only spelling.
 * Pure: no Node built-ins.
 * @module
 */
import type { DeviceKey } from "../src/core/index.ts";
import { parseCodecTopic, topicOf } from "../src/wire/index.ts";

/**
 * Codec topics granted at once on one connection. A device asks for one or two; without a bound
 * a session could hold a filter for each of 65,535 versions (P8).
 */
const CODEC_TOPICS_MAX = 4;

/** The three topics of a device, and the tenant whose codec models it may read. */
export interface DeviceTopics {
  readonly tenant: string;
  readonly up: string;
  readonly down: string;
  readonly err: string;
}

export function topicsOf(key: DeviceKey): DeviceTopics {
  const { tenant } = key;
  return { tenant, up: topicOf(key, "up"), down: topicOf(key, "down"), err: topicOf(key, "err") };
}

export interface PublishRequest {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  /** Packet identifier, 1 … 65535 when QoS > 0. */
  readonly messageId?: number | undefined;
}

/**
 * Why a PUBLISH must close the socket unacknowledged, as a dotted reason; `null` when it may pass.
 * MQTT 3.1.1 has no way to refuse one PUBLISH: §3.3.5 leaves acknowledging it or closing.
 */
export function publishRefusal(topics: DeviceTopics, request: PublishRequest): string | null {
  if (request.topic !== topics.up) return "publish.topic";
  if (request.qos !== 1) return "publish.qos";
  if (request.retain) return "publish.retain";
  // [MQTT-2.3.1-1] A QoS 1 PUBLISH carries a non-zero packet identifier.
  if (!request.messageId) return "publish.id";
  return null;
}

/**
 * Whether a filter may be granted; otherwise it is answered 0x80 and not kept. `codecTopics` are
 * those granted to this connection already.
 */
export function maySubscribe(
  topics: DeviceTopics,
  filter: string,
  codecTopics: ReadonlySet<string>,
): boolean {
  if (filter === topics.down || filter === topics.err) return true;
  if (parseCodecTopic(filter)?.tenant !== topics.tenant) return false;
  return codecTopics.has(filter) || codecTopics.size < CODEC_TOPICS_MAX;
}
