/** Resource subscriptions, counted per server and URI, and log levels. */
import { GatewayError } from '../errors.js';
import { LOG_LEVELS, type Link, type LinkInterest, type LogLevel, type Notice } from '../protocol/ports.js';
import { MAX_KEPT_IN_ALL, type Kept } from '../session/kept.js';
import type { Session } from '../session/store.js';
import type { Listener } from './listeners.js';

/** The part of a link that is used here. */
type InterestLink = Pick<Link, 'key' | 'server' | 'shared'> & LinkInterest;

/** A session, or a subscription stream. */
export type Subscriber = Session | Listener;

/** Subscribers with the URI that each one used; undefined: as its view shows it. */
export type Subscribers = ReadonlyMap<Subscriber, string | undefined>;

/** Subscriptions per session, at the most. */
export const MAX_SUBSCRIPTIONS = 1000;

export interface Interests {
  /** A resource was updated: tells its subscribers, or else those of a URI that is a path prefix. */
  updated(link: Pick<Link, 'key' | 'server'>, uri: string, notice: Notice): void;
  /** `shown`: the URI that the client used. Returns an error if the subscriber has too many. */
  add(subscriber: Subscriber, link: InterestLink, uri: string, shown?: string): GatewayError | undefined;
  /**
   * A subscription request is sent to the server. Returns a function to call once with the outcome: a subscription that nobody wants by
   * then is cancelled; a subscriber that was added gets the updates that arrived in the meantime.
   */
  hold(link: InterestLink, uri: string): (subscriber?: Subscriber) => void;
  /** Returns the link if the session was its last subscriber: `link`, or the server's link of the other era. */
  remove(session: Session, link: InterestLink, uri: string): InterestLink | undefined;
  setLevel(session: Session, level: LogLevel): void;
  /** The subscriptions of a session: servers and their URIs. */
  of(session: Session): [server: string, uri: string][];
  /** Asks a link's server for at least this level for a while. Returns a function that ends it. */
  raise(link: InterestLink, level: LogLevel): () => void;
  /** What a subscriber may see has changed: ends its subscriptions to what is hidden now. */
  review(subscriber: Subscriber): void;
  /** A session or a stream ended. */
  drop(subscriber: Subscriber): void;
  /** Repeats subscriptions and the level on a new link. `session`: owner of the link, if it belongs to one client. */
  adopt(link: InterestLink, session?: Session): void;
  /** Moves the subscriptions of the link `key` to another link. */
  move(key: string, to: InterestLink): void;
  /** The link `key` is gone for good. */
  forget(key: string): void;
}

interface Raised {
  /** The current link: a reload may have replaced it. */
  link: InterestLink;
  readonly levels: LogLevel[];
}

interface Subscription {
  link: InterestLink;
  readonly subscribers: Map<Subscriber, string | undefined>;
}

/** An update that arrived while subscriptions were pending. */
interface Update {
  readonly notice: Notice;
  /** Subscribers that got it: each gets it once, even with several pending subscriptions. */
  readonly reached: Set<Subscriber>;
}

/** A pending subscription. */
interface Pending {
  /** Requests that wait for its answer. */
  waiting: number;
  /** Updates that arrived before the answer, the last of each URI. */
  readonly updates: Map<string, Update>;
}

const NOBODY: Subscribers = new Map();
/** Updates that are kept per pending subscription, at the most; the oldest is dropped. */
const MAX_UPDATES = 16;
/** Largest update that is kept, in bytes. */
const MAX_UPDATE_BYTES = 16_384;

export interface InterestsDeps {
  /** Shared links. Their log level is the lowest that any session wants. */
  readonly links: () => Iterable<InterestLink>;
  /** Links of one session. */
  readonly own: (session: Session) => Iterable<InterestLink>;
  readonly kept: Kept;
  /** The subscriptions of a session, or its level, have changed; absent: nobody asks. */
  readonly changed?: (session: Session) => void;
  /** Sends an update to subscribers. */
  readonly tell: (subscribers: Subscribers, server: string, uri: string, notice: Notice) => void;
}

