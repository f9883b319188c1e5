/**
 * A set of short-lived objects, in an array. A Map or Set that is filled and emptied all the time leaves old tables in the old generation of
 * the heap, and what those refer to survives every young collection.
 */

export interface Slotted {
  /** Its place in the set; -1: it is in none. */
  slot: number;
}

export class SlotSet<T extends Slotted> {
  readonly #slots: (T | undefined)[] = [];
  /** Places that are free again. */
  readonly #free: number[] = [];

  /** Adds an object that is in no set. */
  add(entry: T): void {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[slot] = entry;
    entry.slot = slot;
  }

  delete(entry: T): void {
    const { slot } = entry;
    if (slot === -1 || this.#slots[slot] !== entry) return;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    entry.slot = -1;
  }

  all(): T[] {
    return this.#slots.filter((entry) => entry !== undefined);
  }
}
