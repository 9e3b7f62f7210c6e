/**
 * The schema `omega` in PostgreSQL, one numbered step after the other.
 *
 * A step that was released is never edited: the next change is a new step.
 * Several processes may start at once, so an advisory lock lets one of them
 * migrate while the others wait; a schema newer than this program is refused.
 * Every name is written out in full, because a pool may carry any search_path.
 * @module
 */
import { TransportError } from "../core/index.ts";
import {
  COMMIT_FUNCTION,
  DROP_MODELS_FUNCTION,
  FORGET_FUNCTION,
  PUBLISH_FUNCTION,
  PUT_MODEL_FUNCTION,
} from "./postgres-functions.ts";
import type { SqlRunner } from "./postgres-runner.ts";

/** Any number, as long as nothing else in the database locks it: "omega" in ASCII. */
const ADVISORY_LOCK = 0x6f6d656761;

/** Ids are compared as bytes (COLLATE "C"): the fastest order, and the same on every machine. */
const TABLES = [
  `CREATE TABLE omega.settings (key text PRIMARY KEY, value text NOT NULL)`,
  `CREATE TABLE omega.leases (
    name text COLLATE "C" PRIMARY KEY,
    token bigint NOT NULL,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL
  )`,
  `CREATE TABLE omega.shards (
    shard integer PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    token bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    dead_lettered bigint NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE omega.sums (
    shard integer,
    tenant text COLLATE "C",
    pattern text COLLATE "C",
    bucket bigint,
    blob bytea NOT NULL,
    PRIMARY KEY (shard, tenant, pattern, bucket)
  )`,
  `CREATE TABLE omega.shard_tenants (
    shard integer,
    tenant text COLLATE "C",
    PRIMARY KEY (shard, tenant)
  )`,
  `CREATE TABLE omega.devices (
    shard integer,
    tenant text COLLATE "C",
    device text COLLATE "C",
    cursor bytea NOT NULL,
    PRIMARY KEY (shard, tenant, device)
  )`,
  `CREATE TABLE omega.registers (
    shard integer,
    tenant text COLLATE "C",
    device text COLLATE "C",
    pattern text COLLATE "C",
    blob bytea NOT NULL,
    PRIMARY KEY (shard, tenant, device, pattern)
  )`,
  `CREATE TABLE omega.dead_letters (
    shard integer,
    id text COLLATE "C",
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    letter bytea NOT NULL,
    PRIMARY KEY (shard, id)
  )`,
  `CREATE INDEX dead_letters_by_age ON omega.dead_letters (shard, ordinal)`,
  `CREATE TABLE omega.current_releases (
    tenant text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    token bigint NOT NULL,
    content_hash bytea NOT NULL,
    ladder bytea NOT NULL
  )`,
  `CREATE TABLE omega.releases (
    tenant text COLLATE "C",
    version bigint,
    release bytea NOT NULL,
    PRIMARY KEY (tenant, version)
  )`,
];

const MODELS_TABLE = `CREATE TABLE omega.models (
    tenant text COLLATE "C",
    version bigint,
    model bytea NOT NULL,
    PRIMARY KEY (tenant, version)
  )`;

/** Step n is at index n − 1. */
const STEPS: readonly (readonly string[])[] = [
  [...TABLES, COMMIT_FUNCTION, FORGET_FUNCTION, PUBLISH_FUNCTION],
  [MODELS_TABLE, PUT_MODEL_FUNCTION, DROP_MODELS_FUNCTION],
];

/**
 * Brings the schema to this program's version; repeating it changes nothing.
 * Throws `TransportError("store.newer")` when a newer program was here already.
 */
export async function migrate(runner: SqlRunner): Promise<void> {
  await runner.transaction(async (query) => {
    await query("SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)", [ADVISORY_LOCK]);
    // CREATE … IF NOT EXISTS wants the right to create even when there is nothing to do.
    const found = await query("SELECT to_regclass('omega.migrations') IS NOT NULL AS found", []);
    if (!found.rows[0].found) {
      await query("CREATE SCHEMA IF NOT EXISTS omega", []);
      await query(
        "CREATE TABLE omega.migrations (step integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        [],
      );
    }
    const { rows } = await query("SELECT coalesce(max(step), 0) AS step FROM omega.migrations", []);
    const done = Number(rows[0].step);
    if (done > STEPS.length) throw newer(done);
    for (const [index, statements] of STEPS.entries()) {
      if (index < done) continue;
      for (const statement of statements) await query(statement, []);
      await query("INSERT INTO omega.migrations (step) VALUES ($1)", [index + 1]);
    }
  });
}

function newer(done: number): TransportError {
  return new TransportError(
    "store.newer",
    `the database was migrated to step ${done} by a newer omega-sync; this one knows ${STEPS.length}`,
    { detail: { done, known: STEPS.length } },
  );
}
