/**
 * Records of sessions in the store: `<prefix>:s:<hidden name>` has `<generation>:<owner>:` and sealed JSON. The generation and the owner are
 * in plain text for the scripts that compare them, and are sealed in with the rest: a replica believes nothing of them before it has opened
 * the record, and replaces what nobody can open.
 */
import { isObject } from '../wire/json.js';
import { hiddenName, type FleetKeys } from './keys.js';
import { StoreError } from './store-error.js';
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
  /** The whole value. */
  readonly value: Buffer;
}

/** No value of a fleet is longer; the rest of one that is longer is not read. */
const MAX_VALUE_BYTES = 2 * MAX_RECORD_BYTES;
/** How often a script is run anew because somebody else has changed the value that was judged. */
const JUDGEMENTS = 3;

/**
 * `inTheWay(key, generation, owner, judged)` in a script: whether what is there may be of a replica that has gone on with a session. False: it
 * is not. True: no replica has made it. Otherwise the value, whose beginning says so: only who opens it knows whether that is true. `judged`
 * has been opened, or could not be.
 */
const IN_THE_WAY = `
local function inTheWay(key, mine, me, judged)
  local size = redis.pcall('STRLEN', key)
  if type(size) == 'table' or size > ${MAX_VALUE_BYTES} then return true end
  if size == 0 then return false end
  local old = redis.call('GET', key)
  if old == judged then return false end
  local generation, owner = string.match(old, '^(%d+):(%x*):')
  generation = tonumber(generation)
  if not generation then return true end
  if generation > mine or (generation == mine and owner ~= me and owner ~= '') then return old end
  return false
end`;

/** KEYS: the record. ARGV: generation, owner, a value that was judged. Each returns 1, 2: the same, over a stranger's value, or a value to judge. */
const judged = (name: string, then: string): Script => ({
  name,
  keys: 1,
  lua: `${IN_THE_WAY}
local old = inTheWay(KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3])
if type(old) == 'string' then return old end
${then}
return old and 2 or 1`,
});

/** Further ARGV: value, TTL in ms. A put wins over none, over a lower generation, and over what nobody can open. */
const PUT = judged('put', `redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])`);

/** Removes a record unless another replica has gone on with the session. */
const END = judged('end', `redis.call('DEL', KEYS[1])`);

/** Changes nothing. */
const PEEK = judged('peek', '');

/** KEYS: the record. ARGV: what has to be there, value, TTL in ms. Returns 1: done; 0: it is another one, or gone. */
const TAKE: Script = {
  name: 'take',
  keys: 1,
  lua: `
local size = redis.pcall('STRLEN', KEYS[1])
if type(size) == 'table' or size ~= #ARGV[1] or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`,
};

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

  /**
   * undefined: there is none. 'strange': there is something that no replica of this fleet has made. While the state key is changed, there may
   * be two records: the later one counts.
   */
  async read(id: string): Promise<FoundRecord | 'strange' | undefined> {
    const { store, keys, prefix, stranger } = this.#deps;
    let last: FoundRecord | 'strange' | undefined;
    for (const key of keys.all('name')) {
      const name = hiddenName(key, id);
      const value = await store.get(`${prefix}:s:${name}`, MAX_VALUE_BYTES);
      if (!value) continue;
      const stored = this.#open(name, value);
      if (!stored) {
        stranger();
        last ??= 'strange';
      } else if (typeof last !== 'object' || stored.generation > last.generation)
        last = { ...stored, name, value };
    }
    return last;
  }

  /** Writes a record. false: another replica has gone on with the session. undefined: it is too large to be kept. */
  async put(id: string, stored: StoredSession): Promise<boolean | undefined> {
    return await this.#put(id, stored, stored.owner);
  }

  /** Replaces a record that is still the one that was read. false: it is not. undefined: it is too large to be kept. */
  async take(read: FoundRecord, next: StoredSession): Promise<boolean | undefined> {
    const { store, prefix, ttlMs } = this.#deps;
    const value = this.#seal(read.name, next);
    if (!value) return undefined;
    return (await store.run(TAKE, [`${prefix}:s:${read.name}`], [read.value, value, ttlMs])) === 1;
  }

  /** Leaves a session to whoever takes it, unless another replica has gone on with it. */
  async release(id: string, { generation, owner, kept }: StoredSession): Promise<void> {
    await this.#put(id, { generation, owner: '', kept }, owner);
  }

  /** Removes a record, unless another replica has gone on with the session. */
  async end(id: string, generation: number, owner: string): Promise<void> {
    for (const name of this.#namesOf(id)) await this.#judge(END, name, generation, owner, []);
  }

  /** Whether another replica has gone on with a session; 'strange': what the store has is of no replica, and has to be replaced. */
  async isPassed(id: string, generation: number, owner: string): Promise<boolean | 'strange'> {
    let isStrange = false;
    for (const name of this.#namesOf(id)) {
      const found = await this.#judge(PEEK, name, generation, owner, []);
      if (found === 'later') return true;
      isStrange ||= found === 'strange';
    }
    return isStrange && 'strange';
  }

  /** What is sent to a replica that takes a session over. */
  sealFor(to: string, id: string, stored: StoredSession): Buffer {
    return this.#deps.keys.seal('peer', `handed\0${to}\0${id}`, JSON.stringify(stored));
  }

  openFor(self: string, id: string, sealed: Buffer): StoredSession | undefined {
    const plain = this.#deps.keys.open('peer', `handed\0${self}\0${id}`, sealed);
    return plain && (JSON.parse(plain.toString('utf8')) as StoredSession);
  }

  #namesOf(id: string): string[] {
    return this.#deps.keys.all('name').map((key) => hiddenName(key, id));
  }

  async #put(id: string, stored: StoredSession, me: string): Promise<boolean | undefined> {
    const { keys, ttlMs } = this.#deps;
    const name = hiddenName(keys.current('name'), id);
    const value = this.#seal(name, stored);
    return value && (await this.#judge(PUT, name, stored.generation, me, [value, ttlMs])) !== 'later';
  }

  /**
   * Runs a script that asks first whether another replica has gone on with a session. 'later': one has, and nothing was done; 'strange': it
   * was done over a value that no replica has made.
   */
  async #judge(
    script: Script,
    name: string,
    generation: number,
    owner: string,
    args: readonly (Buffer | number)[],
  ): Promise<'done' | 'later' | 'strange'> {
    const { store, prefix, stranger } = this.#deps;
    let foreign: Buffer | undefined;
    for (let left = JUDGEMENTS; left > 0; left--) {
      const answer = await store.run(
        script,
        [`${prefix}:s:${name}`],
        [generation, owner, foreign ?? '', ...args],
      );
      if (!Buffer.isBuffer(answer)) {
        if (answer === 2) stranger();
        return answer === 2 || foreign ? 'strange' : 'done';
      }
      const found = this.#open(name, answer);
      if (found && isLater(found, generation, owner)) return 'later';
      stranger();
      foreign = answer;
    }
    throw new StoreError('refused', 'somebody else writes to the records of sessions in the store');
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

/** Whether another replica has gone on with the session of a record that was opened. */
function isLater({ generation, owner }: StoredSession, mine: number, me: string): boolean {
  return generation > mine || (generation === mine && owner !== me && owner !== '');
}

function beginOf(generation: number, owner: string): string {
  return `${generation}:${owner}:`;
}

function contextOf(name: string, begin: string): string {
  return `session\0${name}\0${begin}`;
}
