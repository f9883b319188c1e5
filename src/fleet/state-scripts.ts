/** What the store does for the state, each in one step. */
import { MAX_FILE_BYTES } from '../state/sealed.js';
import { OTHER_TYPE } from './store-commands.js';
import type { Script } from './store.js';

/** The largest entry of an index, and the longest name of one, in bytes. */
const MAX_ENTRY_BYTES = 8192;
/** No lock is taken for longer. */
const MAX_LOCK_MS = 600_000;
/** Removes a key that is not a hash, as an index is. */
const ONLY_HASH = `
local function onlyHash(key)
  local found = redis.call('TYPE', key).ok
  if found ~= 'hash' and found ~= 'none' then redis.call('DEL', key) end
end`;

/** Writes a record, and its entry in the index, if what is there has this SHA-1 (an empty string: if nothing is). Returns 1 if so. */
export const PUT: Script = {
  name: 'state-put',
  keys: 2,
  // As `get` of the store reads it.
  lua: `${ONLY_HASH}
onlyHash(KEYS[2])
local old = redis.pcall('GETRANGE', KEYS[1], 0, ${MAX_FILE_BYTES})
if type(old) == 'table' then old = string.char(${OTHER_TYPE[0]}) end
if (old ~= '' and redis.sha1hex(old) or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
return 1`,
};

export const REMOVE: Script = {
  name: 'state-remove',
  keys: 2,
  lua: `redis.call('DEL', KEYS[1])
redis.pcall('HDEL', KEYS[2], ARGV[1])
return 1`,
};

/** All of an index, or 0 if it has more entries than that. What is too large for an entry is removed. */
export const ALL_KEYS: Script = {
  name: 'state-keys',
  keys: 1,
  lua: `${ONLY_HASH}
onlyHash(KEYS[1])
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return 0 end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #name > 64 or redis.call('HSTRLEN', KEYS[1], name) > ${MAX_ENTRY_BYTES} then redis.call('HDEL', KEYS[1], name) end
end
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
  // Who has it already keeps it for that time. What stays for longer than any holder asks for was written by somebody else.
  lua: `local left = redis.call('PTTL', KEYS[1])
if left == -1 or left > ${MAX_LOCK_MS} or redis.call('TYPE', KEYS[1]).ok ~= 'string' then redis.call('DEL', KEYS[1]) end
if redis.call('GETRANGE', KEYS[1], 0, 64) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0`,
};

export const UNLOCK: Script = {
  name: 'state-unlock',
  keys: 1,
  lua: `if redis.pcall('GETRANGE', KEYS[1], 0, 64) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`,
};
