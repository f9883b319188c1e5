/** The grants that have ended while their access tokens have not expired: kept in the store, so that every replica refuses those tokens. */
import type { Logger } from '../observe/log.js';
import { endedIds, endedKey, type Records } from './records.js';

export interface EndingsDeps {
  readonly records: () => Promise<Records>;
  readonly log: Logger;
  /** Called once for each grant that has ended, here or in another process. */
  readonly ended: (ids: ReadonlySet<string>) => void;
}

/** How often the list in the store is read. */
const READ_MS = 5000;

export class Endings {
  readonly #deps: EndingsDeps;
  #ids: ReadonlySet<string> = new Set();
  /** Those that ended here while the list is read. */
  #added = new Set<string>();
  /** Those that could not be written, with the time when their tokens have expired (`performance.now`): written with the next run. */
  readonly #unwritten = new Map<string, number>();
  #reading: Promise<void> | undefined;
  #isFailing = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: EndingsDeps) {
    this.#deps = deps;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Reads the list, now and from now on. Resolves after the first time. Never rejects. */
  async start(): Promise<void> {
    await this.read();
    if (this.#closed) return;
    this.#timer = setInterval(() => void this.read(), READ_MS).unref();
  }

  /** Joins a run. Never rejects: while the store cannot be read, tokens count until they expire. */
  read(): Promise<void> {
    return (this.#reading ??= this.#readAll().finally(() => (this.#reading = undefined)));
  }

  /** `lifeMs`: how long the access tokens of the grant may still be accepted, in milliseconds. */
  async add(id: string, lifeMs: number): Promise<void> {
    this.#added.add(id);
    this.#use(new Set([...this.#ids, id]));
    try {
      await this.#write(id, lifeMs);
      this.#unwritten.delete(id);
    } catch (error) {
      this.#unwritten.set(id, performance.now() + lifeMs);
      this.#failed(error);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  async #readAll(): Promise<void> {
    const before = this.#added;
    this.#added = new Set();
    await this.#writeAgain();
    try {
      const ids = await endedIds(await this.#deps.records());
      for (const id of [...before, ...this.#added, ...this.#unwritten.keys()]) ids.add(id);
      this.#use(ids);
      if (this.#unwritten.size > 0) return;
      if (this.#isFailing) this.#deps.log.info('the list of ended sign-ins can be read again');
      this.#isFailing = false;
    } catch (error) {
      for (const id of before) this.#added.add(id);
      this.#failed(error);
    }
  }

  async #write(id: string, lifeMs: number): Promise<void> {
    const records = await this.#deps.records();
    const key = endedKey(id);
    const there = await records.get(key);
    await records.put(key, {}, there?.generation ?? 0, { ttlMs: lifeMs });
  }

  /** Never rejects: what cannot be written waits for the next run. */
  async #writeAgain(): Promise<void> {
    try {
      for (const [id, until] of [...this.#unwritten]) {
        const lifeMs = Math.ceil(until - performance.now());
        if (lifeMs > 0) await this.#write(id, lifeMs);
        this.#unwritten.delete(id);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  #use(ids: ReadonlySet<string>): void {
    if (this.#closed) return;
    const news = new Set([...ids].filter((id) => !this.#ids.has(id)));
    this.#ids = ids;
    if (news.size > 0) this.#deps.ended(news);
  }

  #failed(error: unknown): void {
    if (!this.#isFailing)
      this.#deps.log.warn(
        'the list of ended sign-ins cannot be read or written: their access tokens count until they expire',
        { error: String(error) },
      );
    this.#isFailing = true;
  }
}
