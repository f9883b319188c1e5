/** The records in the state, with what belongs to them. Changes of one record follow each other, in this process and among others. */
import type { Kind, PutOptions, Sealed } from '../state/sealed.js';
import { isLive, type ApprovalRecord, type VoteRecord } from './record.js';

/** The state cannot be read or written. */
export class Unavailable extends Error {}

/** How long a record is kept once it is over, in ms. */
const KEPT_MS = 600_000;
/** How long the last call with a yes is kept, in ms, and how many of them, and how long their texts may be in characters. */
const LAST_MS = 30 * 86_400_000;
const MAX_LAST = 1000;
const MAX_LAST_TEXT = 65_536;
/** How often a change is tried while others change the same record. */
const MAX_TRIES = 32;

/** What is shown of a call. */
export interface Texts {
  readonly shown: string;
  readonly ignored?: string | undefined;
  readonly changes?: readonly string[] | undefined;
}

/** A yes for further calls. */
export interface Repeat {
  /** Of the record that it was given with. */
  readonly id: string;
  readonly votes: readonly VoteRecord[];
  /** Digests. */
  readonly entries: readonly string[];
  readonly definition: string;
  readonly config: string;
  readonly login?: string | undefined;
  readonly until: number;
  readonly left: number;
}

/** When somebody said no to calls of a tool, and to which. */
export interface Noes {
  readonly noes: readonly { readonly at: number; readonly id: string }[];
}

/** What a change makes of a value; the same object, or undefined: it stays. */
export interface Change<V, R> {
  readonly value: V | undefined;
  readonly result: R;
}

/** Methods reject with Unavailable. */
export class Records {
  readonly #open: () => Promise<Sealed>;
  readonly #now: () => number;
  /** The last change of a record that is under way. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(open: () => Promise<Sealed>, now: () => number) {
    this.#open = open;
    this.#now = now;
  }

  /** Once the changes that were begun before are made. */
  async read(key: string): Promise<ApprovalRecord | undefined> {
    await this.#turns.get(key)?.catch(() => undefined);
    return await this.#get(`approval:${key}`, isRecord);
  }

  /** Changes a record: `change` may run more than once, and has no effect of its own. It is stored before this resolves. */
  async change<R>(
    key: string,
    change: (record: ApprovalRecord | undefined) => Change<ApprovalRecord, R>,
  ): Promise<R> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const turn = before
      .catch(() => undefined)
      .then(() => this.#change(`approval:${key}`, isRecord, change, (record) => this.#ttlOf(record)));
    this.#turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }

  /** Resolves once no record is being changed. Never rejects. */
  async idle(): Promise<void> {
    while (this.#turns.size > 0) await Promise.allSettled(this.#turns.values());
  }

  /** The keys of all records. What has expired in a store in memory is dropped. */
  async keys(): Promise<string[]> {
    return await this.#try(async (store) => {
      const kinds = ['approval-text', 'approval-last', 'approval-noes', 'approval-repeat'] as const;
      for (const kind of kinds) for await (const _ of store.keys(kind));
      return await keysOf(store, 'approval');
    });
  }

  async texts(id: string): Promise<Texts | undefined> {
    return await this.#get(`approval-text:${id}`, isTexts);
  }

  async keepTexts(id: string, texts: Texts, ms: number): Promise<void> {
    await this.#put(`approval-text:${id}`, texts, 0, { durable: true, ttlMs: ms + 2 * KEPT_MS });
  }

  async dropTexts(id: string): Promise<void> {
    await this.#try((store) => store.delete(`approval-text:${id}`));
  }

