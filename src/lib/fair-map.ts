interface Entry<V> {
  readonly owner: unknown;
  readonly value: V;
}

/**
 * A map with a bound that many owners share. When it is full, the owner with the most entries loses its least recently set one, so that no
 * owner can displace the entries of others. Each operation takes constant time.
 */
export class FairMap<K, V> {
  readonly #limit: number;
  readonly #entries = new Map<K, Entry<V>>();
  /** Keys by owner, least recently set first. */
  readonly #keys = new Map<unknown, Set<K>>();
  /** Owners by their number of entries. */
  readonly #owners = new Map<number, Set<unknown>>();
  #most = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Returns the value that was evicted; undefined: none was. */
  set(key: K, owner: unknown, value: V): V | undefined {
    this.delete(key);
    this.#entries.set(key, { owner, value });
    const keys = this.#keys.get(owner) ?? new Set<K>();
    this.#keys.set(owner, keys.add(key));
    this.#moved(owner, keys.size - 1, keys.size);
    return this.#entries.size > this.#limit ? this.#evict() : undefined;
  }

  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#entries.delete(key);
    const keys = this.#keys.get(entry.owner) as Set<K>;
    keys.delete(key);
    if (keys.size === 0) this.#keys.delete(entry.owner);
    this.#moved(entry.owner, keys.size + 1, keys.size);
    return true;
  }

  /** Deletes all entries of an owner. */
  drop(owner: unknown): void {
    for (const key of [...(this.#keys.get(owner) ?? [])]) this.delete(key);
  }

  deleteWhere(isGone: (value: V) => boolean): void {
    for (const [key, { value }] of this.#entries) if (isGone(value)) this.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#keys.clear();
    this.#owners.clear();
    this.#most = 0;
  }

  /** All values, least recently set first. */
  *values(): Generator<V> {
    for (const { value } of this.#entries.values()) yield value;
  }

  #evict(): V | undefined {
    const [owner] = this.#owners.get(this.#most) as Set<unknown>;
    const [key] = this.#keys.get(owner) as Set<K>;
    const evicted = this.get(key as K);
    this.delete(key as K);
    return evicted;
  }

  /** The number of an owner's entries changed by one. */
  #moved(owner: unknown, from: number, to: number): void {
    const before = this.#owners.get(from);
    before?.delete(owner);
    if (before?.size === 0) this.#owners.delete(from);
    if (to > 0) {
      const owners = this.#owners.get(to) ?? new Set();
      this.#owners.set(to, owners.add(owner));
    }
    if (to > this.#most || !this.#owners.has(this.#most)) this.#most = to;
  }
}
