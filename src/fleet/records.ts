/**
 * Records of sessions in the store: `<prefix>:s:<hidden name>` has `<generation>:<owner>:` and sealed JSON. The generation and the owner are
 * in plain text for the scripts that compare them, and are sealed in with the rest.
 */
import { isObject } from '../wire/json.js';
import { hiddenName, type FleetKeys } from './keys.js';
import type { FleetStore, Script } from './store.js';

/** The largest record, in bytes. */
export const MAX_RECORD_BYTES = 16_384;

/** What replicas need to go on with a session. */
export interface KeptSession {
  /** The id of its principal. */
  readonly principal: string;
  readonly route: string;
  readonly server?: string | undefined;
  readonly profile?: string | undefined;
  readonly revision: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly clientInfo?: string | undefined;
  readonly opener?: string | undefined;
  readonly level?: string | undefined;
  /** Servers and their URIs. */
  readonly subscriptions?: readonly (readonly [server: string, uri: string])[] | undefined;
  /** Servers whose pages of apps it has read. */
  readonly pages?: readonly string[] | undefined;
}

export interface StoredSession {
  readonly generation: number;
  /** The replica that has it; empty: none has. */
  readonly owner: string;
  readonly kept: KeptSession;
}

/** A record as it was read. */
export interface FoundRecord extends StoredSession {
  /** Its name in the store. */
  readonly name: string;
}

/** `isLater` in a script, of a whole record. */
const IS_LATER = `
local function isLater(record, mine, me)
  local generation, owner = string.match(record, '^(%d+):(%x*):')
  generation = tonumber(generation)
  return generation and (generation > mine or (generation == mine and owner ~= me and owner ~= ''))
end`;

/** KEYS: the record. ARGV: generation, owner, value, TTL in ms. A put wins over none and over a lower generation. Returns what won instead. */
const PUT: Script = {
  name: 'put',
  keys: 1,
  lua: `${IS_LATER}
local old = redis.call('GET', KEYS[1])
if old and isLater(old, tonumber(ARGV[1]), ARGV[2]) then return string.sub(old, 1, 64) end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return false`,
};

/** KEYS: the record. ARGV: how it has to begin, value, TTL in ms. Returns 1: done; 0: it is another one, or gone. */
const TAKE: Script = {
  name: 'take',
  keys: 1,
  lua: `
local old = redis.call('GET', KEYS[1])
if not old or string.sub(old, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`,
};

/** KEYS: the record. ARGV: generation, owner. Removes it unless another replica has gone on with it. */
const END: Script = {
  name: 'end',
  keys: 1,
  lua: `${IS_LATER}
local old = redis.call('GET', KEYS[1])
if old and isLater(old, tonumber(ARGV[1]), ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
return 1`,
};

/** KEYS: the record. Returns how it begins. */
const PEEK: Script = { name: 'peek', keys: 1, lua: `return redis.call('GETRANGE', KEYS[1], 0, 63)` };

export interface RecordsDeps {
  readonly store: FleetStore;
  readonly keys: FleetKeys;
  readonly prefix: string;
  readonly ttlMs: number;
  /** A value is not of this fleet, or was put back. */
  readonly stranger: () => void;
}

/** Each method rejects with a StoreError if the store is away. */
export class SessionRecords {
  readonly #deps: RecordsDeps;

  constructor(deps: RecordsDeps) {
    this.#deps = deps;
  }

  /** undefined: there is none. While the state key is changed, there may be two: the later one counts. */
  async read(id: string): Promise<FoundRecord | undefined> {
    const { store, keys, prefix, stranger } = this.#deps;
    let last: FoundRecord | undefined;
    for (const key of keys.all('name')) {
      const name = hiddenName(key, id);
      const value = await store.get(`${prefix}:s:${name}`);
      if (!value) continue;
      const stored = value.length <= 2 * MAX_RECORD_BYTES ? this.#open(name, value) : undefined;
      if (!stored) stranger();
      else if (!last || stored.generation > last.generation) last = { ...stored, name };
    }
    return last;
  }

