/** State in memory, for a gateway without a folder: it is gone at the end of the process. */
import { createSlots, type Slots } from '../lib/slots.js';
import { firstGeneration, placeOf, type Kind, type PutOptions, type Sealed } from './sealed.js';

interface Held {
  readonly generation: number;
  /** JSON: what a caller does to its value later changes nothing here. */
  readonly json: string;
  readonly expires: number;
}

/** A lock for each key, within this process. */
export class KeyLocks {
  readonly #slots = new Map<string, { readonly slots: Slots; users: number }>();

  /** Resolves with the release, which may be called more than once. Rejects with the reason of the signal. */
  async take(key: string, signal: AbortSignal): Promise<() => void> {
    let entry = this.#slots.get(key);
    if (!entry) this.#slots.set(key, (entry = { slots: createSlots(1), users: 0 }));
    const used = entry;
    used.users++;
    const leave = (): void => {
      if (--used.users === 0) this.#slots.delete(key);
    };
    let release: () => void;
    try {
      release = await used.slots.take(signal);
    } catch (error) {
      leave();
      throw error;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      release();
      leave();
    };
  }
}

/** `now`: Unix time in milliseconds. */
export function memoryState(now: () => number = Date.now): Sealed {
  const records = new Map<string, Held>();
  const locks = new KeyLocks();

  function find(key: string): Held | undefined {
    placeOf(key);
    const held = records.get(key);
    if (!held || held.expires === 0 || held.expires > now()) return held;
    records.delete(key);
    return undefined;
  }

  function put(key: string, value: object, ifGeneration: number, options: PutOptions = {}): boolean {
    const held = find(key);
    if ((held?.generation ?? 0) !== ifGeneration) return false;
    const generation = held ? held.generation + 1 : firstGeneration();
    const { ttlMs } = options;
    records.set(key, {
      generation,
      json: JSON.stringify(value),
      expires: ttlMs === undefined ? 0 : now() + ttlMs,
    });
    return true;
  }

  return {
    get: (key) =>
      soon(() => {
        const held = find(key);
        return held && { generation: held.generation, value: JSON.parse(held.json) as object };
      }),
    put: (...args) => soon(() => put(...args)),
    delete: (key) =>
      soon(() => {
        records.delete(key);
      }),
    isDamaged: () => Promise.resolve(false),
    async *keys(kind: Kind) {
      const all = await soon(() => [...records.keys()]);
      for (const key of all) if (placeOf(key).kind === kind && find(key)) yield key;
    },
    async lock(key, ttlMs, signal) {
      const release = await locks.take(key, signal);
      const timer = setTimeout(release, ttlMs).unref();
      return () =>
        soon(() => {
          clearTimeout(timer);
          release();
        });
    },
    close: () => Promise.resolve(),
  };
}

/** Rejects with what `work` throws. */
function soon<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}
