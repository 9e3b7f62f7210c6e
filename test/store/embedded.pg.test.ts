import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SqlPool } from "../../src/core/index.ts";
import { type EmbeddedDatabase, openEmbedded } from "../../src/store/embedded/index.ts";
import { openPostgresPool } from "../../src/store/postgres-pool.ts";
import { embeddedWorkerUrl } from "../queue/embedded-worker-url.ts";
import { tempDir } from "../support/disk.ts";
import { startPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait.ts";

const LONG = { timeout: 60_000 };
const dir = tempDir("omega-embedded-");
let database: EmbeddedDatabase;
let pool: SqlPool;

const count = async () =>
  Number((await pool.query("SELECT count(*) AS n FROM public.t")).rows[0].n);

beforeAll(async () => {
  const workerUrl = embeddedWorkerUrl();
  database = await openEmbedded({
    dir: dir.path,
    workerUrl,
    waitMs: 2_000,
    transactionIdleMs: 700,
  });
  pool = database.pool;
  await pool.query("CREATE TABLE public.t (id int PRIMARY KEY)");
}, 120_000);

afterAll(async () => {
  await database?.close();
  await dir.remove();
}, 60_000);

afterEach(async () => {
  await pool.query("DELETE FROM public.t");
});

describe("embedded transactions", () => {
  test(
    "a transaction is its client's own: others wait and see all of it or nothing",
    LONG,
    async () => {
      const client = await pool.connect();
      await client.query("-- BullMQ begins its texts with comments\nBEGIN");
      await client.query("INSERT INTO public.t VALUES (1)");
      let seen: number | null = null;
      const outside = count().then((n) => {
        seen = n;
      });
      await client.query("INSERT INTO public.t VALUES (2)");
      expect(seen).toBeNull();
      await client.query("COMMIT");
      await outside;
      expect(seen).toBe(2);
      client.release();
    },
  );

  test("transactions of many clients never mix", LONG, async () => {
    await pool.query("CREATE TABLE public.account (id int PRIMARY KEY, n int)");
    await pool.query("INSERT INTO public.account VALUES (1, 0)");
    const transfer = async () => {
      const client = await pool.connect();
      await client.query("BEGIN");
      const { rows } = await client.query("SELECT n FROM public.account WHERE id = 1");
      await client.query("UPDATE public.account SET n = $1 WHERE id = 1", [rows[0].n + 1]);
      await client.query("COMMIT");
      client.release();
    };
    await Promise.all(Array.from({ length: 40 }, transfer));
    const { rows } = await pool.query("SELECT n FROM public.account WHERE id = 1");
    expect(rows[0].n).toBe(40);
  });

  test(
    "releasing a client inside a transaction rolls it back and lets the others go on",
    LONG,
    async () => {
      for (const destroy of [true, false, new Error("broken")]) {
        const client = await pool.connect();
        await client.query("BEGIN");
        await client.query("INSERT INTO public.t VALUES (1)");
        const outside = count();
        client.release(destroy);
        expect(await outside).toBe(0);
        await expect(client.query("SELECT 1")).rejects.toThrow();
      }
    },
  );

  test(
    "a failed statement keeps the transaction until its owner ends it, as in PostgreSQL",
    LONG,
    async () => {
      const client = await pool.connect();
      await client.query("BEGIN");
      await expect(client.query("SELECT 1/0")).rejects.toMatchObject({ code: "22012" });
      await expect(client.query("SELECT 1")).rejects.toMatchObject({ code: "25P02" });
      await client.query("ROLLBACK");
      expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
      client.release();
    },
  );

  test(
    "a transaction that idles is rolled back, its client dies, the line moves on",
    LONG,
    async () => {
      const client = await pool.connect();
      const died = new Promise<Error>((resolve) => client.on("error", resolve));
      await client.query("BEGIN");
      await client.query("INSERT INTO public.t VALUES (1)");
      expect(await count()).toBe(0);
      expect(await died).toMatchObject({ reason: "sql.idle" });
      await expect(client.query("COMMIT")).rejects.toMatchObject({ reason: "sql.idle" });
    },
  );

  test("BEGIN outside a client is refused, also when it hides", LONG, async () => {
    await expect(pool.query("BEGIN")).rejects.toMatchObject({ reason: "sql.transaction" });
    await pool.query("SELECT 1; BEGIN");
    await pool.query("INSERT INTO public.t VALUES (1)");
    expect(await count()).toBe(1);
  });
});

describe("embedded LISTEN", () => {
  test(
    "a notification reaches the clients that listen to its channel, while they do",
    LONG,
    async () => {
      const [one, two, three] = [await pool.connect(), await pool.connect(), await pool.connect()];
      const heard: string[] = [];
      for (const [name, client] of Object.entries({ one, two, three })) {
        client.on("notification", ({ channel, payload }) =>
          heard.push(`${name} ${channel} ${payload}`),
        );
      }
      await one.query("LISTEN news");
      await two.query("-- comment\nLISTEN news");
      await three.query("LISTEN sport");
      await pool.query("SELECT pg_notify('news', 'first')");
      await waitFor(() => heard.length === 2, { what: "both listeners" });
      one.release();
      await two.query("UNLISTEN sport");
      await pool.query("SELECT pg_notify('news', 'second')");
      await waitFor(() => heard.length === 3, { what: "the remaining listener" });
      two.release();
      await pool.query("SELECT pg_notify('news', 'third')");
      await pool.query("SELECT pg_notify('sport', 'fourth')");
      await waitFor(() => heard.length === 4, { what: "the other channel" });
      expect(heard).toEqual([
        "one news first",
        "two news first",
        "two news second",
        "three sport fourth",
      ]);
      const { rows } = await pool.query("SELECT pg_listening_channels() AS channel");
      expect(rows).toEqual([{ channel: "sport" }]);
      three.release();
    },
  );
});

describe("embedded and PostgreSQL", () => {
  test("the same statements give the same rows", LONG, async () => {
    const server = await startPostgres();
    const real = openPostgresPool(server.url, { max: 2 });
    const bytes = Buffer.from([0, 1, 127, 128, 255]);
    const cases: [string, unknown[]?][] = [
      ["SELECT 9007199254740993::int8 AS a, count(*) AS b FROM generate_series(1, 3)"],
      ["SELECT ARRAY[1, NULL, 3]::int8[] AS a, '{}'::int8[] AS b"],
      ["SELECT $1::int8 AS a, $2::int AS b, $3::text AS c", [2 ** 40, "7", 5]],
      ["SELECT $1::bytea AS a, length($1::bytea) AS n", [bytes]],
      ["SELECT $1::bytea AS a", [bytes.subarray(1, 3)]],
      ["SELECT unnest($1::bytea[]) AS a", [[bytes, Buffer.from("x")]]],
      ["SELECT $1::bytea[] AS a", [[bytes, Buffer.alloc(0)]]],
      [
        "SELECT $1::text[] AS a, $2::int[] AS b",
        [
          ["x", 'a"b,{}', null],
          [1, 2],
        ],
      ],
      ["SELECT $1::jsonb AS a, $2::jsonb AS b", [{ deep: [1, "ä"] }, '{"x":null}']],
      ["SELECT $1::boolean AS a, $2::float8 AS b, 1.5::numeric AS c", [true, 0.1]],
      ["SELECT $1::text AS a, $2::timestamptz AS b", [undefined, new Date(86_400_000)]],
      ["SELECT 1 AS a WHERE false"],
      ["CREATE TEMP TABLE parity (id int, data bytea)"],
      ["INSERT INTO parity SELECT n, NULL FROM generate_series(1, 5) AS n"],
      ["UPDATE parity SET data = $1 WHERE id > $2 RETURNING id, data", [bytes, 3]],
      ["DELETE FROM parity WHERE id < $1", [3]],
    ];
    const [a, b] = [await pool.connect(), await real.connect()];
    for (const [text, params] of cases) {
      const [embedded, postgres] = [await a.query(text, params), await b.query(text, params)];
      expect(embedded.rows, text).toEqual(postgres.rows);
      if (postgres.rowCount !== null) expect(embedded.rowCount, text).toBe(postgres.rowCount);
      for (const row of embedded.rows) {
        if (row.a instanceof Uint8Array) expect(Buffer.isBuffer(row.a), text).toBe(true);
      }
    }
    const failure = { code: "23505", constraint: "parity_key" };
    for (const client of [a, b]) {
      await client.query("ALTER TABLE parity ADD CONSTRAINT parity_key UNIQUE (id)");
      await expect(client.query("INSERT INTO parity VALUES (3), (3)")).rejects.toMatchObject(
        failure,
      );
      client.release();
    }
    await real.end();
    await server.stop();
  });
});

test(
  "embedded: a database thread that crashes says so and leaves nothing waiting",
  LONG,
  async () => {
    const own = tempDir("omega-crash-");
    const built = embeddedWorkerUrl();
    const workerUrl = new URL("../queue/crashing-worker.mjs", import.meta.url);
    const crashed: Error[] = [];
    const onCrash = (error: Error) => crashed.push(error);
    const fragile = await openEmbedded({ dir: own.path, workerUrl, onCrash });
    const client = await fragile.pool.connect();
    const died = new Promise<Error>((resolve) => client.on("error", resolve));
    const reasonOf = (query: Promise<unknown>) => query.catch((error) => error.reason);
    const behind = ["crash", "SELECT pg_sleep(30)", "SELECT 1"].map((text) =>
      reasonOf(fragile.pool.query(text)),
    );
    expect(new Set(await Promise.all(behind))).toEqual(new Set(["embedded.closed"]));
    expect(await died).toMatchObject({ reason: "embedded.closed" });
    expect(crashed).toHaveLength(1);
    expect(await reasonOf(fragile.pool.query("SELECT 1"))).toBe("embedded.closed");
    await fragile.close();
    const again = await openEmbedded({ dir: own.path, workerUrl: built });
    expect((await again.pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await again.close();
    await own.remove();
  },
);
