/** The sessions of legacy clients: their data and bounds. */
import { randomBytes } from 'node:crypto';
import type { GatewayError } from '../errors.js';
import type { TerminationReason } from '../observe/stats.js';
import type { Elsewhere, FromPeer } from '../protocol/elsewhere.js';
import type { WheelTimer } from '../lib/wheel.js';
import type {
  Caller,
  Exchange,
  LogLevel,
  Principal,
  Question,
  Sink,
  View,
  PassedValues,
} from '../protocol/ports.js';
import type { LegacyRevision } from '../protocol/revisions.js';

/** A server's request that waits for the answer of a session's client. */
export interface OpenQuestion {
  readonly question: Question;
  /** The sink of the call that it belongs to. */
  readonly sink: Sink;
  readonly timer: WheelTimer;
  /** Removes it from its call. */
  readonly closed: () => void;
}

/** The portable part of a session: a store may keep it outside this process. */
export interface SessionRecord {
  /** A secret: it cannot be guessed, and must not be logged. */
  readonly id: string;
  /** Stores need its `id` only: each request authenticates its principal. */
  readonly principal: Principal;
  /** The key of the route where it was opened. On other routes it does not exist. */
  readonly route: string;
  /** The server of its route; undefined: the merged endpoint. */
  readonly server: string | undefined;
  /** The profile of its route; undefined: none. */
  readonly profile?: string | undefined;
  readonly revision: LegacyRevision;
  /** As declared at `initialize`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of `clientInfo` from `initialize`. */
  readonly clientInfo: string | undefined;
  /** The address that opened it, if any: decides which session is evicted when all are in use. */
  readonly opener?: string | undefined;
  /** In a fleet, how many replicas it has been in, from 1 on: ids that outlive a replica begin with it. Absent: no other process can have it. */
  readonly generation?: number | undefined;
}

/** The caller of all requests of a session. */
export interface SessionCaller extends Caller {
  principal: Principal;
  level: LogLevel;
  passed?: PassedValues | undefined;
  apps?: boolean | undefined;
  view: View;
}

/** A record and the state that belongs to this process: calls in flight, open questions, streams and subscriptions. */
export interface Session extends SessionRecord {
  /** As its last request authenticated it. */
  principal: Principal;
  /** When it started in this process, and when it was last used here; monotonic time. */
  readonly openedAt: number;
  lastSeen: number;
  /** false once it has ended. */
  open: boolean;
  /** The caller of all its requests. */
  readonly caller: SessionCaller;
  /** false until the request that follows the take-over: it shows what the client passes on to servers. */
  isSettled: boolean;
  /** Servers' requests that wait for its answer, by the id that the client got. */
  questions: Map<string, OpenQuestion> | undefined;
  nextQuestion: number;
  /** Servers whose pages of apps it has read on a merged endpoint; undefined: none. */
  pages?: Set<string> | undefined;
  /** Set by logging/setLevel. */
  level: LogLevel | undefined;
  /** Its server-to-client stream is open. */
  listening: boolean;
  /** Calls in flight by their id as the client wrote it; created at the first call. */
  inFlight: Map<string, Exchange> | undefined;
}

/** What a store gets: the bounds, and callbacks for the sessions of this process. */
export interface SessionStoreOptions {
  readonly now: () => number;
  /** limits.sessions; a reload may change it. */
  readonly limit: () => number;
  readonly idleTtlMs: number;
  /** Makes ids; absent: 24 random bytes in base64url. */
  readonly makeId?: () => string;
  /** Creates the session for a record, a new one or one that another process opened. */
  readonly opened: (record: SessionRecord) => Session;
  /** A session has ended in this process. A second call does nothing. */
  readonly ended: (session: Session, reason: TerminationReason) => void;
  /** A session goes on in another process: its streams end here, and its calls may finish. */
  readonly left: (session: Session) => void;
}

/** The result of a look-up. An error: it cannot be found out now. */
export type Used = Session | Elsewhere | GatewayError | undefined;

/** A session to be opened. */
export type NewSession = Omit<SessionRecord, 'id'>;

/**
 * Sessions by id. An implementation may keep the records outside the process and return promises. If a promise rejects, or takes longer
 * than 10 s, the store has failed and the client is told to try again. Within a process, one id is one `Session` object until the session
 * ends. Sessions of clients with a single stream (HTTP+SSE, stdio) are opened and ended, but never looked up.
 */
