/**
 * Trouble of gateways, of aggregators, and of what is behind both.
 * @module
 */
import { chanceOf, oneOf } from "./chance.ts";
import type { FaultKind } from "./plan.ts";
import type { AggregatorNode, GatewayNode, Machine } from "./server-nodes.ts";
import { TENANT } from "./settings.ts";
import { cut, halt, pick, restart, type Trouble } from "./trouble-means.ts";
import type { World } from "./world.ts";

const HOUR_MS = 3_600_000;
const LOST_NOTICES = 0.8;

type GatewayFault = Extract<FaultKind, `gateway.${string}`>;
type AggregatorFault = Extract<FaultKind, `aggregator.${string}`>;
type BackendFault = Exclude<
  FaultKind,
  GatewayFault | AggregatorFault | `device.${string}` | `link.${string}`
>;

function cutQueue({ toQueue, name }: Machine, trouble: Trouble): void {
  cut(toQueue, trouble, () => machineOf(trouble.world, name)?.process?.queue.release());
}

function cutStore({ toStore, name }: Machine, trouble: Trouble): void {
  cut(toStore, trouble, () => machineOf(trouble.world, name)?.process?.store.release());
}

function machineOf({ machines }: World, name: string): Machine | undefined {
  return machines.find((machine) => machine.name === name);
}

export const GATEWAY_TROUBLE: Record<GatewayFault, (node: GatewayNode, trouble: Trouble) => void> =
  {
    "gateway.kill": (node, { later }) => {
      node.kill();
      later(() => node.boot());
    },
    "gateway.vanish": (node, { later }) => {
      node.vanish();
      later(() => node.boot());
    },
    "gateway.kill-in-add": (node, trouble) => {
      const kill = () => GATEWAY_TROUBLE["gateway.kill"](node, trouble);
      trouble.world.ambush.lay(node.machine.name, "added", kill);
    },
    "gateway.reset-in-add": ({ machine }, { world }) => {
      world.ambush.lay(machine.name, "added", () => machine.process?.queue.break());
    },
    "gateway.reads-old": readOld,
    "gateway.halt": ({ machine }, trouble) => halt(machine.process?.life, trouble),
    "gateway.queue-cut": ({ machine }, trouble) => cutQueue(machine, trouble),
    "gateway.queue-reset": ({ machine }) => machine.process?.queue.break(),
    "gateway.store-cut": ({ machine }, trouble) => cutStore(machine, trouble),
    "gateway.store-reset": ({ machine }) => machine.process?.store.break(),
  };

/** Long enough for a release or two. */
const AWAY_MS_MIN = 25_000;
const AWAY_MS_MAX = 45_000;

/**
 * It comes back to what was there before it went, while the rest of the world went on; and the
 * other gateways fail, so that everybody comes to it.
 */
function readOld(node: GatewayNode, { world, fault, later }: Trouble): void {
  const { store, devices, gateways, timeline } = world;
  const { name } = node.machine;
  const keys = devices.map(({ key }) => key);
  node.kill();
  void store.freeze(name, TENANT, keys);
  const catchUp = () => {
    if (store.lag?.machine === name) store.lag = null;
  };
  timeline.after(AWAY_MS_MIN + fault.how * (AWAY_MS_MAX - AWAY_MS_MIN), () => {
    node.boot();
    for (const other of gateways) if (other !== node) other.kill();
    later(() => {
      catchUp();
      for (const other of gateways) other.boot();
    });
  });
}

export const AGGREGATOR_TROUBLE: Record<
  AggregatorFault,
  (node: AggregatorNode, trouble: Trouble) => void
> = {
  "aggregator.kill": (node, { later }) => {
    node.kill();
    later(() => node.boot());
  },
  "aggregator.restart": (node, { later }) => {
    void node.stop().then(() => later(() => node.boot()));
  },
  "aggregator.kill-in-commit": (node, trouble) => {
    const kill = () => AGGREGATOR_TROUBLE["aggregator.kill"](node, trouble);
    trouble.world.ambush.lay(node.machine.name, "committed", kill);
  },
  "aggregator.reset-in-commit": ({ machine }, { world }) => {
    world.ambush.lay(machine.name, "committed", () => machine.process?.store.break());
  },
  "aggregator.cut-in-commit": ({ machine }, trouble) => {
    trouble.world.ambush.lay(machine.name, "commit", () => cutStore(machine, trouble));
  },
  "aggregator.halt-in-commit": ({ machine }, trouble) => {
    const stop = () => halt(machine.process?.life, trouble);
    trouble.world.ambush.lay(machine.name, "loadDevices", stop);
  },
  "aggregator.halt": ({ machine }, trouble) => halt(machine.process?.life, trouble),
  "aggregator.queue-cut": ({ machine }, trouble) => cutQueue(machine, trouble),
  "aggregator.queue-reset": ({ machine }) => machine.process?.queue.break(),
  "aggregator.store-cut": ({ machine }, trouble) => cutStore(machine, trouble),
  "aggregator.store-reset": ({ machine }) => machine.process?.store.break(),
};

export const BACKEND_TROUBLE: Record<BackendFault, (trouble: Trouble) => void> = {
  "queue.restart": (trouble) => {
    const { queue, machines } = trouble.world;
    restart(
      queue.state,
      machines.map(({ process }) => process?.queue),
      trouble,
    );
  },
  "store.restart": (trouble) => {
    const { store, machines } = trouble.world;
    restart(
      store.state,
      machines.map(({ process }) => process?.store),
      trouble,
    );
  },
  "queue.fails-job": ({ world, fault }) => {
    const random = chanceOf(world.plan.seed, `failed job ${fault.atMs}`);
    pick(world.queue.shards, fault).fail((ids) => oneOf(random, ids));
  },
  "store.loses-notices": ({ world: { store }, later }) => {
    store.lostNotices = LOST_NOTICES;
    later(() => {
      store.lostNotices = 0;
    });
  },
  "clock.jump": ({ world, fault }) => {
    const { wall } = pick([...world.machines, ...world.devices], fault);
    wall.skewMs = (2 * fault.how - 1) * HOUR_MS;
  },
};

/** All of it ends. */
export function healMachine({ process, toQueue, toStore, wall }: Machine): void {
  toQueue.cut = false;
  toStore.cut = false;
  wall.skewMs = 0;
  process?.life.goOn();
  process?.queue.release();
  process?.store.release();
}
