import { describe, expect, test } from "vitest";
import { type Clock, OmegaError } from "../../src/core/index.ts";
import { ByteBudget, Lane } from "../../src/queue/lane.ts";
import type { QueueEntry } from "../../src/queue/port.ts";

/** A clock that stands still until it is told to go on. */
function handClock() {
  let nowMs = 0;
  let timers: { readonly atMs: number; readonly act: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, act) {
      const timer = { atMs: nowMs + delayMs, act };
      timers.push(timer);
      return {
        cancel() {
          timers = timers.filter((other) => other !== timer);
        },
      };
    },
  };
  const advance = (byMs: number) => {
    nowMs += byMs;
    const due = timers.filter((timer) => timer.atMs <= nowMs);
    timers = timers.filter((timer) => timer.atMs > nowMs);
    for (const timer of due) timer.act();
  };
  return { clock, advance, timers: () => timers.length };
}

const entry = (device: string, bytes = 10): QueueEntry => ({
  key: { tenant: "t", device },
  receivedAtMs: 0,
  frame: new Uint8Array(bytes),
});

/** A backend that answers when the test says so. */
function rig(options: { parallel?: number; bytesMax?: number } = {}) {
  const hand = handClock();
  const jobs: { names: string[]; answer: (error?: Error) => void }[] = [];
  const budget = new ByteBudget(options.bytesMax ?? 1_000_000);
  const lane = new Lane({
    parallel: options.parallel ?? 1,
    addTimeoutMs: 1_000,
    budget,
    clock: hand.clock,
    send: (entries) =>
      new Promise((resolve, reject) => {
        const names = entries.map(({ key }) => key.device);
        jobs.push({ names, answer: (error) => (error ? reject(error) : resolve()) });
      }),
  });
  return { ...hand, jobs, budget, lane };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const reasonOf = (promise: Promise<void>) =>
  promise.then(
    () => "stored",
    (error) => (error instanceof OmegaError ? `${error.code} ${error.reason}` : error),
  );

describe("lane", () => {
  test("what arrives while a job is on its way is packed into the next, in order", async () => {
    const { lane, jobs } = rig();
    const adds = ["a", "b", "c", "d"].map((name) => reasonOf(lane.add([entry(name)])));
    expect(jobs.map((job) => job.names)).toEqual([["a"]]);
    jobs[0]?.answer();
    await settled();
    expect(jobs.map((job) => job.names)).toEqual([["a"], ["b", "c", "d"]]);
    jobs[1]?.answer();
    expect(await Promise.all(adds)).toEqual(["stored", "stored", "stored", "stored"]);
  });

  test("P1: an add resolves only after the backend answered for its own job", async () => {
    const { lane, jobs } = rig({ parallel: 2 });
    const outcomes: string[] = [];
    for (const name of ["a", "b"]) void lane.add([entry(name)]).then(() => outcomes.push(name));
    jobs[1]?.answer();
    await settled();
    expect(outcomes).toEqual(["b"]);
    jobs[0]?.answer();
    await settled();
    expect(outcomes).toEqual(["b", "a"]);
  });

  test("an add that was sent and not answered in time is unknown, one never sent is busy", async () => {
    const { lane, jobs, advance, budget, timers } = rig();
    const sent = reasonOf(lane.add([entry("a")]));
    const unsent = reasonOf(lane.add([entry("b")]));
    advance(1_000);
    expect(await sent).toBe("Timeout queue.unknown");
    expect(await unsent).toBe("Transport queue.busy");
    expect(budget.bytes).toBeGreaterThan(0);
    jobs[0]?.answer();
    await settled();
    expect(budget.bytes).toBe(0);
    expect(jobs).toHaveLength(1);
    expect(timers()).toBe(0);
  });

  test("bytes count until the backend answers, so a frozen one collects no more than the budget", async () => {
    const { lane, jobs, advance } = rig({ bytesMax: 250 });
    const first = reasonOf(lane.add([entry("a", 200)]));
    advance(1_000);
    expect(await first).toBe("Timeout queue.unknown");
    expect(await reasonOf(lane.add([entry("b", 200)]))).toBe("Transport queue.busy");
    jobs[0]?.answer();
    await settled();
    const second = reasonOf(lane.add([entry("b", 200)]));
    jobs[1]?.answer();
    expect(await second).toBe("stored");
  });

  test("a failed job fails exactly its own adds, and the lane goes on", async () => {
    const { lane, jobs } = rig();
    const first = reasonOf(lane.add([entry("a")]));
    const second = reasonOf(lane.add([entry("b")]));
    const refusal = Object.assign(new Error("OOM command not allowed"), { name: "ReplyError" });
    jobs[0]?.answer(refusal);
    expect(await first).toBe("Transport queue.refused");
    jobs[1]?.answer();
    expect(await second).toBe("stored");
    await lane.idle();
  });
});