  /** Writes a record. false: another replica has gone on with the session. undefined: it is too large to be kept. */
  async put(id: string, stored: StoredSession): Promise<boolean | undefined> {
    const { store, keys, prefix, ttlMs } = this.#deps;
    const name = hiddenName(keys.current('name'), id);
    const value = this.#seal(name, stored);
    if (!value) return undefined;
    const { generation, owner } = stored;
    return (await store.run(PUT, [`${prefix}:s:${name}`], [generation, owner, value, ttlMs])) === null;
  }

  /** Replaces a record that is still the one that was read. false: it is not. undefined: it is too large to be kept. */
  async take(read: FoundRecord, next: StoredSession): Promise<boolean | undefined> {
    const { store, prefix, ttlMs } = this.#deps;
    const value = this.#seal(read.name, next);
    if (!value) return undefined;
    const begin = beginOf(read.generation, read.owner);
    return (await store.run(TAKE, [`${prefix}:s:${read.name}`], [begin, value, ttlMs])) === 1;
  }

  /** Leaves a session to whoever takes it, if it still is this replica's. */
  async release(id: string, { generation, owner, kept }: StoredSession): Promise<void> {
    const name = hiddenName(this.#deps.keys.current('name'), id);
    await this.take({ generation, owner, kept, name }, { generation, owner: '', kept });
  }

  /** Removes a record, unless another replica has gone on with the session. */
  async end(id: string, generation: number, owner: string): Promise<void> {
    for (const key of this.#keysOf(id)) await this.#deps.store.run(END, [key], [generation, owner]);
  }

  /** Whether another replica has gone on with a session. */
  async isPassed(id: string, generation: number, owner: string): Promise<boolean> {
    for (const key of this.#keysOf(id)) {
      const begin = String(await this.#deps.store.run(PEEK, [key], []));
      const found = /^(\d{1,15}):([0-9a-f]*):/.exec(begin);
      if (!found) continue;
      if (isLater(Number(found[1]), found[2] ?? '', generation, owner)) return true;
    }
    return false;
  }

  /** What is sent to a replica that takes a session over. */
  sealFor(to: string, id: string, stored: StoredSession): Buffer {
    return this.#deps.keys.seal('peer', `handed\0${to}\0${id}`, JSON.stringify(stored));
  }

  openFor(self: string, id: string, sealed: Buffer): StoredSession | undefined {
    const plain = this.#deps.keys.open('peer', `handed\0${self}\0${id}`, sealed);
    return plain && (JSON.parse(plain.toString('utf8')) as StoredSession);
  }

  #keysOf(id: string): string[] {
    const { keys, prefix } = this.#deps;
    return keys.all('name').map((key) => `${prefix}:s:${hiddenName(key, id)}`);
  }

  #seal(name: string, { generation, owner, kept }: StoredSession): Buffer | undefined {
    const json = JSON.stringify(kept);
    if (Buffer.byteLength(json) > MAX_RECORD_BYTES) return undefined;
    const begin = beginOf(generation, owner);
    return Buffer.concat([Buffer.from(begin), this.#deps.keys.seal('store', contextOf(name, begin), json)]);
  }

  #open(name: string, value: Buffer): StoredSession | undefined {
    const found = /^(\d{1,15}):((?:[0-9a-f]{10})?):/.exec(value.toString('latin1', 0, 64));
    if (!found) return undefined;
    const [begin, generation, owner = ''] = found;
    const plain = this.#deps.keys.open('store', contextOf(name, begin), value.subarray(begin.length));
    if (!plain) return undefined;
    const kept: unknown = JSON.parse(plain.toString('utf8'));
    return isObject(kept)
      ? { generation: Number(generation), owner, kept: kept as unknown as KeptSession }
      : undefined;
  }
}

/** Whether another replica has gone on with the session of a record. */
function isLater(generation: number, owner: string, mine: number, me: string): boolean {
  return generation > mine || (generation === mine && owner !== me && owner !== '');
}

function beginOf(generation: number, owner: string): string {
  return `${generation}:${owner}:`;
}

function contextOf(name: string, begin: string): string {
  return `session\0${name}\0${begin}`;
}
