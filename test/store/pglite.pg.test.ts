import { silentLogger } from "../../src/observe/index.ts";
import { openEmbedded, postgresStore } from "../../src/store/index.ts";
import { embeddedWorkerUrl } from "../queue/embedded-worker-url.ts";
import { tempDir } from "../support/disk.ts";
import { type Rig, storeContract } from "./contract.ts";

storeContract(
  "the embedded database",
  async (): Promise<Rig> => {
    const dir = tempDir("omega-store-");
    const database = await openEmbedded({ dir: dir.path, workerUrl: embeddedWorkerUrl() });
    return {
      async wipe() {
        await database.pool.query("DROP SCHEMA IF EXISTS omega CASCADE");
      },
      open: (options) => postgresStore({ ...options, pool: database.pool, log: silentLogger }),
      elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      async stop() {
        await database.close();
        await dir.remove();
      },
    };
  },
  { runs: 8 },
);
