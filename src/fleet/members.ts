/**
 * The replicas of a fleet, as the store has them: each writes itself every second and reads all. Only the clock of the store says who has run
 * out. What is read was sealed by a replica, or is ignored.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../observe/log.js';
import { isObject } from '../wire/json.js';
import { isReplicaId } from './ids.js';
import { type FleetKeys } from './keys.js';
import type { FleetStore, Script } from './store.js';

/** The version of what replicas send and store. A release reads its own and the one before. */
export const FLEET_VERSION = 1;
const TICK_MS = 1000;
/** A replica that wrote nothing for this long has run out. */
const MEMBER_MS = 4000;
/** After a gap of this length between ticks, what replicas have written may have run out. */
const AWAY_MS = MEMBER_MS / 2;
/** The clock of the store has gone on by so much more or less than that of this process: it was set, or another store has taken over. */
const SET_MS = 500;
/** What a replica wrote longer ago than this was put back by somebody else; so much later, it is of before the clock was set back. */
const REPLAYED_MS = 10_000;
/** How long after a reconnect, and after a new epoch, what the store lacks proves nothing. */
const YOUNG_MS = 5000;
const NEW_MS = 10_000;
/** A tick that is this much late: the process was stopped, or its machine. */
const LATE_MS = 3000;
/** Replicas of one fleet, at the most. */
const MAX_MEMBERS = 256;
/** The largest record of a replica, in bytes. */
const MAX_RECORD_BYTES = 65_536;
/** Entries that one tick removes because they ran out, and because they are not of replicas. */
const MAX_DROPPED = 1000;
/** The shortest time between two reloads of the whole fleet: who writes to the store can ask for any number of them. */
const RELOAD_MS = 3000;
/** How long an address of a replica that has run out is remembered. */
const PAST_MS = 600_000;

/** What replicas tell each other about themselves. */
export interface MemberFacts {
  readonly name: string;
  /** `host:port` of its port for replicas. */
  readonly address: string;
  readonly draining: boolean;
  /** A hash of what should be the same in all replicas. */
  readonly config: string;
  /** A hash of what it lists for a caller without restrictions. */
  readonly lists: string;
  /** The servers that are up there. */
  readonly up: readonly string[];
  /** Those that are connected in the modern era; undefined: an older release does not say. */
  readonly modern?: readonly string[];
  /** Why it refused to reload when all were asked last; null: it did not. */
  readonly refused: string | null;
}

export interface Member extends MemberFacts {
  readonly id: string;
  /** The version that it speaks. */
  readonly v: number;
  /** The last reload of the whole fleet that it has done, or refused. */
  readonly reloads: number;
}

export interface MembersDeps {
  readonly self: string;
  readonly prefix: string;
  readonly keys: FleetKeys;
  readonly store: FleetStore;
  readonly log: Logger;
  /** What is written about this replica. */
  readonly facts: () => MemberFacts;
  /** A value in the store is not of this fleet, or was put back. */
  readonly stranger: () => void;
  /** After each tick that reached the store. */
  readonly ticked: () => void;
  /** A replica ran out, or left. */
  readonly gone: (member: Member) => void;
  /** The store has lost what it had: everything has to be written again. */
  readonly emptied: () => void;
  /** The process, or its machine, was stopped for a while. */
  readonly resumed: () => void;
  /** All replicas were asked to reload. Never rejects. */
  readonly reload: () => Promise<void>;
  /** performance.now(). */
  readonly now?: () => number;
  /** Unix milliseconds of this machine. */
  readonly clock?: () => number;
}

/**
 * KEYS: expiries by replica, records by replica, epoch, number of reloads. ARGV: replica, its record or nothing, an epoch in case there is none.
 * Returns the time, the epoch, whether it was made now, the number of reloads, and replicas and records in turn. What cannot be of a fleet is
 * removed: values of other types and sizes, and expiries later than any that a replica writes, as those of before the clock was set back.
 */
