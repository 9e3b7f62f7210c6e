/**
 * The Lua scripts that publish: releases and codec models, each under a number that no other content ever gets.
 *
 *   stage ──▶ the replicas have it (where they must) ──▶ show
 *     └── fail-over, or the death of who staged it ──▶ finish, by whoever asks for what there is
 *
 * What devices were shown under a number must not come back as something else after a fail-over
 * that lost the last writes. So it is put aside first, where no gateway looks, and shown
 * when the replicas have it: the next master then has it too, and finishes what was begun.
 * What is staged under a number is never replaced by something else; it is shown first.
 * @module
 */
import { script } from "./script.ts";

/**
 * KEYS lease, current, next; ARGV token, version, version before, content hash, ladder, release.
 * A resend by the same token is "ok", whether it is still staged or already shown.
 */
export const stageReleaseScript = script(`
local token, version, hash = ARGV[1], ARGV[2], ARGV[4]
local last = redis.call('HMGET', KEYS[2], 'version', 'token', 'hash')
if last[1] == version and last[2] == token and last[3] == hash then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= token then return 'lease.lost' end
if (last[1] or '0') ~= ARGV[3] then return 'release.version' end
local next = redis.call('HMGET', KEYS[3], 'version', 'hash')
if next[1] == version and next[2] ~= hash then return 'release.version' end
redis.call('HSET', KEYS[3], 'version', version, 'token', token, 'hash', hash,
  'ladder', ARGV[5], 'release', ARGV[6])
return 'ok'
`);

/** The current release becomes what is staged; KEYS current, releases, next at 2, 3, 4. */
const SHOW_RELEASE = `
local function show(kept)
  redis.call('LPUSH', KEYS[3], redis.call('HGET', KEYS[4], 'release'))
  redis.call('LTRIM', KEYS[3], 0, tonumber(kept) - 1)
  redis.call('HDEL', KEYS[4], 'release')
  redis.call('RENAME', KEYS[4], KEYS[2])
end`;

/** KEYS lease, current, releases, next; ARGV token, version, content hash, releases kept, channel, event. */
export const showReleaseScript = script(`${SHOW_RELEASE}
local token, version, hash = ARGV[1], ARGV[2], ARGV[3]
local last = redis.call('HMGET', KEYS[2], 'version', 'token', 'hash')
if last[1] == version and last[2] == token and last[3] == hash then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= token then return 'lease.lost' end
local next = redis.call('HMGET', KEYS[4], 'version', 'hash')
if next[1] ~= version or next[2] ~= hash then return 'release.version' end
redis.call('HSET', KEYS[4], 'token', token)
show(ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'ok'
`);

/** Needs no lease. KEYS lease, current, releases, next; ARGV releases kept, channel, event without the version. */
export const finishReleaseScript = script(`${SHOW_RELEASE}
local version = redis.call('HGET', KEYS[4], 'version')
if not version then return 'ok' end
local last = tonumber(redis.call('HGET', KEYS[2], 'version') or '0')
if tonumber(version) == last + 1 then
  show(ARGV[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3] .. version)
else
  redis.call('DEL', KEYS[4])
end
return 'ok'
`);

/** KEYS lease, models, next; ARGV token, version, version before, record. */
export const stageModelScript = script(`
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[4] then return 'ok' end
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lease.lost' end
if (redis.call('HGET', KEYS[2], 'newest') or '0') ~= ARGV[3] then return 'model.order' end
local next = redis.call('HMGET', KEYS[3], 'version', 'record')
if next[1] == ARGV[2] and next[2] ~= ARGV[4] then return 'model.order' end
redis.call('HSET', KEYS[3], 'version', ARGV[2], 'record', ARGV[4])
return 'ok'
`);

/**
 * Needs no lease, because what is staged is never replaced. KEYS lease, models, next; ARGV channel,
 * event without the version.
 */
export const finishModelScript = script(`
local next = redis.call('HMGET', KEYS[3], 'version', 'record')
if not next[1] then return 'ok' end
redis.call('DEL', KEYS[3])
local last = tonumber(redis.call('HGET', KEYS[2], 'newest') or '0')
if tonumber(next[1]) == last + 1 then
  redis.call('HSET', KEYS[2], next[1], next[2], 'newest', next[1])
  redis.call('PUBLISH', ARGV[1], ARGV[2] .. next[1])
end
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
