/**
 * How much of the machine went to others while something was measured.
 *
 * Rates and latencies of a busy machine are not those of the system under test, and CPU per delta
 * rises too: batches are smaller and caches colder. So a report says how busy the others were.
 * @module
 */
import { readFileSync } from "node:fs";

const TICKS_PER_S = 100;
/** More than this of others' work is not the noise of a machine at rest, cores. */
const OTHERS_CORES_MAX = 0.2;

/**
 * Cores that others used between the call and the call of what it gives back, given the CPU that
 * the bench spent itself meanwhile, µs. Time that a hypervisor withheld counts as others'.
 */
export function watchOthers(): (ownUs: number) => number {
  const fromMs = performance.now();
  const before = busyUs();
  return (ownUs) => {
    const elapsedUs = (performance.now() - fromMs) * 1_000;
    return Math.max(0, busyUs() - before - ownUs) / elapsedUs;
  };
}

/** CPU of everything since boot: user, nice, system, irq, softirq and steal of /proc/stat. */
function busyUs(): number {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return ((user + nice + system + irq + softirq + steal) * 1e6) / TICKS_PER_S;
}

/** What a report says of it. */
export function othersText(cores: number): string {
  const fact = `others on this machine used ${cores} cores meanwhile`;
  return cores <= OTHERS_CORES_MAX ? `${fact}.` : `${fact}: TOO BUSY, measure again at rest.`;
}
