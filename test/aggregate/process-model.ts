/**
 * A process that can be stopped dead or frozen, as its store and its clock see it.
 *
 * kill -9: nothing it calls is ever answered and none of its timers fires.
 * SIGSTOP: the same, until it is continued; then everything happens at once, late.
 */
import type { Clock } from "../../src/core/index.ts";
import type { Store } from "../../src/store/index.ts";

export interface ProcessModel {
  readonly store: Store;
  readonly clock: Clock;
  kill(): void;
  freeze(): void;
  thaw(): void;
  readonly alive: boolean;
}

export function processModel(inner: Store, clock: Clock): ProcessModel {
  let mode: "running" | "frozen" | "dead" = "running";
  let held: (() => void)[] = [];
  /** Runs `act` when the process runs, which may be never. */
  const whenRunning = (act: () => void) => {
    if (mode === "running") act();
    else if (mode === "frozen") held.push(act);
  };
  const turn = () => new Promise<void>((resolve) => whenRunning(resolve));
  const store = new Proxy(inner, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        await turn();
        const answer = (await value.apply(target, args).then(
          (result: unknown) => ({ result }),
          (error: unknown) => ({ error }),
        )) as { result?: unknown; error?: unknown };
        await turn();
        if ("error" in answer) throw answer.error;
        return answer.result;
      };
    },
  });
  return {
    store,
    clock: {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, act) => clock.after(delayMs, () => whenRunning(act)),
    },
    kill() {
      mode = "dead";
      held = [];
    },
    freeze() {
      if (mode === "running") mode = "frozen";
    },
    thaw() {
      if (mode !== "frozen") return;
      mode = "running";
      const late = held;
      held = [];
      for (const act of late) act();
    },
    get alive() {
      return mode !== "dead";
    },
  };
}
