/**
 * The entry point for all transports. Handles each message by its era, session and method. Requests that need no server are answered
 * immediately.
 */
import { LOCAL, type Discovery } from '../auth/authenticate.js';
import { GatewayError } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import type { Boundary } from '../observe/boundary.js';
import { Calls } from '../observe/calls.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import { isElsewhere } from '../protocol/elsewhere.js';
import { find, idKey, param, type Message, type MessageError } from '../protocol/message.js';
import type { Denied, PassedValues, Principal, Shown, Sink, StreamTarget } from '../protocol/ports.js';
import { endSession, useSession, type Found, type FoundSession } from '../session/ask.js';
import { tooLong, type Kept } from '../session/kept.js';
import type { Session, SessionStore } from '../session/store.js';
import type { CallStream, StreamControl } from '../session/call-stream.js';
import type { SingleStream, Streams } from '../session/streams.js';
import { notesPage, type AppsDeps } from './apps.js';
import { admitBatch, sessionOf } from './admission.js';
import { sessionlessCaller } from './callers.js';
import {
  answer,
  Incoming,
  refused,
  type Handled,
  type IncomingDeps,
  type Origin,
  type Settled,
} from './incoming.js';
import { linkRouteTo, routeFor, type Endpoint, type EndpointKind, type Route } from './route.js';
import type { Bridge } from '../bridge/index.js';
import type { HeldTasks } from './held-tasks.js';
import type { Interests } from './interests.js';
import type { GivenLists } from './given.js';
import type { Listeners } from './listeners.js';
import { initialize, type InitializeDeps } from './methods/initialize.js';
import { list } from './methods/lists.js';
import { namedBy, namedByRef } from './methods/named.js';
import { relay, type RelayDeps } from './methods/relay.js';
import { callTool, type WrapOf } from './methods/search.js';
import { getSkill, listSkills, readDirectory } from './methods/skills.js';
import { setLevel, subscribe } from './methods/subscriptions.js';
import { passOn, tellUnknown } from './methods/unknown.js';
import { createModern, type ModernDeps } from './modern.js';
import { otherValues, passedBy } from './passed.js';
import { preferredFor, type Preferred, type PreferredDeps } from './preferred.js';
import type { Questions } from './questions.js';
import { hasRole, type Role } from './roles.js';
import type { GatewayState, Runtime } from './runtime.js';
import type { Tasks } from './tasks.js';
import type { Sessionless } from './under-way.js';
import { Vetted, withdrawn } from './vetted.js';
import type { Views } from './views.js';

export type { Found, FoundSession } from '../session/ask.js';
export type { Session } from '../session/store.js';
export type { CallStream } from '../session/call-stream.js';
export type { Origin, Settled } from './incoming.js';
export type { Endpoint, EndpointKind, Route } from './route.js';

