/** The last state changes of a link, for operators. */
import type { LinkState, LinkTransition } from '../../protocol/ports.js';

/** How many are kept. */
const MOST = 50;

export class History {
  #entries: readonly LinkTransition[] = [];

  /** Oldest first. */
  get all(): readonly LinkTransition[] {
    return this.#entries;
  }

  /** `cause`: why the link is not up, without secrets. */
  note(state: LinkState, cause: string | undefined): void {
    const last = this.#entries.at(-1);
    if (last?.state === state && last.cause === cause) return;
    this.#entries = [...this.#entries, { time: Date.now(), state, cause }].slice(-MOST);
  }

  /** Takes over what happened to the link that this one replaces. */
  inherit(old: History): void {
    this.#entries = [...old.#entries, ...this.#entries].sort((a, b) => a.time - b.time).slice(-MOST);
  }
}