export function createInterests({ links, own, kept, changed, tell }: InterestsDeps): Interests {
  const byLink = new Map<string, Map<string, Subscription>>();
  const levels = new Map<Session, LogLevel>();
  /** Sessions per level, most verbose level first. */
  const wanted = LOG_LEVELS.map(() => 0);
  /** Index of the most verbose level that any session wants; -1: none. */
  let least = -1;
  const counts = new Map<Subscriber, number>();
  /** Levels of single requests, by link. */
  const raised = new Map<string, Raised>();
  /** Pending subscriptions, by link and URI. */
  const pending = new Map<string, Map<string, Pending>>();

  function subscribed(subscriber: Subscriber, by: number): void {
    const next = (counts.get(subscriber) ?? 0) + by;
    if (next > 0) counts.set(subscriber, next);
    else counts.delete(subscriber);
    if (isSession(subscriber)) changed?.(subscriber);
  }

  /** Only sessions give bytes back: a stream releases all at its end. */
  function giveBack(subscriber: Subscriber, uri: string): void {
    if (isSession(subscriber)) kept.give(subscriber, Buffer.byteLength(uri));
  }

  function leave(server: string, uri: string, subscriber: Subscriber): InterestLink | undefined {
    const uris = byLink.get(server);
    const subscription = uris?.get(uri);
    if (!uris || !subscription?.subscribers.delete(subscriber)) return undefined;
    subscribed(subscriber, -1);
    giveBack(subscriber, uri);
    if (subscription.subscribers.size > 0) return undefined;
    uris.delete(uri);
    if (uris.size === 0) byLink.delete(server);
    // A pending request needs it, or cancels it.
    return pending.get(server)?.has(uri) ? undefined : subscription.link;
  }

  function subscribersOf(key: string, uri: string): Subscribers {
    const uris = byLink.get(key);
    if (!uris) return NOBODY;
    const exact = uris.get(uri);
    if (exact) return exact.subscribers;
    const found = new Map<Subscriber, string | undefined>();
    for (const [prefix, { subscribers }] of uris)
      if (isWithin(uri, prefix))
        for (const subscriber of subscribers.keys()) found.set(subscriber, undefined);
    return found;
  }

  /** The level to ask a server for: the most verbose that any client wants. For other clients messages are filtered. */
  function lowest(link: InterestLink): LogLevel | undefined {
    // A link of one client follows that client only.
    let found = link.shared ? least : -1;
    for (const level of raised.get(link.key)?.levels ?? []) {
      const place = LOG_LEVELS.indexOf(level);
      if (found === -1 || place < found) found = place;
    }
    return LOG_LEVELS[found];
  }

  /** Counts one session more or less for a level. */
  function count(level: LogLevel | undefined, by: number): void {
    if (level !== undefined) (wanted[LOG_LEVELS.indexOf(level)] as number) += by;
  }

  function applyLevels(): void {
    const now = wanted.findIndex((sessions) => sessions > 0);
    if (now === least) return;
    least = now;
    for (const link of links()) link.setLevel(lowest(link));
  }

  return {
    updated(link, uri, notice) {
      const { key, server } = link;
      const subscribers = subscribersOf(key, uri);
      const ofLink = pending.get(key);
      if (ofLink && notice.bytes.length <= MAX_UPDATE_BYTES) {
        const update: Update = { notice, reached: new Set(subscribers.keys()) };
        for (const [asked, { updates }] of ofLink) {
          if (asked !== uri && !isWithin(uri, asked)) continue;
          updates.delete(uri);
          updates.set(uri, update);
          if (updates.size > MAX_UPDATES) updates.delete(updates.keys().next().value as string);
        }
      }
      tell(subscribers, server, uri, notice);
    },
    add(subscriber, link, uri, shown) {
      if ((counts.get(subscriber) ?? 0) >= MAX_SUBSCRIPTIONS)
        return new GatewayError('busy', `a client may have ${MAX_SUBSCRIPTIONS} subscriptions`);
      let uris = byLink.get(link.key);
      if (isSession(subscriber) && !uris?.get(uri)?.subscribers.has(subscriber)) {
        const full = kept.hold(subscriber, Buffer.byteLength(uri), MAX_KEPT_IN_ALL);
        if (full) return full;
      }
      if (!uris) byLink.set(link.key, (uris = new Map<string, Subscription>()));
      let subscription = uris.get(uri);
      if (!subscription) uris.set(uri, (subscription = { link, subscribers: new Map() }));
      // A restart may have replaced the link.
      subscription.link = link;
      if (!subscription.subscribers.has(subscriber)) subscribed(subscriber, 1);
      subscription.subscribers.set(subscriber, shown);
      return undefined;
    },
    hold(link, uri) {
      const { key, server } = link;
      let uris = pending.get(key);
      if (!uris) pending.set(key, (uris = new Map<string, Pending>()));
      const entry = uris.get(uri) ?? { waiting: 0, updates: new Map<string, Update>() };
      uris.set(uri, entry);
      entry.waiting++;
      return (subscriber) => {
        entry.waiting--;
        if (entry.waiting === 0) {
          uris.delete(uri);
          if (uris.size === 0 && pending.get(key) === uris) pending.delete(key);
        }
        const subscribers = byLink.get(key)?.get(uri)?.subscribers;
        if (subscriber && subscribers?.has(subscriber))
          for (const [of, { notice, reached }] of entry.updates) {
            if (reached.has(subscriber)) continue;
            reached.add(subscriber);
            tell(
              new Map([[subscriber, of === uri ? subscribers.get(subscriber) : undefined]]),
              server,
              of,
              notice,
            );
          }
        if (entry.waiting === 0 && !subscribers) link.unsubscribe(uri, true);
      };
    },
    remove(session, link, uri) {
      const left = leave(link.key, uri, session);
      if (left) return left;
      for (const [key, uris] of byLink) {
        if (key === link.key || uris.get(uri)?.link.server !== link.server) continue;
        const other = leave(key, uri, session);
        if (other) return other;
      }
      return undefined;
    },
    setLevel(session, level) {
      count(levels.get(session), -1);
      count(level, 1);
      levels.set(session, level);
      session.level = session.caller.level = level;
      changed?.(session);
      applyLevels();
      for (const link of own(session)) link.setLevel(level);
    },
    of(session) {
      if (!counts.has(session)) return [];
      const found: [string, string][] = [];
      for (const uris of byLink.values())
        for (const [uri, { link, subscribers }] of uris)
          if (subscribers.has(session)) found.push([link.server, uri]);
      return found;
    },
    raise(link, level) {
      let own = raised.get(link.key);
      if (!own) raised.set(link.key, (own = { link, levels: [] }));
      const { levels: ofRequests } = own;
      ofRequests.push(level);
      own.link.setLevel(lowest(own.link));
      return () => {
        ofRequests.splice(ofRequests.indexOf(level), 1);
        if (ofRequests.length === 0) raised.delete(link.key);
        own.link.setLevel(lowest(own.link));
      };
    },
    review(subscriber) {
      if (!counts.has(subscriber)) return;
      const { view } = subscriber.caller;
      for (const [key, uris] of [...byLink])
        for (const [uri, { link, subscribers }] of [...uris])
          if (subscribers.has(subscriber) && view.uriOf(link.server, uri) === undefined)
            leave(key, uri, subscriber)?.unsubscribe(uri, true);
    },
    drop(subscriber) {
      if (isSession(subscriber)) {
        count(levels.get(subscriber), -1);
        levels.delete(subscriber);
        applyLevels();
      }
      if (!counts.has(subscriber)) return;
      for (const [server, uris] of [...byLink])
        for (const uri of [...uris.keys()]) leave(server, uri, subscriber)?.unsubscribe(uri, true);
    },
    adopt(link, session) {
      const own = raised.get(link.key);
      if (own) own.link = link;
      link.setLevel(session ? session.level : lowest(link));
      for (const [uri, subscription] of byLink.get(link.key) ?? []) {
        subscription.link = link;
        link.keepSubscribed(uri);
      }
    },
    move(key, to) {
      const uris = byLink.get(key);
      if (!uris) return;
      byLink.delete(key);
      let own = byLink.get(to.key);
      if (!own) byLink.set(to.key, (own = new Map<string, Subscription>()));
      for (const [uri, { subscribers }] of uris) {
        const subscription = own.get(uri) ?? { link: to, subscribers: new Map() };
        own.set(uri, subscription);
        for (const [subscriber, shown] of subscribers) {
          if (subscription.subscribers.has(subscriber)) {
            subscribed(subscriber, -1);
            giveBack(subscriber, uri);
          } else subscription.subscribers.set(subscriber, shown);
        }
        // Not possible now: subscribe once it is up.
        to.subscribe(uri).catch(() => {
          to.keepSubscribed(uri);
        });
      }
    },
    forget(key) {
      const uris = byLink.get(key);
      if (!uris) return;
      for (const [uri, { subscribers }] of uris)
        for (const subscriber of subscribers.keys()) {
          subscribed(subscriber, -1);
          giveBack(subscriber, uri);
        }
      byLink.delete(key);
    },
  };
}

/** Whether `prefix` is a path prefix of a URI. */
function isWithin(uri: string, prefix: string): boolean {
  return uri.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function isSession(subscriber: Subscriber): subscriber is Session {
  return 'inFlight' in subscriber;
}
