/**
 * The bias floor: n devices send the same ten vectors, the server takes the mean.
 *
 * An unbiased method whose senders err independently improves as 1/n. One that
 * makes everybody err alike stays where it was, so one sender stands for all.
 * @module
 */
import type { Bench } from "./cases.ts";
import { pushTasks } from "./cases.ts";
import type { Coder } from "./coder.ts";
import type { NmseOfMean } from "./rows.ts";

/** Runs up to `devicesMax` senders; counts beyond that are null. */
export function nmseOfMean(coder: Coder, bench: Bench, devicesMax: number): NmseOfMean | null {
  const task = pushTasks(bench)[0];
  if (task === undefined || !coder.covers("push")) return null;
  const { dim } = bench.set;
  const sum = new Float64Array(task.vectors.length);
  const found = new Map<number, number>();
  const devices = coder.seeded ? devicesMax : 1;
  for (let device = 1; device <= devices; device += 1) {
    const sender = `tv-${String(device).padStart(4, "0")}`;
    const { decoded } = coder.encode({ ...task, sender, on: null });
    for (let at = 0; at < sum.length; at += 1) {
      sum[at] = (sum[at] as number) + (decoded[at] as number);
    }
    if (device === 1 || device === 10 || device === 100 || device === 1000) {
      found.set(device, nmseOf(task.vectors, sum, device, dim));
    }
  }
  const at = (count: number) => found.get(coder.seeded ? count : 1) ?? null;
  return { n1: at(1), n10: at(10), n100: at(100), n1000: at(1000) };
}

function nmseOf(truth: Float32Array, sum: Float64Array, devices: number, dim: number): number {
  const rows = truth.length / dim;
  let total = 0;
  for (let row = 0; row < rows; row += 1) {
    let error = 0;
    let energy = 0;
    for (let at = row * dim; at < (row + 1) * dim; at += 1) {
      const x = truth[at] as number;
      error += (x - (sum[at] as number) / devices) ** 2;
      energy += x * x;
    }
    total += error / energy / rows;
  }
  return total;
}
