/**
 * The Lua scripts: what must happen in one step inside Redis.
 *
 * Redis runs a script alone and writes it to the append-only file as one
 * MULTI … EXEC, so that a kill -9 leaves all of it or nothing of it. A script that
 * *fails* half-way is not rolled back: everything that could make one fail is
 * checked before (commit-check.ts), and memory is: with `noeviction` Redis
 * decides once, at the script's first write. A commit's megabytes do not go through Lua, which
 * copies them twice more: they are commands of a transaction between two scripts
 * (redis-commit.ts), for which the same holds.
 *
 * Numbers travel and are compared as decimal strings, because Lua's own are
 * doubles that print as 1e+15.
 * @module
 */
import { script } from "./script.ts";

/**
 * KEYS lease, fence; ARGV owner, ttlMs, the most that a lease may still last (LEASE_AHEAD_MS_MAX).
 * Answers the token, or nil while another owner holds it. A token is at least the time in
 * milliseconds: when a fail-over or a kill -9 lost the last writes, a mere counter would give
 * tokens out again that paused writers still hold.
 */
export const acquireScript = script(`
local owner = redis.call('HGET', KEYS[1], 'owner')
local isOthers = owner and owner ~= ARGV[1]
if isOthers and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[3]) then return false end
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
 * KEYS a hash per device; ARGV field. Answers that field of each, or nil: one command where HGET
 * would be as many as there are devices.
 */
export const fieldOfEachScript = script(`
local values = {}
for place, device in ipairs(KEYS) do
  values[place] = redis.call('HGET', device, ARGV[1])
end
return values
`);

/**
 * Whether a commit may be done: runs behind a WATCH of its keys and in front of the commit's own
 * transaction (redis-connection.ts, `guarded`). KEYS lease, commit, fence; ARGV token, number,
 * number before. Answers "go"; else why not, or "ok" when it was done before, and touches the fence,
 * with commands that need no memory wherever there was a lease: then the EXEC behind does nothing.
 */
export const commitGuardScript = script(`
local token, number, before = ARGV[1], ARGV[2], ARGV[3]
local last = redis.call('HMGET', KEYS[2], 'number', 'token')
local outcome = 'go'
if last[1] == number and last[2] == token then
  outcome = 'ok'
elseif redis.call('HGET', KEYS[1], 'token') ~= token then
  outcome = 'lease.lost'
elseif (last[1] or '0') ~= before then
  outcome = 'commit.order'
end
if outcome == 'go' then return outcome end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('EXPIRE', KEYS[3], 1000)
  redis.call('PERSIST', KEYS[3])
else
  redis.call('SET', KEYS[3], '0')
end
return outcome
`);

/**
 * The end of a commit's transaction: what depends on what is there already. KEYS stats, dead,
 * dead-order, tenants, then a hash of sums per tenant; ARGV, in the order it is taken: dead letters
 * kept, applied, duplicates, dead-lettered, tenant …, dead letter count, {id, blob}.
 */
export const commitEndScript = script(`
local at = 0
local function take() at = at + 1; return ARGV[at] end
local kept = tonumber(take())
local applied, duplicates, dead = take(), take(), take()

for i = 5, #KEYS do
  local tenant = take()
  redis.call(redis.call('EXISTS', KEYS[i]) == 1 and 'SADD' or 'SREM', KEYS[4], tenant)
end

local known = 0
for _ = 1, tonumber(take()) do
  local id, blob = take(), take()
  if redis.call('HSETNX', KEYS[2], id, blob) == 1 then
    redis.call('LPUSH', KEYS[3], id)
  else
    known = known + 1
  end
end
while redis.call('LLEN', KEYS[3]) > kept do
  redis.call('HDEL', KEYS[2], redis.call('RPOP', KEYS[3]))
end

redis.call('HINCRBY', KEYS[1], 'applied', applied)
redis.call('HINCRBY', KEYS[1], 'duplicates', duplicates)
redis.call('HINCRBY', KEYS[1], 'deadLettered', dead)
local moved = math.min(known, tonumber(dead))
if moved > 0 then
  redis.call('HINCRBY', KEYS[1], 'duplicates', moved)
  redis.call('HINCRBY', KEYS[1], 'deadLettered', -moved)
end
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
