/**
 * The releases in Redis: the current one and those before it, written by scripts (publish-scripts.ts).
 * @module
 */
import { requireName } from "./commit-check.ts";
import { releaseEvent } from "./events.ts";
import {
  type CurrentLadders,
  type RecentRelease,
  releaserLease,
  type StoredRelease,
} from "./port.ts";
import { finishReleaseScript, showReleaseScript, stageReleaseScript } from "./publish-scripts.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { toNumber, toTexts } from "./redis-replies.ts";
import { requireOk } from "./refusals.ts";
import { requireStoredRelease } from "./release-check.ts";
import { decodeLadders, decodeRecent, encodeLadders, encodeRecent } from "./rendition-records.ts";

export class RedisReleases {
  readonly #redis: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #kept: number;

  constructor(redis: RedisConnection, keys: RedisKeys, kept: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#kept = kept;
  }

  async publish(tenant: string, token: number, stored: StoredRelease): Promise<void> {
    requireName("tenant", tenant);
    requireStoredRelease(tenant, stored);
    const { version } = stored.release;
    const { contentHash } = stored.ladder;
    // Lives on another node of a cluster, so it goes first: one name too many does no harm.
    await this.#redis.call("SADD", [this.#keys.released, tenant]);
    const { lease, current, releases, next } = this.#own(tenant);
    const ladders = [encodeLadders(stored), encodeRecent(stored)];
    await this.#redis.held(async () => {
      const args = [token, version, version - 1, contentHash, ...ladders];
      const outcome = await this.#redis.run(stageReleaseScript, [lease, current, next], args);
      requireOk(String(outcome), { tenant, token, version });
    });
    const event = [this.#keys.channel, releaseEvent(tenant, version)];
    const args = [token, version, contentHash, this.#kept, ...event];
    const all = [lease, current, releases, next];
    const outcome = await this.#redis.run(showReleaseScript, all, args);
    requireOk(String(outcome), { tenant, token, version });
  }

  async current(tenant: string): Promise<CurrentLadders | null> {
    requireName("tenant", tenant);
    const ladder = await this.#redis.call("HGET", [this.#keys.current(tenant), "ladder"]);
    return ladder === null ? null : decodeLadders(ladder as Buffer);
  }

  async recent(tenant: string): Promise<RecentRelease[]> {
    requireName("tenant", tenant);
    await this.#finish(tenant);
    const blobs = await this.#redis.call("LRANGE", [this.#keys.releases(tenant), 0, -1]);
    return (blobs as Buffer[]).map(decodeRecent);
  }

  /** The current version of every tenant that has one. */
  async versions(): Promise<Map<string, number>> {
    const tenants = toTexts(await this.#redis.call("SMEMBERS", [this.#keys.released]));
    const versions = await this.#redis.callAll(
      tenants.map((tenant) => ["HGET", this.#keys.current(tenant), "version"] as const),
    );
    const found = tenants.map((tenant, index) => [tenant, toNumber(versions[index])] as const);
    return new Map(found.filter(([, version]) => version > 0));
  }

  /** Whoever was to show what is staged has died, or is about to show it: it comes to the same. */
  async #finish(tenant: string): Promise<void> {
    const { lease, current, releases, next } = this.#own(tenant);
    if ((await this.#redis.call("EXISTS", [next])) === 0) return;
    await this.#redis.held(async () => {});
    const args = [this.#kept, this.#keys.channel, releaseEvent(tenant, "")];
    await this.#redis.run(finishReleaseScript, [lease, current, releases, next], args);
  }

  #own(tenant: string) {
    return {
      lease: this.#keys.lease(releaserLease(tenant))[0],
      current: this.#keys.current(tenant),
      releases: this.#keys.releases(tenant),
      next: this.#keys.next(tenant),
    };
  }
}
