import type { Budget, Holder, Whose } from './budget.js';
import { Pieces } from './pieces.js';

/** Collects one message that has to be held whole, within a bound and what the budget has room for. */
export class Collector {
  /** Why the message was dropped: it is over `maxBytes`, or the budget has no room for it. */
  dropped: 'size' | 'budget' | undefined;
  readonly #maxBytes: number;
  readonly #holder: Holder;
  readonly #pieces = new Pieces();
  #bytes = 0;

  /** `evicted`: the budget took back what was held. */
  constructor(budget: Budget, whose: Whose, maxBytes: number, evicted?: () => void) {
    this.#maxBytes = maxBytes;
    this.#holder = budget.holder(whose, () => {
      this.#drop('budget');
      evicted?.();
    });
  }

  /** false: the message is dropped, now or before. */
  push(piece: Buffer): boolean {
    if (this.dropped !== undefined) return false;
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) this.#drop('size');
    else if (!this.#holder.take(piece.length)) this.#drop('budget');
    else this.#pieces.push(piece);
    return this.dropped === undefined;
  }

  /** The whole message. Its bytes stay charged until `release`. */
  take(): Buffer {
    return this.#pieces.taken();
  }

  release(): void {
    this.#pieces.clear();
    this.#holder.release();
  }

  #drop(why: 'size' | 'budget'): void {
    this.dropped ??= why;
    this.release();
  }
}
