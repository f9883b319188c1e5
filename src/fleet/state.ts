/**
 * State in the store of a fleet: the records of a folder, sealed in the same way, shared by all replicas. Whoever can read the store learns
 * nothing from it; whoever can write to it can delete a record, and bring an old one back only for a process that has not seen a newer one.
 *
 * What cannot be written is kept in memory until it can, within limits.
 */
import { randomInt } from 'node:crypto';
import type { Logger } from '../observe/log.js';
import { KeyLocks } from '../state/memory.js';
import {
  MAX_FILE_BYTES,
  MAX_VALUE_BYTES,
  placeOf,
  StateError,
  type Kind,
  type PutOptions,
  type Sealed,
  type Stored,
} from '../state/sealed.js';
import type { StateKeys } from '../state/state-key.js';
import { takeLease, takeLeaseWithin } from './state-lease.js';
import { Places, type Place } from './state-places.js';
import { ALL_KEYS, FORGET, PUT, REMOVE, TIME } from './state-scripts.js';
import { isOver, SeenRecords, sha1, type SeenRecord } from './state-seen.js';
import { isAway, stateError } from './state-error.js';
import type { FleetStore } from './store.js';

const FLUSH_MS = 2000;
const SWEEP_MS = 600_000;
const WRITE_MS = 5000;
/** Most keys of a kind. */
const MAX_KEYS = 100_000;
/** Changes that wait for the store. */
const MAX_PENDING = 10_000;
const MAX_PENDING_BYTES = 32 * 1024 * 1024;

export interface FleetStateDeps {
  readonly store: FleetStore;
  /** The first seals and names, all of them open. */
  readonly keys: StateKeys;
  /** How the names of all keys in the store begin. */
  readonly prefix: string;
  readonly log: Logger;
  /** Something in the store is damaged, forged or older than what this process has seen. */
  readonly stranger: () => void;
  /** Unix time in milliseconds. */
  readonly now?: () => number;
}

/** A change that is kept in memory. */
interface Pending {
  /** undefined: the record is to be removed. */
  readonly record: SeenRecord | undefined;
  /** The generation in the store that it follows; 0: none. */
  readonly base: number;
}

/** What the store has of a record. */
interface There {
  /** Where it is, or where it is made. */
  readonly place: Place;
  /** undefined: there is nothing. */
  readonly raw: Buffer | undefined;
  /** undefined: there is none, it has expired, or it cannot be opened. */
  readonly record: SeenRecord | undefined;
}

/** Sweeps, if there are older keys, what they have named to the names of the current one. `close` ends it; the store stays open. */
export function openFleetState(deps: FleetStateDeps): Sealed {
  return new FleetState(deps);
}

