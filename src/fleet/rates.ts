/**
 * Rates that all replicas count together, by the generic cell rate algorithm of policy/buckets.ts. A hash for each principal has a number for
 * each bucket: the time at which it is full again, by the clock of the store alone.
 */
import { createHmac } from 'node:crypto';
import type { Wait, Want } from '../policy/buckets.js';
import type { SharedRates } from '../policy/shared-rates.js';
import type { FleetStore, Script } from './store.js';

const WAIT_MS = 100;
/** Buckets of a principal after which those that are full are removed, and after so many more again. */
const PRUNE = 256;
/** Buckets of a principal, at the most. */
const MOST = 100_000;
/** The longest number that a bucket has, in characters. */
const DIGITS = 1024;

/**
 * ARGV: three for each bucket: its field, the milliseconds of a call, the calls at once. Returns `{0, 0}`, or the bucket that is in the way,
 * from 1 on, and the milliseconds until it has room. What somebody else has written there is at most an empty bucket.
 */
const TAKE: Script = {
  name: 'rates-take',
  keys: 1,
  lua: `local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full, worst, wait, last = {}, 0, 0, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HLEN', KEYS[1]) > ${MOST} then redis.call('DEL', KEYS[1]) end
for at = 1, #ARGV / 3 do
  local interval, burst = tonumber(ARGV[at * 3 - 1]), tonumber(ARGV[at * 3])
  local isNumber = redis.call('HSTRLEN', KEYS[1], ARGV[at * 3 - 2]) <= ${DIGITS}
  local there = tonumber(isNumber and redis.call('HGET', KEYS[1], ARGV[at * 3 - 2]) or '') or now
  if there ~= there then there = now end
  full[at] = math.max(now, math.min(there, now + interval * burst))
  local ms = full[at] - now - (burst - 1) * interval
  if ms > 0.01 and ms > wait then worst, wait = at, ms end
  full[at] = full[at] + interval
  last = math.max(last, full[at])
end
if worst > 0 then return {worst, math.ceil(wait)} end
local added = 0
for at = 1, #ARGV / 3 do
  added = added + redis.call('HSET', KEYS[1], ARGV[at * 3 - 2], string.format('%.3f', full[at]))
end
if added > 0 and redis.call('HLEN', KEYS[1]) % ${PRUNE} == 0 then
  local all = redis.call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    if (tonumber(all[at + 1]) or 0) <= now then redis.call('HDEL', KEYS[1], all[at]) end
  end
end
local left = redis.call('PTTL', KEYS[1])
local needed = math.ceil(last - now)
if left < needed then redis.call('PEXPIRE', KEYS[1], needed) end
return {0, 0}`,
};

export interface RatesDeps {
  readonly store: FleetStore;
  /** How the names of all keys in the store begin. */
  readonly prefix: string;
  /** Names buckets; of 32 bytes, for this purpose alone. */
  readonly key: Buffer;
  /** A call is judged by this replica alone. */
  readonly missed: () => void;
}

export class FleetRates implements SharedRates {
  readonly #deps: RatesDeps;

  constructor(deps: RatesDeps) {
    this.#deps = deps;
  }

  async take(owner: string, wants: readonly Want[]): Promise<Wait | 'taken' | undefined> {
    const { store, prefix, missed } = this.#deps;
    const args = wants.flatMap(({ key, rate }) => [this.#name(`bucket ${key}`), rate.interval, rate.burst]);
    const reply = await inTime(store.run(TAKE, [`${prefix}:q:${this.#name(`owner ${owner}`)}`], args));
    const [index, ms] = Array.isArray(reply) ? (reply as unknown[]) : [];
    if (index === 0) return 'taken';
    if (isPositive(index) && index <= wants.length && isPositive(ms)) return { index: index - 1, ms };
    missed();
    return undefined;
  }

  #name(of: string): string {
    return createHmac('sha256', this.#deps.key).update(of).digest('base64url').slice(0, 32);
  }
}

function isPositive(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** undefined: it is late, or it failed. */
function inTime(promise: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, WAIT_MS, undefined);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      () => {
        clearTimeout(timer);
        resolve(undefined);
      },
    );
  });
}
