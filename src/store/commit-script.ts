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
 * KEYS lease, commit, stats, dead, dead-order, tenants, then a hash per device,
 * then a hash of sums per tenant. ARGV, in the order it is taken:
 * token, number, number before, dead letters kept, applied, duplicates, dead-lettered,
 * hashes (redis-commit.ts), dead letter count, {id, blob}, channel, event count, event ….
 */
export const commitScript = script(`
local at = 0
local function take() at = at + 1; return ARGV[at] end
local token, number, before = take(), take(), take()
local last = redis.call('HMGET', KEYS[2], 'number', 'token')
if last[1] == number and last[2] == token then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= token then return 'lease.lost' end
if (last[1] or '0') ~= before then return 'commit.order' end

local kept = tonumber(take())
local applied, duplicates, dead = take(), take(), take()

local packed, from = take(), 1
local function number32()
  local value = struct.unpack('<I4', packed, from)
  from = from + 4
  return value
end
local function text(length)
  from = from + length
  return string.sub(packed, from - length, from - 1)
end
local function each(command, key, count, read)
  local portion, size = {}, 0
  for i = 1, count do
    size = read(portion, size)
    if size == 2000 or (size > 0 and i == count) then
      redis.call(command, key, unpack(portion, 1, size))
      size = 0
    end
  end
end
local function pair(portion, size)
  local field, value = struct.unpack('<I4I4', packed, from)
  from = from + 8
  portion[size + 1], portion[size + 2] = text(field), text(value)
  return size + 2
end
local function name(portion, size)
  portion[size + 1] = text(number32())
  return size + 1
end
local function write(key)
  each('HSET', key, number32(), pair)
  each('HDEL', key, number32(), name)
end

local devices = number32()
for i = 1, devices do write(KEYS[6 + i]) end
for i = 1, number32() do
  local tenant, key = text(number32()), KEYS[6 + devices + i]
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
