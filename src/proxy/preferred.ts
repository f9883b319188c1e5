/** Which replica of a fleet had better handle a modern request: one with the links of its client, or one where its server is up. */
import { GatewayError } from '../errors.js';
import { readEnvelope } from '../protocol/modern/meta.js';
import { find, param, type Message } from '../protocol/message.js';
import { modernViewer } from './callers.js';
import type { Origin } from './incoming.js';
import { namedBy, namedByRef } from './methods/named.js';
import type { Named } from './methods/relay.js';
import type { OwnLinks } from './own-links.js';
import type { Views } from './views.js';

export interface Preferred {
  /** Requests with equal texts are of one client, whose links are in one replica. */
  readonly client?: string;
  /** The server that is not up here, or not in the era that the request needs. */
  readonly server?: string;
  readonly era?: 'modern';
}

export interface PreferredDeps {
  readonly views: Pick<Views, 'plain'>;
  /** See OwnLinks. */
  readonly keyOf: OwnLinks['keyOf'];
  /** Whether modern clients may have links of their own. */
  readonly hasOwn: () => boolean;
  /** Whether a server is not up here. */
  readonly isAnyDown: () => boolean;
  /** Whether a `requestState` is one of this fleet. */
  readonly isOurs: (state: string) => boolean;
}

/** undefined: it is all the same. */
export function preferredFor(deps: PreferredDeps, origin: Origin, message: Message): Preferred | undefined {
  if (deps.hasOwn()) {
    const envelope = readEnvelope(message);
    const client =
      typeof envelope === 'string' ? undefined : deps.keyOf(modernViewer(origin, envelope), origin.route);
    if (client !== undefined) return { client };
  }
  const isOfServer = hasStateOfServer(deps, message);
  if (!isOfServer && !deps.isAnyDown()) return undefined;
  const view = deps.views.plain({ principal: origin.principal }, origin.route);
  const named = namedIn(message);
  const target = named && !(named instanceof GatewayError) ? view.find(named.kind, named.name) : undefined;
  const link = origin.route.server === undefined ? target?.link : view.links()[0];
  if (!link) return undefined;
  if (isOfServer && link.era !== 'modern') return { server: link.server, era: 'modern' };
  return link.state === 'up' ? undefined : { server: link.server };
}

/** Whether it is a retry with a state that the server itself has given, which it does over connections of this era only. */
function hasStateOfServer({ isOurs }: PreferredDeps, message: Message): boolean {
  if (!find(message.params, 'requestState')) return false;
  const state = param(message, 'requestState');
  return typeof state === 'string' && !isOurs(state);
}

function namedIn(message: Message): Named | GatewayError | undefined {
  switch (message.method) {
    case 'tools/call':
      return namedBy(message, 'name', 'tool');
    case 'prompts/get':
      return namedBy(message, 'name', 'prompt');
    case 'resources/read':
      return namedBy(message, 'uri', 'resource');
    case 'completion/complete':
      return namedByRef(message);
    default:
      return undefined;
  }
}
