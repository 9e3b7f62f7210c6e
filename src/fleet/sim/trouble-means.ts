/**
 * What every kind of trouble is made of.
 * @module
 */
import type { Life } from "./life.ts";
import type { NetworkState } from "./pipe.ts";
import type { Fault } from "./plan.ts";
import type { Connection, ServiceState } from "./service.ts";
import type { World } from "./world.ts";

/** One fault as it is carried out. */
export interface Trouble {
  readonly world: World;
  readonly fault: Fault;
  /** When it is over. */
  later(act: () => void): void;
}

/** A dead process is started again after this long at least. */
const LASTS_MS_MIN = 200;

export function troubleOf(world: World, fault: Fault): Trouble {
  const lastsMs = Math.max(LASTS_MS_MIN, fault.lastsMs);
  return { world, fault, later: (act) => void world.timeline.after(lastsMs, act) };
}

export function pick<T>(of: readonly T[], { which }: Fault): T {
  return of[which % of.length] as T;
}

/** SIGSTOP, and SIGCONT later. */
export function halt(life: Life | null | undefined, { later }: Trouble): void {
  life?.halt();
  later(() => life?.goOn());
}

/** A partition; `release` lets through what waited when it is over. */
export function cut(network: NetworkState, { later }: Trouble, release: () => void): void {
  network.cut = true;
  later(() => {
    network.cut = false;
    release();
  });
}

export function restart(
  state: ServiceState,
  connections: readonly (Connection | undefined)[],
  { later }: Trouble,
): void {
  state.up = false;
  for (const connection of connections) connection?.break();
  later(() => {
    state.up = true;
  });
}
