/**
 * A device that does nothing wrong: whatever others do, it must be served.
 * @module
 */
import { connectAsync } from "mqtt";

const PATIENCE_MS = 10_000;
let visits = 0;

/** Logs in, publishes once with QoS 1, leaves. Rejects when that is not acknowledged in ten seconds. */
export async function honestVisit(port: number): Promise<void> {
  visits += 1;
  const clientId = `honest-${visits}`;
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    ...{ clientId, clean: true, reconnectPeriod: 0, connectTimeout: PATIENCE_MS },
  });
  try {
    // Not a frame: it is acknowledged all the same, and dead-lettered.
    const published = client.publishAsync(`omega/v1/default/d/${clientId}/up`, "hello", { qos: 1 });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("no PUBACK")), PATIENCE_MS);
    });
    await Promise.race([published, late]).finally(() => clearTimeout(timer));
  } finally {
    await client.endAsync(true);
  }
}
