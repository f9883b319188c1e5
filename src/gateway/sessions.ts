import type { Logger } from '../observe/log.js';
import type { TerminationReason } from '../observe/stats.js';
import { endSession } from '../session/ask.js';
import type { Session, SessionStore } from '../session/store.js';

/** The sessions of this process, for all who end many or look one up. */
export class Sessions {
  readonly store: SessionStore;
  readonly #log: Logger;
  /** The last look-up: a log message without a call is usually for the same session as the one before. */
  #last: { readonly id: string; readonly session: Session | undefined } | undefined;

  constructor(store: SessionStore, log: Logger) {
    this.store = store;
    this.#log = log;
  }

  endWhere(which: (session: Session) => boolean, reason: TerminationReason): void {
    for (const session of [...this.store.all()])
      if (which(session)) void endSession(this.store, this.#log, session, reason);
  }

  /** A session has started in this process. With an external store its id may have been one of a session that ended here. */
  opened({ id }: Session): void {
    if (this.#last?.id === id) this.#last = undefined;
  }

  find(id: string): Session | undefined {
    if (this.#last?.id !== id)
      this.#last = { id, session: [...this.store.all()].find((session) => session.id === id) };
    const { session } = this.#last;
    return session?.open ? session : undefined;
  }
}
