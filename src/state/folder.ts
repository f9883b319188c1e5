/**
 * State in a folder: one encrypted file for each record, `<dir>/<folder of its kind>/<HMAC of its key>.cred`. Several processes may use it.
 * What cannot be written is kept in memory until it can.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Logger } from '../observe/log.js';
import { lockFile } from './lock-file.js';
import { KeyLocks } from './memory.js';
import {
  ALL_FOLDERS,
  firstGeneration,
  indexOf,
  MAX_FILE_BYTES,
  MAX_VALUE_BYTES,
  placeOf,
  Sealer,
  StateError,
  type Kind,
  type PutOptions,
  type Sealed,
  type StateRecord,
  type Stored,
} from './sealed.js';
import type { KeySource } from './state-key.js';
import { codeOf, createFolder, isMissing, PART, readBounded, replaceFile } from './write-file.js';

const WINDOWS = process.platform === 'win32';
const FLUSH_MS = 10_000;
/** How often a process looks for a lock that another one holds; for the lock of a write, which takes milliseconds. */
const LOCK_RETRY_MS = 2000;
const WRITE_RETRY_MS = 20;
/** The age at which an unfinished file was left behind by a process that was killed. */
const PART_AGE_MS = 3_600_000;
/** The ending of a damaged file that was set aside. */
const BAD = '.bad';

/** A write that is kept in memory. */
interface Pending {
  /** undefined: the record is to be removed. */
  readonly record: StateRecord | undefined;
  /** The generation in the folder that it follows; 0: none. */
  readonly base: number;
}

export interface FolderOptions {
  /** An absolute path. */
  readonly dir: string;
  readonly keys: KeySource;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now?: () => number;
  /** Replaces a file as a whole. */
  readonly write?: (path: string, text: string) => Promise<void>;
}

/** Rejects with a StateError if others may change the folder, or read what is in it. The folder may be missing: it is made on the first write. */
export async function openFolder(options: FolderOptions): Promise<Sealed> {
  const { dir } = options;
  if (!WINDOWS) await checkModes(dir);
  await removeParts(dir);
  await options.keys.find();
  return new FolderState(options);
}

async function checkModes(dir: string): Promise<void> {
  const { mode } = (await found(dir)) ?? { mode: 0o700 };
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)
    throw new StateError(`others may write to the state folder: chmod go-w ${dir}`);
  for (const folder of ALL_FOLDERS) {
    const path = join(dir, folder);
    const { mode } = (await found(path)) ?? { mode: 0o700 };
    if ((mode & 0o077) !== 0) throw new StateError(`others may read the state folder: chmod 700 ${path}`);
  }
}

