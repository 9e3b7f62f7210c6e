/**
 * The names of our keys in Redis.
 *
 * All keys that one atomic step touches share one hash tag, so that they also
 * live on one node of a Redis Cluster: `{s<shard>}` for a shard with its lease,
 * `{r<tenant>}` for a tenant's releases and codec models with theirs. Ids hold no braces, colons
 * or slashes, so no two things can get the same name (THREATS 22).
 *
 *   omega:{s3}:lease       hash token, owner; expires with the lease
 *   omega:{s3}:fence       the last fencing token
 *   omega:{s3}:commit      hash number, token of the last commit
 *   omega:{s3}:stats       hash applied, duplicates, deadLettered
 *   omega:{s3}:dead        hash id → dead letter       omega:{s3}:dead-order   list of ids, newest first
 *   omega:{s3}:tenants     set of tenants with sums    omega:{s3}:sums:<tenant>  hash pattern/bucket → blob
 *   omega:{s3}:d:<tenant>/<device>   hash pattern → register, and "@" → cursor
 *   omega:{rT}:current     hash version, token, hash, ladder
 *   omega:{rT}:next        the same and release, while it is not shown yet
 *   omega:{rT}:releases    list of releases, newest first
 *   omega:{rT}:models      hash version → codec model, and "newest" → the newest version
 *   omega:{rT}:nextmodel   hash version, record, while it is not shown yet
 *   omega:{all}:modelled   set of tenants that ever had a codec model
 *   omega:{all}:released   set of tenants that ever had a release
 *   omega:{all}:shards     the shard count, for ever
 *   omega:{all}:mark       written to see the replicas follow (redis-connection.ts)
 *   omega:events           the channel of notifications
 * @module
 */
import { type DeviceKey, deviceName } from "../core/index.ts";

/** The field of a device's hash that holds the cursor: no id contains "@". */
export const CURSOR_FIELD = "@";

const SHARD_LEASE = /^shard-(0|[1-9]\d{0,3})$/;
const RELEASER_LEASE = /^releaser-([A-Za-z0-9_-]{1,64})$/;

export type RedisKeys = ReturnType<typeof redisKeys>;

export function redisKeys(prefix: string) {
  const ofShard = (shard: number, what: string) => `${prefix}:{s${shard}}:${what}`;
  const ofTenant = (tenant: string, what: string) => `${prefix}:{r${tenant}}:${what}`;
  return {
    shardCount: `${prefix}:{all}:shards`,
    released: `${prefix}:{all}:released`,
    modelled: `${prefix}:{all}:modelled`,
    mark: `${prefix}:{all}:mark`,
    channel: `${prefix}:events`,
    commit: (shard: number) => ofShard(shard, "commit"),
    stats: (shard: number) => ofShard(shard, "stats"),
    dead: (shard: number) => ofShard(shard, "dead"),
    deadOrder: (shard: number) => ofShard(shard, "dead-order"),
    tenants: (shard: number) => ofShard(shard, "tenants"),
    sums: (shard: number, tenant: string) => ofShard(shard, `sums:${tenant}`),
    device: (shard: number, key: DeviceKey) => ofShard(shard, `d:${deviceName(key)}`),
    current: (tenant: string) => ofTenant(tenant, "current"),
    next: (tenant: string) => ofTenant(tenant, "next"),
    releases: (tenant: string) => ofTenant(tenant, "releases"),
    models: (tenant: string) => ofTenant(tenant, "models"),
    nextModel: (tenant: string) => ofTenant(tenant, "nextmodel"),
    /** The lease and the fence of a name, beside the keys they guard. */
    lease(name: string): readonly [lease: string, fence: string] {
      const shard = SHARD_LEASE.exec(name)?.[1];
      const tenant = RELEASER_LEASE.exec(name)?.[1];
      const tag = shard ? `s${shard}` : tenant ? `r${tenant}` : `l${name}`;
      return [`${prefix}:{${tag}}:lease`, `${prefix}:{${tag}}:fence`];
    },
  };
}
