/** Who wants to hear what: resource subscriptions, counted per upstream and URI, and log levels. */
import { GatewayError } from '../errors.js';
import { LOG_LEVELS, type Link, type LinkInterest, type LogLevel, type Notice } from '../protocol/ports.js';
import { MAX_KEPT_IN_ALL, type Kept } from '../session/kept.js';
import type { Session } from '../session/store.js';
import type { Listener } from './listeners.js';

/** What is asked of a link here. */
type InterestLink = Pick<Link, 'key' | 'server' | 'shared'> & LinkInterest;

/** Who hears: a session on its stream, or a stream of its own. */
export type Hearer = Session | Listener;

/** A hearer and the URI it knows the resource by; undefined: as its view has it. */
export type Subscribers = ReadonlyMap<Hearer, string | undefined>;

/** Subscriptions of one session, at the most. */
export const MAX_SUBSCRIPTIONS = 1000;

export interface Interests {
  /** A resource was updated: its subscribers are told, else those of a URI that is a path prefix of it. */
  updated(link: Pick<Link, 'key' | 'server'>, uri: string, notice: Notice): void;
  /** `shown`: the URI under which it was asked for. An error: the hearer has too many. */
  add(hearer: Hearer, link: InterestLink, uri: string, shown?: string): GatewayError | undefined;
  /**
   * Somebody asks the upstream for `uri`, and may be gone when that is granted. Returns what to call once, when it is known: what
   * nobody subscribed to after all is taken back. A hearer that has subscribed, and knows it, is told of the updates that came meanwhile.
   */
  hold(link: InterestLink, uri: string): (hearer?: Hearer) => void;
  /** The link to which the session was the last subscriber, if it was: `link`, or the one of the other era to the same server. */
  remove(session: Session, link: InterestLink, uri: string): InterestLink | undefined;
  setLevel(session: Session, level: LogLevel): void;
  /** The link's upstream is to send at least this for a while. Returns what to call when it is over. */
  raise(link: InterestLink, level: LogLevel): () => void;
  /** A session or a stream ended. */
  drop(hearer: Hearer): void;
  /** A new link of a server is to hear what its predecessor had been told. `session`: whose own link it is. */
  adopt(link: InterestLink, session?: Session): void;
  /** Who heard of the link `key` hears of this one from now on. */
  move(key: string, to: InterestLink): void;
  /** A link of this key is gone for good. */
  forget(key: string): void;
}

interface Raised {
  /** The one that is in use: a reload may have put it in the place of the one that was raised. */
  link: InterestLink;
  readonly levels: LogLevel[];
}

interface Subscription {
  link: InterestLink;
  readonly hearers: Map<Hearer, string | undefined>;
}

/** An update that came while subscriptions were on their way. */
interface Early {
  readonly notice: Notice;
  /** Who has been told of it: each hearer is once, however many of its subscriptions were on their way. */
  readonly heard: Set<Hearer>;
}

/** What is on its way at an upstream. */
interface Held {
  /** Who waits for its answer. */
  waiting: number;
  /** Updates that came before it, the last of each URI. */
  readonly told: Map<string, Early>;
}

const NOBODY: Subscribers = new Map();
/** Updates that are kept of one subscription that is on its way, at the most; the oldest goes. */
const MAX_TOLD = 16;
/** Bytes of such an update, at the most. */
const MAX_TOLD_BYTES = 16_384;

export interface InterestsDeps {
  /** Those that sessions share, whose level of log messages is the lowest that any wants. */
  readonly links: () => Iterable<InterestLink>;
  /** A session's own. */
  readonly own: (session: Session) => Iterable<InterestLink>;
  readonly kept: Kept;
  /** Tells hearers of an update. */
  readonly tell: (subscribers: Subscribers, server: string, uri: string, notice: Notice) => void;
}

