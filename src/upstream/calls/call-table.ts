/**
 * The requests in flight on one link, by the id that was sent to the server. An array, not a Map: a Map that is filled and emptied all the
 * time leaves old tables in the old generation of the heap, and what those refer to survives every young collection.
 */
export class CallTable<T extends { readonly id: number }> {
  #slots: (T | undefined)[] = new Array<T | undefined>(64).fill(undefined);
  #next = 1;
  size = 0;

  /** An id that was never used on this link, and whose slot is free until `put()`. */
  nextId(): number {
    if (this.size * 2 >= this.#slots.length) this.#grow();
    while (this.#slots[this.#next & (this.#slots.length - 1)] !== undefined) this.#next++;
    return this.#next++;
  }

  put(entry: T): void {
    while (this.#at(entry.id) !== undefined) this.#grow();
    this.#slots[entry.id & (this.#slots.length - 1)] = entry;
    this.size++;
  }

  get(id: number): T | undefined {
    const entry = this.#at(id);
    return entry?.id === id ? entry : undefined;
  }

  /** Returns false if the table does not have it. */
  delete(entry: T): boolean {
    if (this.#at(entry.id) !== entry) return false;
    this.#slots[entry.id & (this.#slots.length - 1)] = undefined;
    this.size--;
    return true;
  }

  all(): T[] {
    return this.#slots.filter((entry) => entry !== undefined);
  }

  #at(id: number): T | undefined {
    return this.#slots[id & (this.#slots.length - 1)];
  }

  /** Ids with different slots have different slots in a table twice as large. */
  #grow(): void {
    const entries = this.all();
    this.#slots = new Array<T | undefined>(this.#slots.length * 2).fill(undefined);
    for (const entry of entries) this.#slots[entry.id & (this.#slots.length - 1)] = entry;
  }
}
