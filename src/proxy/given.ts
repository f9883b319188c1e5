/** Which lists clients hold: who holds the one that is shown now need not hear that it changed. */
import { createHash } from 'node:crypto';
import type { ListKind } from '../protocol/lists.js';
import type { Session } from '../session/store.js';

/** Views build a list once: its digest is made once. */
const digests = new WeakMap<Buffer, string>();

/** Stands for the bytes of a list, which are not kept for its sake. */
export function digestOf(list: Buffer): string {
  let digest = digests.get(list);
  if (digest === undefined)
    digests.set(list, (digest = createHash('sha256').update(list).digest('base64url')));
  return digest;
}

export class GivenLists {
  readonly #sessions = new WeakMap<Session, Map<ListKind, string>>();
  /** How many requests for a list wait to be answered. */
  readonly #awaited = new WeakMap<Session, Map<ListKind, number>>();

  /** `list` is on its way to the client of a session. */
  note(session: Session, kind: ListKind, list: Buffer): void {
    let given = this.#sessions.get(session);
    if (!given) this.#sessions.set(session, (given = new Map<ListKind, string>()));
    given.set(kind, digestOf(list));
  }

  /** The client waits for a list, and will get the newest. Returns what to call when it waits no more. */
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

  /** Whether the client holds this very list, or is about to. `now`: built only where it once was given one. */
  holds(session: Session, kind: ListKind, now: () => Buffer): boolean {
    if ((this.#awaited.get(session)?.get(kind) ?? 0) > 0) return true;
    const given = this.#sessions.get(session)?.get(kind);
    return given !== undefined && given === digestOf(now());
  }
}
