/**
 * Trouble: carries a plan's faults out, and ends them all.
 * @module
 */
import type { Fault } from "./plan.ts";
import { DEVICE_TROUBLE, healDevice } from "./trouble-devices.ts";
import { pick, troubleOf } from "./trouble-means.ts";
import {
  AGGREGATOR_TROUBLE,
  BACKEND_TROUBLE,
  GATEWAY_TROUBLE,
  healMachine,
} from "./trouble-servers.ts";
import type { World } from "./world.ts";

/** Plans every fault of the world. */
export function planTrouble(world: World): void {
  for (const fault of world.plan.faults) {
    world.timeline.after(fault.atMs, () => {
      world.sink.record({ kind: "fault", what: describe(fault) });
      carryOut(world, fault);
    });
  }
}

export function describe({ kind, which, how, lastsMs }: Fault): string {
  return `${kind} #${which} for ${lastsMs} ms, ${how.toFixed(3)}`;
}

function carryOut(world: World, fault: Fault): void {
  const { kind } = fault;
  const trouble = troubleOf(world, fault);
  if (isOf(DEVICE_TROUBLE, kind)) DEVICE_TROUBLE[kind](pick(world.devices, fault), trouble);
  else if (isOf(GATEWAY_TROUBLE, kind)) GATEWAY_TROUBLE[kind](pick(world.gateways, fault), trouble);
  else if (isOf(AGGREGATOR_TROUBLE, kind)) {
    AGGREGATOR_TROUBLE[kind](pick(world.aggregators, fault), trouble);
  } else BACKEND_TROUBLE[kind](trouble);
}

function isOf<Kind extends string>(table: Record<Kind, unknown>, kind: string): kind is Kind {
  return Object.hasOwn(table, kind);
}

/** All faults end: what is dead starts, what is cut is joined, and nobody says anything new. */
export function endTrouble(world: World): void {
  const { queue, store, devices, gateways, aggregators, machines, ambush } = world;
  world.sink.record({ kind: "fault", what: "none any more" });
  queue.state.up = true;
  store.state.up = true;
  store.lostNotices = 0;
  store.lag = null;
  ambush.clear();
  for (const machine of machines) healMachine(machine);
  for (const node of [...aggregators, ...gateways]) node.boot();
  for (const node of devices) healDevice(node);
}
