/** Sessions that are told once a page has done its work which their clients were asked to open (2025-11-25, client/elicitation). */
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';

const FIRST_REVIEW = 64;

export class Watch {
  readonly #sessions = new Set<Session>();
  /** So many sessions, and those that have ended are let go. */
  #reviewAt = FIRST_REVIEW;

  add(session: Session): void {
    this.#sessions.add(session);
    if (this.#sessions.size < this.#reviewAt) return;
    for (const each of this.#sessions) if (!each.open) this.#sessions.delete(each);
    this.#reviewAt = Math.max(FIRST_REVIEW, 2 * this.#sessions.size);
  }

  tell(streams: Pick<Streams, 'notifyOnceOpen'>, elicitationId: string): void {
    const method = 'notifications/elicitation/complete';
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params: { elicitationId } }));
    for (const each of this.#sessions) if (each.open) streams.notifyOnceOpen(each, { method, bytes });
  }
}
