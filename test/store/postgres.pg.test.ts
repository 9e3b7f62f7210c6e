import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/observe/index.ts";
import { openPostgresPool, postgresStore, type Store } from "../../src/store/index.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait.ts";
import { storeContract } from "./contract.ts";
import { crashContract } from "./contract-crash.ts";
import { outcomeOf, refusalOf } from "./observe.ts";
import { bytes, commitOf, leaseReleaser, leaseShard, releaseOf, SHARDS, sumOf } from "./samples.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let server: PostgresServer;
let pool: ReturnType<typeof openPostgresPool>;
beforeAll(async () => {
  server = await startPostgres();
  pool = openPostgresPool(server.url);
}, 60_000);
afterAll(async () => {
  await pool?.end();
  await server?.stop();
}, 60_000);

function openPostgres(timeoutMs = 10_000): Promise<Store> {
  return postgresStore({ pool, shards: SHARDS, log: silentLogger, timeoutMs });
}

async function wipe(): Promise<void> {
  await pool.query("DROP SCHEMA IF EXISTS omega CASCADE");
}

storeContract(
  "PostgreSQL",
  async () => ({
    wipe,
    open: (options) => postgresStore({ ...options, pool, log: silentLogger }),
    // The time is the database's own: it can only be waited for.
    elapse: sleep,
    async stop() {},
  }),
  { runs: 20 },
);

crashContract("PostgreSQL", async () => {
  const own = await startPostgres();
  // A plain pg.Pool: the store must not depend on what our own pool adds.
  const plain = new pg.Pool({ connectionString: own.url, max: 4 });
  plain.on("error", () => {});
  return {
    ...own,
    open: () => postgresStore({ pool: plain as never, shards: SHARDS, log: silentLogger }),
    async stop() {
      await plain.end();
      await own.stop();
    },
  };
});

test("postgres store: many processes that start at once migrate once", async () => {
  await wipe();
  const stores = await Promise.all(Array.from({ length: 5 }, () => openPostgres()));
  const { rows } = await pool.query("SELECT step FROM omega.migrations");
  expect(rows).toEqual([{ step: 1 }, { step: 2 }]);
  await Promise.all(stores.map((store) => store.close()));
});

test("postgres store: a schema from a newer program is refused and left alone", async () => {
  await wipe();
  await (await openPostgres()).close();
  await pool.query("INSERT INTO omega.migrations (step) VALUES (1000)");
  expect(await refusalOf(openPostgres())).toBe("Transport store.newer");
  await wipe();
});

test("postgres store: a lock held by others is a timeout, and the resend is done once", async () => {
  await wipe();
  const [store, patient] = [await openPostgres(300), await openPostgres()];
  const token = await leaseShard(store, 0);
  const commit = commitOf({
    sums: [sumOf("a", bytes(1))],
    stats: { applied: 1, duplicates: 0, deadLettered: 0 },
  });
  const blocker = await pool.connect();
  await blocker.query("BEGIN");
  await blocker.query("SELECT FROM omega.leases FOR UPDATE");
  expect(await refusalOf(store.commit(0, token, 1, commit))).toBe("Timeout store.timeout");
  await blocker.query("COMMIT");
  blocker.release();
  await patient.commit(0, token, 1, commit);
  await patient.commit(0, token, 1, commit);
  expect(await patient.stats(0)).toEqual(commit.stats);
  await Promise.all([store.close(), patient.close()]);
});

test("postgres store: a commit that waited past the end of its lease is refused", async () => {
  await wipe();
  const store = await openPostgres();
  const token = (await store.acquireLease("shard-0", "a", 200)) as number;
  const blocker = await pool.connect();
  await blocker.query("BEGIN");
  await blocker.query("SELECT FROM omega.leases FOR UPDATE");
  const waiting = outcomeOf(store.commit(0, token, 1, commitOf()));
  await blocker.query("SELECT pg_sleep(0.25)");
  await blocker.query("COMMIT");
  blocker.release();
  expect(await waiting).toBe("lease.lost");
  expect((await store.loadShard(0)).commitNumber).toBe(0);
  await store.close();
});

test("postgres store: a lease that ends too far ahead was given under a wrong clock and keeps nobody out", async () => {
  await wipe();
  const store = await openPostgres();
  const token = (await store.acquireLease("shard-0", "dead", 1_000)) ?? 0;
  const endsIn = (time: string) =>
    pool.query(`UPDATE omega.leases SET expires_at = clock_timestamp() + interval '${time}'`);
  await endsIn("9 minutes");
  expect(await store.acquireLease("shard-0", "next", 1_000)).toBeNull();
  await endsIn("1 hour");
  expect(await store.acquireLease("shard-0", "next", 1_000)).toBeGreaterThan(token);
  expect(await outcomeOf(store.commit(0, token, 1, commitOf()))).toBe("lease.lost");
  await store.close();
});

test("postgres store: a release missed while the subscription was cut is told after it came back", async () => {
  await wipe();
  const [store, other] = [await openPostgres(), await openPostgres()];
  const heard: number[] = [];
  await store.watch({ onRelease: (_tenant, version) => heard.push(version), onProblems() {} });
  const token = await leaseReleaser(other);
  const killed = await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN omega_store%'`,
  );
  expect(killed.rows).toHaveLength(1);
  await other.publishRelease("acme", token, releaseOf(1));
  await waitFor(() => heard.includes(1), { what: "the release that was missed" });
  await other.publishRelease("acme", token, releaseOf(2));
  await waitFor(() => heard.includes(2), { what: "the release after it" });
  await Promise.all([store.close(), other.close()]);
});

test("postgres store: names are qualified, whatever the search path and whatever else is there", async () => {
  await wipe();
  const odd = new pg.Pool({ connectionString: server.url, options: "-c search_path=nowhere" });
  const store = await postgresStore({ pool: odd as never, shards: SHARDS, log: silentLogger });
  const token = await leaseShard(store, 0);
  await store.commit(0, token, 1, commitOf({ sums: [sumOf("a", bytes(1))] }));
  expect((await store.loadShard(0)).sums).toEqual([sumOf("a", bytes(1))]);
  await store.close();
  await odd.end();
});

test("postgres store: nobody listening is 'store.unavailable'; another shard count is refused", async () => {
  const dead = openPostgresPool("postgres://nobody@127.0.0.1:1/none");
  const lost = postgresStore({ pool: dead, shards: SHARDS, log: silentLogger });
  expect(await refusalOf(lost)).toBe("Transport store.unavailable");
  await dead.end();
  await wipe();
  await (await openPostgres()).close();
  const other = postgresStore({ pool, shards: SHARDS + 1, log: silentLogger });
  expect(await refusalOf(other)).toBe("InvalidConfig config.invalid");
});
