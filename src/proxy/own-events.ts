/** What a link of one client tells: to that client, and to nobody else. */
import type { ListKind } from '../protocol/lists.js';
import {
  NOBODY_TO_ASK,
  type Link,
  type LinkEvents,
  type Question,
  type Refusal,
  type Sink,
} from '../protocol/ports.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { tellAside } from './fan-out.js';
import type { Interests } from './interests.js';
import type { Questions } from './questions.js';

export interface OwnEventsDeps {
  readonly streams: Streams;
  readonly questions: Questions;
  readonly interests: () => Interests;
  readonly taskStatus: LinkEvents['taskStatus'];
}

/**
 * `session`: of the client; undefined: a modern client, which has no stream for messages without a call. `turned`: a link went up or
 * down. `changed`: lists changed.
 */
export function ownEvents(
  deps: OwnEventsDeps,
  session: Session | undefined,
  turned: LinkEvents['state'],
  changed: (kinds: readonly ListKind[]) => void,
): LinkEvents {
  return {
    state: turned,
    changed: (_link, kinds) => {
      changed(kinds);
    },
    updated: (link, uri, notice) => {
      deps.interests().updated(link, uri, notice);
    },
    elicited: (_link, _id, notice, call) => {
      if (call && !call.over) call.notify(notice);
      else if (session) deps.streams.notifyOnceOpen(session, notice);
    },
    taskStatus: (link, taskId, notice) => {
      deps.taskStatus(link, taskId, notice);
    },
    other: (_link, notice) => {
      if (session) tellAside(deps.streams, session, notice);
    },
    logged() {},
    asked: (link, question) => (session ? ask(deps, session, link, question) : NOBODY_TO_ASK),
    gaveUp() {},
  };
}

/** Sends a question without a call on the server-to-client stream, once there is one. */
function ask(
  { streams, questions }: OwnEventsDeps,
  session: Session,
  link: Link,
  question: Question,
): Refusal | undefined {
  const sink: Sink = {
    notify: (notice) => streams.notify(session, notice),
    ask({ method, bytes }) {
      streams.notifyOnceOpen(session, { method, bytes });
      return undefined;
    },
    start() {},
    write: () => true,
    end() {},
    cancelled() {},
    fail() {},
  };
  const merged = session.server === undefined;
  const context = { session, server: link.server, key: link.key, merged, inputMs: link.inputMs };
  const asked = questions.ask(question, sink, context, () => undefined);
  return typeof asked === 'string' ? undefined : asked;
}
