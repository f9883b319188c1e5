/** Which lists clients hold: a client that holds the current one is not told that it changed. */
import type { ListKind } from '../protocol/lists.js';
import type { ListBytes } from '../protocol/ports.js';
import type { Session } from '../session/store.js';

export class GivenLists {
  readonly #sessions = new WeakMap<Session, Map<ListKind, string>>();
  /** Requests for a list that wait for their answer. */
  readonly #awaited = new WeakMap<Session, Map<ListKind, number>>();

  /** `list` is being sent to the client of a session. */
  note(session: Session, kind: ListKind, list: ListBytes): void {
    let given = this.#sessions.get(session);
    if (!given) this.#sessions.set(session, (given = new Map<ListKind, string>()));
    given.set(kind, list.digest);
  }

  /** Whether the client was given a list of this kind. */
  has(session: Session, kind: ListKind): boolean {
    return this.#sessions.get(session)?.has(kind) === true;
  }

  /** The client waits for a list and will get the newest. Returns a function to call when it no longer waits. */
  awaits(session: Session, kind: ListKind): () => void {
    let waits = this.#awaited.get(session);
    if (!waits) this.#awaited.set(session, (waits = new Map<ListKind, number>()));
    const by = (n: number): void => void waits.set(kind, (waits.get(kind) ?? 0) + n);
    let over = false;
    by(1);
    return () => {
      if (!over) by(-1);
      over = true;
    };
  }

  /** Whether the client holds the current list, or is about to. `now` is called only if it was given one before. */
  holds(session: Session, kind: ListKind, now: () => ListBytes): boolean {
    if ((this.#awaited.get(session)?.get(kind) ?? 0) > 0) return true;
    const given = this.#sessions.get(session)?.get(kind);
    return given !== undefined && given === now().digest;
  }
}
