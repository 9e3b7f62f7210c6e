/**
 * The Lua scripts: what must happen in one step inside Redis.
 *
 * Redis runs a script alone and writes it to the append-only file as one
 * MULTI … EXEC, so that a kill -9 leaves all of it or nothing of it. A script that
 * *fails* half-way is not rolled back: everything that could make one fail is
 * checked before (commit-check.ts), and memory is: with `noeviction` Redis
 * decides once, at the script's first write.
 *
 * Numbers travel and are compared as decimal strings, because Lua's own are
 * doubles that print as 1e+15. `unpack` is fed in portions: Lua's C stack holds
 * 8,000 values.
 * @module
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
  /** SHA-1 of the text, as Redis names it. */
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/**
 * KEYS lease, fence; ARGV owner, ttlMs. Answers the token, or nil while another
 * owner holds it. A token is at least the time in milliseconds: when a fail-over or
 * a kill -9 lost the last writes, a mere counter would give tokens out again that
 * paused writers still hold.
 */
export const acquireScript = script(`
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return false end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local next = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now)
local token = string.format('%.0f', next)
redis.call('SET', KEYS[2], token)
redis.call('HSET', KEYS[1], 'token', token, 'owner', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
`);

/** KEYS lease; ARGV token, ttlMs. Answers 1 when renewed. */
export const renewScript = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/** KEYS lease; ARGV token. */
export const releaseScript = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);

/** KEYS lease, device; ARGV token. */
export const forgetScript = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lease.lost' end
redis.call('DEL', KEYS[2])
return 'ok'
`);

/**
 * KEYS lease, commit, stats, dead, dead-order, tenants, then a hash per device,
 * then a hash of sums per tenant. ARGV, in the order it is taken:
 * token, number, number before, dead letters kept, applied, duplicates, dead-lettered,
 * device count, {sets × 2, field, value …, deletes, field …} per device,
 * tenant count, {tenant, sets × 2, …, deletes, …} per tenant,
 * dead letter count, {id, blob}, channel, event count, event ….
 */
export const commitScript = script(`
local at = 0
local function take() at = at + 1; return ARGV[at] end
local token, number, before = take(), take(), take()
local last = redis.call('HMGET', KEYS[2], 'number', 'token')
if last[1] == number and last[2] == token then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= token then return 'lease.lost' end
if (last[1] or '0') ~= before then return 'commit.order' end

local function each(command, key, count)
  local stop = at + count
  while at < stop do
    local portion = math.min(stop, at + 2000)
    redis.call(command, key, unpack(ARGV, at + 1, portion))
    at = portion
  end
end
local function write(key)
  each('HSET', key, tonumber(take()))
  each('HDEL', key, tonumber(take()))
end

local kept = tonumber(take())
local applied, duplicates, dead = take(), take(), take()
local devices = tonumber(take())
for i = 1, devices do write(KEYS[6 + i]) end
for i = 1, tonumber(take()) do
  local tenant, key = take(), KEYS[6 + devices + i]
  write(key)
  redis.call(redis.call('EXISTS', key) == 1 and 'SADD' or 'SREM', KEYS[6], tenant)
end

local known = 0
for _ = 1, tonumber(take()) do
  local id, blob = take(), take()
  if redis.call('HSETNX', KEYS[4], id, blob) == 1 then
    redis.call('LPUSH', KEYS[5], id)
  else
    known = known + 1
  end
end
while redis.call('LLEN', KEYS[5]) > kept do
  redis.call('HDEL', KEYS[4], redis.call('RPOP', KEYS[5]))
end

redis.call('HINCRBY', KEYS[3], 'applied', applied)
redis.call('HINCRBY', KEYS[3], 'duplicates', duplicates)
redis.call('HINCRBY', KEYS[3], 'deadLettered', dead)
local moved = math.min(known, tonumber(dead))
if moved > 0 then
  redis.call('HINCRBY', KEYS[3], 'duplicates', moved)
  redis.call('HINCRBY', KEYS[3], 'deadLettered', -moved)
end
redis.call('HSET', KEYS[2], 'number', number, 'token', token)

local channel = take()
for _ = 1, tonumber(take()) do redis.call('PUBLISH', channel, take()) end
return 'ok'
`);

/** KEYS dead, dead-order; ARGV id …. Answers how many were kept. */
export const dropDeadLettersScript = script(`
local dropped = 0
for _, id in ipairs(ARGV) do
  dropped = dropped + redis.call('HDEL', KEYS[1], id)
  redis.call('LREM', KEYS[2], 1, id)
end
return dropped
`);

/**
 * KEYS lease, current, releases; ARGV token, version, version before, content
 * hash, ladder, release, releases kept, channel, event.
 */
export const publishScript = script(`
local token, version, hash = ARGV[1], ARGV[2], ARGV[4]
local last = redis.call('HMGET', KEYS[2], 'version', 'token', 'hash')
if last[1] == version and last[2] == token and last[3] == hash then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= token then return 'lease.lost' end
if (last[1] or '0') ~= ARGV[3] then return 'release.version' end
redis.call('LPUSH', KEYS[3], ARGV[6])
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[7]) - 1)
redis.call('HSET', KEYS[2], 'version', version, 'token', token, 'hash', hash, 'ladder', ARGV[5])
redis.call('PUBLISH', ARGV[8], ARGV[9])
return 'ok'
`);

/** KEYS lease, models; ARGV token, version, version before, record, channel, event. */
export const putModelScript = script(`
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[4] then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lease.lost' end
if (redis.call('HGET', KEYS[2], 'newest') or '0') ~= ARGV[3] then return 'model.order' end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4], 'newest', ARGV[2])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'ok'
`);

/** KEYS lease, models; ARGV token, version …. The newest stays. */
export const dropModelsScript = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lease.lost' end
local newest = redis.call('HGET', KEYS[2], 'newest')
for i = 2, #ARGV do
  if ARGV[i] ~= newest and ARGV[i] ~= 'newest' then redis.call('HDEL', KEYS[2], ARGV[i]) end
end
return 'ok'
`);