class FleetState implements Sealed {
  readonly #deps: FleetStateDeps;
  readonly #now: () => number;
  readonly #places: Places;
  readonly #seen: SeenRecords;
  readonly #turns = new KeyLocks();
  readonly #locks = new KeyLocks();
  readonly #pending = new Map<string, Pending>();
  readonly #warned = new Set<string>();
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(deps: FleetStateDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
    this.#places = new Places(deps.prefix, deps.keys);
    this.#seen = new SeenRecords();
    if (this.#places.hasOlder) this.#sweepIn(0);
  }

  async get(key: string): Promise<Stored | undefined> {
    placeOf(key);
    const record = await this.#known(key);
    return record && { generation: record.generation, value: JSON.parse(record.json) as object };
  }

  async put(key: string, value: object, ifGeneration: number, options: PutOptions = {}): Promise<boolean> {
    const { kind } = placeOf(key);
    const json = JSON.stringify(value);
    if (Buffer.byteLength(json) > MAX_VALUE_BYTES)
      throw new StateError(`a record of the state is larger than ${MAX_VALUE_BYTES} bytes: ${kind}`);
    const { ttlMs, durable = false } = options;
    const expires = ttlMs === undefined ? 0 : this.#now() + ttlMs;
    return await this.#inTurn(key, async () => {
      try {
        await this.#catchUp(key);
        return await this.#alone(key, () => this.#write(key, json, expires, ifGeneration));
      } catch (error) {
        if (durable || !isAway(error)) throw stateError(error);
        return this.#keepPut(key, json, expires, ifGeneration, error);
      }
    });
  }

  async delete(key: string): Promise<void> {
    placeOf(key);
    await this.#inTurn(key, async () => {
      const last = this.#seen.get(key)?.generation ?? 0;
      try {
        const { record } = await this.#read(key);
        await this.#alone(key, () => this.#remove(key));
        this.#settled(key);
        this.#seen.removed(key, Math.max(last, record?.generation ?? 0) + 1);
      } catch (error) {
        if (!isAway(error)) throw stateError(error);
        this.#keep(key, { record: undefined, base: this.#pending.get(key)?.base ?? last }, error);
      }
    });
  }

  async isDamaged(key: string): Promise<boolean> {
    placeOf(key);
    const { raw, record } = await this.#read(key).catch((error: unknown) => {
      throw stateError(error);
    });
    return raw !== undefined && record === undefined && !this.#places.opens(key, raw);
  }

  async *keys(kind: Kind): AsyncGenerator<string> {
    const index = new Map<string, number>();
    for (const place of this.#places.indexes(kind))
      for (const { key, expires } of await this.#index(place, kind)) index.set(key, expires);
    for (const [key, { record }] of this.#pending) {
      if (placeOf(key).kind !== kind) continue;
      if (record) index.set(key, record.expires);
      else index.delete(key);
    }
    for (const [key, expires] of index) if (!isOver(expires, this.#now())) yield key;
  }

  async lock(key: string, ttlMs: number, signal: AbortSignal): Promise<() => Promise<void>> {
    placeOf(key);
    const release = await this.#locks.take(key, signal);
    let unlock: () => Promise<void>;
    try {
      unlock = await takeLease(this.#deps.store, this.#places.lockOf(key), ttlMs, signal);
    } catch (error) {
      release();
      throw error;
    }
    const end = async (): Promise<void> => {
      clearTimeout(timer);
      try {
        await unlock();
      } finally {
        release();
      }
    };
    const timer = setTimeout(() => void end(), ttlMs).unref();
    return end;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#sweeper);
    await this.#flush();
    clearTimeout(this.#timer);
  }

  /** Gives all records that older keys have named the name of the current key, so that the older ones can be dropped. */
  async sweep(): Promise<void> {
    let failed: unknown;
    for (const place of this.#places.olderIndexes())
      for (const { key } of await this.#index(place, place.kind))
        await this.#inTurn(key, () => this.#alone(key, () => this.#move(key))).catch((error: unknown) => {
          failed ??= error;
        });
    if (failed !== undefined) throw stateError(failed);
  }

  #sweepIn(ms: number): void {
    this.#sweeper = setTimeout(() => {
      void this.sweep().then(
        () => {
          if (!this.#isClosed) this.#sweepIn(SWEEP_MS);
        },
        () => {
          if (!this.#isClosed) this.#sweepIn(FLUSH_MS);
        },
      );
    }, ms).unref();
  }

  async #move(key: string): Promise<void> {
    const { place, raw, record } = await this.#read(key);
    const to = this.#places.current(key);
    if (place.record === to.record || !raw || !record) return;
    if (await this.#store(to, key, record, undefined)) await this.#removeAt(place);
  }

  /** As callers see it: a change that waits, what the store has, or what it had before it went away. */
  async #known(key: string): Promise<SeenRecord | undefined> {
    let record: SeenRecord | undefined;
    try {
      if (this.#pending.has(key)) await this.#inTurn(key, () => this.#catchUp(key));
      ({ record } = await this.#read(key));
    } catch (error) {
      if (!isAway(error)) throw stateError(error);
      const pending = this.#pending.get(key);
      record = pending ? pending.record : this.#seen.get(key);
      if (!record && !pending) throw stateError(error);
      if (record?.json === '') throw stateError(error);
    }
    return record && !isOver(record.expires, this.#now()) ? record : undefined;
  }

  /** What the store has; something newer that this process has seen is written back. Rejects with a StoreError. */
  async #read(key: string): Promise<There> {
    for (const place of this.#places.of(key)) {
      const raw = await this.#deps.store.get(place.record, MAX_FILE_BYTES);
      if (raw === undefined) continue;
      const record = raw.length > MAX_FILE_BYTES ? undefined : this.#places.open(key, raw);
      const seen = this.#seen.get(key);
      if (!record) this.#strange(key, 'is damaged and counts as missing');
      else if (!seen || record.generation >= seen.generation) {
        this.#seen.set(key, record);
        return { place, raw, record: isOver(record.expires, this.#now()) ? undefined : record };
      } else this.#strange(key, 'is older than one that was there before, and is ignored');
      if (!seen || seen.json === '' || isOver(seen.expires, this.#now()))
        return { place, raw, record: undefined };
      const text = await this.#store(place, key, seen, raw);
      return { place, raw: text ?? raw, record: seen };
    }
    return { place: this.#places.current(key), raw: undefined, record: undefined };
  }

  /** While keys are rotated, a record may be under two names: replicas that have both keys change it one after another. */
  async #alone<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (!this.#places.hasOlder) return await work();
    const lock = this.#places.writeLockOf(key);
    const release = await takeLeaseWithin(2 * WRITE_MS, this.#deps.store, lock, WRITE_MS);
    try {
      return await work();
    } finally {
      await release();
    }
  }

  async #write(key: string, json: string, expires: number, ifGeneration: number): Promise<boolean> {
    const { place, raw, record: old } = await this.#read(key);
    if ((old?.generation ?? 0) !== ifGeneration) return false;
    const generation = old ? old.generation + 1 : await this.#first(key);
    const record = { generation, expires, json };
    if (!(await this.#store(place, key, record, raw))) return false;
    this.#seen.set(key, record);
    return true;
  }

  /**
   * The first generation of a record: later than that of any before it, by the store's clock, so that a record which was deleted is not
   * taken for a newer one. Random in its last digits: two writers do not make the same one.
   */
  async #first(key: string): Promise<number> {
    const time: unknown = await this.#deps.store.run(TIME, [this.#places.current(key).record], []);
    const now =
      typeof time === 'number' && Number.isSafeInteger(time) && time > 0 && time < 2 ** 42
        ? time
        : this.#now();
    return this.#firstAt(key, now);
  }

  #firstAt(key: string, now: number): number {
    const seen = this.#seen.get(key)?.generation ?? 0;
    return Math.max(now * 1024 + randomInt(1024), seen + 1);
  }

  /** Writes a record and its index entry if the store still has `raw`; returns what it has written. */
  async #store(
    place: Place,
    key: string,
    record: SeenRecord,
    raw: Buffer | undefined,
  ): Promise<Buffer | undefined> {
    const text = Buffer.from(this.#places.seal(key, record));
    const ttl = record.expires === 0 ? 0 : Math.max(1, record.expires - this.#now());
    const entry = this.#places.sealEntry(place, key, record.expires);
    const done = await this.#deps.store.run(
      PUT,
      [place.record, place.index],
      [raw ? sha1(raw) : '', text, ttl, place.name, entry],
    );
    return done === 1 ? text : undefined;
  }

  async #remove(key: string): Promise<void> {
    for (const place of this.#places.of(key)) await this.#removeAt(place);
  }

  async #removeAt(place: Place): Promise<void> {
    await this.#deps.store.run(REMOVE, [place.record, place.index], [place.name]);
  }

  /** The keys of an index that were sealed as its own. What has expired is removed from it. */
  async #index(
    place: Pick<Place, 'index' | 'sealer'>,
    kind: Kind,
  ): Promise<{ key: string; expires: number }[]> {
    let read: unknown;
    try {
      read = await this.#deps.store.run(ALL_KEYS, [place.index], [MAX_KEYS]);
    } catch (error) {
      throw stateError(error);
    }
    if (!Array.isArray(read))
      throw new StateError(`the state in the store has more than ${MAX_KEYS} keys of a kind: ${kind}`);
    const found: { key: string; expires: number }[] = [];
    const over: (string | Buffer)[] = [];
    for (let at = 0; at + 1 < read.length; at += 2) {
      const [name, text] = [read[at], read[at + 1]] as [unknown, unknown];
      const entry = this.#places.openEntry(place.sealer, kind, name, text);
      if (!entry) this.#deps.stranger();
      else if (!isOver(entry.expires, this.#now())) found.push(entry);
      else if (over.length < 1000) over.push(name as Buffer, sha1(text as Buffer));
    }
    if (over.length > 0) await this.#deps.store.run(FORGET, [place.index], over).catch(() => undefined);
    return found;
  }

  #keepPut(key: string, json: string, expires: number, ifGeneration: number, error: unknown): boolean {
    const pending = this.#pending.get(key);
    const held = pending ? pending.record : this.#seen.get(key);
    const old = held && held.json !== '' && !isOver(held.expires, this.#now()) ? held : undefined;
    if (!old && ifGeneration !== 0) throw stateError(error);
    if ((old?.generation ?? 0) !== ifGeneration) return false;
    const generation = old ? old.generation + 1 : this.#firstAt(key, this.#now());
    this.#keep(
      key,
      { record: { generation, expires, json }, base: pending?.base ?? old?.generation ?? 0 },
      error,
    );
    return true;
  }

  #keep(key: string, pending: Pending, error: unknown): void {
    const bytes = sizeOf(pending) - sizeOf(this.#pending.get(key));
    if (
      this.#pendingBytes + bytes > MAX_PENDING_BYTES ||
      (this.#pending.size >= MAX_PENDING && !this.#pending.has(key))
    )
      throw new StateError('too many changes of the state wait for the store of the fleet', error);
    if (this.#pending.size === 0)
      this.#deps.log.warn(
        'the state cannot be written to the store: changes are kept in memory until it can',
      );
    this.#pending.set(key, pending);
    this.#pendingBytes += bytes;
    this.#later();
  }

  #settled(key: string): void {
    this.#pendingBytes -= sizeOf(this.#pending.get(key));
    if (this.#pending.delete(key) && this.#pending.size === 0)
      this.#deps.log.info('the state can be written to the store again');
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#flush(), FLUSH_MS).unref();
  }

  /** Writes what is kept in memory. */
  async #flush(): Promise<void> {
    for (const key of [...this.#pending.keys()]) {
      if (this.#deps.store.upSince === undefined) break;
      await this.#inTurn(key, () => this.#catchUp(key)).catch(() => undefined);
    }
    if (this.#pending.size > 0) this.#later();
  }

  /** Writes a change that waits, unless another replica has changed the record since. Rejects while the store is away. */
  async #catchUp(key: string): Promise<void> {
    const pending = this.#pending.get(key);
    if (pending) await this.#alone(key, () => this.#writeLate(key, pending));
  }

  async #writeLate(key: string, pending: Pending): Promise<void> {
    const { place, raw, record: there } = await this.#read(key);
    const { record, base } = pending;
    const generation = there?.generation ?? 0;
    // It was written although the answer was lost.
    const isDone = record
      ? generation === record.generation && there?.json === record.json
      : generation === 0;
    if (!isDone && generation !== base)
      this.#deps.log.warn('a change of the state is dropped: another replica has changed the record since', {
        kind: placeOf(key).kind,
      });
    else if (!isDone && record) {
      if (!(await this.#store(place, key, record, raw))) return;
      this.#seen.set(key, record);
    } else if (!isDone) {
      await this.#remove(key);
      this.#seen.removed(key, generation + 1);
    }
    this.#settled(key);
  }

  #strange(key: string, what: string): void {
    this.#deps.stranger();
    if (this.#warned.has(key) || this.#warned.size >= 1000) return;
    this.#warned.add(key);
    this.#deps.log.warn(`a record of the state in the store ${what}`, { kind: placeOf(key).kind });
  }

  /** Runs a change: one at a time of each record, in this process. */
  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const release = await this.#turns.take(key, new AbortController().signal);
    try {
      return await work();
    } finally {
      release();
    }
  }
}

function sizeOf(pending: Pending | undefined): number {
  return pending ? 256 + (pending.record?.json.length ?? 0) : 0;
}
