/** Where records of the state are in the store, and how they are sealed: names are HMACs, and all keys of a kind are in one slot. */
import { ALL_KINDS, indexOf, placeOf, Sealer, type Kind } from '../state/sealed.js';
import type { StateKeys } from '../state/state-key.js';
import type { SeenRecord } from './state-seen.js';

/** A record under the name that one of the state keys gives it. */
export interface Place {
  readonly sealer: Sealer;
  readonly kind: Kind;
  readonly name: string;
  /** Keys of the store. */
  readonly record: string;
  readonly index: string;
}

export class Places {
  readonly #prefix: string;
  readonly #sealers: readonly Sealer[];
  readonly #current: Sealer;
  /** The same one in all replicas with these keys, in whatever order they have them. */
  readonly #common: Sealer;

  constructor(prefix: string, { current, older }: StateKeys) {
    this.#prefix = prefix;
    this.#current = new Sealer(current);
    this.#sealers = [this.#current, ...older.map((key) => new Sealer(key))];
    const [first = current] = [current, ...older].sort((a, b) => Buffer.compare(a, b));
    this.#common = new Sealer(first);
  }

  get hasOlder(): boolean {
    return this.#sealers.length > 1;
  }

  /** Of the current key first. */
  of(key: string): readonly Place[] {
    return this.#sealers.map((sealer) => this.#place(sealer, key));
  }

  current(key: string): Place {
    return this.#place(this.#current, key);
  }

  indexes(kind: Kind): readonly Pick<Place, 'index' | 'sealer' | 'kind'>[] {
    // What the current key has comes last: it is newer.
    return [...this.#sealers].reverse().map((sealer) => this.#indexOf(sealer, kind));
  }

  olderIndexes(): readonly Pick<Place, 'index' | 'sealer' | 'kind'>[] {
    return ALL_KINDS.flatMap((kind) => this.#sealers.slice(1).map((sealer) => this.#indexOf(sealer, kind)));
  }

  lockOf(key: string): string {
    return `${this.#prefix}:l:${this.#common.name(`lock ${key}`)}`;
  }

  writeLockOf(key: string): string {
    return `${this.#prefix}:l:${this.#common.name(`write ${key}`)}`;
  }

  seal(key: string, { generation, expires, json }: SeenRecord): string {
    return this.#current.seal(key, { generation, expires, value: JSON.parse(json) as object });
  }

  /** undefined: it was not sealed as this record. */
  open(key: string, raw: Buffer): SeenRecord | undefined {
    for (const sealer of this.#sealers) {
      const record = sealer.open(key, raw);
      if (record)
        return { generation: record.generation, expires: record.expires, json: JSON.stringify(record.value) };
    }
    return undefined;
  }

  opens(key: string, raw: Buffer): boolean {
    return this.open(key, raw) !== undefined;
  }

  sealEntry({ sealer, name, kind }: Place, key: string, expires: number): string {
    return sealer.seal(entryName(kind, name), { generation: 1, expires, value: { key } });
  }

  /** undefined: it was not sealed as an entry of this index under this name. */
  openEntry(
    sealer: Sealer,
    kind: Kind,
    name: unknown,
    text: unknown,
  ): { readonly key: string; readonly expires: number } | undefined {
    if (!Buffer.isBuffer(name) || !Buffer.isBuffer(text)) return undefined;
    const record = sealer.open(entryName(kind, name.toString('latin1')), text);
    const { key } = (record?.value ?? {}) as { key?: unknown };
    return record && typeof key === 'string' ? { key, expires: record.expires } : undefined;
  }

  #place(sealer: Sealer, key: string): Place {
    const { kind } = placeOf(key);
    const name = sealer.name(key);
    const { index } = this.#indexOf(sealer, kind);
    return { sealer, kind, name, record: `${index}:${name}`, index };
  }

  #indexOf(sealer: Sealer, kind: Kind): Pick<Place, 'index' | 'sealer' | 'kind'> {
    const tag = sealer.name(indexOf(kind).name).slice(0, 16);
    return { sealer, kind, index: `${this.#prefix}:t:{${tag}}` };
  }
}

function entryName(kind: Kind, name: string): string {
  // Not the key of a record.
  return `${indexOf(kind).name}\0${name}`;
}