export interface SessionStore {
  /** undefined: all sessions are in use, and none can be evicted. */
  open(wanted: NewSession): Session | undefined | Promise<Session | undefined>;
  /**
   * Looks up a session, which counts as activity. undefined: the id is unknown, or belongs to another principal or route. A session that
   * ended in another process ends here, too. `from`: another process has sent the request, and is told where the session is. Elsewhere: the
   * request has to be handled there.
   */
  use(id: string, principal: Principal, route: string, from?: FromPeer): Used | Promise<Used>;
  /**
   * In this process the session has ended when this returns; a promise resolves when the record is gone. With `gateway_shutdown` a record
   * that replicas share may stay, so that the session continues there.
   */
  end(session: Session, reason: TerminationReason): void | Promise<void>;
  /** Ends idle sessions of this process. */
  sweep(): void;
  /** Sessions of this process. */
  all(): Iterable<Session>;
}

/** Sessions in the memory of this process. Synchronous. */
export interface LocalSessions extends SessionStore {
  open(wanted: NewSession): Session | undefined;
  use(id: string, principal: Principal, route: string): Session | undefined;
  end(session: Session, reason: TerminationReason): void;
  /** Without checks, and without counting as activity. */
  get(id: string): Session | undefined;
  /** Takes over a session that another process had. undefined: as for `open`. */
  adopt(record: SessionRecord): Session | undefined;
  /** Forgets a session that goes on in another process. */
  leave(session: Session): void;
}

export function createSessionStore(options: SessionStoreOptions): LocalSessions {
  const { now, idleTtlMs } = options;
  const makeId = options.makeId ?? (() => randomBytes(24).toString('base64url'));
  const sessions = new Map<string, Session>();

  /** Open sessions by opener. */
  const counts = new Map<string, number>();

  function count(opener: string | undefined, by: number): void {
    if (opener === undefined) return;
    const now = (counts.get(opener) ?? 0) + by;
    if (now > 0) counts.set(opener, now);
    else counts.delete(opener);
  }

  function end(session: Session, reason: TerminationReason): void {
    if (!sessions.delete(session.id)) return;
    count(session.opener, -1);
    options.ended(session, reason);
  }

  function busy(session: Session): boolean {
    return session.listening || (session.inFlight?.size ?? 0) > 0;
  }

  /**
   * Ends a session to make room for `opener`: the longest idle one of the address with the most sessions. An address other than `opener`
   * may also lose a session in use. If every address has one session, the longest idle session of all is ended.
   */
  function evict(opener: string | undefined): boolean {
    let most = opener;
    let sum = opener === undefined ? 1 : (counts.get(opener) ?? 0) + 1;
    for (const [each, has] of counts) if (has > sum) [most, sum] = [each, has];
    const isOf = (session: Session): boolean => session.opener === most;
    const isIdle = (session: Session): boolean => !busy(session);
    let oldest: Session | undefined;
    if (sum === 1) oldest = oldestOf(isIdle);
    else {
      oldest = oldestOf((session) => isOf(session) && isIdle(session));
      if (most !== opener) oldest ??= oldestOf(isOf);
    }
    if (oldest) end(oldest, 'evicted');
    return oldest !== undefined;
  }

  function oldestOf(which: (session: Session) => boolean): Session | undefined {
    let oldest: Session | undefined;
    for (const session of sessions.values())
      if ((!oldest || session.lastSeen < oldest.lastSeen) && which(session)) oldest = session;
    return oldest;
  }

  function adopt(record: SessionRecord): Session | undefined {
    if (sessions.size >= options.limit() && !evict(record.opener)) return undefined;
    const session = options.opened(record);
    sessions.set(session.id, session);
    count(session.opener, 1);
    return session;
  }

  return {
    open: (wanted) => adopt({ id: makeId(), ...wanted }),
    use(id, principal, route) {
      const session = sessions.get(id);
      if (!session || session.route !== route || session.principal.id !== principal.id) return undefined;
      session.lastSeen = now();
      return session;
    },
    end,
    get: (id) => sessions.get(id),
    adopt,
    leave(session) {
      if (!sessions.delete(session.id)) return;
      count(session.opener, -1);
      options.left(session);
    },
    sweep() {
      const before = now() - idleTtlMs;
      for (const session of [...sessions.values()])
        if (session.lastSeen <= before && !busy(session)) end(session, 'idle_timeout');
    },
    all: () => sessions.values(),
  };
}
