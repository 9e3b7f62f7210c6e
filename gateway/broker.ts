/**
 * aedes, confined: it speaks MQTT 3.1.1 on the sockets, and decides nothing.
 *
 *   socket → guard → CONNECT judged → credentials → claimed → CONNACK 0 → open
 *
 * Every decision is a hook of ours, and what aedes would do beyond them is
 * taken away: its emitter delivers to nobody, so no PUBLISH, `$SYS` event or
 * will can fan out; its list of clients stays empty, because it lost count when
 * a socket closed between authentication and registration and left two live
 * sessions of one device (THREATS 11). `live` here is the only such list.
 *
 * test/gateway/uplink/aedes-contract.test.ts holds aedes to what this file leans on.
 * @module
 */
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { Aedes, type Client, type ConnectPacket, type Subscription } from "aedes";
import {
  assert,
  type Clock,
  type DeviceKey,
  deviceName,
  messageOf,
  OmegaError,
  ProtocolError,
  type Timer,
} from "../src/core/index.ts";
import type { Counter, Gauge, Logger, Metrics } from "../src/observe/index.ts";
import { parseCodecTopic } from "../src/wire/index.ts";
import { type DeviceTopics, maySubscribe, topicsOf } from "./acl.ts";
import type { Admission } from "./admission.ts";
import { type Authenticator, type AuthVerdict, notAuthorized } from "./auth-verdict.ts";
import { Buckets } from "./buckets.ts";
import type { PeerCertificate } from "./certificate.ts";
import {
  CONNACK,
  type ConnackRefusal,
  type ConnectAccepted,
  type ConnectRefused,
  connackBytes,
  judgeConnect,
} from "./connect.ts";
import { type Guard, guard } from "./guard.ts";
import type { Ingest, TakenPacket, Uplink } from "./ingest.ts";
import { putOffKeepalive } from "./keepalive.ts";
import { type GatewayLimits, TokenBucket } from "./limits.ts";
import { Pace } from "./pace.ts";
import type { DownlinkSessions, GatewayClient, SessionWatch } from "./ports.ts";
import { silentEmitter } from "./silent-emitter.ts";
import { endOf, type Proof, proofOf, type Trust } from "./trust.ts";

/** A socket as a listener hands it over. */
export interface Arrival {
  /** The peer's address without its port. */
  readonly address: string;
  /** A verified client certificate; `null` without one. */
  readonly certificate: PeerCertificate | null;
  /** Whether a token of the rate limit was spent on it already. */
  readonly due: boolean;
  /** Called once, when the CONNECT was accepted. */
  readonly onAccepted: () => void;
  /** What was read of it already. */
  readonly said?: Buffer;
}

/** The part of {@link Downlink} that lives inside the broker. */
interface BrokerDownlink extends DownlinkSessions {
  /** The object for aedes' `persistence` option. */
  readonly persistence: unknown;
  attach(broker: Aedes): void;
}

export interface BrokerOptions {
  readonly limits: GatewayLimits;
  readonly authenticator: Authenticator;
  /** Who may come in no more; by default nobody is refused. */
  readonly trust?: Pick<Trust, "refusal" | "onChange">;
  readonly admission: Admission;
  readonly ingest: Ingest;
  readonly downlink: BrokerDownlink;
  readonly sessions?: SessionWatch;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Who a connection proved or claims to be; nothing before its CONNECT was judged. */
interface Identity {
  readonly key: DeviceKey;
  readonly name: string;
  readonly topics: DeviceTopics;
  readonly subscribes: TokenBucket;
  /** The codec topics granted and not given back. */
  readonly codecTopics: Set<string>;
}

interface Connection {
  /** Of all that this broker ever had, from 1. */
  readonly number: number;
  readonly arrival: Arrival;
  readonly guard: Guard;
  identity: Identity | null;
  expiresAtMs: number | null;
  /** What its credentials were, once they were found good. */
  proof: Proof | null;
  /** Set from CONNACK 0 on. */
  session: GatewayClient | null;
  /** From CONNACK 0 until its socket is done with. */
  isOpen: boolean;
  uplink: Uplink | null;
  expiry: Timer | null;
  /** The first reason anyone gave for its end. */
  closedFor: string | null;
}

/**
 * On the stream that aedes was given, whose connection it is. A WeakMap of thousands of streams is
 * rehashed as a whole when it grows, while everybody waits.
 */
const CONNECTION = Symbol("connection");

interface ConnectionStream extends Duplex {
  [CONNECTION]?: Connection;
}

/** A timer holds at most 2^31 − 1 ms; longer waits are armed again. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** A control packet that the socket will not take for this long ends the connection. */
const DRAIN_TIMEOUT_MS = 30_000;
const HEARTBEAT_MS = 3_600_000;

export class Broker {
  readonly #options: BrokerOptions;
  readonly #aedes: Aedes;
  readonly #connections = new Set<Connection>();
  #accepted = 0;
  /** By device name: exactly one live session each. */
  readonly #live = new Map<string, Connection>();
  /** Connects by device name; null where they are not counted. */
  readonly #perDevice: Buckets | null;
  readonly #connects: Counter;
  readonly #closes: Counter;
  readonly #rests: Counter;
  readonly #sessions: Gauge;

