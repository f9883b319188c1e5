/**
 * Leases in the store: `<prefix>:l:<hidden name>` has `<number>:<owner>:` and a sealed time. The number and the owner are in plain text for
 * the script that compares them, and are sealed in with the rest. Each term of a holder has a larger number than the terms before it; a term
 * without an owner was released.
 */
import { readJson } from '../wire/json.js';
import { hiddenName, joined, type FleetKeys } from './keys.js';
import type { Script } from './store.js';

/** How long the store keeps a lease after its last renewal. */
export const LEASE_MS = 10_000;
/** The largest value that is read, in bytes. */
const MAX_BYTES = 512;

/**
 * KEYS: the lease. ARGV: the value to write, 1 if it may be made where there is none, a value that it may replace, and how others begin
 * that it may replace. Returns 0: there is none; 1: replaced; 2: made; or {ms until it runs out, its value} of another one, which runs out
 * after 10 s at the most.
 */
export const LEASE: Script = {
  name: 'lease',
  keys: 1,
  lua: `
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then held = '' end
if not held then
  if ARGV[2] ~= '1' then return 0 end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS})
  return 2
end
local mine = held ~= '' and held == ARGV[3]
for i = 4, #ARGV do
  mine = mine or string.sub(held, 1, #ARGV[i]) == ARGV[i]
end
if mine then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ${LEASE_MS})
  return 1
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > ${LEASE_MS} then
  left = ${LEASE_MS}
  redis.call('PEXPIRE', KEYS[1], left)
end
if #held > ${MAX_BYTES} then held = '' end
return {left, held}`,
};

/** What a value in the store says. */
export interface StoredLease {
  readonly number: number;
  /** The identity of the holder; empty: it was released. */
  readonly owner: string;
  /** When it was sealed, in Unix milliseconds by the clock of the store. */
  readonly at: number;
}

/** What the script found: nothing, what it wrote, or a value it left alone. */
export type Answer = 'none' | 'replaced' | 'made' | { readonly left: number; readonly value: Buffer };

/**
 * Names of a lease in the store: one for each state key, that of the current key first. A holder has all of them, so that replicas that are
 * in the middle of a change of the key have one in common.
 */
export function leaseNames(keys: FleetKeys, prefix: string, server: string, config: string): string[] {
  const text = joined('fleet', prefix, server, config);
  return keys.all('name').map((key) => hiddenName(key, text));
}

/** undefined: no replica of this fleet wrote the value under this name. Never throws. */
export function readLease(keys: FleetKeys, name: string, value: Buffer): StoredLease | undefined {
  const found = /^(\d{1,15}):((?:[0-9a-f]{10})?):/.exec(value.toString('latin1', 0, 32));
  if (!found) return undefined;
  const [begin, number, owner = ''] = found;
  const plain = keys.open('store', contextOf(name, begin), value.subarray(begin.length));
  const at = plain && readJson(plain);
  return typeof at === 'number' ? { number: Number(number), owner, at } : undefined;
}

export function sealLease(keys: FleetKeys, name: string, { number, owner, at }: StoredLease): Buffer {
  const begin = beginOf(number, owner);
  return Buffer.concat([
    Buffer.from(begin),
    keys.seal('store', contextOf(name, begin), String(Math.round(at))),
  ]);
}

/** How a value begins. */
export function beginOf(number: number, owner: string): string {
  return `${number}:${owner}:`;
}

function contextOf(name: string, begin: string): string {
  return `lease\0${name}\0${begin}`;
}

/** Reads what LEASE returns. Never throws. */
export function answerIn(answer: unknown): Answer {
  if (Array.isArray(answer)) {
    const [left, value] = answer as unknown[];
    return {
      left: typeof left === 'number' && left >= 0 && left <= LEASE_MS ? left : LEASE_MS,
      value: Buffer.isBuffer(value) ? value : Buffer.alloc(0),
    };
  }
  return answer === 1 ? 'replaced' : answer === 2 ? 'made' : 'none';
}
