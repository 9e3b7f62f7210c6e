/**
 * What wrong clocks leave in the queue's keys.
 *
 * The lock of a job and BullMQ's own look at the stalled ones are keys that expire by the clock of
 * Redis: those set while it was an hour ahead last for an hour once it is right again. When a
 * delayed job is due is said by the worker that put it off, whose clock may have been wrong too.
 * Until then nobody takes these jobs back.
 * @module
 */
import type { Cluster, Redis } from "ioredis";
import { AHEAD_MS_MAX } from "./job-options.ts";

interface MendSettings {
  /** `Queue.qualifiedName`, hash tag included. */
  readonly base: string;
  /** How long a lock is given for, milliseconds. */
  readonly lockMs: number;
}

/** Locks of live workers are this much shorter than what counts as wrong. */
const LOCKS_AHEAD = 2;
/** Delayed jobs brought back in one go. */
const DELAYED_MAX = 1_000;

/**
 * KEYS stalled-check, active, delayed, marker; ARGV the prefix of a job's key, the most that anything
 * may lie ahead, ms, how long a lock is to last, ms, the most delayed jobs. Answers how much was
 * mended. BullMQ's scores are milliseconds times 4,096, and a marker of score 0 wakes a worker.
 */
const MEND = `
local job, ahead, lock = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local mended = 0
if redis.call('PTTL', KEYS[1]) > ahead then
  mended = mended + redis.call('DEL', KEYS[1])
end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if redis.call('PTTL', job .. id .. ':lock') > ahead then
    mended = mended + redis.call('PEXPIRE', job .. id .. ':lock', lock)
  end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local from = string.format('%.0f', (now + ahead) * 4096)
local late = redis.call('ZRANGEBYSCORE', KEYS[3], from, '+inf', 'LIMIT', 0, ARGV[4])
for _, id in ipairs(late) do
  redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now * 4096), id)
end
if #late > 0 then redis.call('ZADD', KEYS[4], 0, '0') end
return mended + #late
`;

/**
 * Brings what lies too far in the future of a queue back; gives how much that was. A worker that
 * still holds a job renews its lock or has it run a second time, which the aggregate's cursors make
 * once (P2). Rejects as the client does.
 */
export async function mendClocks(
  client: Redis | Cluster,
  { base, lockMs }: MendSettings,
): Promise<number> {
  const keys = ["stalled-check", "active", "delayed", "marker"].map((name) => `${base}:${name}`);
  const aheadMs = Math.max(AHEAD_MS_MAX, LOCKS_AHEAD * lockMs);
  const mended = await client.eval(
    ...([MEND, keys.length, ...keys] as const),
    ...[`${base}:`, aheadMs, lockMs, DELAYED_MAX],
  );
  return Number(mended);
}