const TICK: Script = {
  name: 'tick',
  keys: 4,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index, wanted in ipairs({'zset', 'hash', 'string', 'string'}) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= wanted and found ~= 'none' then redis.call('DEL', KEYS[index]) end
end
local function drop(ids)
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
  end
end
drop(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ${MAX_DROPPED}))
drop(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + ${MEMBER_MS}), '+inf', 'LIMIT', 0, ${MAX_DROPPED}))
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[1], now + ${MEMBER_MS}, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
local made = 0
local epoch = redis.call('STRLEN', KEYS[3]) == #ARGV[3] and redis.call('GET', KEYS[3])
if not epoch then
  epoch = ARGV[3]
  redis.call('SET', KEYS[3], epoch)
  made = 1
end
local reloads = redis.call('STRLEN', KEYS[4]) <= 16 and redis.call('GET', KEYS[4]) or '0'
local answer = {string.format('%.0f', now), epoch, made, reloads}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ${MAX_MEMBERS - 1})) do
  local size = redis.call('HSTRLEN', KEYS[2], id)
  if #id <= 32 and size > 0 and size <= ${MAX_RECORD_BYTES} then
    answer[#answer + 1] = id
    answer[#answer + 1] = redis.call('HGET', KEYS[2], id)
  end
end
return answer`,
};

/** KEYS: expiries, records. ARGV: replica. */
const LEAVE: Script = {
  name: 'leave',
  keys: 2,
  lua: `redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1`,
};

/** KEYS: number of reloads. What is not such a number is replaced. */
const RAISE: Script = {
  name: 'reload',
  keys: 1,
  lua: `
local old = redis.pcall('GETRANGE', KEYS[1], 0, 16)
if type(old) ~= 'string' or not string.match(old, '^%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then old = redis.call('TIME')[1] end
local number = string.format('%.0f', (tonumber(old) or 0) + 1)
redis.call('SET', KEYS[1], number)
return number`,
};

interface Past {
  readonly member: Member;
  readonly at: number;
}

export class Members {
  readonly #deps: MembersDeps;
  readonly #now: () => number;
  readonly #clock: () => number;
  #live = new Map<string, Member>();
  /** Those that ran out, for the question whether they are there after all. */
  readonly #past = new Map<string, Past>();
  #timer: NodeJS.Timeout | undefined;
  /** Resolves `start`. */
  #known: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;
  /** When the store was last read, by `now`, and what its clock said. */
  #read: { readonly at: number; readonly time: number } | undefined;
  #lastTick: number;
  /** The same by the clock of the machine, which goes on while it is suspended. */
  #lastClock: number;
  #epoch: string | undefined;
  /** Until then, by `now`, the store is young for its epoch. */
  #newUntil = -Infinity;
  /** What has to be written again is, at that time by `now` or later; undefined: nothing has to. */
  #emptyAt: number | undefined;
  #emptiedAt = -Infinity;
  /** Until then, by `now`, the store may not know yet who is there. */
  #sparseUntil = -Infinity;
  /** How long replicas that are held to be live have been missing in the store, in ms. */
  readonly #missing = new Map<string, number>();
  /** How many reloads of the whole fleet were asked for, and how many of them are done here. */
  #reloads: number | undefined;
  #reloaded = 0;
  #isReloading = false;
  #reloadedAt = -Infinity;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
    this.#clock = deps.clock ?? Date.now;
    this.#lastTick = this.#now();
    this.#lastClock = this.#clock();
  }

  /** Begins to tick. Resolves when this replica is written and the others are known, which may be never; never rejects. */
  start(): Promise<void> {
    const first = new Promise<void>((resolve) => (this.#known = resolve));
    this.#schedule();
    void this.tick();
    return first;
  }

  /** All replicas that have not run out, this one among them once it is written. */
  get live(): ReadonlyMap<string, Member> {
    return this.#live;
  }

  /** The other ones. */
  others(): Member[] {
    return [...this.#live.values()].filter(({ id }) => id !== this.#deps.self);
  }

  /** A replica, also one that ran out not long ago. */
  find(id: string): Member | undefined {
    return this.#live.get(id) ?? this.#past.get(id)?.member;
  }

  /** What the store lacks proves that it does not exist. */
  get isSure(): boolean {
    const { upSince } = this.#deps.store;
    const now = this.#now();
    // While it is slow, others may come and go unseen.
    if (upSince === undefined || !this.#read || this.#read.at < upSince || now - this.#read.at > MEMBER_MS)
      return false;
    return now - upSince >= YOUNG_MS && now >= this.#newUntil;
  }

  /**
   * The same, and the store has not lost its data since it was read. Unlike a tick, this costs little, and nobody waits for what others ask.
   * Never rejects.
   */
  async isStillSure(): Promise<boolean> {
    if (!this.isSure) return false;
    const epoch = await this.#deps.store.get(this.#key('{r}:e')).catch(() => undefined);
    return epoch !== undefined && String(epoch) === this.#epoch && this.isSure;
  }

  /** Whether the process may have been stopped: what it holds may belong to others by now. */
  get isLate(): boolean {
    return (
      this.#now() - this.#lastTick > TICK_MS + LATE_MS || this.#clock() - this.#lastClock > TICK_MS + LATE_MS
    );
  }

  /** Unix milliseconds by the clock of the store, as far as it is known. */
  storeTime(): number {
    return this.#read ? this.#read.time + (this.#now() - this.#read.at) : this.#clock();
  }

  /** How much the clock of this machine is ahead of that of the store, in ms; undefined: not known. */
  get clockOffset(): number | undefined {
    return this.#read && this.#clock() - this.storeTime();
  }

  /** Writes this replica and reads all, now. Never rejects. */
  tick(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    if (this.isLate) this.#deps.resumed();
    this.#lastTick = this.#now();
    this.#lastClock = this.#clock();
    const run = this.#tick().finally(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      return this.tick();
    });
    this.#running = run;
    return run;
  }

  /** Asks all replicas to reload. Rejects with a StoreError. */
  async askReload(): Promise<number> {
    const number = await this.#deps.store.run(RAISE, [this.#key('{r}:n')], []);
    return Number(String(number));
  }

  /** Removes this replica. Never rejects. */
  async leave(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
    const { store, self } = this.#deps;
    await store.run(LEAVE, [this.#key('{r}:z'), this.#key('{r}:h')], [self]).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #key(rest: string): string {
    return `${this.#deps.prefix}:${rest}`;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      void this.tick();
      if (!this.#closed) this.#schedule();
    }, TICK_MS).unref();
  }

  async #tick(): Promise<void> {
    const { self, store, keys, facts } = this.#deps;
    // Until the clock of the store is known, nothing is written that others would judge by it.
    const record = this.#read
      ? keys.seal(
          'store',
          `member\0${self}`,
          JSON.stringify({
            ...facts(),
            ...{ id: self, v: FLEET_VERSION, reloads: this.#reloaded, at: Math.round(this.storeTime()) },
          }),
        )
      : '';
    if (!this.#read) this.#again = true;
    let answer: unknown;
    const names = ['{r}:z', '{r}:h', '{r}:e', '{r}:n'].map((rest) => this.#key(rest));
    try {
      answer = await store.run(TICK, names, [self, record, randomBytes(12).toString('hex')]);
    } catch {
      // The store logs that it is away.
      this.#again = false;
      return;
    }
    if (this.#closed || !Array.isArray(answer)) return;
    this.#take(answer as unknown[]);
  }

  #take([time, epoch, made, reloads, ...records]: unknown[]): void {
    const now = this.#now();
    const said = Number(String(time));
    // Of a server that is none.
    if (!Number.isSafeInteger(said)) return;
    const sinceRead = now - (this.#read?.at ?? now);
    const isSet = this.#read !== undefined && Math.abs(said - this.storeTime()) > SET_MS;
    // While the store was away, nobody could write. What was written before its clock was set has run out, or is later than it can be.
    if (sinceRead > AWAY_MS || isSet) this.#becomesSparse(now);
    this.#read = { at: now, time: said };
    this.#takeEpoch(String(epoch), made === 1);
    this.#takeEmptied();
    const live = new Map<string, Member>();
    for (let i = 0; i + 1 < records.length; i += 2) {
      const member = this.#open(String(records[i]), records[i + 1]);
      if (member) live.set(member.id, member);
    }
    const before = this.#live;
    if (now < this.#sparseUntil) this.#keepMissing(before, live, Math.min(sinceRead, AWAY_MS));
    else this.#missing.clear();
    this.#live = live;
    for (const [id, member] of before)
      if (!live.has(id)) {
        this.#past.set(id, { member, at: now });
        if (id !== this.#deps.self) this.#deps.gone(member);
      }
    for (const [id, { at }] of this.#past) if (live.has(id) || now - at > PAST_MS) this.#past.delete(id);
    this.#takeReloads(Number(String(reloads)));
    if (live.has(this.#deps.self)) this.#known();
    this.#deps.ticked();
  }

  #takeEpoch(epoch: string, made: boolean): void {
    if (epoch === this.#epoch) return;
    const isOther = this.#epoch !== undefined;
    this.#epoch = epoch;
    const now = this.#now();
    if (made || isOther) this.#newUntil = now + NEW_MS;
    if (isOther) this.#becomesSparse(now);
    // A store that loses everything all the time, or says so, costs no more than one that does it every few seconds.
    if (isOther) this.#emptyAt ??= Math.max(now, this.#emptiedAt + NEW_MS);
  }

  /** Each replica writes itself again with its next tick. */
  #becomesSparse(now: number): void {
    this.#sparseUntil = now + MEMBER_MS;
  }

  /** Adds those of `before` that a sparse store may lack although they live: each for a limited time, however often the store loses its data. */
  #keepMissing(before: ReadonlyMap<string, Member>, live: Map<string, Member>, passed: number): void {
    for (const id of live.keys()) this.#missing.delete(id);
    for (const [id, member] of before) {
      if (live.has(id)) continue;
      const ms = this.#missing.get(id);
      const missing = ms === undefined ? 0 : ms + passed;
      if (missing < MEMBER_MS) {
        this.#missing.set(id, missing);
        live.set(id, member);
      } else this.#missing.delete(id);
    }
  }

  #takeEmptied(): void {
    const now = this.#now();
    if (this.#emptyAt === undefined || now < this.#emptyAt) return;
    this.#emptyAt = undefined;
    this.#emptiedAt = now;
    this.#newUntil = now + NEW_MS;
    this.#deps.log.warn('the store of the fleet has lost its data: what this replica holds is written again');
    this.#deps.emptied();
  }

  #takeReloads(number: number): void {
    if (!Number.isSafeInteger(number)) return;
    this.#reloads ??= this.#reloaded = number;
    const now = this.#now();
    if (number === this.#reloads || this.#isReloading || now - this.#reloadedAt < RELOAD_MS) return;
    this.#reloads = number;
    this.#reloadedAt = now;
    this.#isReloading = true;
    void this.#deps.reload().then(() => {
      this.#isReloading = false;
      this.#reloaded = number;
      return this.tick();
    });
  }

  #open(id: string, sealed: unknown): Member | undefined {
    const { keys, stranger } = this.#deps;
    const plain =
      isReplicaId(id) && Buffer.isBuffer(sealed) ? keys.open('store', `member\0${id}`, sealed) : undefined;
    const member = plain && memberOf(plain, id);
    if (!member || !(Math.abs(this.storeTime() - member.at) <= REPLAYED_MS)) {
      stranger();
      return undefined;
    }
    return member;
  }
}

function memberOf(plain: Buffer, id: string): (Member & { readonly at: number }) | undefined {
  const read: unknown = JSON.parse(plain.toString('utf8'));
  if (!isObject(read) || read['id'] !== id) return undefined;
  const { v } = read;
  // Later releases speak this version as well as theirs, or another one.
  if (typeof v !== 'number' || v < FLEET_VERSION - 1 || v > FLEET_VERSION + 1) return undefined;
  return read as unknown as Member & { readonly at: number };
}
