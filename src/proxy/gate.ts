/**
 * The one door: all that a downstream transport may ask. Here a message meets its era, its session and its method;
 * what is not a call is answered at once.
 */
import type { Refused } from '../auth/authenticate.js';
import type { Catalog } from '../catalog/catalog.js';
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import { find, idKey, param, type Message, type MessageError } from '../protocol/message.js';
import type { Link, Principal, Sink, StreamTarget } from '../protocol/ports.js';
import { isModernRevision } from '../protocol/revisions.js';
import type { Session, SessionStore } from '../session/store.js';
import type { CallStream, Ears, StreamControl, Streams } from '../session/streams.js';
import { admitBatch, sessionOf } from './admission.js';
import { answer, counter, refused, type Handled, type Route, type Source } from './handled.js';
import type { Bridge } from '../bridge/index.js';
import type { Interests } from './interests.js';
import type { Listeners } from './listeners.js';
import { initialize } from './methods/initialize.js';
import { list } from './methods/lists.js';
import { namedBy, namedByRef } from './methods/named.js';
import { passOn, relay, type Named, type Wrap } from './methods/relay.js';
import { setLevel, subscribe } from './methods/subscriptions.js';
import { createModern, type ModernDeps } from './modern.js';
import type { Questions } from './questions.js';
import type { Runtime } from './runtime.js';
import type { Tasks } from './tasks.js';

export type { CallStream } from '../session/streams.js';
export type { Handled, Route, Source } from './handled.js';

export interface Gate {
  readonly state: 'starting' | 'serving' | 'draining';
  authorize(authorization: string | undefined): Principal | Refused;
  /** Sessions of one door are unknown at another. undefined: no such server. */
  route(server: string | undefined, door?: Door): Route | undefined;
  /** One message. `sink` is used for an exchange alone, and never before this has returned. */
  handle(source: Source, message: Message, sink: Sink): Handled;
  /** Whether this array may be handled as a batch; each element is then handled by itself. */
  admitBatch(source: Source, messages: readonly (Message | MessageError)[]): GatewayError | undefined;
  /** How the stream of a call of this source becomes one its client can come back to; undefined: it has no session. */
  resumable(source: Source): OpenCallStream | undefined;
  /**
   * Opens the server-to-client stream of a session (an older one ends), or goes on with the stream that `lastEventId` names. `open` makes
   * the stream once it is known that there is one. Returns what to call when the client has left.
   */
  listen(
    source: Source,
    lastEventId: string | undefined,
    open: () => StreamTarget,
  ): (() => void) | GatewayError;
  /**
   * Makes the one stream of a client the ears of its session, just opened. Returns what to call when the client has left: the session
   * ends with the stream.
   */
  attach(source: Source, ears: Ears): () => void;
  /** Ends the session. false: there is none for this caller. */
  end(source: Source): boolean;
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
  readonly catalog: Catalog;
  readonly sessions: SessionStore;
  readonly interests: Interests;
  readonly questions: Questions;
  readonly streams: Streams;
  readonly tasks: Tasks;
  readonly listeners: Listeners;
  readonly bridge: Bridge;
  /** A session was opened; links of its own may be due. */
  readonly opened: (session: Session) => void;
  /** What a modern client sees of a route, where servers have links of its own. */
  readonly viewOf: ModernDeps['viewOf'];
  /** Another notification of a client: who has links of its own hears it. */
  readonly notified: (session: Session, message: Message) => void;
  readonly stats: GatewayStats;
  readonly log: Logger;
}

const ACCEPTED: Handled = { kind: 'accepted' };

/** Methods that have a series of their own; all others are `unknown`. */
const KNOWN_METHODS = new Set([
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'server/discover',
  'subscriptions/listen',
  'logging/setLevel',
  'tasks/get',
  'tasks/list',
  'tasks/result',
  'tasks/cancel',
  'tasks/update',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
]);

export function createGate(deps: GateDeps): Gate {
  const { catalog, sessions, stats } = deps;
  const merged: Route = { key: '/mcp', server: undefined, view: catalog.merged };

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
    isKnown: (method) => KNOWN_METHODS.has(method),
  });

  /** The one upstream of a view that declares extensions: methods that nobody knows here are its. */
  function extended(source: Source, session: Session | undefined): Link | undefined {
    const links = (session?.view ?? source.route.view)
      .links()
      .filter(({ peer, state }) => state === 'up' && peer?.capabilities['extensions'] !== undefined);
    return links.length === 1 ? links[0] : undefined;
  }

  function dispatch(source: Source, message: Message, sink: Sink): Handled {
    if (source.era === 'modern') return modern(source, message, sink);
    const { method } = message;
    const session = sessionOf(sessions, source, method === 'initialize');
    if (session instanceof GatewayError) return refused(message, session);
    if (message.kind === 'response') {
      // Never 404: that would end the session in the client's eyes.
      if (session && deps.questions.answer(session, message) !== 'unknown') return ACCEPTED;
      return refused(
        message,
        new GatewayError('invalid_request', 'this answers no question that was asked in this session'),
      );
    }
    if (method === 'initialize') return initialize(deps, source, message);
    if (message.kind === 'notification') {
      if (method === 'notifications/cancelled') cancel(session, message);
      else if (method === 'notifications/progress' && session) deps.questions.progress(session, message);
      else if (session) deps.notified(session, message);
      if (!KNOWN_METHODS.has(method)) extended(source, session)?.tell(message.body);
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
        return list(stats, 'tools', source, message, session, sink);
      case 'prompts/list':
        return list(stats, 'prompts', source, message, session, sink);
      case 'resources/list':
        return list(stats, 'resources', source, message, session, sink);
      case 'resources/templates/list':
        return list(stats, 'templates', source, message, session, sink);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return subscribe(deps, deps.interests, source, message, session, sink);
      case 'logging/setLevel':
        return setLevel(deps.interests, message, session);
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
      const view = catalog.single(server);
      return view && { key: `/servers/${server}/${door}`, server, view };
    },
    handle(source, message, sink) {
      const started = performance.now();
      const handled = dispatch(source, message, sink);
      // What goes on is counted where it ends.
      if (handled.kind === 'exchange') return handled;
      const method = stats.method(labelOf(message));
      method[handled.kind === 'refused' ? 'error' : 'success']++;
      method.duration.observe((performance.now() - started) / 1000);
      return handled;
    },
    admitBatch: (source, messages) => admitBatch(sessions, source, messages),
    resumable({ sessionId, principal, route }) {
      if (sessionId === undefined) return undefined;
      return (target, control) => {
        const session = sessions.use(sessionId, principal, route.key);
        return session && deps.streams.open(session, target, control);
      };
    },
    listen(source, lastEventId, open) {
      const done = counter(stats.method('listen'));
      const session =
        source.version !== undefined && isModernRevision(source.version)
          ? undefined
          : sessionOf(sessions, source, false);
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
    attach(source, ears) {
      const session = sessionOf(sessions, source, false);
      if (!session || session instanceof GatewayError) return () => undefined;
      const left = deps.streams.attach(session, ears);
      return () => {
        left();
        sessions.end(session, deps.state() === 'draining' ? 'gateway_shutdown' : 'client_delete');
      };
    },
    end(source) {
      const done = counter(stats.method('terminate'));
      if (source.sessionId === undefined) {
        done('success');
        return true;
      }
      const session = sessions.use(source.sessionId, source.principal, source.route.key);
      done(session ? 'success' : 'error');
      if (session) sessions.end(session, 'client_delete');
      return session !== undefined;
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
  return KNOWN_METHODS.has(message.method) ? message.method : 'unknown';
}
