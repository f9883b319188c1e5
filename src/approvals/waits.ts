/** Calls of this process that wait for their records. */
import type { ApprovalRecord } from './record.js';

export interface Waiter {
  readonly key: string;
  /** Gets the record as it is now; undefined: there is none. Does not throw. */
  heard(record: ApprovalRecord | undefined): void;
  /** Nothing waits any more. */
  closed(): void;
}

export class Waits {
  readonly #waiters = new Map<string, Set<Waiter>>();

  /** Returns what ends the wait. */
  add(waiter: Waiter): () => void {
    const { key } = waiter;
    const there = this.#waiters.get(key) ?? new Set();
    this.#waiters.set(key, there.add(waiter));
    return () => {
      there.delete(waiter);
      if (there.size === 0 && this.#waiters.get(key) === there) this.#waiters.delete(key);
    };
  }

  get keys(): readonly string[] {
    return [...this.#waiters.keys()];
  }

  tell(key: string, record: ApprovalRecord | undefined): void {
    for (const waiter of [...(this.#waiters.get(key) ?? [])]) waiter.heard(record);
  }

  close(): void {
    for (const waiters of [...this.#waiters.values()]) for (const waiter of [...waiters]) waiter.closed();
  }
}
