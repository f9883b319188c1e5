/** The sessions of legacy clients: their data and bounds. */
import { randomBytes } from 'node:crypto';
import type { TerminationReason } from '../observe/stats.js';
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
  /** Creates the session for a record, a new one or one that another process opened. */
  readonly opened: (record: SessionRecord) => Session;
  /** A session has ended in this process. A second call does nothing. */
  readonly ended: (session: Session, reason: TerminationReason) => void;
}

/** A session to be opened. */
export type NewSession = Omit<SessionRecord, 'id'>;

/**
 * Sessions by id. An implementation may keep the records outside the process and return promises. If a promise rejects, or takes longer
 * than 5 s, the store has failed and the client is told to try again. Within a process, one id is one `Session` object until the session
 * ends. Sessions of clients with a single stream (HTTP+SSE, stdio) are opened and ended, but never looked up.
 */
export interface SessionStore {
  /** undefined: all sessions are in use, and none can be evicted. */
  open(wanted: NewSession): Session | undefined | Promise<Session | undefined>;
  /**
   * Looks up a session, which counts as activity. undefined: the id is unknown, or belongs to another principal or route. A session that
   * ended in another process ends here, too.
   */
  use(id: string, principal: Principal, route: string): Session | undefined | Promise<Session | undefined>;
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
export function createSessionStore(options: SessionStoreOptions) {
  const { now, idleTtlMs } = options;
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

  return {
    open(wanted) {
      if (sessions.size >= options.limit() && !evict(wanted.opener)) return undefined;
      const id = randomBytes(24).toString('base64url');
      const session = options.opened({ id, ...wanted });
      sessions.set(id, session);
      count(session.opener, 1);
      return session;
    },
    use(id, principal, route) {
      const session = sessions.get(id);
      if (!session || session.route !== route || session.principal.id !== principal.id) return undefined;
      session.lastSeen = now();
      return session;
    },
    end,
    sweep() {
      const before = now() - idleTtlMs;
      for (const session of [...sessions.values()])
        if (session.lastSeen <= before && !busy(session)) end(session, 'idle_timeout');
    },
    all: () => sessions.values(),
  } satisfies SessionStore;
}
