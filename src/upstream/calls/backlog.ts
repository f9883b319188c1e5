/** What waits for a client that reads slowly: notifications, and last of them an answer that arrived whole on a shared channel. */
import type { Holder } from '../../lib/budget.js';
import { Queue } from '../../lib/queue.js';
import type { Notice } from '../../protocol/ports.js';

/** What an entry costs beside its bytes. */
const ENTRY_COST = 256;

/** A notification, or a function that hands the answer on. */
export type Waiting = Notice | (() => void);

interface Entry {
  readonly waiting: Waiting;
  readonly cost: number;
}

export class Backlog {
  readonly #holder: Holder;
  readonly #entries = new Queue<Entry>();
  #cost = 0;

  /** `holder`: takes what waits from the budget of the gateway. */
  constructor(holder: Holder) {
    this.#holder = holder;
  }

  /** Bytes that wait, and what they cost beside that. */
  get cost(): number {
    return this.#cost;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Returns false if there is no room: not within `maxCost`, or not in the budget. */
  push(waiting: Waiting, bytes: number, maxCost: number): boolean {
    const cost = bytes + ENTRY_COST;
    if (this.#cost + cost > maxCost || !this.#holder.take(cost)) return false;
    this.#cost += cost;
    this.#entries.push({ waiting, cost });
    return true;
  }

  shift(): Waiting | undefined {
    const entry = this.#entries.shift();
    if (!entry) return undefined;
    this.#cost -= entry.cost;
    this.#holder.give(entry.cost);
    return entry.waiting;
  }

  drop(): void {
    this.#entries.clear();
    this.#holder.release();
    this.#cost = 0;
  }
}
