/** What links that several clients use tell the rest of the gateway. */
import type { Boundary } from '../observe/boundary.js';
import { NOBODY_TO_ASK, type Link, type LinkEvents, type Notice } from '../protocol/ports.js';
import { tellAside } from '../proxy/fan-out.js';
import type { Interests } from '../proxy/interests.js';
import type { Questions } from '../proxy/questions.js';
import type { Tasks } from '../proxy/tasks.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import type { Announcer } from './announcer.js';
import type { Readiness } from './readiness.js';

export interface SharedEventsDeps {
  readonly boundary: Boundary;
  readonly announcer: Announcer;
  readonly questions: Questions;
  readonly streams: Streams;
  readonly tasks: Tasks;
  readonly readiness: Readiness;
  readonly interests: () => Interests;
  /** The session of this id in this process. */
  readonly sessionOf: (id: string) => Session | undefined;
}

/** `turned`: a link went up or down. */
export function sharedEvents(deps: SharedEventsDeps, turned: LinkEvents['state']): LinkEvents {
  const { boundary, announcer, questions, streams, tasks, readiness, interests, sessionOf } = deps;
  return {
    state: turned,
    changed: (link, kinds) => {
      announcer.announce(link.server, kinds);
    },
    updated: boundary.guard('fan_out', (link: Link, uri: string, notice: Notice) => {
      interests().updated(link, uri, notice);
    }),
    elicited: (link, elicitationId, notice, call) => {
      const session = questions.elicited(link.key, elicitationId);
      if (!session) return;
      if (call?.client === session.id && !call.over) call.notify(notice);
      else streams.notifyOnceOpen(session, notice);
    },
    taskStatus: (link, taskId, notice) => {
      tasks.status(link, taskId, notice);
    },
    logged: boundary.guard('fan_out', (link: Link, client: string, notice: Notice) => {
      const session = sessionOf(client);
      // A reload may have hidden the server since the client used it.
      if (session && !session.caller.view.hides(link.server)) tellAside(streams, session, notice);
    }),
    other() {},
    asked: () => NOBODY_TO_ASK,
    gaveUp: (link, error) => {
      readiness.gaveUp(link.server, error);
    },
  };
}
