/**
 * A long-running command: starts its services, waits for a signal, drains, ends.
 *
 *   SIGTERM, SIGINT   drain and stop, exit 0; a second one ends at once, exit 1
 *   SIGHUP            certificates and revocation lists are read again
 * @module
 */
import { once } from "node:events";
import { type Service, startAll, stopAll } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
const RELOAD_SIGNAL = "SIGHUP";

/**
 * Resolves when the services have stopped after a signal; rejects when one does
 * not start (those before it are stopped), does not stop, or when `broken` rejects.
 */
export async function runServices(
  services: readonly Service[],
  options: {
    readonly log: Logger;
    readonly onStarted: () => void;
    /** Rejects when nothing can work any more. */
    readonly broken?: Promise<never>;
  },
): Promise<void> {
  await startAll(services);
  const reloading = services.filter((service) => service.reload !== undefined);
  const reload = () => {
    options.log.info("reloading", { signal: RELOAD_SIGNAL });
    for (const service of reloading) service.reload?.();
  };
  // Where there is nothing to read again, the signal keeps its meaning: the terminal is gone.
  if (reloading.length > 0) process.on(RELOAD_SIGNAL, reload);
  const waiting = new AbortController();
  try {
    // Before anybody is told: whoever hears that we have started may send a signal at once.
    const signals = SIGNALS.map((name) => once(process, name, waiting).then(() => name));
    const ended = Promise.race([...signals, ...(options.broken ? [options.broken] : [])]);
    options.onStarted();
    const signal = await ended;
    options.log.info("draining", { signal });
  } finally {
    waiting.abort();
    process.removeListener(RELOAD_SIGNAL, reload);
    const impatient = () => process.exit(1);
    for (const name of SIGNALS) process.once(name, impatient);
    await stopAll(services);
    for (const name of SIGNALS) process.removeListener(name, impatient);
  }
  options.log.info("stopped");
}
