/**
 * The codec models in PostgreSQL: one row each, written by two functions (postgres-functions.ts).
 * @module
 */
import { requireName } from "./commit-check.ts";
import { modelEvent } from "./events.ts";
import { decodeStoredModel, encodeStoredModel, requireStoredModel } from "./model-records.ts";
import { releaserLease, type StoredModel } from "./port.ts";
import { toBuffer } from "./postgres-bytes.ts";
import type { SqlRunner } from "./postgres-runner.ts";
import { requireOk } from "./refusals.ts";

export class PostgresModels {
  readonly #sql: SqlRunner;

  constructor(sql: SqlRunner) {
    this.#sql = sql;
  }

  async put(tenant: string, token: number, model: StoredModel): Promise<void> {
    requireName("tenant", tenant);
    requireStoredModel(model);
    const { version } = model;
    const { rows } = await this.#sql.query(
      "SELECT omega.put_model($1, $2, $3, $4, $5, $6) AS outcome",
      [
        ...[tenant, releaserLease(tenant), token, version],
        ...[toBuffer(encodeStoredModel(model)), modelEvent(tenant, version)],
      ],
    );
    requireOk(rows[0].outcome, { tenant, token, version });
  }

  async all(tenant: string): Promise<StoredModel[]> {
    requireName("tenant", tenant);
    const { rows } = await this.#sql.query(
      "SELECT model FROM omega.models WHERE tenant = $1 ORDER BY version DESC",
      [tenant],
    );
    return rows.map((row) => decodeStoredModel(row.model));
  }

  async one(tenant: string, version: number): Promise<Uint8Array | null> {
    requireName("tenant", tenant);
    if (!Number.isSafeInteger(version)) return null;
    const { rows } = await this.#sql.query(
      "SELECT model FROM omega.models WHERE tenant = $1 AND version = $2::bigint",
      [tenant, version],
    );
    return rows.length === 0 ? null : decodeStoredModel(rows[0].model).bytes;
  }

  async drop(tenant: string, token: number, versions: readonly number[]): Promise<void> {
    requireName("tenant", tenant);
    const { rows } = await this.#sql.query("SELECT omega.drop_models($1, $2, $3, $4) AS outcome", [
      ...[tenant, releaserLease(tenant), token, versions],
    ]);
    requireOk(rows[0].outcome, { tenant, token });
  }

  /** The newest version of every tenant that has one. */
  async versions(): Promise<Map<string, number>> {
    const { rows } = await this.#sql.query(
      "SELECT tenant, max(version)::text AS version FROM omega.models GROUP BY tenant",
      [],
    );
    return new Map(rows.map((row) => [row.tenant, Number(row.version)]));
  }
}
