import { describe, expect, it } from "vitest";
import { sleep, systemClock, within } from "../../src/core/index.ts";
import { manualClock } from "../support/manual-clock.ts";

describe("sleep", () => {
  it("ends when its time has passed, not before", async () => {
    const clock = manualClock();
    let done = false;
    const slept = sleep(clock, 1000).then(() => {
      done = true;
    });
    await clock.advance(999);
    expect([done, clock.pending]).toEqual([false, 1]);
    await clock.advance(1);
    await slept;
    expect([done, clock.pending]).toEqual([true, 0]);
  });

  it("an abort ends it at once with the signal's reason and leaves no timer", async () => {
    const clock = manualClock();
    const controller = new AbortController();
    const slept = sleep(clock, 1000, controller.signal);
    const reason = new Error("shutting down");
    controller.abort(reason);
    await expect(slept).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });

  it("does not start under a signal that is already aborted", async () => {
    const clock = manualClock();
    const slept = sleep(clock, 1000, AbortSignal.abort("late"));
    await expect(slept).rejects.toBe("late");
    expect(clock.pending).toBe(0);
  });

  it("an abort after its end changes nothing", async () => {
    const clock = manualClock();
    const controller = new AbortController();
    const slept = sleep(clock, 10, controller.signal);
    await clock.advance(10);
    controller.abort();
    await expect(slept).resolves.toBeUndefined();
  });
});

describe("within", () => {
  const late = () => new Error("too late");

  it("gives the answer that comes in time and leaves no timer", async () => {
    const clock = manualClock();
    await expect(within(clock, 10, Promise.resolve("answer"), late)).resolves.toBe("answer");
    await Promise.resolve();
    expect(clock.pending).toBe(0);
  });

  it("passes on a failure that comes in time", async () => {
    const clock = manualClock();
    const failed = Promise.reject(new Error("refused"));
    await expect(within(clock, 10, failed, late)).rejects.toThrow("refused");
  });

  it("gives up when the limit has passed; what comes later is nobody's unhandled rejection", async () => {
    const clock = manualClock();
    let fail: (error: Error) => void = () => {};
    const work = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    const answer = within(clock, 10, work, late);
    const refused = expect(answer).rejects.toThrow("too late");
    await clock.advance(10);
    await refused;
    fail(new Error("much later"));
    await expect(work).rejects.toThrow("much later");
  });
});

describe("the system clock", () => {
  it("runs a timer once and can cancel it", async () => {
    const ran: string[] = [];
    systemClock.after(0, () => ran.push("cancelled")).cancel();
    await new Promise<void>((resolve) => {
      systemClock.after(1, () => {
        ran.push("ran");
        resolve();
      });
    });
    expect(ran).toEqual(["ran"]);
  });

  it("its monotonic time never falls", () => {
    let last = systemClock.monotonicMs();
    for (let round = 0; round < 1000; round += 1) {
      const now = systemClock.monotonicMs();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });
});