  constructor(options: BrokerOptions) {
    this.#options = options;
    const { metrics, clock, limits } = options;
    const { connectsPerDevice } = limits;
    this.#perDevice = connectsPerDevice === null ? null : new Buckets(connectsPerDevice, clock);
    this.#rests = metrics.counter(
      "omega_gateway_paced_total",
      "Times a device published faster than it may and was not read for a moment",
    );
    this.#connects = metrics.counter("omega_gateway_connects_total", "CONNECTs by answer", [
      "reason",
    ]);
    this.#closes = metrics.counter("omega_gateway_closes_total", "Connections closed, by reason", [
      "reason",
    ]);
    this.#sessions = metrics.gauge("omega_gateway_sessions_count", "Live sessions");
    this.#aedes = this.#createAedes();
    options.trust?.onChange(() => this.#closeRevoked());
  }

  /** Live sessions. */
  get sessionCount(): number {
    return this.#live.size;
  }

  async start(): Promise<void> {
    await this.#aedes.listen();
  }

  /** Speaks MQTT on `socket` until it closes. */
  accept(socket: Duplex, arrival: Arrival): void {
    const guarded = guard(socket, {
      clock: this.#options.clock,
      onViolation: (error) => this.#blame(connection, error),
    });
    this.#accepted += 1;
    const connection: Connection = {
      number: this.#accepted,
      arrival,
      guard: guarded,
      identity: null,
      expiresAtMs: null,
      proof: null,
      session: null,
      isOpen: false,
      uplink: null,
      expiry: null,
      closedFor: null,
    };
    this.#connections.add(connection);
    (guarded.stream as ConnectionStream)[CONNECTION] = connection;
    guarded.stream.once("close", () => this.#gone(connection));
    this.#aedes.handle(guarded.stream);
    guarded.begin(arrival.said);
  }

  /** Device names of the live sessions, for closing them in steps. */
  sessionNames(): string[] {
    return [...this.#live.keys()];
  }

  /** Reads no more of a session, lets what it sent be acknowledged, and closes it. */
  async retire(name: string): Promise<void> {
    const connection = this.#live.get(name);
    if (connection === undefined) return;
    connection.guard.hold();
    await connection.uplink?.window.idle();
    this.#close(connection, "gateway.draining");
  }

  /** Closes every connection and aedes itself. Idempotent. */
  async stop(): Promise<void> {
    for (const connection of [...this.#connections]) {
      this.#close(connection, "gateway.stopped");
    }
    await new Promise<void>((resolve) => {
      this.#aedes.close(resolve);
    });
  }

  #createAedes(): Aedes {
    const { downlink, limits } = this.#options;
    const aedes = new Aedes({
      mq: silentEmitter,
      persistence: downlink.persistence,
      heartbeatInterval: HEARTBEAT_MS,
      connectTimeout: limits.connectDeadlineMs,
      drainTimeout: DRAIN_TIMEOUT_MS,
      preConnect: (client, packet, done) => this.#preConnect(client, packet, done),
      authenticate: (client, _username, password, done) => {
        this.#authenticate(client, password ?? null).then(
          (verdict) => (verdict.ok ? done(null, true) : done(connackError(verdict), null)),
          (error: unknown) => {
            this.#options.log.error("gateway.auth.failed", { message: messageOf(error) });
            done(connackError({ code: CONNACK.busy, reason: "auth.failed" }), null);
          },
        );
      },
      authorizePublish: (client, packet, done) => this.#publish(client, packet, done),
      authorizeSubscribe: (client, subscription, done) =>
        this.#subscribe(client, subscription, done),
      // Nothing reaches a device but what the downlink writes to its socket.
      authorizeForward: () => null,
    });
    // `registerClient` is aedes' own book of clients; ours replaces it.
    Object.assign(aedes, { registerClient: (client: Client) => this.#claim(client) });
    aedes.on("clientReady", (client) => this.#ready(client));
    aedes.on("unsubscribe", (topics, client) => {
      for (const topic of topics) this.#connectionOf(client).identity?.codecTopics.delete(topic);
    });
    const failed = (client: Client, error: Error) => this.#blame(this.#connectionOf(client), error);
    aedes.on("clientError", failed);
    aedes.on("connectionError", failed);
    (aedes as EventEmitter).on("error", (error: unknown) => {
      this.#options.log.error("gateway.broker.failed", { message: messageOf(error) });
    });
    downlink.attach(aedes);
    return aedes;
  }

  #connectionOf(client: Client): Connection {
    const connection = (client.conn as ConnectionStream)[CONNECTION];
    assert(connection !== undefined, "the broker has no client that was not accepted");
    return connection;
  }

  #preConnect(
    client: Client,
    packet: ConnectPacket,
    done: (error: Error | null, success: boolean) => void,
  ): void {
    const connection = this.#connectionOf(client);
    const judged = this.#judge(connection.arrival, packet);
    if (!judged.ok) {
      this.#connects.add(1, { reason: judged.reason });
      connection.guard.stream.write(connackBytes(judged.code));
      done(new ProtocolError(judged.reason, `CONNECT refused: ${judged.reason}`), false);
      return;
    }
    const { key } = judged;
    const name = deviceName(key);
    connection.identity = {
      key,
      name,
      topics: topicsOf(key),
      subscribes: new TokenBucket(this.#options.limits.subscribes, this.#options.clock),
      codecTopics: new Set(),
    };
    // Inside aedes a client is called tenant/device: two tenants' devices of one name never meet,
    // and the slash keeps every name apart from `constructor`, `__proto__` and their kind.
    packet.clientId = name;
    done(null, true);
  }

  #judge(arrival: Arrival, packet: ConnectPacket): ConnectAccepted | ConnectRefused {
    const { admission, authenticator, limits } = this.#options;
    const busy = admission.refusal(arrival.address, arrival.due);
    if (busy !== null) return { ok: false, code: CONNACK.busy, reason: busy };
    const request = {
      clientId: packet.clientId,
      username: packet.username ?? null,
      keepaliveS: packet.keepalive ?? 0,
      hasWill: packet.will !== undefined,
      certificate: arrival.certificate,
    };
    const { mode } = authenticator;
    const judged = judgeConnect(request, {
      ...limits,
      usernameRequired: mode === "password" || mode === "jwt",
      certificateRequired: mode === "certificate",
    });
    // Only accepted logins were counted, so that nobody can use up those of another.
    const calm = !judged.ok || this.#perDevice?.has(deviceName(judged.key)) !== false;
    return calm ? judged : { ok: false, code: CONNACK.busy, reason: "connect.flapping" };
  }

  async #authenticate(client: Client, password: Uint8Array | null): Promise<AuthVerdict> {
    const connection = this.#connectionOf(client);
    const { identity, arrival } = connection;
    assert(identity !== null, "a CONNECT is judged before its credentials are");
    const { trust, authenticator } = this.#options;
    let verdict = await authenticator.authenticate(identity.key, password);
    if (verdict.ok) {
      const proof = proofOf(identity.name, arrival.certificate, verdict);
      const refusal = trust?.refusal(proof) ?? null;
      if (refusal !== null) verdict = notAuthorized(refusal);
      else Object.assign(connection, { proof, expiresAtMs: endOf(verdict, arrival.certificate) });
    }
    if (!verdict.ok) {
      this.#connects.add(1, { reason: verdict.reason });
      if (verdict.code !== CONNACK.busy) this.#options.admission.failed(arrival.address);
    }
    return verdict;
  }

  /** Closes what was let in on credentials that no longer count. */
  #closeRevoked(): void {
    for (const connection of this.#connections) {
      const { proof } = connection;
      const refusal = proof === null ? null : this.#options.trust?.refusal(proof);
      if (refusal) this.#close(connection, refusal);
    }
  }

  /** [MQTT-3.1.4-2] The device proved who it is: an older session of it ends here. */
  #claim(client: Client): void {
    const connection = this.#connectionOf(client);
    if (client.closed || connection.guard.stream.destroyed) return;
    const { identity } = connection;
    assert(identity !== null, "only a judged connection claims a name");
    this.#perDevice?.take(identity.name);
    const older = this.#live.get(identity.name);
    this.#live.set(identity.name, connection);
    this.#sessions.set(this.#live.size);
    if (older !== undefined && older !== connection) this.#close(older, "session.takeover");
    this.#aedes.emit("client", client);
  }

  #ready(client: Client): void {
    const connection = this.#connectionOf(client);
    if (connection.guard.stream.destroyed) return;
    const { identity, arrival } = connection;
    assert(identity !== null, "only a judged connection becomes ready");
    const session = { name: identity.name, key: identity.key, client };
    connection.session = session;
    connection.isOpen = true;
    this.#options.sessions?.opened(session.name, connection.number);
    const { ingest } = this.#options;
    const pace = this.#paceOf(connection);
    const uplink = ingest.open(session, identity.topics, {
      conn: connection.guard.direct,
      pause: () => pace.pause(),
      resume: () => pace.resume(),
      took: () => pace.took(),
      close: (error) => this.#close(connection, error.reason),
    });
    connection.uplink = uplink;
    this.#connects.add(1, { reason: "accepted" });
    this.#options.log.debug("gateway.session.opened", { ...identity.key });
    arrival.onAccepted();
    this.#armExpiry(connection);
    this.#options.downlink.onClientReady(session);
    connection.guard.open({
      topic: Buffer.from(identity.topics.up),
      take(packetId, frame) {
        ingest.takeFrame(uplink, packetId, frame);
        putOffKeepalive(client);
      },
    });
  }

  #paceOf({ guard: { stream, pause, resume } }: Connection): Pace {
    const { clock, limits } = this.#options;
    const pace = new Pace({
      limit: limits.deltasPerDevice,
      clock,
      reader: { pause, resume },
      onRest: () => this.#rests.add(),
    });
    stream.once("close", () => pace.close());
    return pace;
  }

  #publish(client: Client | null, packet: TakenPacket, done: (error?: Error | null) => void): void {
    const uplink = client === null ? null : this.#connectionOf(client).uplink;
    // aedes asks on behalf of wills too, with the client gone; there are no wills here.
    if (uplink === null) done(new ProtocolError("publish.session", "no session publishes this"));
    else this.#options.ingest.take(uplink, packet, done);
  }

  #subscribe(
    client: Client,
    subscription: Subscription,
    done: (error: Error | null, subscription?: Subscription | null) => void,
  ): void {
    const { identity } = this.#connectionOf(client);
    assert(identity !== null, "only an accepted connection subscribes");
    if (!identity.subscribes.take()) {
      done(new ProtocolError("subscribe.rate", "a device subscribes more often than it may"));
      return;
    }
    const { topics, codecTopics } = identity;
    const { topic } = subscription;
    const granted = maySubscribe(topics, topic, codecTopics);
    if (granted && parseCodecTopic(topic) !== null) codecTopics.add(topic);
    // [MQTT-3.9.3-2] `null` is answered with 0x80, and aedes keeps no such filter.
    done(null, granted ? subscription : null);
  }

  /** Ends the session when its token does. */
  #armExpiry(connection: Connection): void {
    const { clock } = this.#options;
    if (connection.expiresAtMs === null) return;
    const remainingMs = connection.expiresAtMs - clock.nowMs();
    if (remainingMs <= 0) {
      this.#close(connection, "session.expired");
      return;
    }
    const waitMs = Math.min(remainingMs, TIMER_MS_MAX);
    connection.expiry = clock.after(waitMs, () => this.#armExpiry(connection), {
      background: true,
    });
  }

  #close(connection: Connection, reason: string): void {
    connection.closedFor ??= reason;
    connection.guard.stream.destroy();
    this.#ended(connection);
  }

  /** Nothing more of its session is read or written. */
  #ended(connection: Connection): void {
    if (!connection.isOpen || connection.identity === null) return;
    connection.isOpen = false;
    this.#options.sessions?.closed(connection.identity.name, connection.number);
  }

  /** What came first is why it ends. */
  #blame(connection: Connection, error: Error): void {
    connection.closedFor ??= reasonOf(error);
  }

  #gone(connection: Connection): void {
    const { identity, session, uplink, expiry, arrival } = connection;
    this.#connections.delete(connection);
    this.#ended(connection);
    expiry?.cancel();
    uplink?.window.close();
    if (identity !== null && this.#live.get(identity.name) === connection) {
      this.#live.delete(identity.name);
      this.#sessions.set(this.#live.size);
    }
    if (session !== null) this.#options.downlink.onClientGone(session);
    const reason = connection.closedFor ?? "peer";
    this.#closes.add(1, { reason });
    // THREATS 23: an id is logged only once it has passed the allow-list, as `identity` has.
    this.#options.log.debug("gateway.closed", {
      ...(identity === null ? {} : identity.key),
      address: arrival.address,
      reason,
    });
  }
}

/** aedes answers a CONNECT with the `returnCode` of the error it is given. */
function connackError(verdict: { readonly code: ConnackRefusal; readonly reason: string }) {
  const error = new ProtocolError(verdict.reason, `CONNECT refused: ${verdict.reason}`);
  return Object.assign(error, { returnCode: verdict.code });
}

/** A label of bounded variety: our own reasons, and one word for all that aedes says in prose. */
function reasonOf(error: Error): string {
  if (error instanceof OmegaError) return error.reason;
  if (error.message === "keep alive timeout") return "client.keepalive";
  return "client.failed";
}
