// Numbers that a seed decides: the same seed gives the same plan.
import { createHash } from 'node:crypto';

export class Random {
  #state;
  #seed;

  constructor(seed) {
    this.#seed = String(seed);
    this.#state = createHash('sha256').update(this.#seed).digest().readUInt32LE();
  }

  /** Numbers of their own for a purpose: what others draw does not change them. */
  fork(purpose) {
    return new Random(`${this.#seed}/${purpose}`);
  }

  /** From 0 to 1 (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  between(from, to) {
    return from + this.next() * (to - from);
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** One of `[weight, value]`. */
  weighed(list) {
    let left = this.next() * list.reduce((sum, [weight]) => sum + weight, 0);
    return (list.find(([weight]) => (left -= weight) < 0) ?? list[0])[1];
  }
}
