/**
 * The codec models in Redis: a hash per tenant, written by scripts (publish-scripts.ts).
 * @module
 */
import { requireName } from "./commit-check.ts";
import { modelEvent } from "./events.ts";
import { decodeStoredModel, encodeStoredModel, requireStoredModel } from "./model-records.ts";
import { releaserLease, type StoredModel } from "./port.ts";
import { dropModelsScript, finishModelScript, stageModelScript } from "./publish-scripts.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { toNumber, toPairs, toTexts } from "./redis-replies.ts";
import { requireOk } from "./refusals.ts";

/** The field beside the versions. */
const NEWEST = "newest";

export class RedisModels {
  readonly #redis: RedisConnection;
  readonly #keys: RedisKeys;

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  async put(tenant: string, token: number, model: StoredModel): Promise<void> {
    requireName("tenant", tenant);
    requireStoredModel(model);
    const { version } = model;
    // Lives on another node of a cluster, so it goes first: one name too many does no harm.
    await this.#redis.call("SADD", [this.#keys.modelled, tenant]);
    const args = [token, version, version - 1, encodeStoredModel(model)];
    await this.#redis.held(async () => {
      const outcome = await this.#redis.run(stageModelScript, this.#own(tenant), args);
      requireOk(String(outcome), { tenant, token, version });
    });
    await this.#finish(tenant);
  }

  async all(tenant: string): Promise<StoredModel[]> {
    requireName("tenant", tenant);
    if ((await this.#redis.call("EXISTS", [this.#keys.nextModel(tenant)])) === 1) {
      await this.#redis.held(async () => {});
      await this.#finish(tenant);
    }
    const fields = toPairs(await this.#redis.call("HGETALL", [this.#keys.models(tenant)]));
    return fields
      .filter(([field]) => field !== NEWEST)
      .map(([, record]) => decodeStoredModel(record))
      .sort((a, b) => b.version - a.version);
  }

  async one(tenant: string, version: number): Promise<Uint8Array | null> {
    requireName("tenant", tenant);
    const record = await this.#redis.call("HGET", [this.#keys.models(tenant), version]);
    return record === null ? null : decodeStoredModel(record as Buffer).bytes;
  }

  async drop(tenant: string, token: number, versions: readonly number[]): Promise<void> {
    requireName("tenant", tenant);
    const args = [token, ...versions];
    const outcome = await this.#redis.run(dropModelsScript, this.#own(tenant), args);
    requireOk(String(outcome), { tenant, token });
  }

  /** The newest version of every tenant that has one. */
  async versions(): Promise<Map<string, number>> {
    const tenants = toTexts(await this.#redis.call("SMEMBERS", [this.#keys.modelled]));
    const newest = await this.#redis.callAll(
      tenants.map((tenant) => ["HGET", this.#keys.models(tenant), NEWEST] as const),
    );
    const found = tenants.map((tenant, index) => [tenant, toNumber(newest[index])] as const);
    return new Map(found.filter(([, version]) => version > 0));
  }

  async #finish(tenant: string): Promise<void> {
    const args = [this.#keys.channel, modelEvent(tenant, "")];
    requireOk(String(await this.#redis.run(finishModelScript, this.#own(tenant), args)), {
      tenant,
    });
  }

  #own(tenant: string): string[] {
    const [lease] = this.#keys.lease(releaserLease(tenant));
    return [lease, this.#keys.models(tenant), this.#keys.nextModel(tenant)];
  }
}
