/**
 * A process of many light devices: `node crowd-main.js <plan as JSON>`, told what to do over IPC.
 * @module
 */
import { integerBelow, seededRandom } from "../../src/core/index.ts";
import { makeFramePool } from "../../src/fleet/load/frame-pool.ts";
import { FileSink, monotonicMs } from "../../src/fleet/oracle/index.ts";
import { LightDevice } from "./light-device.ts";
import type { CrowdOrder, CrowdPlan, CrowdReport, Ready } from "./messages.ts";

const TENANT = "default";
const PATTERNS = 4;
const FRAME_BYTES = 512;
const TICK_MS = 20;
/** New connections per tick at the start. */
const JOINS = 20;
const COMPLAINTS_MAX = 100;

const plan = JSON.parse(process.argv[2] ?? "") as CrowdPlan;
const random = seededRandom(plan.seed + plan.epoch);
const sink = new FileSink(plan.history, monotonicMs);
const complaints: string[] = [];
let poisoned = 0;
let speaking = true;
let owed = 0;
let joined = 0;

const frames = await makeFramePool({
  ...{ dim: plan.dim, patterns: PATTERNS, frameBytes: FRAME_BYTES, seed: plan.seed },
  nowS: Math.floor(Date.now() / 1_000),
});
const devices = Array.from({ length: plan.devices }, (_, index) => {
  return new LightDevice(index, `light-${plan.first + index}`, {
    ...{ port: plan.port, tenant: TENANT, epoch: plan.epoch, frames, random, sink },
    complain: (what) => {
      if (complaints.length < COMPLAINTS_MAX) complaints.push(what);
    },
    poisoned: () => {
      poisoned += 1;
    },
  });
});
for (const { name } of devices) sink.record({ kind: "boot", device: name, memory: "wiped" });

const pick = () => devices[integerBelow(random, joined)] as LightDevice;

setInterval(() => {
  const until = Math.min(devices.length, joined + JOINS);
  for (const device of devices.slice(joined, until)) device.join();
  joined = until;
  if (!speaking) return;
  owed += (plan.deltasPerS * TICK_MS) / 1_000;
  for (; owed >= 1; owed -= 1) pick().push();
}, TICK_MS);

function report(): CrowdReport {
  const versions = new Map<number, number>();
  for (const { version } of devices) versions.set(version, (versions.get(version) ?? 0) + 1);
  const pending = devices.reduce((sum, device) => sum + device.pending, 0);
  return {
    ...{ kind: "report", devices: devices.length, pending, versions: [...versions] },
    ...{ complaints, poisoned },
  };
}

process.on("message", (order: CrowdOrder) => {
  if (order.kind === "report") process.send?.(report());
  if (order.kind === "quiet") speaking = false;
  if (order.kind !== "mischief" || joined === 0) return;
  for (let count = 0; count < order.devices; count += 1) pick().do(order.what);
});
// Without its run it has nothing to do here.
process.once("disconnect", () => process.exit(0));
process.send?.({ kind: "ready" } satisfies Ready);