export interface Gate {
  readonly state: GatewayState;
  /** The principal of a client over stdio. */
  readonly local: Principal;
  /**
   * Identifies the sender of a request to `resource`, the path of its route. Returns a promise, which never rejects, if the credential is
   * verified elsewhere.
   */
  authorize(shown: Shown, resource: string): Principal | Denied | Promise<Principal | Denied>;
  /** Whether a principal may act as an operator, or as a viewer, which every operator is. `path`: what it asks for. */
  permits(principal: Principal, role: Role, path: string): boolean;
  /** What clients find out about authorization servers. */
  readonly discovery: Discovery;
  /**
   * The route to an endpoint; undefined: it does not exist, or not for this principal. A session exists only on the route where it was
   * opened.
   */
  route(to: Endpoint, kind: EndpointKind, principal: Principal): Route | undefined;
  /** The end of a link of another replica, for which this one runs the server; undefined: there is no such server. */
  linkRoute(server: string): Route | undefined;
  /**
   * Finds the session of an origin, which `handle` gets with the message. Returns a promise, which never rejects, if the store is remote.
   * The other methods that get a session do not look it up again. Elsewhere: the request has to be handled there.
   */
  find(origin: Origin): Found | Promise<Found>;
  /** The client of a session that is not looked up has shown a credential, of the same principal. */
  renew(session: Session, principal: Principal): void;
  /** Handles one message. `sink` is used only for an exchange, and only after this has returned. */
  handle(origin: Origin, found: FoundSession, message: Message, sink: Sink): Handled;
  /** Why an array cannot be handled as a batch; undefined: it can, and each element is handled separately. */
  admitBatch(
    origin: Origin,
    found: FoundSession,
    messages: readonly (Message | MessageError)[],
  ): GatewayError | undefined;
  /** Returns the function that opens the resumable stream of a call; undefined: without a session there is none. */
  resumable(found: FoundSession): OpenCallStream | undefined;
  /**
   * Opens the server-to-client stream of a session, which ends an older one, or resumes the stream of `lastEventId`. Calls `open` only if
   * the request is accepted. Returns a function to call when the client has disconnected.
   */
  listen(
    origin: Origin,
    found: FoundSession,
    lastEventId: string | undefined,
    open: () => StreamTarget,
  ): (() => void) | GatewayError;
  /**
   * Attaches the only stream of a client to its new session. Returns a function that ends the session, to be called when the
   * client has disconnected.
   */
  attach(session: Session, stream: SingleStream): () => void;
  /** Ends a new session whose client has disconnected before it got the answer. */
  abandon(session: Session): void;
  /** Ends the session; undefined: it has ended. */
  end(origin: Origin, found: FoundSession): GatewayError | undefined | Promise<GatewayError | undefined>;
  /** Which replica of a fleet had better handle a modern request; undefined: it is all the same. */
  prefers(origin: Origin, message: Message): Preferred | undefined;
  /** Counts an HTTP+SSE stream, which is opened before its session. */
  countListen(): void;
  /** Counts a request that was refused before its message was handled. */
  countInvalid(label: 'invalid' | 'unknown' | 'listen' | 'terminate'): void;
}

/** `rawId`: JSON of the id of the request. */
export type OpenCallStream = (
  target: StreamTarget,
  control: StreamControl,
  rawId: string,
) => CallStream | undefined;

export interface GateDeps extends AppsDeps {
  readonly runtime: () => Runtime;
  readonly state: () => GatewayState;
  readonly calls: Calls;
  readonly sessionless: Sessionless;
  /** A session was shown another credential of its principal. */
  readonly renewed: (session: Session, principal: Principal) => void;
  /** Why no request is handled at the moment; undefined: requests are handled. */
  readonly stopped?: () => GatewayError | undefined;
  readonly views: Views;
  readonly limits: RelayDeps['limits'];
  /** A legacy client uses a route: servers that support both eras get a link in the legacy era. */
  readonly usedByLegacy: (server: string | undefined) => void;
  readonly describes: InitializeDeps['describes'];
  readonly dialling: RelayDeps['dialling'];
  readonly approving: RelayDeps['approving'];
  readonly sessions: SessionStore;
  readonly interests: Interests;
  readonly questions: Questions;
  readonly kept: Kept;
  readonly streams: Streams;
  readonly tasks: Tasks;
  readonly heldTasks: HeldTasks;
  readonly listeners: Listeners;
  readonly given: GivenLists;
  readonly bridge: Bridge;
  readonly logins: RelayDeps['logins'];
  /** The names of the headers of clients that some server gets, in lower case. */
  readonly passes: () => readonly string[];
  readonly peerClients?: ModernDeps['peerClients'];
  readonly prefers: Omit<PreferredDeps, 'views' | 'isOurs'>;
  /** A session gets the links that belong to what its client passes on. */
  readonly owned: (session: Session) => void;
  /** Passes a notification that the gate does not handle to the links that belong to the client. */
  readonly notified: (session: Session, message: Message) => void;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly budget: Budget;
}

/** The replica with the client counts what comes over a link, and ends it. */
const UNCOUNTED: IncomingDeps = { calls: new Calls() };
const ACCEPTED: Handled = { kind: 'accepted' };

