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

  /** `list` is on its way to the client of a session. */
  note(session: Session, kind: ListKind, list: Buffer): void {
    let given = this.#sessions.get(session);
    if (!given) this.#sessions.set(session, (given = new Map<ListKind, string>()));
    given.set(kind, digestOf(list));
  }

  /** Whether the client holds this very list. `now`: built only where it once was given one. */
  holds(session: Session, kind: ListKind, now: () => Buffer): boolean {
    const given = this.#sessions.get(session)?.get(kind);
    return given !== undefined && given === digestOf(now());
  }
}
