/**
 * The one door: all that a downstream transport may ask. Here a message meets its era, its session and its method;
 * what is not a call is answered at once.
 */
import type { Authenticator, Refused } from '../auth/authenticate.js';
import type { Catalog } from '../catalog/catalog.js';
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats, MethodStats } from '../observe/stats.js';
import { classify } from '../protocol/classify.js';
import { find, idKey, MessageError, param, type Message } from '../protocol/message.js';
import type { Cause, Exchange, Notice, Principal, ServerToClient, Sink, View } from '../protocol/ports.js';
import {
  DEFAULT_LEGACY,
  isLegacyRevision,
  isModernRevision,
  LATEST_LEGACY,
  LEGACY_REVISIONS,
  type LegacyRevision,
} from '../protocol/revisions.js';
import type { Session, SessionStore } from '../session/store.js';
import { countRefusal, openCall } from './call.js';
import type { Runtime } from './runtime.js';

/** A route class with its own sessions: the merged endpoint, or one server. */
export interface Route {
  /** `/mcp` or `/servers/<name>/mcp`: names it in sessions. */
  readonly key: string;
  /** undefined: the merged endpoint. */
  readonly server: string | undefined;
  readonly view: View;
}

/** Where a message comes from. */
export interface Source {
  readonly principal: Principal;
  readonly route: Route;
  readonly sessionId: string | undefined;
  /** The MCP-Protocol-Version header. */
  readonly version: string | undefined;
}

export type Handled =
  /** Nothing is to be answered: HTTP 202. */
  | { readonly kind: 'accepted' }
  | { readonly kind: 'answer'; readonly bytes: Buffer; readonly sessionId?: string }
  /** `id`: JSON of the request's id, or `null`. */
  | { readonly kind: 'refused'; readonly error: GatewayError; readonly id: string }
  /** The sink gets the answer. */
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

export interface Gate {
  readonly state: 'starting' | 'serving' | 'draining';
  authorize(authorization: string | undefined): Principal | Refused;
  /** undefined: no such server. */
  route(server: string | undefined): Route | undefined;
  /** One message. `sink` is used for an exchange alone, and never before this has returned. */
  handle(source: Source, message: Message, sink: Sink): Handled;
  /** Whether this array may be handled as a batch; each element is then handled by itself. */
  admitBatch(source: Source, messages: readonly (Message | MessageError)[]): GatewayError | undefined;
  /** Opens the server-to-client stream of a session; an older one of the same session ends. */
  listen(source: Source, stream: ServerToClient): Listening | GatewayError;
  /** Ends the session. false: there is none for this caller. */
  end(source: Source): boolean;
  /** Counts a request that was refused before it was a message. */
  countInvalid(label: 'invalid' | 'unknown' | 'listen' | 'terminate'): void;
}

/** The handle of an open server-to-client stream. */
export interface Listening {
  /** The client has gone. */
  closed(): void;
}

export interface GateDeps {
  readonly runtime: () => Runtime;
  readonly state: () => Gate['state'];
  readonly catalog: Catalog;
  readonly sessions: SessionStore;
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
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
]);

