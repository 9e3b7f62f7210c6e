/**
 * The one place where a client of Redis is made, whatever stands behind the URL.
 *
 * A command whose answer did not come is never sent again by a client on its own, unless its
 * settings ask for it: after a fail-over the new master may not know what the old one had
 * answered, and only the caller knows whether saying it again is right. So at the end of a
 * connection everything under way fails, and the client connects to whoever is the master then.
 * @module
 */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { InvalidConfigError } from "../core/index.ts";
import { type RedisAddress, type RedisLogin, readRedisAddress } from "./address.ts";
import { CLUSTER_WITHOUT_RESENDING } from "./cluster.ts";

/** ioredis types its replies by `replyMapping`, which we leave alone. */
export type ClientSettings = Omit<RedisOptions, "replyMapping"> & {
  /** Milliseconds until the next attempt, or null for none. */
  readonly retryStrategy: (times: number) => number | null;
};

/** How long a Sentinel may take to name the master; then the next one is asked. */
const SENTINEL_ANSWER_MS = 2_000;

/**
 * A client for `url` with `settings`, which hold for the one server or for each node of a cluster.
 * It connects by itself unless `lazyConnect` says otherwise. Throws `InvalidConfigError` on a URL
 * that is not Redis'.
 */
export function openClient(url: string, settings: ClientSettings): Redis | Cluster {
  const address = readRedisAddress(url);
  if (address === null || typeof address === "string") {
    // The URL may hold a password: say what is wrong with it, not what it is.
    throw new InvalidConfigError([`the Redis URL: ${address ?? REDIS_URL_FORMS}`]);
  }
  if (address.kind === "server") return new Redis(address.url, settings);
  if (address.kind === "sentinel")
    return new Redis({ ...settings, ...sentinelOptions(address, settings) });
  const { retryStrategy, lazyConnect = false, enableOfflineQueue = true, ...perNode } = settings;
  return new Cluster([...address.nodes], {
    ...(enableOfflineQueue ? {} : CLUSTER_WITHOUT_RESENDING),
    lazyConnect,
    enableOfflineQueue,
    clusterRetryStrategy: retryStrategy,
    redisOptions: { ...perNode, ...address.login, ...(address.tls ? { tls: {} } : {}) },
    // A certificate is for a name: nodes that are named stay so.
    ...(address.tls ? { dnsLookup: (name, found) => found(null, name) } : {}),
  });
}

/** What a URL of Redis may look like, for messages. */
export const REDIS_URL_FORMS =
  "must start with redis:// or rediss://, or be redis+sentinel://host:port,host:port/master or redis+cluster://host:port,host:port (rediss+… for TLS)";

function sentinelOptions(
  address: Extract<RedisAddress, { kind: "sentinel" }>,
  settings: ClientSettings,
): Partial<ClientSettings> {
  const { tls, sentinels, master, login, sentinelLogin } = address;
  return {
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    name: master,
    role: "master",
    ...login,
    ...ownLogin(sentinelLogin),
    ...(tls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
    // Only those that the URL names are asked: the addresses they know of each other may be inside ones.
    updateSentinels: false,
    sentinelCommandTimeout: SENTINEL_ANSWER_MS,
    sentinelRetryStrategy: settings.sentinelRetryStrategy ?? settings.retryStrategy,
    // A master that became a replica closes its clients; one that did not must be left all the same.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  };
}

function ownLogin({ username, password }: RedisLogin): Partial<ClientSettings> {
  return {
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
  };
}
