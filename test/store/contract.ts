/**
 * What every store must do: one suite, run against memory, Redis, PostgreSQL and
 * the embedded database.
 * @module
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe } from "vitest";
import type { Store, StoreOptions } from "../../src/store/index.ts";
import { commitContract } from "./contract-commits.ts";
import { deviceContract } from "./contract-devices.ts";
import { leaseContract } from "./contract-leases.ts";
import { modelContract } from "./contract-models.ts";
import { raceContract } from "./contract-races.ts";
import { releaseContract } from "./contract-releases.ts";
import { SHARDS } from "./samples.ts";

export interface Rig {
  /** Forgets everything. */
  wipe(): Promise<void>;
  /** A store on the same state as every other since the last wipe. */
  open(options: StoreOptions): Promise<Store>;
  /** Lets the backend's clock run for `ms`. */
  elapse(ms: number): Promise<void>;
  stop(): Promise<void>;
}

/** What the parts of the suite work with. */
export interface Bench {
  /** The store under test, empty at the start of every test. */
  store(): Store;
  /** Another process' store on the same state. */
  another(options?: Partial<StoreOptions>): Promise<Store>;
  wipe(): Promise<void>;
  elapse(ms: number): Promise<void>;
}

export function storeContract(
  name: string,
  start: () => Promise<Rig>,
  options: {
    /** How often each random property runs. */
    readonly runs: number;
  },
): void {
  describe(`store in ${name}`, () => {
    let rig: Rig;
    let store: Store;
    const open: Store[] = [];
    const another = async (changed: Partial<StoreOptions> = {}) => {
      const opened = await rig.open({ shards: SHARDS, ...changed });
      open.push(opened);
      return opened;
    };

    beforeAll(async () => {
      rig = await start();
    }, 120_000);
    beforeEach(async () => {
      await rig.wipe();
      store = await another();
    }, 60_000);
    afterEach(async () => {
      for (const opened of open.splice(0)) await opened.close();
    });
    afterAll(async () => {
      await rig?.stop();
    }, 60_000);

    const bench: Bench = {
      store: () => store,
      another,
      async wipe() {
        for (const opened of open.splice(0)) await opened.close();
        await rig.wipe();
        store = await another();
      },
      elapse: (ms) => rig.elapse(ms),
    };
    leaseContract(bench);
    commitContract(bench);
    deviceContract(bench);
    releaseContract(bench);
    modelContract(bench);
    raceContract(bench, options.runs);
  });
}
