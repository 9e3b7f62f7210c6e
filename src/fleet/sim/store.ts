/**
 * The store: the one in memory that the contract suite holds to the others, behind a network.
 *
 * What it has answered it keeps; what was under way when a connection broke was
 * done or not, and the caller cannot know. Notices may be lost, as the port says.
 * @module
 */
import { type DeviceKey, deviceName, type Random } from "../../core/index.ts";
import type { CurrentLadders, DeviceCursor, Store, StoreListener } from "../../store/index.ts";
import type { Ambush } from "./ambush.ts";
import { happens } from "./chance.ts";
import type { CallErrors, Connection, ServiceState } from "./service.ts";

export const STORE_ERRORS: CallErrors = {
  unavailable: "store.unavailable",
  unknown: "store.timeout",
};

/** The server that keeps the state. */
export class StoreService {
  readonly state: ServiceState = { up: true };
  readonly store: Store;
  readonly ambush: Ambush;
  /** Of the notices, this share is lost. */
  lostNotices = 0;
  /** A machine that reads from a replica which lags behind. */
  lag: Lag | null = null;

  constructor(store: Store, ambush: Ambush) {
    this.store = store;
    this.ambush = ambush;
  }

  /** From now on `machine` reads what is there at this moment, and nothing newer. */
  async freeze(machine: string, tenant: string, keys: readonly DeviceKey[]): Promise<void> {
    const release = await this.store.currentRelease(tenant);
    const cursors = await this.store.cursors(keys);
    const byName = new Map(keys.map((key, index) => [deviceName(key), cursors[index] ?? null]));
    this.lag = { machine, release, cursors: byName };
  }
}

interface Lag {
  readonly machine: string;
  readonly release: CurrentLadders | null;
  readonly cursors: ReadonlyMap<string, DeviceCursor | null>;
}

const RESUBSCRIBE_MS = 1_000;

type Method = Exclude<keyof Store, "shards" | "watch" | "close">;
const METHODS: readonly Method[] = [
  "acquireLease",
  "renewLease",
  "releaseLease",
  "loadShard",
  "loadDevices",
  "registers",
  "commit",
  "forget",
  "stats",
  "deadLetters",
  "cursors",
  "tenants",
  "loadTenantSums",
  "publishRelease",
  "currentRelease",
  "recentReleases",
  "putModel",
  "models",
  "model",
  "dropModels",
];

/** The store as one process reaches it. */
export function storeView(service: StoreService, connection: Connection, random: Random): Store {
  const { store, ambush } = service;
  const { life } = connection;
  const view: Record<string, unknown> = {
    shards: store.shards,
    watch: (listener: StoreListener) => watch(service, connection, random, listener),
    close: async () => {},
  };
  for (const method of METHODS) {
    const act = store[method] as (...args: unknown[]) => Promise<unknown>;
    view[method] = (...args: unknown[]) => {
      if (method === "commit" || method === "loadDevices") ambush.meet(life.name, method);
      return connection.call(async () => {
        const answer = await act.apply(store, args);
        if (method === "commit") ambush.meet(life.name, "committed");
        return answer;
      });
    };
  }
  return readingOld(service, life.name, view as unknown as Store);
}

/** What gateways read comes from the replica while it lags; whoever writes reads from the store itself. */
function readingOld(service: StoreService, life: string, view: Store): Store {
  const lag = () =>
    service.lag !== null && life.startsWith(service.lag.machine) ? service.lag : null;
  return {
    ...view,
    currentRelease: async (tenant) => {
      const old = lag();
      const now = await view.currentRelease(tenant);
      return old === null ? now : old.release;
    },
    cursors: async (keys) => {
      const old = lag();
      const now = await view.cursors(keys);
      return old === null ? now : keys.map((key) => old.cursors.get(deviceName(key)) ?? null);
    },
  };
}

async function watch(
  service: StoreService,
  connection: Connection,
  random: Random,
  listener: StoreListener,
): Promise<() => Promise<void>> {
  const tell = (act: () => void) => {
    if (!happens(random, service.lostNotices)) connection.push(act);
  };
  const distant: StoreListener = {
    onRelease: (tenant, version) => tell(() => listener.onRelease(tenant, version)),
    onProblems: (key) => tell(() => listener.onProblems(key)),
  };
  let watching = true;
  let unwatch: (() => Promise<void>) | null = null;
  const subscribe = async () => {
    await unwatch?.();
    unwatch = null;
    try {
      unwatch = await connection.call(() => service.store.watch(distant));
    } catch {
      again();
    }
  };
  const again = () => {
    connection.life.after(RESUBSCRIBE_MS, () => {
      if (watching) void subscribe();
    });
  };
  const off = connection.onBreak(again);
  await subscribe();
  return async () => {
    watching = false;
    off();
    await unwatch?.();
  };
}
