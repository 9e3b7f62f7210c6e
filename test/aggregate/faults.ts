/** A store that fails when told to: before a call reached it, or after it was done. */
import { TimeoutError, TransportError } from "../../src/core/index.ts";
import type { Store } from "../../src/store/index.ts";

export type Fault =
  /** The call never reaches the store. */
  | "unavailable"
  /** The call is done, but nobody hears of it. */
  | "done-unheard"
  /** Neither done nor answered: the promise never settles. */
  | "hangs";

export interface FaultyStore {
  readonly store: Store;
  /** What the next calls of `method` meet, in order. */
  plan(method: keyof Store, ...faults: Fault[]): void;
  /** How often `method` was called. */
  calls(method: keyof Store): number;
}

export function faultyStore(inner: Store): FaultyStore {
  const plans = new Map<PropertyKey, Fault[]>();
  const counts = new Map<PropertyKey, number>();
  const store = new Proxy(inner, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        counts.set(name, (counts.get(name) ?? 0) + 1);
        const fault = plans.get(name)?.shift();
        if (fault === "unavailable") throw new TransportError("store.unavailable", "as planned");
        if (fault === "hangs") return new Promise(() => {});
        const result: unknown = await value.apply(target, args);
        if (fault === "done-unheard") throw new TimeoutError("store.timeout", "as planned");
        return result;
      };
    },
  });
  return {
    store,
    plan: (method, ...faults) => plans.set(method, [...(plans.get(method) ?? []), ...faults]),
    calls: (method) => counts.get(method) ?? 0,
  };
}
