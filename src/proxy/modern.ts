/**
 * Requests of modern clients: each is independent, and is validated first (2026-07-28, basic, basic/transports/streamable-http "Server
 * Validation").
 */
import { GatewayError } from '../errors.js';
import { LISTS, LIST_KINDS, type ListKind } from '../protocol/lists.js';
import { param, type Message } from '../protocol/message.js';
import type { PeerClients } from '../protocol/peer-clients.js';
import { nameOf, readEnvelope, type Envelope } from '../protocol/modern/meta.js';
import { decodeHeaderValue } from '../protocol/modern/param-headers.js';
import { MODERN_REVISIONS } from '../protocol/revisions.js';
import { modernCaller, peerClientOf } from './callers.js';
import { refused, type Handled, type Headers, type Incoming } from './incoming.js';
import { discover, list, type ListDeps } from './methods/lists.js';
import { listen, type ListenDeps } from './methods/listen.js';
import { namedBy, namedByRef } from './methods/named.js';
import { relay } from './methods/relay.js';
import { callTool, type WrapOf } from './methods/search.js';
import { getSkill, listSkills, readDirectory } from './methods/skills.js';
import { aboutTask, type TasksMethodDeps } from './methods/tasks.js';
import { passOn, tellUnknown } from './methods/unknown.js';
import type { GatewayState } from './runtime.js';
import { passedBy } from './passed.js';
import type { Views } from './views.js';

export interface ModernDeps extends TasksMethodDeps, ListenDeps, ListDeps {
  readonly state: () => GatewayState;
  readonly views: Views;
  /** See GateDeps. */
  readonly passes: () => readonly string[];
  /** Reads which clients other replicas name; undefined: there are no others. */
  readonly peerClients?: PeerClients | undefined;
}

const KIND_OF: ReadonlyMap<string, ListKind> = new Map(LIST_KINDS.map((kind) => [LISTS[kind].method, kind]));

export function createModern(deps: ModernDeps): (incoming: Incoming) => Handled {
  const { views } = deps;
  /** The wrap of a call, which may become a task. */
  const taskOf: WrapOf = (incoming) => deps.tasks.made(incoming);

  const isOwnRetry = (message: Message): boolean => {
    const state = param(message, 'requestState');
    return typeof state === 'string' && deps.bridge.holds(state);
  };

  return (incoming) => {
    const { origin, message } = incoming;
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
      if (method.startsWith('notifications/'))
        tellUnknown(views.plain({ principal: origin.principal }, origin.route), message);
      return { kind: 'accepted' };
    }
    // A replica that has the server placed here goes to the next one, as long as its last requests run; calls that wait for input may get it.
    if (deps.state() === 'draining' && !origin.route.link && !isOwnRetry(message))
      return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
    const envelope = readEnvelope(message);
    if (typeof envelope === 'string') return refused(message, new GatewayError('invalid_meta', envelope));
    const mismatch = origin.headers && mismatchIn(origin.headers, message, envelope);
    if (mismatch !== undefined) return refused(message, new GatewayError('header_mismatch', mismatch));
    if (!(MODERN_REVISIONS as readonly string[]).includes(envelope.version)) {
      const requested = envelope.version.slice(0, 32);
      const why = `unsupported protocol version '${requested}' (supported in this form: ${MODERN_REVISIONS.join(', ')})`;
      return refused(
        message,
        new GatewayError('unsupported_version', why, { supported: MODERN_REVISIONS, requested }),
      );
    }
    const passed = passedBy(origin.headers, deps.passes());
    if (passed instanceof GatewayError) return refused(message, passed);
    const peer = origin.peer && peerClientOf(origin, message, deps.peerClients);
    incoming.admit(modernCaller(origin, envelope, passed, views, peer), undefined);
    return dispatch(incoming);
  };

  function dispatch(incoming: Incoming): Handled {
    const { message } = incoming;
    const { method } = message;
    const kind = KIND_OF.get(method);
    if (kind === 'skills') return listSkills(deps, incoming);
    if (kind) return list(deps, kind, incoming);
    switch (method) {
      case 'server/discover':
        return discover(deps, incoming);
      case 'subscriptions/listen':
        return listen(deps, incoming);
      case 'tools/call':
        return callTool(deps, incoming, taskOf);
      case 'tasks/get':
      case 'tasks/update':
      case 'tasks/cancel':
        return aboutTask(deps, incoming);
      case 'prompts/get':
        return relay(deps, incoming, namedBy(message, 'name', 'prompt'));
      case 'resources/read':
        return relay(deps, incoming, namedBy(message, 'uri', 'resource'));
      case 'skills/get':
        return getSkill(deps, incoming);
      case 'resources/directory/read':
        return readDirectory(deps, incoming);
      case 'completion/complete':
        return relay(deps, incoming, namedByRef(message));
      default:
        return passOn(deps, incoming);
    }
  }
}

/** The first header that is missing or differs from the body. */
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
  const name = nameOf(message);
  // The method has no name; or the body is invalid and gets an error of its own.
  if (name === undefined) return undefined;
  if (typeof value !== 'string') return differs('Mcp-Name', value, name);
  const decoded = decodeHeaderValue(value);
  if (decoded === undefined)
    return 'Header mismatch: Mcp-Name holds characters, or Base64, that no header may';
  return differs('Mcp-Name', decoded, name);
}
