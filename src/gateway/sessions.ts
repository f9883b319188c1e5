import type { Config } from '../config/types.js';
import { errorMessage, replicaGone } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import type { Wheel } from '../lib/wheel.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats, TerminationReason } from '../observe/stats.js';
import { LIST_KINDS } from '../protocol/lists.js';
import { sessionCaller } from '../proxy/callers.js';
import { fanOutUpdated, tellSession } from '../proxy/fan-out.js';
import type { GivenLists } from '../proxy/given.js';
import { createInterests, type Interests } from '../proxy/interests.js';
import type { Listeners } from '../proxy/listeners.js';
import { createQuestions, type Questions } from '../proxy/questions.js';
import { routeOf } from '../proxy/route.js';
import { endSession } from '../session/ask.js';
import { createKept, type Kept } from '../session/kept.js';
import { localSessions } from '../session/local.js';
import type { Session, SessionStore, SessionStoreOptions } from '../session/store.js';
import { createStreams, type Streams } from '../session/streams.js';
import type { Links } from './links.js';

export interface SessionOptionsDeps {
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly config: () => Config;
  readonly sessions: () => Sessions;
  readonly links: () => Links;
  readonly interests: Interests;
  readonly kept: Kept;
  readonly questions: Questions;
  readonly streams: Streams;
}

/** What a session store needs: the limits, and what to do when a session starts and ends in this process. */
export function sessionOptions(deps: SessionOptionsDeps): SessionStoreOptions {
  const { boundary, stats, config, sessions, links, interests, kept, questions, streams } = deps;
  const now = (): number => performance.now();
  const ended = (session: Session): void => {
    interests.drop(session);
    kept.drop(session);
    links().own.close(session);
    questions.drop(session);
    streams.drop(session);
  };
  return {
    now,
    limit: () => config().limits.sessions,
    idleTtlMs: config().mcp.session.idle_ttl_seconds * 1000,
    ...localSessions({
      boundary,
      stats,
      now,
      callerOf: (record) =>
        sessionCaller(record, links().views.plain({ principal: record.principal }, routeOf(record))),
      opened: (session) => {
        sessions().opened(session);
        links().give(session);
      },
      ended,
      left: ended,
    }),
  };
}

export interface SessionPartsDeps {
  readonly config: () => Config;
  readonly wheel: Wheel;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly budget: Budget;
  readonly given: GivenLists;
  readonly listeners: Listeners;
  readonly links: () => Links;
  readonly sessions: () => Sessions;
  /** What other replicas need to go on with a session has changed; undefined: there are none. */
  readonly changed: ((session: Session) => void) | undefined;
}

export interface SessionParts {
  readonly kept: Kept;
  readonly streams: Streams;
  readonly interests: Interests;
  readonly questions: Questions;
}

/** What sessions have besides their record. */
export function sessionParts(deps: SessionPartsDeps): SessionParts {
  const { config, wheel, log, budget, listeners, links, sessions, changed } = deps;
  const kept = createKept(budget, (owner) => {
    log.warn('ended the session of a client that keeps most: limits.buffered_bytes is used up');
    listeners.endWhere((listener) => listener === owner);
    sessions().endWhere((session) => session === owner, 'evicted');
  });
  const streams = streamsOf(deps);
  const interests = createInterests({
    links: () => links().ofMany(),
    own: (session) => links().own.of(session),
    kept,
    ...(changed && { changed }),
    tell: (subscribers, server, uri, notice) => {
      fanOutUpdated(streams, subscribers, server, uri, notice);
    },
  });
  const questions = createQuestions({ wheel, log, budget, bodyBytes: () => config().limits.body_bytes });
  return { kept, streams, interests, questions };
}

/** The streams of sessions, as the configuration of the start bounds them. */
function streamsOf({ config, wheel, stats, log, given }: SessionPartsDeps): Streams {
  const streams = createStreams({
    wheel,
    resumeMs: config().http.resume_seconds * 1000,
    replayBytes: () => config().limits.replay_bytes,
    dropped: (reason) => {
      stats.eventsDropped.add(reason);
      if (reason === 'slow_client')
        log.warn('closed the server-to-client stream of a client that does not read');
    },
    reopened: (session) => {
      tellSession({ streams, given }, session, LIST_KINDS);
    },
    gone: (rawId) => Buffer.from(errorMessage(replicaGone(), rawId)),
  });
  return streams;
}

/** The sessions of this process, for all who end many or look one up. */
export class Sessions {
  readonly store: SessionStore;
  readonly #log: Logger;
  /** The last look-up: a log message without a call is usually for the same session as the one before. */
  #last: { readonly id: string; readonly session: Session | undefined } | undefined;

  constructor(store: SessionStore, log: Logger) {
    this.store = store;
    this.#log = log;
  }

  endWhere(which: (session: Session) => boolean, reason: TerminationReason): void {
    for (const session of [...this.store.all()])
      if (which(session)) void endSession(this.store, this.#log, session, reason);
  }

  /** A session has started in this process. With an external store its id may have been one of a session that ended here. */
  opened({ id }: Session): void {
    if (this.#last?.id === id) this.#last = undefined;
  }

  find(id: string): Session | undefined {
    if (this.#last?.id !== id)
      this.#last = { id, session: [...this.store.all()].find((session) => session.id === id) };
    const { session } = this.#last;
    return session?.open ? session : undefined;
  }
}