async function found(path: string): Promise<{ mode: number } | undefined> {
  try {
    const there = await stat(path);
    if (there.isDirectory()) return there;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new StateError(`the state folder ${path} cannot be used: ${String(error)}`, error);
  }
  throw new StateError(`the state folder ${path} is not a folder: move the file away`);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function removeParts(dir: string): Promise<void> {
  for (const folder of ['.', ...ALL_FOLDERS]) {
    const names = await readdir(join(dir, folder)).catch(() => []);
    for (const name of names.filter((each) => each.startsWith('.') && each.endsWith(PART))) {
      const path = join(dir, folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
      if (Date.now() - mtimeMs > PART_AGE_MS) await rm(path, { force: true }).catch(() => undefined);
    }
  }
}

class FolderState implements Sealed {
  readonly #options: FolderOptions;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #write: (path: string, text: string) => Promise<void>;
  readonly #locks = new KeyLocks();
  readonly #pending = new Map<string, Pending>();
  /** The current key's, then those of the older keys. */
  #sealers: readonly Sealer[] | undefined;
  #failing = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#write = options.write ?? replaceFile;
  }

  async get(key: string): Promise<Stored | undefined> {
    placeOf(key);
    const { record } = await this.#current(key);
    return record && { generation: record.generation, value: record.value };
  }

  async put(key: string, value: object, ifGeneration: number, options: PutOptions = {}): Promise<boolean> {
    const { folder, kind } = placeOf(key);
    const json = JSON.stringify(value);
    if (Buffer.byteLength(json) > MAX_VALUE_BYTES)
      throw new StateError(`a record of the state is larger than ${MAX_VALUE_BYTES} bytes: ${kind}`);
    return await this.#inTurn(folder, async () => {
      const { record: old, base } = await this.#current(key);
      if ((old?.generation ?? 0) !== ifGeneration) return false;
      const { ttlMs } = options;
      const record = {
        generation: old ? old.generation + 1 : firstGeneration(),
        expires: ttlMs === undefined ? 0 : this.#now() + ttlMs,
        value: JSON.parse(json) as object,
      };
      try {
        await this.#save(key, record);
      } catch (error) {
        if (options.durable === true)
          throw new StateError(
            `the state folder ${this.#options.dir} cannot be written: ${String(error)}`,
            error,
          );
        this.#keep(key, { record, base }, error);
      }
      return true;
    });
  }

  async delete(key: string): Promise<void> {
    const { folder } = placeOf(key);
    await this.#inTurn(folder, async () => {
      const { base } = await this.#current(key);
      try {
        await this.#remove(key);
      } catch (error) {
        this.#keep(key, { record: undefined, base }, error);
      }
    });
  }

  async isDamaged(key: string): Promise<boolean> {
    for (const sealer of await this.#find()) if (await exists(this.#path(sealer, key) + BAD)) return true;
    return false;
  }

  async *keys(kind: Kind): AsyncGenerator<string> {
    const index = await this.#index(kind);
    for (const [key, { record }] of this.#pending) {
      if (placeOf(key).kind !== kind) continue;
      if (record) index.set(key, record.expires);
      else index.delete(key);
    }
    for (const [key, expires] of index) if (expires === 0 || expires > this.#now()) yield key;
  }

  async lock(key: string, ttlMs: number, signal: AbortSignal): Promise<() => Promise<void>> {
    const { folder } = placeOf(key);
    const release = await this.#locks.take(key, signal);
    let unlock: (() => Promise<void>) | undefined;
    try {
      const [sealer] = await this.#make();
      const path = join(this.#options.dir, folder, `${sealer.name(key)}.lock`);
      unlock = await this.#lockFile(path, { retryMs: LOCK_RETRY_MS, signal });
    } catch (error) {
      // Without a key that can be written, no other process writes either.
      if (signal.aborted) {
        release();
        throw error;
      }
    }
    const end = async (): Promise<void> => {
      clearTimeout(timer);
      try {
        await unlock?.();
      } finally {
        release();
      }
    };
    const timer = setTimeout(() => void end().catch(() => undefined), ttlMs).unref();
    return end;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flush(false);
  }

  /** Runs a write: one at a time in each folder, among all processes. */
  async #inTurn<T>(folder: string, work: () => Promise<T>): Promise<T> {
    const { signal } = new AbortController();
    const release = await this.#locks.take(folder, signal);
    try {
      const path = join(this.#options.dir, folder, '.lock');
      const options = { retryMs: WRITE_RETRY_MS, signal };
      const unlock = await this.#lockFile(path, options);
      try {
        return await work();
      } finally {
        await unlock?.().catch(() => undefined);
      }
    } finally {
      release();
    }
  }

  /** undefined: the folder cannot be written, so no other process writes either. Rejects only when the signal aborts. */
  async #lockFile(
    path: string,
    options: Parameters<typeof lockFile>[1],
  ): Promise<(() => Promise<void>) | undefined> {
    try {
      await createFolder(dirname(path));
      return await lockFile(path, options);
    } catch (error) {
      if (options.signal.aborted) throw error;
      return undefined;
    }
  }

  /** Empty: there is no key, so nothing was ever written. */
  async #find(): Promise<readonly Sealer[]> {
    if (this.#sealers) return this.#sealers;
    const keys = await this.#options.keys.find();
    if (!keys) return [];
    return (this.#sealers = [keys.current, ...keys.older].map((key) => new Sealer(key)));
  }

  async #make(): Promise<readonly [Sealer, ...Sealer[]]> {
    await this.#options.keys.make();
    const [current, ...older] = await this.#find();
    if (!current) throw new StateError('the state has no key');
    return [current, ...older];
  }

  #path(sealer: Sealer, key: string, folder = placeOf(key).folder): string {
    return join(this.#options.dir, folder, `${sealer.name(key)}.cred`);
  }

  /** The record as callers see it, and the generation in the folder; 0: none. */
  async #current(key: string): Promise<Pending> {
    const there = await this.#readFile(key);
    const base = there?.generation ?? 0;
    const pending = this.#pending.get(key);
    if (pending && pending.base !== base) this.#overtaken(key, pending, base);
    const record = this.#pending.has(key) ? pending?.record : there;
    const valid = record && (record.expires === 0 || record.expires > this.#now());
    return { record: valid ? record : undefined, base };
  }

  /** Forgets a change that was written after all, or whose record another process has changed since. */
  #overtaken(key: string, { record }: Pending, base: number): void {
    if ((record?.generation ?? 0) !== base)
      this.#log.warn('a change of the state is dropped: another process has changed the record since', {
        kind: placeOf(key).kind,
      });
    this.#saved(key);
  }

  async #readFile(key: string): Promise<StateRecord | undefined> {
    for (const sealer of await this.#find()) {
      const path = this.#path(sealer, key);
      let file: Buffer | undefined;
      try {
        file = await readBounded(path, MAX_FILE_BYTES);
      } catch (error) {
        if (isMissing(error)) continue;
        // ELOOP: a symbolic link, which is not a file of the gateway.
        if (codeOf(error) !== 'ELOOP')
          throw new StateError(`the state file ${path} cannot be read: ${String(error)}`, error);
      }
      const record = file && sealer.open(key, file);
      if (record) return record;
      await this.#setAside(path, placeOf(key).kind);
    }
    return undefined;
  }

  /** Renames a damaged file, so that it can be looked at and is not in the way. */
  async #setAside(path: string, kind: Kind): Promise<void> {
    const renamed = await rename(path, path + BAD).then(
      () => true,
      () => false,
    );
    this.#log.warn('a record of the state is damaged and counts as missing', {
      kind,
      file: renamed ? path + BAD : path,
    });
  }

  /** Writes a record, first its key to the index of its kind. */
  async #save(key: string, record: StateRecord): Promise<void> {
    const { folder, kind } = placeOf(key);
    const sealers = await this.#make();
    await createFolder(join(this.#options.dir, folder));
    const index = await this.#index(kind);
    if (index.get(key) !== record.expires) {
      index.set(key, record.expires);
      await this.#saveIndex(kind, index, sealers);
    }
    const [current, ...older] = sealers;
    await this.#write(this.#path(current, key), current.seal(key, record));
    for (const sealer of older) await rm(this.#path(sealer, key), { force: true });
    this.#saved(key);
  }

  async #remove(key: string): Promise<void> {
    const { kind } = placeOf(key);
    const sealers = await this.#find();
    for (const sealer of sealers) {
      await rm(this.#path(sealer, key), { force: true });
      await rm(this.#path(sealer, key) + BAD, { force: true });
    }
    this.#saved(key);
    const index = await this.#index(kind);
    // A key too many in the index does no harm.
    if (index.delete(key)) await this.#saveIndex(kind, index, sealers).catch(() => undefined);
  }

  /** Keys of a kind, and when each expires. An index of an older key has what the current one may lack. */
  async #index(kind: Kind): Promise<Map<string, number>> {
    const { name, folder } = indexOf(kind);
    const index = new Map<string, number>();
    for (const sealer of [...(await this.#find())].reverse()) {
      const file = await readBounded(this.#path(sealer, name, folder), MAX_FILE_BYTES).catch(
        (error: unknown) => {
          if (isMissing(error)) return null;
          throw new StateError(`the index of the state cannot be read: ${String(error)}`, error);
        },
      );
      if (file === null) continue;
      const record = file && sealer.open(name, file);
      if (!record) await this.#setAside(this.#path(sealer, name, folder), kind);
      for (const [key, expires] of entriesOf(record?.value)) index.set(key, expires);
    }
    return index;
  }

  /** Also removes the records that have expired. Runs within the turn of the folder, so that none of them is written meanwhile. */
  async #saveIndex(kind: Kind, index: Map<string, number>, sealers: readonly Sealer[]): Promise<void> {
    const over = [...index].filter(([, expires]) => expires !== 0 && expires <= this.#now());
    for (const [key] of over) {
      index.delete(key);
      this.#pending.delete(key);
      for (const sealer of sealers) await rm(this.#path(sealer, key), { force: true });
    }
    const { name, folder } = indexOf(kind);
    const [current, ...older] = sealers;
    if (!current) return;
    const record = { generation: 1, expires: 0, value: { keys: [...index] } };
    await this.#write(this.#path(current, name, folder), current.seal(name, record));
    for (const sealer of older) await rm(this.#path(sealer, name, folder), { force: true });
  }

  #keep(key: string, pending: Pending, error: unknown): void {
    this.#pending.set(key, pending);
    if (!this.#failing) {
      this.#failing = true;
      this.#log.warn('the state folder cannot be written: changes are kept in memory until it can', {
        folder: this.#options.dir,
        error: String(error),
      });
    }
    this.#later();
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#flush(true).catch(() => undefined), FLUSH_MS).unref();
  }

  #saved(key: string): void {
    this.#pending.delete(key);
    if (!this.#failing || this.#pending.size > 0) return;
    this.#failing = false;
    this.#log.info('the state folder can be written again', { folder: this.#options.dir });
  }

  /** Writes what is kept in memory. */
  async #flush(again: boolean): Promise<void> {
    for (const key of [...this.#pending.keys()]) {
      try {
        await this.#inTurn(placeOf(key).folder, () => this.#catchUp(key));
      } catch {
        // Said when it began.
      }
    }
    if (again && this.#pending.size > 0) this.#later();
  }

  async #catchUp(key: string): Promise<void> {
    await this.#current(key);
    const pending = this.#pending.get(key);
    if (pending?.record) await this.#save(key, pending.record);
    else if (pending) await this.#remove(key);
  }
}

function entriesOf(value: object | undefined): [string, number][] {
  const { keys } = (value ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) return [];
  return keys.filter(
    (each): each is [string, number] =>
      Array.isArray(each) && typeof each[0] === 'string' && typeof each[1] === 'number',
  );
}
