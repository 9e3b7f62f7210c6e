/**
 * Notifications from PostgreSQL: one connection out of the pool that does nothing but LISTEN.
 * @module
 */
import type { SqlNotification } from "../core/index.ts";
import type { SqlRunner } from "./postgres-runner.ts";
import type { NotificationLink } from "./watch.ts";

/** As named in postgres-functions.ts. */
const CHANNEL = "omega_store";

/** Resolves once LISTENing; the link does not reconnect by itself. */
export async function openPostgresLink(
  runner: SqlRunner,
  onEvent: (event: string) => void,
  onLost: () => void,
): Promise<NotificationLink> {
  const { client, query } = await runner.hold(onLost);
  const onNotification = (message: SqlNotification) => {
    if (message.channel === CHANNEL && message.payload) onEvent(message.payload);
  };
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    client.removeListener("notification", onNotification);
    // Destroyed, not returned: it would go on LISTENing for its next user.
    client.release(true);
  };
  client.on("notification", onNotification);
  try {
    await query(`LISTEN ${CHANNEL}`, []);
  } catch (error) {
    close();
    throw error;
  }
  return {
    async ping() {
      await query("SELECT 1", []);
    },
    close,
  };
}
