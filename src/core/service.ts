/**
 * What starts, stops: in reverse order, every step tried even when one fails. And how it says that it is well.
 * @module
 */
import { messageOf } from "./errors.ts";

export interface Service {
  readonly name: string;
  start(): Promise<void>;
  /** Finishes what was accepted and accepts nothing new. Optional. */
  drain?(): Promise<void>;
  /** Reads again the files it works with; absent where there are none. Asked for by SIGHUP. */
  readonly reload?: (() => void) | undefined;
  /** Idempotent; leaves no timer and no socket. */
  stop(): Promise<void>;
}

/** Whether work may be sent here, and why not when it may not. */
export interface Readiness {
  readonly ready: boolean;
  /** Dotted reasons such as `gateway.draining`; empty when ready. */
  readonly reasons: readonly string[];
}

/** Health as an HTTP listener asks for it; both answer at once, from memory. */
export interface Health {
  /** False only when the process should be restarted. */
  live(): boolean;
  ready(): Readiness;
}

/** Starts `services` in order. If one fails, stops those already started and rethrows. */
export async function startAll(services: readonly Service[]): Promise<void> {
  for (const [index, service] of services.entries()) {
    try {
      await service.start();
    } catch (error) {
      await stopAll(services.slice(0, index)).catch(() => {});
      throw error;
    }
  }
}

/** Drains, then stops, in reverse order of start. Throws one error that lists every failed step. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const failures: string[] = [];
  const attempt = async (what: string, act: (() => Promise<void>) | undefined) => {
    try {
      await act?.();
    } catch (error) {
      failures.push(`${what}: ${messageOf(error)}`);
    }
  };
  for (const service of [...services].reverse()) {
    await attempt(`drain ${service.name}`, service.drain?.bind(service));
    await attempt(`stop ${service.name}`, service.stop.bind(service));
  }
  if (failures.length > 0) throw new Error(`stopping failed:\n  ${failures.join("\n  ")}`);
}
