/** What the store does for the state, each in one step. */
import type { Script } from './store.js';

/** Writes a record, and its entry in the index, if what is there has this SHA-1 (an empty string: if nothing is). Returns 1 if so. */
export const PUT: Script = {
  name: 'state-put',
  keys: 2,
  lua: `local old = redis.call('GET', KEYS[1])
if (old and redis.sha1hex(old) or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
return 1`,
};

export const REMOVE: Script = {
  name: 'state-remove',
  keys: 2,
  lua: `redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1`,
};

/** All of an index, or 0 if it has more entries than that. */
export const ALL_KEYS: Script = {
  name: 'state-keys',
  keys: 1,
  lua: `if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return 0 end
return redis.call('HGETALL', KEYS[1])`,
};

/** Removes entries of an index that still have these SHA-1s. */
export const FORGET: Script = {
  name: 'state-forget',
  keys: 1,
  lua: `for at = 1, #ARGV, 2 do
  local entry = redis.call('HGET', KEYS[1], ARGV[at])
  if entry and redis.sha1hex(entry) == ARGV[at + 1] then redis.call('HDEL', KEYS[1], ARGV[at]) end
end
return 1`,
};

/** Milliseconds, by the store's clock. */
export const TIME: Script = {
  name: 'state-time',
  keys: 1,
  lua: `local now = redis.call('TIME')
return now[1] * 1000 + math.floor(now[2] / 1000)`,
};

export const LOCK: Script = {
  name: 'state-lock',
  keys: 1,
  // The answer to an earlier attempt may be lost.
  lua: `if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0`,
};

export const UNLOCK: Script = {
  name: 'state-unlock',
  keys: 1,
  lua: `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`,
};
