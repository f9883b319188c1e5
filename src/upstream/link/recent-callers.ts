/** Which clients used a shared upstream lately: what it asks without a link may be meant for the one before. */

const LATELY_MS = 10_000;

/** Only the latest two clients matter: is there another one than this, and since when? */
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

  /** The one client that called lately; undefined: none, or several. */
  soleLately(now = performance.now()): string | undefined {
    return now - this.#at < LATELY_MS && !this.othersLately(this.#client, now) ? this.#client : undefined;
  }

  othersLately(client: string, now = performance.now()): boolean {
    const at = client === this.#client ? this.#otherAt : this.#at;
    const who = client === this.#client ? this.#other : this.#client;
    return who !== client && now - at < LATELY_MS;
  }
}
