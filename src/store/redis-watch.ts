/**
 * Notifications from Redis: one connection that does nothing but listen.
 *
 * In a cluster every node passes every event on, so one node is enough: any of the URL's, and
 * after a loss perhaps another.
 * @module
 */
import { integerBelow, type Random } from "../core/index.ts";
import { readRedisAddress } from "../redis/index.ts";
import { RedisConnection, type RedisConnectionOptions } from "./redis-connection.ts";
import type { NotificationLink } from "./watch.ts";

/** Resolves once subscribed to `channel`; the link does not reconnect by itself. */
export async function openRedisLink(
  options: RedisConnectionOptions,
  channel: string,
  onEvent: (event: string) => void,
  onLost: () => void,
): Promise<NotificationLink> {
  const connection = new RedisConnection({
    ...options,
    url: anyNode(options.url, options.random),
    reconnect: false,
  });
  connection.onMessage(onEvent);
  connection.onClose(onLost);
  await connection.connect();
  try {
    await connection.subscribe(channel);
  } catch (error) {
    connection.close();
    throw error;
  }
  return {
    async ping() {
      await connection.call("PING");
    },
    close: () => connection.close(),
  };
}

/** The URL of one node when `url` names a cluster. */
function anyNode(url: string, random: Random): string {
  const address = readRedisAddress(url);
  if (address === null || typeof address === "string" || address.kind !== "cluster") return url;
  const node = address.nodes[integerBelow(random, address.nodes.length)];
  if (node === undefined) return url;
  const { username = "", password = "" } = address.login;
  const login = [username, password].map(encodeURIComponent).join(":");
  return `${address.tls ? "rediss" : "redis"}://${login === ":" ? "" : `${login}@`}${node.host}:${node.port}`;
}