export function createGate(deps: GateDeps): Gate {
  const { catalog, sessions, stats, log } = deps;
  const merged: Route = { key: '/mcp', server: undefined, view: catalog.merged };

  function answer(message: Message, result: Buffer | string, sessionId?: string): Handled {
    const head = `{"jsonrpc":"2.0","id":${message.id ?? 'null'},"result":`;
    const bytes =
      typeof result === 'string'
        ? Buffer.from(`${head}${result}}`)
        : Buffer.concat([Buffer.from(head), result, CLOSE]);
    return sessionId === undefined ? { kind: 'answer', bytes } : { kind: 'answer', bytes, sessionId };
  }

  function refused(message: Message, error: GatewayError): Handled {
    return { kind: 'refused', error, id: message.kind === 'response' ? 'null' : (message.id ?? 'null') };
  }

  /** The session a legacy message belongs to, the revision it speaks, or why it is refused. */
  function sessionOf(source: Source, isInitialize: boolean): Session | undefined | GatewayError {
    const { sessionId, version } = source;
    if (version !== undefined && !isLegacyRevision(version))
      return new GatewayError(
        'bad_version_header',
        `unsupported MCP-Protocol-Version '${version.slice(0, 32)}' (supported: ${LEGACY_REVISIONS.join(', ')})`,
      );
    if (sessionId === undefined) return undefined;
    const session = sessions.use(sessionId, source.principal, source.route.key);
    if (!session)
      return new GatewayError(
        'unknown_session',
        'unknown or ended session: initialize again without Mcp-Session-Id',
      );
    if (isInitialize) return new GatewayError('invalid_request', 'this session is initialized already');
    if (version !== undefined && version !== session.revision)
      return new GatewayError(
        'bad_version_header',
        `MCP-Protocol-Version '${version}' differs from the '${session.revision}' that this session negotiated`,
      );
    return session;
  }

  function initialize(source: Source, message: Message): Handled {
    if (message.kind === 'notification') {
      stats.sessionsTotal++;
      stats.terminations.add('init_failed');
      return ACCEPTED;
    }
    if (deps.state() === 'draining')
      return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
    const asked = param(message, 'protocolVersion');
    if (asked !== undefined && typeof asked !== 'string') {
      stats.sessionsTotal++;
      stats.terminations.add('init_failed');
      return refused(message, new GatewayError('invalid_params', 'params.protocolVersion must be a string'));
    }
    const revision: LegacyRevision = asked !== undefined && isLegacyRevision(asked) ? asked : LATEST_LEGACY;
    const session = sessions.open(source.principal, source.route.key, revision);
    if (!session)
      return refused(
        message,
        new GatewayError('unavailable', 'too many sessions, all of them in use (limits.sessions)'),
      );
    log.debug('session opened', { session: session.id.slice(0, 8), revision, route: source.route.key });
    return answer(message, `{"protocolVersion":"${revision}",${source.route.view.greeting()}}`, session.id);
  }

  function listTools(source: Source, message: Message, sink: Sink): Handled {
    const cursor = param(message, 'cursor');
    if (cursor !== undefined && cursor !== null)
      return refused(
        message,
        new GatewayError('invalid_params', 'unknown cursor: every list here is one page'),
      );
    const { view } = source.route;
    const controller = new AbortController();
    const wait = view.ready(undefined, controller.signal);
    if (!wait) return answer(message, view.list());
    const done = counter(stats.method('tools/list'));
    return {
      kind: 'exchange',
      exchange: deferred(controller, wait, sink, done, () => {
        const { bytes } = answer(message, view.list()) as { bytes: Buffer };
        const value = bytes.length - 1 - view.list().length;
        sink.start({ kind: 'result', bytes: bytes.length, value, code: undefined });
        sink.write(bytes);
        sink.end({ isError: false });
        done('success');
      }),
    };
  }

  function callTool(source: Source, message: Message, session: Session | undefined, sink: Sink): Handled {
    const { view } = source.route;
    const name = message.paramsSpan ? param(message, 'name') : undefined;
    if (typeof name !== 'string')
      return refused(
        message,
        new GatewayError(
          'invalid_params',
          message.paramsSpan ? 'params.name is required' : 'params are required',
        ),
      );
    const key = session && idKey(message.id as string);
    if (key !== undefined && session?.inFlight?.has(key))
      return refused(
        message,
        new GatewayError('invalid_request', `the id ${key.slice(0, 64)} is in use by a request in flight`),
      );
    const target = view.find(name);
    if (target?.link.state === 'up') return { kind: 'exchange', exchange: open(name) };
    const controller = new AbortController();
    const wait = view.ready(name, controller.signal);
    if (!wait) {
      const error = missing(name);
      if (target) countRefusal(target, error);
      return refused(message, error);
    }
    const done = counter(stats.method('tools/call'));
    const waiting = deferred(controller, wait, sink, done, () => {
      const found = view.find(name);
      if (found?.link.state === 'up') {
        waiting.next = open(name);
        return;
      }
      const error = missing(name);
      if (found) countRefusal(found, error);
      sink.fail(error);
      done('error');
      if (key !== undefined) forget(session, key);
    });
    if (key !== undefined && session) remember(session, key, waiting);
    return { kind: 'exchange', exchange: waiting };

    function open(tool: string): Exchange {
      const found = view.find(tool);
      if (!found) throw new Error('a target that was just found');
      const exchange = openCall(message, found, sink, {
        log,
        calls: deps.runtime().config.logging.calls,
        method: stats.method('tools/call'),
        sessionId: session?.id,
        over: key === undefined ? undefined : () => forget(session, key),
      });
      if (key !== undefined && session) remember(session, key, exchange);
      return exchange;
    }

    function missing(tool: string): GatewayError {
      const found = view.find(tool);
      if (!found)
        return new GatewayError(
          'invalid_params',
          `unknown tool '${tool.slice(0, 256)}': no server here has it (tool name must be ${source.route.server === undefined ? 'server__tool, ' : ''}as in tools/list)`,
        );
      const { server, lastError, retryAfter } = found.link;
      const why = found.link.firstConnect ? 'is still connecting' : 'is disconnected';
      return new GatewayError(
        'upstream_disconnected',
        `upstream '${server}' ${why}${lastError === undefined ? '' : ` (${lastError})`}`,
        retryAfter === undefined ? undefined : { retryAfter },
      );
    }
  }

  function cancel(session: Session | undefined, message: Message): void {
    const id = find(message.params, 'requestId');
    if (!session || !id) return;
    const key = idKey(message.body.toString('utf8', id.start, id.end));
    const reason = param(message, 'reason');
    const why =
      typeof reason === 'string' && reason !== '' ? reason.slice(0, 512) : 'cancelled by the client';
    session.inFlight?.get(key)?.cancel(why);
  }

  function modern(source: Source, message: Message): Handled {
    const named = message.meta.find(({ key }) => key === 'io.modelcontextprotocol/protocolVersion');
    const inBody: unknown = named && JSON.parse(message.body.toString('utf8', named.start, named.end));
    const requested = typeof inBody === 'string' ? inBody : (source.version ?? 'unknown');
    return refused(
      message,
      new GatewayError('unsupported_version', `unsupported protocol version '${requested.slice(0, 32)}'`, {
        supported: LEGACY_REVISIONS,
        requested: requested.slice(0, 32),
      }),
    );
  }

  function dispatch(source: Source, message: Message, sink: Sink): Handled {
    if (classify(source.version, message) === 'modern') return modern(source, message);
    const { method } = message;
    const session = sessionOf(source, method === 'initialize');
    if (session instanceof GatewayError) return refused(message, session);
    if (message.kind === 'response')
      return refused(
        message,
        new GatewayError('invalid_request', 'this answers no question that was asked here'),
      );
    if (method === 'initialize') return initialize(source, message);
    if (message.kind === 'notification') {
      if (method === 'notifications/cancelled') cancel(session, message);
      return ACCEPTED;
    }
    switch (method) {
      case 'tools/call':
        return callTool(source, message, session, sink);
      case 'tools/list':
        return listTools(source, message, sink);
      case 'ping':
        return answer(message, '{}');
      default:
        return refused(
          message,
          new GatewayError('method_not_found', `method '${method.slice(0, 128)}' not found`),
        );
    }
  }

  return {
    get state() {
      return deps.state();
    },
    authorize(authorization) {
      const auth: Authenticator = deps.runtime().auth;
      const result = auth.authenticate(authorization);
      if (auth.mode === 'bearer') {
        if ('status' in result) {
          stats.authAttempts.add('failure');
          stats.authFailures.add(result.reason);
        } else stats.authAttempts.add('success');
      }
      return result;
    },
    route(server) {
      if (server === undefined) return merged;
      const view = catalog.single(server);
      return view && { key: `/servers/${server}/mcp`, server, view };
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
    admitBatch(source, messages) {
      const refuse = (why: string): GatewayError => new GatewayError('invalid_request', why);
      if (messages.length === 0) return refuse('an empty batch');
      if (source.version !== undefined && isModernRevision(source.version))
        return refuse('the revision of MCP-Protocol-Version has no batches');
      const session = sessionOf(source, false);
      if (session instanceof GatewayError) return session;
      const revision = session?.revision ?? source.version ?? DEFAULT_LEGACY;
      if (revision > DEFAULT_LEGACY) return refuse(`revision ${revision} has no batches`);
      for (const message of messages) {
        if (message instanceof MessageError) continue;
        if (message.method === 'initialize') return refuse('initialize must not be part of a batch');
        if (classify(source.version, message) === 'modern')
          return refuse('a message of a revision without batches');
      }
      return undefined;
    },
    listen(source, stream) {
      const method = stats.method('listen');
      const done = counter(method);
      const session =
        source.version !== undefined && isModernRevision(source.version)
          ? undefined
          : sessionOf(source, false);
      if (session instanceof GatewayError) {
        done('error');
        return session;
      }
      if (!session) {
        done('error');
        return new GatewayError('method_not_allowed', 'no server-to-client stream without a session');
      }
      done('success');
      session.stream?.end();
      session.stream = stream;
      return {
        closed() {
          if (session.stream === stream) session.stream = undefined;
          session.lastSeen = performance.now();
        },
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
    countInvalid(label) {
      counter(stats.method(label))('error');
    },
  };
}

const CLOSE = Buffer.from('}');

/** The `method` label of a message: from a closed set. */
function labelOf(message: Message): string {
  if (message.kind === 'response') return 'invalid';
  return KNOWN_METHODS.has(message.method) ? message.method : 'unknown';
}

type Done = (result: 'success' | 'error') => void;

/** Counts one request and its time, once. */
function counter(method: MethodStats): Done {
  const started = performance.now();
  return (result) => {
    method[result]++;
    method.duration.observe((performance.now() - started) / 1000);
  };
}

function remember(session: Session, key: string, exchange: Exchange): void {
  (session.inFlight ??= new Map()).set(key, exchange);
}

/** An emptied map is let go: see upstream/call-table.ts. */
function forget(session: Session | undefined, key: string): void {
  if (session?.inFlight?.delete(key) && session.inFlight.size === 0) session.inFlight = undefined;
}

/** An exchange that first waits for an upstream's first connect. */
function deferred(
  controller: AbortController,
  wait: Promise<void>,
  sink: Sink,
  done: Done,
  go: () => void,
): Exchange & { next: Exchange | undefined } {
  let over = false;
  const exchange = {
    next: undefined as Exchange | undefined,
    resume() {
      exchange.next?.resume();
    },
    cancel(why: Cause) {
      if (exchange.next) return exchange.next.cancel(why);
      if (over) return;
      over = true;
      controller.abort();
      done('error');
      sink.cancelled(why);
    },
  };
  void wait.then(() => {
    if (over) return;
    over = true;
    go();
  });
  return exchange;
}

/** Tells every session that can see `servers` that its list of tools is another one. */
export function fanOutListChanged(sessions: SessionStore, servers: ReadonlySet<string>): void {
  for (const session of sessions.all()) {
    if (!session.stream) continue;
    const one = /^\/servers\/(.*)\/mcp$/.exec(session.route)?.[1];
    if (one === undefined || servers.has(one)) session.stream.notify(LIST_CHANGED);
  }
}

const LIST_CHANGED: Notice = {
  method: 'notifications/tools/list_changed',
  bytes: Buffer.from('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'),
};
