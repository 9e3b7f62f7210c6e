/**
 * A real broker without listeners: tests hand it streams and decide what its
 * collaborators answer, and when.
 * @module
 */

import { type Duplex, duplexPair } from "node:stream";
import type { Aedes } from "aedes";
import { Admission } from "../../../gateway/admission.ts";
import type { Authenticator } from "../../../gateway/auth-verdict.ts";
import { Broker } from "../../../gateway/broker.ts";
import { Downlink } from "../../../gateway/downlink.ts";
import { Ingest } from "../../../gateway/ingest.ts";
import { type GatewayLimits, gatewayLimits } from "../../../gateway/limits.ts";
import type { GatewayClient } from "../../../gateway/ports.ts";
import { recordedSessions } from "../../../src/cli/compose/history.ts";
import { type Clock, systemClock, systemRandom } from "../../../src/core/index.ts";
import { MemorySink } from "../../../src/fleet/oracle/sinks.ts";
import { createMetrics, type Logger, silentLogger } from "../../../src/observe/index.ts";
import { FREE_RATES, HeldProducer, silentSource } from "./fixture.ts";
import { RawClient } from "./raw-client.ts";

export interface BrokerFixtureOptions {
  readonly authenticator?: Authenticator;
  readonly limits?: Partial<GatewayLimits>;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** What each look into the persistence during a login waits for. */
  readonly persistenceDelay?: () => Promise<void>;
}

const BELIEVES_ALL: Authenticator = {
  mode: "none",
  authenticate: () => Promise.resolve({ ok: true, expiresAtMs: null }),
};

export async function startBroker(options: BrokerFixtureOptions = {}) {
  const { authenticator = BELIEVES_ALL, clock = systemClock, log = silentLogger } = options;
  const limits = gatewayLimits({ ...FREE_RATES, ...options.limits });
  const metrics = createMetrics();
  const shared = { limits, clock, log, metrics };
  const producer = new HeldProducer();
  const source = await silentSource();
  const inner = new Downlink({ ...shared, source, random: systemRandom, limits: {} });
  const captured: { aedes: Aedes | null } = { aedes: null };
  const ready: GatewayClient[] = [];
  const gone: GatewayClient[] = [];
  const { persistence } = inner;
  const { persistenceDelay = () => Promise.resolve() } = options;
  type Stored = { readonly id: string };
  const downlink = {
    persistence: {
      ...persistence,
      cleanSubscriptions: async (client: Stored) => {
        await persistenceDelay();
        return persistence.cleanSubscriptions(client);
      },
      subscriptionsByClient: async (client: Stored) => {
        await persistenceDelay();
        return persistence.subscriptionsByClient(client);
      },
      delWill: async () => {
        await persistenceDelay();
        return persistence.delWill();
      },
    },
    attach: (aedes: Aedes) => {
      captured.aedes = aedes;
      inner.attach(aedes);
    },
    onClientReady: (client: GatewayClient) => {
      ready.push(client);
      inner.onClientReady(client);
    },
    onClientGone: (client: GatewayClient) => {
      gone.push(client);
      inner.onClientGone(client);
    },
    onPull: () => {},
    onUpHeader: () => {},
    modelBytes: () => 0,
  };
  const history = new MemorySink(() => clock.monotonicMs());
  const broker = new Broker({
    ...shared,
    sessions: recordedSessions(history),
    authenticator,
    downlink,
    admission: new Admission({ limits, clock, pressure: () => 0 }),
    ingest: new Ingest({ ...shared, producer, shards: 1, downlink }),
  });
  await broker.start();
  if (captured.aedes === null) throw new Error("the broker attaches its downlink");
  return {
    broker,
    producer,
    metrics,
    aedes: captured.aedes,
    ready,
    gone,
    /** The sessions of this broker, as the oracle reads them. */
    history: history.events,
    /** A client on an in-memory stream; `serverSide` is what the broker was given. */
    open(): { client: RawClient; serverSide: Duplex } {
      const [near, far] = duplexPair();
      // A socket reports the other side's destruction; an in-memory pair has to be told.
      near.once("close", () => far.destroy());
      far.once("close", () => near.destroy());
      const arrival = { address: "192.0.2.1", certificate: null, due: false };
      broker.accept(far, { ...arrival, onAccepted: () => {} });
      return { client: new RawClient(near), serverSide: far };
    },
    async stop(): Promise<void> {
      await broker.stop();
      await inner.stop();
    },
  };
}
