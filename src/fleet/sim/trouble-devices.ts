/**
 * Trouble of devices and of their links.
 * @module
 */
import type { DeviceNode } from "./device-node.ts";
import type { FaultKind } from "./plan.ts";
import { cut, halt, type Trouble } from "./trouble-means.ts";

const SLOW_MS_MAX = 3_000;
const SYNCS_FAILING_MAX = 3;

type DeviceFault = Extract<FaultKind, `device.${string}` | `link.${string}`>;

export const DEVICE_TROUBLE: Record<DeviceFault, (node: DeviceNode, trouble: Trouble) => void> = {
  "device.kill": (node, { later }) => {
    node.kill();
    later(() => node.boot());
  },
  "device.power": losePower,
  "device.wipe": (node, { later }) => {
    node.wipe();
    later(() => node.boot());
  },
  "device.restart": (node, { later }) => {
    void node.stop().then(() => later(() => node.boot()));
  },
  "device.kill-in-publish": (node, trouble) => {
    const kill = () => DEVICE_TROUBLE["device.kill"](node, trouble);
    trouble.world.ambush.lay(node.name, "publish", kill);
  },
  "device.power-in-publish": (node, trouble) => {
    trouble.world.ambush.lay(node.name, "publish", () => losePower(node, trouble));
  },
  "device.halt": (node, trouble) => halt(node.life, trouble),
  "device.disk-full": ({ disk }, { later }) => {
    disk.full = true;
    later(() => {
      disk.full = false;
    });
  },
  "device.sync-fails": ({ disk }, { fault }) => {
    disk.failingSyncs = 1 + Math.floor(fault.how * SYNCS_FAILING_MAX);
  },
  "link.reset": ({ wires }) => {
    for (const wire of wires) wire.cut();
  },
  "link.cut": ({ network, wires }, trouble) => {
    cut(network, trouble, () => {
      for (const wire of wires) wire.release();
    });
  },
  "link.slow": ({ network }, { fault, later }) => {
    const { jitterMs } = network;
    network.jitterMs = fault.how * SLOW_MS_MAX;
    later(() => {
      network.jitterMs = jitterMs;
    });
  },
};

function losePower(node: DeviceNode, { later }: Trouble): void {
  node.losePower();
  later(() => node.boot());
}

/** All of it ends. */
export function healDevice(node: DeviceNode): void {
  const { disk, network, wall, life, wires } = node;
  node.speaking = false;
  disk.full = false;
  disk.failingSyncs = 0;
  network.cut = false;
  network.jitterMs = node.usualJitterMs;
  wall.skewMs = 0;
  life?.goOn();
  for (const wire of wires) wire.release();
  node.boot();
}
