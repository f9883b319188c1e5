/** Who wants to hear what: resource subscriptions, counted per upstream and URI, and log levels. */
import { LOG_LEVELS, type Link, type LogLevel } from '../protocol/ports.js';
import type { Session } from '../session/store.js';

/** Subscriptions of one session, at the most. */
export const MAX_SUBSCRIPTIONS = 1000;

export interface Interests {
  /** The sessions to tell of an update of `uri` on the link `key`: its subscribers, else those of a URI that is a path prefix of it. */
  subscribers(key: string, uri: string): ReadonlySet<Session>;
  /** false: the session has too many. */
  add(session: Session, link: Link, uri: string): boolean;
  /** true: the session was the last subscriber. */
  remove(session: Session, link: Link, uri: string): boolean;
  setLevel(session: Session, level: LogLevel): void;
  /** A session ended. */
  drop(session: Session): void;
  /** A new link of a server is to hear what its predecessor had been told. `session`: whose own link it is. */
  adopt(link: Link, session?: Session): void;
  /** A server is gone. */
  forget(server: string): void;
}

interface Subscription {
  link: Link;
  readonly sessions: Set<Session>;
}

const NOBODY: ReadonlySet<Session> = new Set();

/** `links`: those that sessions share, whose level of log messages is the lowest that any wants. `own`: a session's own. */
export function createInterests(
  links: () => Iterable<Link>,
  own: (session: Session) => Iterable<Link>,
): Interests {
  const byLink = new Map<string, Map<string, Subscription>>();
  const levels = new Map<Session, LogLevel>();
  const counts = new Map<Session, number>();

  function count(session: Session, by: number): void {
    const next = (counts.get(session) ?? 0) + by;
    if (next > 0) counts.set(session, next);
    else counts.delete(session);
  }

  function leave(server: string, uri: string, session: Session): Link | undefined {
    const uris = byLink.get(server);
    const subscription = uris?.get(uri);
    if (!uris || !subscription?.sessions.delete(session)) return undefined;
    count(session, -1);
    if (subscription.sessions.size > 0) return undefined;
    uris.delete(uri);
    if (uris.size === 0) byLink.delete(server);
    return subscription.link;
  }

  /** Upstreams send what the most verbose of their listeners wants; the others' share is filtered. */
  function lowest(): LogLevel | undefined {
    let found: LogLevel | undefined;
    for (const level of levels.values())
      if (found === undefined || LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(found)) found = level;
    return found;
  }

  function applyLevels(): void {
    const level = lowest();
    for (const link of links()) link.setLevel(level);
  }

  return {
    subscribers(key, uri) {
      const uris = byLink.get(key);
      if (!uris) return NOBODY;
      const exact = uris.get(uri);
      if (exact) return exact.sessions;
      const found = new Set<Session>();
      for (const [prefix, { sessions }] of uris)
        if (uri.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`))
          for (const session of sessions) found.add(session);
      return found;
    },
    add(session, link, uri) {
      if ((counts.get(session) ?? 0) >= MAX_SUBSCRIPTIONS) return false;
      let uris = byLink.get(link.key);
      if (!uris) byLink.set(link.key, (uris = new Map<string, Subscription>()));
      let subscription = uris.get(uri);
      if (!subscription) uris.set(uri, (subscription = { link, sessions: new Set() }));
      // A restart of the upstream put another link in its place.
      subscription.link = link;
      if (!subscription.sessions.has(session)) {
        subscription.sessions.add(session);
        count(session, 1);
      }
      return true;
    },
    remove: (session, link, uri) => leave(link.key, uri, session) !== undefined,
    setLevel(session, level) {
      levels.set(session, level);
      session.level = level;
      applyLevels();
      for (const link of own(session)) link.setLevel(level);
    },
    drop(session) {
      if (levels.delete(session)) applyLevels();
      if (!counts.has(session)) return;
      for (const [server, uris] of [...byLink])
        for (const uri of [...uris.keys()]) leave(server, uri, session)?.unsubscribe(uri, true);
    },
    adopt(link, session) {
      link.setLevel(session ? session.level : lowest());
      for (const [uri, subscription] of byLink.get(link.key) ?? []) {
        subscription.link = link;
        link.keepSubscribed(uri);
      }
    },
    forget(server) {
      const uris = byLink.get(server);
      if (!uris) return;
      for (const { sessions } of uris.values()) for (const session of sessions) count(session, -1);
      byLink.delete(server);
    },
  };
}
