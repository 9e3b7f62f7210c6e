/**
 * What aedes stores for a stateless gateway: almost nothing.
 *
 * Stock aedes keeps every retained message (an exact look-up scans them all,
 * 34 ms at 10,000 topics), an unbounded offline queue per clean=0 session, and
 * the filters it has just refused. Here
 *   - no topic retains a message: the downlink computes and sends what `…/down`
 *     and `…/err` retain when it hears of the SUBSCRIBE, so both retained
 *     streams are empty and nothing is ever searched;
 *   - a clean=0 session keeps its granted topics and nothing else; the filter
 *     must be the client's own topic, whatever was asked beside it (THREATS 7);
 *   - no message is queued for the absent: it is computed when they return;
 *   - wills and QoS 2 have no store, because neither is accepted.
 *
 * Each method is called by the file of aedes 1.2.0 that its comment names.
 * @module
 */
import { Readable } from "node:stream";
import { deviceName, parseDeviceName, TransportError } from "../src/core/index.ts";
import { parseCodecTopic, parseTopic, topicOf } from "../src/wire/index.ts";
import type { GrantedQos } from "./publish-packet.ts";
import type { Sessions } from "./sessions.ts";
import type { Line } from "./subscriber.ts";

/** What these methods read of an aedes client: `id` is `tenant/device`. */
interface StoredClient {
  readonly id: string;
}

interface StoredSubscription {
  readonly topic: string;
  readonly qos: number;
}

export interface PersistenceOptions {
  readonly sessions: Sessions;
  /** A client's PUBACK; `client` is the very object that aedes works with. */
  onPuback(client: StoredClient, messageId: number): void;
}

/** The object for `Aedes.createBroker({ persistence })`. */
export type GatewayPersistence = ReturnType<typeof createPersistence>;

export function createPersistence({ sessions, onPuback }: PersistenceOptions) {
  return {
    /** aedes.js `listen`, which insists on an async function. */
    async setup(): Promise<void> {},
    async destroy(): Promise<void> {},

    ...retainedMessages(),
    ...cleanZeroSessions(sessions),
    ...outgoingMessages(onPuback),
    ...whatIsNotAccepted(),
  };
}

/** handlers/subscribe.js and aedes.js `publish`. */
function retainedMessages() {
  return {
    async storeRetained(): Promise<void> {},
    createRetainedStream: noMessages,
    createRetainedStreamCombi: noMessages,
  };
}

/** handlers/connect.js, subscribe.js and unsubscribe.js, for clients with clean=0. */
function cleanZeroSessions(sessions: Sessions) {
  return {
    /** Called once per granted filter, each time with every filter of the packet, the refused ones too. */
    async addSubscriptions(
      client: StoredClient,
      subscriptions: readonly StoredSubscription[],
    ): Promise<void> {
      for (const { topic, qos } of subscriptions) {
        const line = ownLine(client.id, topic);
        if (line !== null) sessions.grant(client.id, line, grantedQos(qos));
      }
    },
    async removeSubscriptions(client: StoredClient, topics: readonly string[]): Promise<void> {
      for (const topic of topics) {
        const line = ownLine(client.id, topic);
        if (line !== null) sessions.revoke(client.id, line);
      }
    },
    /** An empty list makes CONNACK say that there is no session. */
    async subscriptionsByClient(client: StoredClient): Promise<StoredSubscription[]> {
      const grants = Object.entries(sessions.find(client.id)?.grants ?? {});
      if (grants.length === 0) return [];
      const key = parseDeviceName(client.id);
      return grants.map(([line, qos]) => ({ topic: topicOf(key, line as Line), qos }));
    },
    /** [MQTT-3.1.2-6] clean=1 ends the session. */
    async cleanSubscriptions(client: StoredClient): Promise<void> {
      sessions.forget(client.id);
    },
    /** aedes.js `publish` with QoS 1 or 2: nothing is delivered through the broker's own pub/sub. */
    async subscriptionsByTopic(): Promise<StoredSubscription[]> {
      return [];
    },
    async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
      return { subsCount: 0, clientsCount: sessions.size };
    },
    getClientList: nothing,
  };
}

/** client.js, handlers/connect.js `emptyQueue` and handlers/puback.js. */
function outgoingMessages(onPuback: PersistenceOptions["onPuback"]) {
  return {
    async outgoingEnqueue(): Promise<void> {},
    async outgoingEnqueueCombi(): Promise<void> {},
    async outgoingUpdate(): Promise<void> {},
    /** The downlink redelivers after CONNACK by itself, so that a frozen store never delays a CONNECT. */
    outgoingStream: nothing,
    async outgoingClearMessageId(
      client: StoredClient,
      packet: { readonly cmd?: string; readonly messageId?: number },
    ): Promise<undefined> {
      if (packet.cmd === "puback" && packet.messageId !== undefined) {
        onPuback(client, packet.messageId);
      }
    },
  };
}

/** QoS 2 (handlers/publish.js, pubrel.js) and wills (handlers/connect.js, client.js). */
function whatIsNotAccepted() {
  const noQos2 = async (): Promise<never> => {
    throw new TransportError("publish.qos", "QoS 2 is not accepted");
  };
  return {
    incomingStorePacket: noQos2,
    incomingGetPacket: noQos2,
    incomingDelPacket: noQos2,
    async cleanIncoming(): Promise<void> {},
    async putWill(): Promise<void> {},
    async getWill(): Promise<undefined> {},
    async delWill(): Promise<undefined> {},
    streamWill: nothing,
  };
}

function nothing(): Readable {
  return new Readable({ read: endAtOnce });
}

function endAtOnce(this: Readable): void {
  this.push(null);
}

/** handlers/subscribe.js only pipes what it gets; an empty stream costs as much as a full one. */
function noMessages(): { pipe(): void } {
  return { pipe() {} };
}

/** Which of its own lines `topic` is for the client `name`; null for any other topic. */
export function ownLine(name: string, topic: string): Line | null {
  const parsed = parseTopic(topic);
  if (parsed === null || parsed.direction === "up") return null;
  return deviceName(parsed.key) === name ? parsed.direction : null;
}

/** The version of its own tenant's codec model that `topic` is for the client `name`, or null. */
export function ownModel(name: string, topic: string): number | null {
  const model = parseCodecTopic(topic);
  return model?.tenant === parseDeviceName(name).tenant ? model.version : null;
}

/** Down frames are published with QoS 1, so a grant of 2 delivers at 1 [MQTT-3.8.4-6]. */
export function grantedQos(qos: number): GrantedQos {
  return qos === 0 ? 0 : 1;
}
