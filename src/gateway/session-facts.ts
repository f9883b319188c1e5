/** What other replicas need to go on with a session, and what is restored of it. */
import type { SessionFacts } from '../fleet/sessions.js';
import type { Boundary } from '../observe/boundary.js';
import { LOG_LEVELS, type LogLevel } from '../protocol/ports.js';
import type { Interests } from '../proxy/interests.js';
import type { OwnLinks } from '../proxy/own-links.js';
import type { Tasks } from '../proxy/tasks.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';

export interface SessionFactsDeps {
  readonly interests: () => Interests;
  readonly streams: () => Streams;
  readonly own: () => OwnLinks;
  readonly tasks: () => Pick<Tasks, 'has'>;
  /** The session sees pages of apps. */
  readonly review: (session: Session) => void;
  readonly isDraining: () => boolean;
  readonly boundary: Boundary;
}

export function sessionFacts(deps: SessionFactsDeps): SessionFacts {
  return {
    keptOf(session) {
      const subscriptions = deps.interests().of(session);
      const { principal, route, server, profile, revision, capabilities, clientInfo, opener, level, pages } =
        session;
      return {
        ...{ principal: principal.id, route, server, profile, revision },
        ...{ capabilities, clientInfo, opener, level },
        ...(subscriptions.length > 0 && { subscriptions }),
        ...(pages && { pages: [...pages] }),
      };
    },
    restore(session, { level, subscriptions = [], pages }) {
      if (LOG_LEVELS.includes(level as LogLevel)) deps.interests().setLevel(session, level as LogLevel);
      if (pages) {
        session.pages = new Set(pages);
        session.caller.apps = true;
        deps.review(session);
      }
      for (const [server, uri] of subscriptions) subscribe(deps, session, server, uri);
    },
    isIdle(session) {
      if ((session.inFlight?.size ?? 0) > 0 || session.questions !== undefined) return false;
      if (deps.own().of(session).length > 0) return false;
      // Its tasks are known here alone.
      if (!deps.isDraining() && deps.tasks().has(session)) return false;
      const kept = deps.streams().kept(session);
      return kept === 'nothing' || (kept === 'ended' && deps.isDraining());
    },
  };
}

function subscribe(
  { interests, boundary }: SessionFactsDeps,
  session: Session,
  server: string,
  uri: string,
): void {
  const link = session.caller.view.links().find((each) => each.server === server);
  // The session may not see it any more.
  if (!link || session.caller.view.uriOf(server, uri) === undefined) return;
  const isSubscribed = link.isSubscribed(uri);
  if (interests().add(session, link, uri) || isSubscribed) return;
  boundary.detach(
    'detached',
    link.subscribe(uri).catch(() => {
      link.keepSubscribed(uri);
    }),
  );
}
