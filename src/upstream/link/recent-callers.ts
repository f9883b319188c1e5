/** Which clients called a shared server lately: a request of it that names no call may be meant for an earlier client. */

const LATELY_MS = 10_000;

/** Keeps the latest two clients: whether there is another one, and when that called last. */
export class RecentCallers {
  #client = '';
  #at = -Infinity;
  #other = '';
  #otherAt = -Infinity;

  /** A call of `client` began or ended. */
  note(client: string, now = performance.now()): void {
    if (client !== this.#client) {
      this.#other = this.#client;
      this.#otherAt = this.#at;
      this.#client = client;
    }
    this.#at = now;
  }

  /** The only client that called lately; undefined: none, or several. */
  soleLately(now = performance.now()): string | undefined {
    return now - this.#at < LATELY_MS && !this.othersLately(this.#client, now) ? this.#client : undefined;
  }

  othersLately(client: string, now = performance.now()): boolean {
    const at = client === this.#client ? this.#otherAt : this.#at;
    const who = client === this.#client ? this.#other : this.#client;
    return who !== client && now - at < LATELY_MS;
  }
}