export function createInterests({ links, own, kept, tell }: InterestsDeps): Interests {
  const byLink = new Map<string, Map<string, Subscription>>();
  const levels = new Map<Session, LogLevel>();
  /** How many sessions want each level, the most verbose first. */
  const wanted = LOG_LEVELS.map(() => 0);
  /** The place of the most verbose level that any session wants; -1: none wants one. */
  let least = -1;
  const counts = new Map<Hearer, number>();
  /** Levels that single requests want, by link. */
  const raised = new Map<string, Raised>();
  /** Subscriptions that are on their way, by link and URI. */
  const held = new Map<string, Map<string, Held>>();

  function subscribed(hearer: Hearer, by: number): void {
    const next = (counts.get(hearer) ?? 0) + by;
    if (next > 0) counts.set(hearer, next);
    else counts.delete(hearer);
  }

  /** A stream has what it keeps for as long as it lives. */
  function giveBack(hearer: Hearer, uri: string): void {
    if (isSession(hearer)) kept.give(hearer, Buffer.byteLength(uri));
  }

  function leave(server: string, uri: string, hearer: Hearer): InterestLink | undefined {
    const uris = byLink.get(server);
    const subscription = uris?.get(uri);
    if (!uris || !subscription?.hearers.delete(hearer)) return undefined;
    subscribed(hearer, -1);
    giveBack(hearer, uri);
    if (subscription.hearers.size > 0) return undefined;
    uris.delete(uri);
    if (uris.size === 0) byLink.delete(server);
    // Who waits for it needs it, or takes it back.
    return held.get(server)?.has(uri) ? undefined : subscription.link;
  }

  function subscribers(key: string, uri: string): Subscribers {
    const uris = byLink.get(key);
    if (!uris) return NOBODY;
    const exact = uris.get(uri);
    if (exact) return exact.hearers;
    const found = new Map<Hearer, string | undefined>();
    for (const [prefix, { hearers }] of uris)
      if (isWithin(uri, prefix)) for (const hearer of hearers.keys()) found.set(hearer, undefined);
    return found;
  }

  /** Upstreams send what the most verbose of their listeners wants; the others' share is filtered. */
  function lowest(link: InterestLink): LogLevel | undefined {
    // One client's own link is no other's.
    let found = link.shared ? least : -1;
    for (const level of raised.get(link.key)?.levels ?? []) {
      const place = LOG_LEVELS.indexOf(level);
      if (found === -1 || place < found) found = place;
    }
    return LOG_LEVELS[found];
  }

  /** One session more, or fewer, wants a level. Links hear of it where that changes what they are to send. */
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
      const hearers = subscribers(key, uri);
      const onTheirWay = held.get(key);
      if (onTheirWay && notice.bytes.length <= MAX_TOLD_BYTES) {
        const early: Early = { notice, heard: new Set(hearers.keys()) };
        for (const [asked, { told }] of onTheirWay) {
          if (asked !== uri && !isWithin(uri, asked)) continue;
          told.delete(uri);
          told.set(uri, early);
          if (told.size > MAX_TOLD) told.delete(told.keys().next().value as string);
        }
      }
      tell(hearers, server, uri, notice);
    },
    add(hearer, link, uri, shown) {
      if ((counts.get(hearer) ?? 0) >= MAX_SUBSCRIPTIONS)
        return new GatewayError('busy', `a client may have ${MAX_SUBSCRIPTIONS} subscriptions`);
      let uris = byLink.get(link.key);
      if (isSession(hearer) && !uris?.get(uri)?.hearers.has(hearer)) {
        const full = kept.hold(hearer, Buffer.byteLength(uri), MAX_KEPT_IN_ALL);
        if (full) return full;
      }
      if (!uris) byLink.set(link.key, (uris = new Map<string, Subscription>()));
      let subscription = uris.get(uri);
      if (!subscription) uris.set(uri, (subscription = { link, hearers: new Map() }));
      // A restart of the upstream put another link in its place.
      subscription.link = link;
      if (!subscription.hearers.has(hearer)) subscribed(hearer, 1);
      subscription.hearers.set(hearer, shown);
      return undefined;
    },
    hold(link, uri) {
      const { key, server } = link;
      let uris = held.get(key);
      if (!uris) held.set(key, (uris = new Map<string, Held>()));
      const entry = uris.get(uri) ?? { waiting: 0, told: new Map<string, Early>() };
      uris.set(uri, entry);
      entry.waiting++;
      return (hearer) => {
        entry.waiting--;
        if (entry.waiting === 0) {
          uris.delete(uri);
          if (uris.size === 0 && held.get(key) === uris) held.delete(key);
        }
        const hearers = byLink.get(key)?.get(uri)?.hearers;
        if (hearer && hearers?.has(hearer))
          for (const [of, { notice, heard }] of entry.told) {
            if (heard.has(hearer)) continue;
            heard.add(hearer);
            tell(new Map([[hearer, of === uri ? hearers.get(hearer) : undefined]]), server, of, notice);
          }
        if (entry.waiting === 0 && !hearers) link.unsubscribe(uri, true);
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
      session.level = level;
      applyLevels();
      for (const link of own(session)) link.setLevel(level);
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
    drop(hearer) {
      if (isSession(hearer)) {
        count(levels.get(hearer), -1);
        levels.delete(hearer);
        applyLevels();
      }
      if (!counts.has(hearer)) return;
      for (const [server, uris] of [...byLink])
        for (const uri of [...uris.keys()]) leave(server, uri, hearer)?.unsubscribe(uri, true);
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
      for (const [uri, { hearers }] of uris) {
        const subscription = own.get(uri) ?? { link: to, hearers: new Map() };
        own.set(uri, subscription);
        for (const [hearer, shown] of hearers) {
          if (subscription.hearers.has(hearer)) {
            subscribed(hearer, -1);
            giveBack(hearer, uri);
          } else subscription.hearers.set(hearer, shown);
        }
        // Not now: then once it is up.
        to.subscribe(uri).catch(() => {
          to.keepSubscribed(uri);
        });
      }
    },
    forget(key) {
      const uris = byLink.get(key);
      if (!uris) return;
      for (const [uri, { hearers }] of uris)
        for (const hearer of hearers.keys()) {
          subscribed(hearer, -1);
          giveBack(hearer, uri);
        }
      byLink.delete(key);
    },
  };
}

/** Whether a URI is that of something within what `prefix` names. */
function isWithin(uri: string, prefix: string): boolean {
  return uri.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function isSession(hearer: Hearer): hearer is Session {
  return 'inFlight' in hearer;
}
