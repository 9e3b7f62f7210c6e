/**
 * Notifications from Redis: one connection that does nothing but listen.
 * @module
 */
import { RedisConnection, type RedisConnectionOptions } from "./redis-connection.ts";
import type { NotificationLink } from "./watch.ts";

/** Resolves once subscribed to `channel`; the link does not reconnect by itself. */
export async function openRedisLink(
  options: RedisConnectionOptions,
  channel: string,
  onEvent: (event: string) => void,
  onLost: () => void,
): Promise<NotificationLink> {
  const connection = new RedisConnection({ ...options, reconnect: false });
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
