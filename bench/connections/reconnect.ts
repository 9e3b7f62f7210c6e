/**
 * A reconnect storm as the gateway sees it: every device loses its connection at one moment and
 * comes back by the backoff of the SDK, whatever it is told, until it listens again.
 * @module
 */
import { backoffDelayMs, DEFAULT_BACKOFF, seededRandom } from "../../src/core/index.ts";
import type { Opener } from "../../src/fleet/load/wire.ts";
import type { BenchDevice } from "./bench-device.ts";
import type { Storm } from "./orders.ts";

const SEED = 29;
/** Until an attempt without a connection, and one without a CONNACK, is given up: the SDK's defaults. */
const CONNECT_TIMEOUT_MS = 4_000;
const LOGIN_TIMEOUT_MS = 30_000;

/** Resolves when all are back, or after `withinMsMax`. */
export async function storm(
  devices: readonly BenchDevice[],
  opener: Opener,
  withinMsMax: number,
): Promise<Storm> {
  const random = seededRandom(SEED);
  const connacks: Record<string, number> = {};
  const backMs: number[] = [];
  const counts = { unanswered: 0, wrong: 0, back: 0 };
  for (const device of devices) device.drop();
  // One process takes a while to close them all, and lets nobody come back meanwhile.
  const startedMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, withinMsMax);
    const isBack = () => {
      counts.back += 1;
      backMs.push(performance.now() - startedMs);
      if (counts.back < devices.length) return;
      clearTimeout(timer);
      resolve();
    };
    const attempt = (device: BenchDevice, number: number) => {
      let answered = false;
      const giveUp = () => {
        counts.unanswered += 1;
        device.drop();
        later(device, number + 1);
      };
      let timeout = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
      device.onVersion = () => {
        device.onVersion = null;
        isBack();
      };
      device.connect(opener, {
        opened: () => {
          clearTimeout(timeout);
          timeout = setTimeout(giveUp, LOGIN_TIMEOUT_MS);
        },
        connack: (code) => {
          answered = true;
          clearTimeout(timeout);
          connacks[code] = (connacks[code] ?? 0) + 1;
          if (code === 0) device.listen();
        },
        lost: () => {
          clearTimeout(timeout);
          if (!answered) counts.unanswered += 1;
          later(device, number + 1);
        },
        wrong: () => {
          counts.wrong += 1;
        },
        down: () => {},
      });
    };
    const later = (device: BenchDevice, number: number) => {
      setTimeout(() => attempt(device, number), backoffDelayMs(DEFAULT_BACKOFF, number, random));
    };
    for (const device of devices) later(device, 0);
  });
  const { back, ...rest } = counts;
  const elapsedMs = performance.now() - startedMs;
  const medianMs = backMs[Math.floor(devices.length / 2)] ?? Number.POSITIVE_INFINITY;
  const p99Ms = backMs[Math.floor(devices.length * 0.99)] ?? Number.POSITIVE_INFINITY;
  const missing = devices.length - back;
  return { elapsedMs, medianMs, p99Ms, missing, connacks, ...rest };
}
