/** The part of a session that every store leaves to this process: counters, and the end of calls and streams. */
import type { Boundary } from '../observe/boundary.js';
import type { GatewayStats, TerminationReason } from '../observe/stats.js';
import type { Cause } from '../protocol/ports.js';
import type { Session, SessionCaller, SessionRecord, SessionStoreOptions } from './store.js';

export interface LocalDeps {
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly now: () => number;
  /** The caller of a session. */
  readonly callerOf: (record: SessionRecord) => SessionCaller;
  /** A session has started in this process. */
  readonly opened: (session: Session) => void;
  /** A session has ended: releases everything else that belongs to it. */
  readonly ended: (session: Session) => void;
  /** A session goes on in another process: the same, but servers are told nothing. */
  readonly left: (session: Session) => void;
}

const CAUSES: Record<TerminationReason, Cause> = {
  client_delete: 'session ended by the client',
  idle_timeout: 'session timed out',
  gateway_shutdown: 'gateway shutting down',
  init_failed: 'session not opened',
  evicted: 'session evicted',
  auth_changed: 'credential withdrawn',
  operator: 'session ended by an operator',
  server_removed: 'server removed',
};

export function localSessions(deps: LocalDeps): Pick<SessionStoreOptions, 'opened' | 'ended' | 'left'> {
  const { stats, now } = deps;
  return {
    opened(record) {
      const session = sessionOf(record, deps.callerOf(record), now());
      stats.sessionsActive++;
      // It was counted where it was opened.
      if ((record.generation ?? 1) === 1) stats.sessionsTotal++;
      deps.opened(session);
      return session;
    },
    ended(session, reason) {
      if (!session.open) return;
      session.open = false;
      stats.sessionsActive--;
      stats.terminations.add(reason);
      stats.sessionDuration.observe((now() - session.openedAt) / 1000);
      const { inFlight } = session;
      session.inFlight = undefined;
      for (const exchange of inFlight ? [...inFlight.values()] : [])
        deps.boundary.run('client_request', () => {
          exchange.cancel(CAUSES[reason]);
        });
      deps.ended(session);
    },
    left(session) {
      if (!session.open) return;
      session.open = false;
      stats.sessionsActive--;
      deps.left(session);
    },
  };
}

/** Ids of questions of one generation. */
export const QUESTIONS = 2 ** 20;

function sessionOf(record: SessionRecord, caller: SessionCaller, at: number): Session {
  const { id, principal, route, server, profile, revision, capabilities, clientInfo, opener, generation } =
    record;
  return {
    id,
    principal,
    route,
    server,
    profile,
    revision,
    capabilities,
    clientInfo,
    opener,
    generation,
    openedAt: at,
    lastSeen: at,
    open: true,
    caller,
    isSettled: (generation ?? 1) === 1,
    questions: undefined,
    nextQuestion: (generation ?? 0) * QUESTIONS + 1,
    level: undefined,
    listening: false,
    inFlight: undefined,
  };
}
