/**
 * How late a thread that does nothing is woken: what the machine itself adds to every delay measured on it.
 * @module
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

export interface MachineNoise {
  /** The longest delay since the last time it was asked, milliseconds. */
  delayMsMax(): Promise<number>;
  end(): Promise<void>;
}

const IDLER = `
const { monitorEventLoopDelay } = require("node:perf_hooks");
const { parentPort } = require("node:worker_threads");
const delays = monitorEventLoopDelay({ resolution: 10 });
delays.enable();
parentPort.on("message", () => {
  parentPort.postMessage(delays.max / 1e6);
  delays.reset();
});`;

export function startMachineNoise(): MachineNoise {
  const worker = new Worker(IDLER, { eval: true });
  return {
    async delayMsMax() {
      worker.postMessage("delay");
      const [delayMs] = await once(worker, "message");
      return Number(delayMs);
    },
    async end() {
      await worker.terminate();
    },
  };
}
