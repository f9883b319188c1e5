/** Admits so many events in each second of a clock, for logs that anybody can make write. */
export class PerSecond {
  readonly #most: number;
  readonly #now: () => number;
  #second = 0;
  #events = 0;

  /** `now`: in ms. */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  /** Counts an event, and returns whether it is one of the first of this second. */
  admits(): boolean {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#events = 0;
    }
    if (this.#events >= this.#most) return false;
    this.#events++;
    return true;
  }
}