export function createGate(deps: GateDeps): Gate {
  const { views, sessions, stats, calls } = deps;
  const vetted = new Vetted();
  const currentOf = (principal: Principal): Principal | undefined =>
    vetted.current(principal, deps.runtime().auth);

  /** Handles `notifications/cancelled`. */
  function cancel(session: Session | undefined, message: Message): void {
    const id = find(message.params, 'requestId');
    if (!session || !id) return;
    const key = idKey(message.body.toString('utf8', id.start, id.end));
    const reason = param(message, 'reason');
    const why =
      typeof reason === 'string' && reason !== '' ? reason.slice(0, 512) : 'cancelled by the client';
    session.inFlight?.get(key)?.cancel(why);
  }

  /** The first message of a session that was taken over shows what its client passes on. */
  function settle(session: Session, passed: PassedValues | undefined): void {
    session.isSettled = true;
    if (!passed) return;
    session.caller.passed = passed;
    deps.owned(session);
  }

  const modern = createModern(deps);

  /** The wrap of a call that asks for a task. */
  const taskOf: WrapOf = (incoming) => find(incoming.message.params, 'task') && deps.tasks.created(incoming);

  function dispatch(incoming: Incoming, found: FoundSession): Handled {
    const { origin, message } = incoming;
    const token = message.meta.length > 0 ? find(message.meta, 'progressToken') : undefined;
    const error = token && tooLong('a progressToken', token.end - token.start);
    if (error && message.kind === 'request') return refused(message, error);
    const stopped = deps.stopped?.();
    if (stopped && message.kind === 'request' && message.method !== 'ping') return refused(message, stopped);
    if (origin.era === 'modern') return modern(incoming);
    const { method } = message;
    const session = sessionOf(origin, found, method === 'initialize');
    if (session instanceof GatewayError) return refused(message, session);
    if (message.kind === 'response') {
      // Never 404: the client would discard its session.
      if (session && deps.questions.answer(session, message) !== 'unknown') return ACCEPTED;
      return refused(
        message,
        new GatewayError('invalid_request', 'this answers no question that was asked in this session'),
      );
    }
    const { server } = origin.route;
    if (!session) deps.usedByLegacy(server);
    const passed = passedBy(origin.headers, deps.passes());
    if (passed instanceof GatewayError) return refused(message, passed);
    if (method === 'initialize') return initialize(deps, origin, message, passed);
    if (session?.isSettled === false) settle(session, passed);
    const other = session && otherValues(session.caller.passed, passed);
    if (other) return refused(message, other);
    incoming.admit(
      session?.caller ??
        sessionlessCaller(origin, passed, views.plain({ principal: origin.principal, passed }, origin.route)),
      session,
    );
    const { view } = incoming.caller;
    if (message.kind === 'notification') {
      if (method === 'notifications/cancelled') cancel(session, message);
      else if (method === 'notifications/progress' && session) deps.questions.progress(session, message);
      else if (session) deps.notified(session, message);
      tellUnknown(view, message);
      return ACCEPTED;
    }
    switch (method) {
      case 'tools/call':
        return callTool(deps, incoming, taskOf);
      case 'tasks/get':
      case 'tasks/cancel':
      case 'tasks/result':
        return deps.heldTasks.handle(incoming, () => {
          const named = deps.tasks.owned(incoming);
          return relay(deps, incoming, named, deps.tasks.answered(incoming, named));
        });
      case 'tasks/list':
        return deps.tasks.list(incoming, deps.heldTasks.listed(incoming));
      case 'prompts/get':
        return relay(deps, incoming, namedBy(message, 'name', 'prompt'));
      case 'resources/read':
        return relay(deps, incoming, namedBy(message, 'uri', 'resource'), notesPage(deps, incoming));
      case 'completion/complete':
        return relay(deps, incoming, namedByRef(message));
      case 'tools/list':
        return list(deps, 'tools', incoming);
      case 'prompts/list':
        return list(deps, 'prompts', incoming);
      case 'resources/list':
        return list(deps, 'resources', incoming);
      case 'resources/templates/list':
        return list(deps, 'templates', incoming);
      case 'skills/list':
        return listSkills(deps, incoming);
      case 'skills/get':
        return getSkill(deps, incoming);
      case 'resources/directory/read':
        return readDirectory(deps, incoming);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return subscribe(deps, incoming);
      case 'logging/setLevel':
        return setLevel(deps.interests, incoming);
      case 'ping':
        return answer(message, '{}');
      default:
        return passOn(deps, incoming);
    }
  }

  /** Reports the end of a request that was answered immediately. An exchange reports its end itself. */
  function reported<T extends Settled>(incoming: Incoming, handled: T): T {
    if (handled.kind !== 'exchange') incoming.settled(handled);
    return handled;
  }

  /** Counts the result of an authentication, and returns it. */
  function countAuth(result: Principal | Denied, { socket }: Shown, route: string): Principal | Denied {
    if (deps.runtime().auth.mode === 'none') return result;
    if ('status' in result) {
      stats.authAttempts.add('failure');
      stats.authFailures.add(result.reason);
      calls.refused({ reason: result.reason, address: socket.remoteAddress, route });
    } else stats.authAttempts.add('success');
    return result;
  }

  /** The session, which goes by the newest credential that it was shown. One that was opened with another profile of the key is unknown. */
  function renewed(
    session: Found,
    principal: Principal,
    { profile }: Pick<Route, 'profile'> | Session,
  ): Found {
    if (!session || session instanceof GatewayError || isElsewhere(session)) return session;
    if (session.profile !== profile) return undefined;
    if (session.principal !== principal) deps.renewed(session, principal);
    return session;
  }

  function authorize(shown: Shown, resource: string): Principal | Denied | Promise<Principal | Denied> {
    const { auth } = deps.runtime();
    const result = auth.authenticate(shown, resource);
    if (!(result instanceof Promise)) return countAuth(result, shown, resource);
    return result.then((known) =>
      // After a reload, another authenticator decides.
      deps.runtime().auth === auth ? countAuth(known, shown, resource) : authorize(shown, resource),
    );
  }

  return {
    get state() {
      return deps.state();
    },
    local: LOCAL,
    get discovery() {
      return deps.runtime().auth.discovery;
    },
    authorize,
    permits(principal, role, path) {
      const current = currentOf(principal);
      return current !== undefined && hasRole(deps.runtime().config.mcp.auth, current, role, path);
    },
    route(to, kind, principal) {
      const route = routeFor(to, kind, principal.profile);
      return views.exists(principal, route) ? route : undefined;
    },
    linkRoute(server) {
      const route = linkRouteTo(server);
      return views.exists(LOCAL, route) ? route : undefined;
    },
    find({ sessionId, principal: shown, route, peer }) {
      if (sessionId === undefined) return undefined;
      const principal = currentOf(shown);
      if (!principal) return withdrawn();
      const found = useSession(sessions, deps.log, sessionId, principal, route.key, peer);
      return found instanceof Promise
        ? found.then((session) => renewed(session, principal, route))
        : renewed(found, principal, route);
    },
    renew(session, principal) {
      const current = currentOf(principal);
      if (current) renewed(session, current, session);
    },
    handle(from, found, message, sink) {
      const { link } = from.route;
      const principal = link ? from.principal : currentOf(from.principal);
      if (!principal) return refused(message, withdrawn());
      const origin = principal === from.principal ? from : { ...from, principal };
      const incoming = new Incoming(link ? UNCOUNTED : deps, origin, message, sink);
      let handled: Handled;
      try {
        handled = dispatch(incoming, found);
      } catch (thrown) {
        // The transport answers it.
        incoming.over('error', 'internal', 'internal error');
        throw thrown;
      }
      return handled.kind === 'opening'
        ? { kind: 'opening', opened: handled.opened.then((settled) => reported(incoming, settled)) }
        : reported(incoming, handled);
    },
    admitBatch,
    resumable(found) {
      if (!found || found instanceof GatewayError) return undefined;
      return (target, control, rawId) =>
        found.open ? deps.streams.open(found, target, control, rawId) : undefined;
    },
    listen(origin, found, lastEventId, open) {
      const started = performance.now();
      const done = (result: 'success' | 'error'): void => {
        calls.without('listen', result, performance.now() - started);
      };
      const session = sessionOf(origin, found, false);
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
    attach(session, stream) {
      if (!session.open) return () => undefined;
      const left = deps.streams.attach(session, stream);
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
      const started = performance.now();
      const over = (error: GatewayError | undefined): GatewayError | undefined => {
        calls.without('terminate', error ? 'error' : 'success', performance.now() - started);
        return error;
      };
      if (sessionId === undefined) return over(undefined);
      if (found instanceof GatewayError) return over(found);
      if (!found?.open) return over(new GatewayError('unknown_session', 'unknown or ended session'));
      const ended = endSession(sessions, deps.log, found, 'client_delete');
      return ended instanceof Promise ? ended.then(over) : over(ended);
    },
    prefers: (origin, message) =>
      preferredFor({ ...deps.prefers, views, isOurs: (state) => deps.bridge.isOurs(state) }, origin, message),
    countListen() {
      calls.without('listen', 'success');
    },
    countInvalid(label) {
      calls.without(label, 'error');
    },
  };
}
