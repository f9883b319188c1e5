/**
 * The one door: all that a downstream transport may ask. Here a message meets its era, its session and its method;
 * what is not a call is answered at once.
 */
import type { Refused } from '../auth/authenticate.js';
import type { Views } from '../catalog/views.js';
import { GatewayError } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import { methodOf } from '../protocol/methods.js';
import { find, idKey, param, type Message, type MessageError } from '../protocol/message.js';
import type { Link, Principal, Sink, StreamTarget } from '../protocol/ports.js';
import { isModernRevision } from '../protocol/revisions.js';
import { endSession, useSession, type Found } from '../session/ask.js';
import { tooLong, type Kept } from '../session/kept.js';
import type { Session, SessionStore } from '../session/store.js';
import type { CallStream, Ears, StreamControl, Streams } from '../session/streams.js';
import { objectOf } from '../wire/json.js';
import { admitBatch, sessionOf } from './admission.js';
import { answer, counter, refused, type Handled, type Route, type Settled, type Source } from './handled.js';
import type { Bridge } from '../bridge/index.js';
import type { Interests } from './interests.js';
import type { GivenLists } from './given.js';
import type { Listeners } from './listeners.js';
import { initialize, type InitializeDeps } from './methods/initialize.js';
import { list } from './methods/lists.js';
import { namedBy, namedByRef } from './methods/named.js';
import { passOn, relay, type Named, type RelayDeps, type Wrap } from './methods/relay.js';
import { setLevel, subscribe } from './methods/subscriptions.js';
import { createModern, type ModernDeps } from './modern.js';
import type { Questions } from './questions.js';
import type { Runtime } from './runtime.js';
import type { Tasks } from './tasks.js';

export type { Found } from '../session/ask.js';
export type { Session } from '../session/store.js';
export type { CallStream } from '../session/streams.js';
export type { Route, Settled, Source } from './handled.js';

export interface Gate {
  readonly state: 'starting' | 'serving' | 'draining';
  authorize(authorization: string | undefined): Principal | Refused;
  /** Sessions of one door are unknown at another. undefined: no such server. */
  route(server: string | undefined, door?: Door): Route | undefined;
  /**
   * What the session id of a source leads to: to be asked first, and handed on with what came. A promise, which never rejects, where the
   * store is elsewhere. Nothing else waits for a store on the way of a message: what follows is as if the session had been at hand.
   */
  find(source: Source): Found | Promise<Found>;
  /** One message. `sink` is used for an exchange alone, and never before this has returned. */
  handle(source: Source, found: Found, message: Message, sink: Sink): Handled;
  /** Whether this array may be handled as a batch; each element is then handled by itself. */
  admitBatch(
    source: Source,
    found: Found,
    messages: readonly (Message | MessageError)[],
  ): GatewayError | undefined;
  /** How the stream of a call becomes one its client can come back to; undefined: it has no session. */
  resumable(found: Found): OpenCallStream | undefined;
  /**
   * Opens the server-to-client stream of a session (an older one ends), or goes on with the stream that `lastEventId` names. `open` makes
   * the stream once it is known that there is one. Returns what to call when the client has left.
   */
  listen(
    source: Source,
    found: Found,
    lastEventId: string | undefined,
    open: () => StreamTarget,
  ): (() => void) | GatewayError;
  /**
   * Makes the one stream of a client the ears of its session, just opened. Returns what to call when the client has left: the session
   * ends with the stream.
   */
  attach(session: Session, ears: Ears): () => void;
  /** Ends a session, just opened, whose client has left without hearing of it. */
  abandon(session: Session): void;
  /** Ends the session. undefined: it has ended. */
  end(source: Source, found: Found): GatewayError | undefined | Promise<GatewayError | undefined>;
  /** Counts a stream that was opened before there is a session. */
  countListen(): void;
  /** Counts a request that was refused before it was a message. */
  countInvalid(label: 'invalid' | 'unknown' | 'listen' | 'terminate'): void;
}

/** The ways in: Streamable HTTP, HTTP+SSE, stdio. */
export type Door = 'mcp' | 'sse' | 'stdio';

export type OpenCallStream = (target: StreamTarget, control: StreamControl) => CallStream | undefined;

