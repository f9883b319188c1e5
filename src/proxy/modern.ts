/**
 * The modern side of the door: each request stands alone, and is checked before anything is done with it (2026-07-28, basic,
 * basic/transports/streamable-http "Server Validation").
 */
import { GatewayError } from '../errors.js';
import type { GatewayStats } from '../observe/stats.js';
import { LISTS, LIST_KINDS, type ListKind } from '../protocol/lists.js';
import type { Message } from '../protocol/message.js';
import { methodOf } from '../protocol/methods.js';
import { nameOf, readEnvelope, type Envelope } from '../protocol/modern/meta.js';
import { decodeHeaderValue } from '../protocol/modern/param-headers.js';
import type { Caller, Link, Sink, View } from '../protocol/ports.js';
import { MODERN_REVISIONS } from '../protocol/revisions.js';
import { refused, type Handled, type Headers, type Source } from './handled.js';
import { discover, list } from './methods/lists.js';
import { listen, type ListenDeps } from './methods/listen.js';
import { namedBy, namedByRef } from './methods/named.js';
import { passOn, relay, type Named, type Wrap } from './methods/relay.js';
import { aboutTask, type TasksMethodDeps } from './methods/tasks.js';

export interface ModernDeps extends TasksMethodDeps, ListenDeps {
  readonly stats: GatewayStats;
  readonly state: () => 'starting' | 'serving' | 'draining';
  /** What this client sees of a route; undefined: its server is gone. */
  readonly viewOf: (caller: Caller, server: string | undefined) => View | undefined;
  /** The one upstream of a view that declares extensions: methods that nobody knows here are its. */
  readonly extended: (source: Source) => Link | undefined;
}

const KIND_OF: ReadonlyMap<string, ListKind> = new Map(LIST_KINDS.map((kind) => [LISTS[kind].method, kind]));

export function createModern(deps: ModernDeps): (source: Source, message: Message, sink: Sink) => Handled {
  return (source, message, sink) => {
    const { method } = message;
    if (message.kind === 'response')
      return refused(
        message,
        new GatewayError(
          'invalid_request',
          'a client of this revision sends no responses: it retries its request',
        ),
      );
    if (message.kind === 'notification') {
      if (!method.startsWith('notifications/')) return { kind: 'accepted' };
      if (!methodOf(method)) deps.extended(source)?.tell(message.body);
      return { kind: 'accepted' };
    }
    if (deps.state() === 'draining')
      return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
    const envelope = readEnvelope(message);
    if (typeof envelope === 'string') return refused(message, new GatewayError('invalid_meta', envelope));
    const mismatch = source.headers && mismatchIn(source.headers, message, envelope);
    if (mismatch !== undefined) return refused(message, new GatewayError('header_mismatch', mismatch));
    if (!(MODERN_REVISIONS as readonly string[]).includes(envelope.version)) {
      const requested = envelope.version.slice(0, 32);
      const why = `unsupported protocol version '${requested}' (supported in this form: ${MODERN_REVISIONS.join(', ')})`;
      return refused(
        message,
        new GatewayError('unsupported_version', why, { supported: MODERN_REVISIONS, requested }),
      );
    }
    const caller = callerOf(source, envelope);
    const view = deps.viewOf(caller, source.route.server);
    return dispatch(view ? { ...source, route: { ...source.route, view } } : source, message, sink, caller);
  };

  function dispatch(source: Source, message: Message, sink: Sink, caller: Caller): Handled {
    const { method } = message;
    const kind = KIND_OF.get(method);
    if (kind) return list(deps, kind, source, message, undefined, sink);
    switch (method) {
      case 'server/discover':
        return discover(source, message);
      case 'subscriptions/listen':
        return listen(deps, source, message, sink, caller);
      case 'tools/call':
        return to(namedBy(message, 'name', 'tool'), deps.tasks.made(source));
      case 'tasks/get':
      case 'tasks/update':
      case 'tasks/cancel':
        return aboutTask(deps, source, message, sink, caller);
      case 'prompts/get':
        return to(namedBy(message, 'name', 'prompt'));
      case 'resources/read':
        return to(namedBy(message, 'uri', 'resource'));
      case 'completion/complete':
        return to(namedByRef(message));
      default: {
        // What is of the other era is not here, whatever an upstream may say.
        const link = methodOf(method) ? undefined : deps.extended(source);
        if (link) return passOn(deps, source, message, undefined, sink, link, caller);
        return refused(
          message,
          new GatewayError('method_not_found', `method '${method.slice(0, 128)}' not found`),
        );
      }
    }

    function to(named: Named | GatewayError, wrap?: Wrap): Handled {
      if (named instanceof GatewayError) return refused(message, named);
      return relay(deps, source, message, undefined, sink, named, wrap, caller);
    }
  }
}

function callerOf(source: Source, { version, capabilities, clientInfo, level }: Envelope): Caller {
  const { id } = source.principal;
  return {
    principal: source.principal,
    // Nothing but what a client says of itself tells one from another.
    client: `${id}\0${clientInfo ?? ''}`,
    era: 'modern',
    revision: version,
    capabilities,
    clientInfo,
    level,
  };
}

/** What the headers say differently from the body, or do not say. */
function mismatchIn(headers: Headers, message: Message, envelope: Envelope): string | undefined {
  return (
    differs('MCP-Protocol-Version', headers['mcp-protocol-version'], envelope.version) ??
    differs('Mcp-Method', headers['mcp-method'], message.method) ??
    nameDiffers(headers['mcp-name'], message)
  );
}

function differs(name: string, value: string | string[] | undefined, body: string): string | undefined {
  if (value === undefined)
    return `Header mismatch: ${name} is missing, the body says '${body.slice(0, 128)}'`;
  const text = typeof value === 'string' ? value.trim() : value.join(', ');
  if (text === body) return undefined;
  return `Header mismatch: ${name} is '${text.slice(0, 128)}', the body says '${body.slice(0, 128)}'`;
}

function nameDiffers(value: string | string[] | undefined, message: Message): string | undefined {
  if (methodOf(message.method)?.name === undefined) return undefined;
  const name = nameOf(message);
  // What is wrong with the body is said of the body.
  if (name === undefined) return undefined;
  if (typeof value !== 'string') return differs('Mcp-Name', value, name);
  const decoded = decodeHeaderValue(value);
  if (decoded === undefined)
    return 'Header mismatch: Mcp-Name holds characters, or Base64, that no header may';
  return differs('Mcp-Name', decoded, name);
}
