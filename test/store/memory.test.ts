import { memoryStore, type Store, type StoreOptions } from "../../src/store/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { type Rig, storeContract } from "./contract.ts";

storeContract(
  "memory",
  async (): Promise<Rig> => {
    const clock = manualClock();
    // Processes that share memory share the store: one per set of options until the next wipe.
    let stores = new Map<string, Store>();
    return {
      async wipe() {
        stores = new Map();
      },
      async open(options: StoreOptions) {
        const name = JSON.stringify(options);
        const store = stores.get(name) ?? memoryStore({ ...options, clock });
        stores.set(name, store);
        return store;
      },
      elapse: (ms) => clock.advance(ms),
      async stop() {},
    };
  },
  { runs: 100 },
);