export interface GateDeps {
  readonly runtime: () => Runtime;
  readonly state: () => Gate['state'];
  /** What legacy clients see. */
  readonly views: Views;
  /** A legacy client has come to a route: servers of both eras are spoken to in its own. */
  readonly came: (server: string | undefined) => void;
  readonly greets: InitializeDeps['greets'];
  readonly dialling: RelayDeps['dialling'];
  readonly sessions: SessionStore;
  readonly interests: Interests;
  readonly questions: Questions;
  readonly kept: Kept;
  readonly streams: Streams;
  readonly tasks: Tasks;
  readonly listeners: Listeners;
  readonly given: GivenLists;
  readonly bridge: Bridge;
  /** What a modern client sees of a route. */
  readonly viewOf: ModernDeps['viewOf'];
  /** Another notification of a client: who has links of its own hears it. */
  readonly notified: (session: Session, message: Message) => void;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly budget: Budget;
}

const ACCEPTED: Handled = { kind: 'accepted' };

export function createGate(deps: GateDeps): Gate {
  const { views, sessions, stats } = deps;
  const merged: Route = { key: '/mcp', server: undefined, view: views.merged };

  function cancel(session: Session | undefined, message: Message): void {
    const id = find(message.params, 'requestId');
    if (!session || !id) return;
    const key = idKey(message.body.toString('utf8', id.start, id.end));
    const reason = param(message, 'reason');
    const why =
      typeof reason === 'string' && reason !== '' ? reason.slice(0, 512) : 'cancelled by the client';
    session.inFlight?.get(key)?.cancel(why);
  }

  const modern = createModern({
    ...deps,
    extended: (source) => extended(source, undefined),
  });

  /** The one upstream of a view that declares extensions: methods that nobody knows here are its. */
  function extended(source: Source, session: Session | undefined): Link | undefined {
    const links = (session?.view ?? source.route.view)
      .links()
      .filter(({ peer, state }) => state === 'up' && objectOf(peer?.capabilities['extensions']));
    return links.length === 1 ? links[0] : undefined;
  }

  function dispatch(source: Source, found: Found, message: Message, sink: Sink): Handled {
    const token = message.meta.length > 0 ? find(message.meta, 'progressToken') : undefined;
    const long = token && tooLong('a progressToken', token.end - token.start);
    if (long && message.kind === 'request') return refused(message, long);
    if (source.era === 'modern') return modern(source, message, sink);
    const { method } = message;
    const session = sessionOf(source, found, method === 'initialize');
    if (session instanceof GatewayError) return refused(message, session);
    if (message.kind === 'response') {
      // Never 404: that would end the session in the client's eyes.
      if (session && deps.questions.answer(session, message) !== 'unknown') return ACCEPTED;
      return refused(
        message,
        new GatewayError('invalid_request', 'this answers no question that was asked in this session'),
      );
    }
    if (!session) deps.came(source.route.server);
    if (method === 'initialize') return initialize(deps, source, message);
    if (message.kind === 'notification') {
      if (method === 'notifications/cancelled') cancel(session, message);
      else if (method === 'notifications/progress' && session) deps.questions.progress(session, message);
      else if (session) deps.notified(session, message);
      if (!methodOf(method)) extended(source, session)?.tell(message.body);
      return ACCEPTED;
    }
    switch (method) {
      case 'tools/call': {
        const named = namedBy(message, 'name', 'tool');
        return find(message.params, 'task') ? to(named, deps.tasks.created(source, session)) : to(named);
      }
      case 'tasks/get':
      case 'tasks/cancel':
      case 'tasks/result':
        return to(
          deps.tasks.owned(namedBy(message, 'taskId', 'task'), source, session?.view ?? source.route.view),
          deps.tasks.answered(source),
        );
      case 'tasks/list':
        return deps.tasks.list(stats.method(method), source, message, session, sink);
      case 'prompts/get':
        return to(namedBy(message, 'name', 'prompt'));
      case 'resources/read':
        return to(namedBy(message, 'uri', 'resource'));
      case 'completion/complete':
        return to(namedByRef(message));
      case 'tools/list':
        return list(deps, 'tools', source, message, session, sink);
      case 'prompts/list':
        return list(deps, 'prompts', source, message, session, sink);
      case 'resources/list':
        return list(deps, 'resources', source, message, session, sink);
      case 'resources/templates/list':
        return list(deps, 'templates', source, message, session, sink);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return subscribe(deps, deps.interests, source, message, session, sink);
      case 'logging/setLevel':
        return setLevel(deps.interests, source, message, session);
      case 'ping':
        return answer(message, '{}');
      default: {
        const link = extended(source, session);
        if (link) return passOn(deps, source, message, session, sink, link);
        return refused(
          message,
          new GatewayError('method_not_found', `method '${method.slice(0, 128)}' not found`),
        );
      }
    }

    function to(named: Named | GatewayError, wrap?: Wrap): Handled {
      if (named instanceof GatewayError) return refused(message, named);
      return relay(deps, source, message, session as Session | undefined, sink, named, wrap);
    }
  }

  function count<T extends Settled>(message: Message, started: number, handled: T): T {
    // What goes on is counted where it ends.
    if (handled.kind === 'exchange') return handled;
    const method = stats.method(labelOf(message));
    method[handled.kind === 'refused' ? 'error' : 'success']++;
    method.duration.observe((performance.now() - started) / 1000);
    return handled;
  }

  function countLater(message: Message, started: number, opened: Promise<Settled>): Handled {
    return { kind: 'opening', opened: opened.then((handled) => count(message, started, handled)) };
  }

  return {
    get state() {
      return deps.state();
    },
    authorize(authorization) {
      const { auth } = deps.runtime();
      const result = auth.authenticate(authorization);
      if (auth.mode === 'bearer') {
        if ('status' in result) {
          stats.authAttempts.add('failure');
          stats.authFailures.add(result.reason);
        } else stats.authAttempts.add('success');
      }
      return result;
    },
    route(server, door = 'mcp') {
      if (server === undefined) return door === 'mcp' ? merged : { ...merged, key: `/${door}` };
      const view = views.of(server);
      return view && { key: `/servers/${server}/${door}`, server, view };
    },
    find({ sessionId, principal, route }) {
      return sessionId === undefined
        ? undefined
        : useSession(sessions, deps.log, sessionId, principal, route.key);
    },
    handle(source, found, message, sink) {
      const started = performance.now();
      const handled = dispatch(source, found, message, sink);
      return handled.kind === 'opening'
        ? countLater(message, started, handled.opened)
        : count(message, started, handled);
    },
    admitBatch,
    resumable(found) {
      if (!found || found instanceof GatewayError) return undefined;
      return (target, control) => (found.open ? deps.streams.open(found, target, control) : undefined);
    },
    listen(source, found, lastEventId, open) {
      const done = counter(stats.method('listen'));
      const session =
        source.version !== undefined && isModernRevision(source.version)
          ? undefined
          : sessionOf(source, found, false);
      if (!session || session instanceof GatewayError) {
        done('error');
        return (
          session ?? new GatewayError('method_not_allowed', 'no server-to-client stream without a session')
        );
      }
      if (lastEventId === undefined || lastEventId === '') {
        done('success');
        return deps.streams.listen(session, open());
      }
      const resumed = deps.streams.resume(session, lastEventId, open);
      done(typeof resumed === 'string' ? 'error' : 'success');
      return typeof resumed === 'string' ? new GatewayError('invalid_request', resumed) : resumed;
    },
    attach(session, ears) {
      if (!session.open) return () => undefined;
      const left = deps.streams.attach(session, ears);
      return () => {
        left();
        const why = deps.state() === 'draining' ? 'gateway_shutdown' : 'client_delete';
        void endSession(sessions, deps.log, session, why);
      };
    },
    abandon(session) {
      void endSession(sessions, deps.log, session, 'init_failed');
    },
    end({ sessionId }, found) {
      const done = counter(stats.method('terminate'));
      const over = (error: GatewayError | undefined): GatewayError | undefined => {
        done(error ? 'error' : 'success');
        return error;
      };
      if (sessionId === undefined) return over(undefined);
      if (found instanceof GatewayError) return over(found);
      if (!found?.open) return over(new GatewayError('unknown_session', 'unknown or ended session'));
      const ended = endSession(sessions, deps.log, found, 'client_delete');
      return ended instanceof Promise ? ended.then(over) : over(ended);
    },
    countListen() {
      counter(stats.method('listen'))('success');
    },
    countInvalid(label) {
      counter(stats.method(label))('error');
    },
  };
}

/** The `method` label of a message: from a closed set. */
function labelOf(message: Message): string {
  if (message.kind === 'response') return 'invalid';
  return methodOf(message.method) ? message.method : 'unknown';
}