  async last(key: string): Promise<string | undefined> {
    return (await this.#get(`approval-last:${key}`, isTexts))?.shown;
  }

  /** Keeps the text of the last call with a yes. If there are too many, the oldest one that is found goes. */
  async keepLast(key: string, shown: string): Promise<void> {
    const name = `approval-last:${key}`;
    if (shown.length > MAX_LAST_TEXT) return await this.#try((store) => store.delete(name));
    await this.#change(
      name,
      isTexts,
      () => ({ value: { shown }, result: undefined }),
      () => LAST_MS,
    );
    await this.#try(async (store) => {
      const keys = await keysOf(store, 'approval-last');
      const [oldest] = keys.filter((each) => each !== key);
      if (keys.length > MAX_LAST && oldest !== undefined) await store.delete(`approval-last:${oldest}`);
    });
  }

  async noes(key: string): Promise<Noes['noes']> {
    return (await this.#get(`approval-noes:${key}`, isNoes))?.noes ?? [];
  }

  /** Keeps a no for `ms`, and no more than the last `most`. */
  async addNo(key: string, id: string, ms: number, most: number): Promise<void> {
    const at = this.#now();
    await this.#change(
      `approval-noes:${key}`,
      isNoes,
      (old) => ({ value: { noes: [...(old?.noes ?? []), { at, id }].slice(-most) }, result: undefined }),
      () => ms,
    );
  }

  async keepRepeat(key: string, repeat: Repeat): Promise<void> {
    await this.#change(
      `approval-repeat:${key}`,
      isRepeat,
      () => ({ value: repeat, result: undefined }),
      ({ until }) => until - this.#now(),
    );
  }

  /** One use of a yes for further calls, if `fits` says so of it; it is stored before this resolves. */
  async useRepeat(key: string, fits: (repeat: Repeat) => boolean): Promise<Repeat | undefined> {
    return await this.#change<Repeat, Repeat | undefined>(
      `approval-repeat:${key}`,
      isRepeat,
      (repeat) =>
        repeat && repeat.left > 0 && repeat.until > this.#now() && fits(repeat)
          ? { value: { ...repeat, left: repeat.left - 1 }, result: repeat }
          : { value: undefined, result: undefined },
      ({ until }) => until - this.#now(),
    );
  }

  /** Ends the yes for further calls that was given with a record, if `may` says so. Returns whether it did. */
  async endRepeat(key: string, id: string, may: (repeat: Repeat) => boolean): Promise<boolean> {
    return await this.#change<Repeat, boolean>(
      `approval-repeat:${key}`,
      isRepeat,
      (repeat) =>
        repeat?.id === id && repeat.left > 0 && may(repeat)
          ? { value: { ...repeat, left: 0 }, result: true }
          : { value: undefined, result: false },
      ({ until }) => until - this.#now(),
    );
  }

  #ttlOf(record: ApprovalRecord): number {
    const end = isLive(record) ? Math.max(record.until ?? 0, record.expires) : (record.until ?? 0);
    // As long as a yes for further calls can be taken back.
    return Math.max(end - this.#now(), (record.wideUntil ?? 0) - this.#now(), 0) + KEPT_MS;
  }

  async #change<V extends object, R>(
    key: string,
    is: (value: object) => value is V,
    change: (value: V | undefined) => Change<V, R>,
    ttlMs: (value: V) => number,
  ): Promise<R> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const stored = await this.#try((store) => store.get(key));
      const old = stored && is(stored.value) ? stored.value : undefined;
      const { value, result } = change(old);
      if (value === undefined || value === old) return result;
      const options = { durable: true, ttlMs: Math.max(1, ttlMs(value)) };
      if (await this.#put(key, value, stored?.generation ?? 0, options)) return result;
    }
    throw new Unavailable('others change the record all the time');
  }

  async #get<V extends object>(key: string, is: (value: object) => value is V): Promise<V | undefined> {
    const stored = await this.#try((store) => store.get(key));
    return stored && is(stored.value) ? stored.value : undefined;
  }

  async #put(key: string, value: object, ifGeneration: number, options: PutOptions): Promise<boolean> {
    return await this.#try((store) => store.put(key, value, ifGeneration, options));
  }

  async #try<T>(work: (store: Sealed) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#open());
    } catch (error) {
      throw new Unavailable('the state cannot be used', { cause: error });
    }
  }
}

async function keysOf(store: Sealed, kind: Kind): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of store.keys(kind)) keys.push(key.slice(kind.length + 1));
  return keys;
}

// Only a process with the key of the state has written them, though perhaps another version of it.
function isRecord(value: object): value is ApprovalRecord {
  const { id, entries, votes, state, repeats } = value as Partial<ApprovalRecord>;
  return (
    typeof id === 'string' &&
    Array.isArray(entries) &&
    Array.isArray(votes) &&
    typeof state === 'string' &&
    Array.isArray(repeats)
  );
}

function isTexts(value: object): value is Texts {
  return typeof (value as Partial<Texts>).shown === 'string';
}

function isNoes(value: object): value is Noes {
  return Array.isArray((value as Partial<Noes>).noes);
}

function isRepeat(value: object): value is Repeat {
  const { votes, entries, left } = value as Partial<Repeat>;
  return Array.isArray(votes) && Array.isArray(entries) && typeof left === 'number';
}
