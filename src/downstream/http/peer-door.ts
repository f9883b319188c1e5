/** The port for other replicas: they say who asks, as they have authenticated him. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { PEER_PATH, type Introduced } from '../../protocol/elsewhere.js';
import { API_PATH } from './api.js';
import type { Replicas } from './replicas.js';
import { answerReplica } from './forward.js';
import { sendError, sendJson } from './respond.js';
import { OPERATORS_MCP, type Door, type HttpRoute, type Routes } from './routes.js';

/** A request that a replica has introduced, and its route. */
export interface FromReplica {
  readonly route: HttpRoute;
  readonly door: Door;
  readonly to: NonNullable<ReturnType<Routes['find']>>['to'];
  readonly peer: Introduced;
}

/** undefined: it was answered. */
export function enterAsReplica(
  replicas: Replicas,
  routes: Routes,
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
): FromReplica | undefined {
  if (path === PEER_PATH && req.method === 'GET') {
    sendJson(res, 200, JSON.stringify({ replica: replicas.self }));
    return undefined;
  }
  const peer = replicas.introduced(req);
  if (!peer) {
    req.resume();
    sendError(res, new GatewayError('forbidden', 'this port is for replicas of the fleet'), 'null', [
      'Connection',
      'close',
    ]);
    return undefined;
  }
  // Operators may use another port at the replica that sent it.
  const door = isForOperators(path) && !peer.link ? 'admin' : 'main';
  const found = routes.find(door, path);
  if (found && isPlacedElsewhere(replicas, peer, found.to.server)) {
    req.resume();
    answerReplica(res, { kind: 'moved', to: undefined });
    return undefined;
  }
  if (found && (door === 'admin' || found.route.admits === 'mcp')) return { ...found, door, peer };
  req.resume();
  sendError(
    res,
    new GatewayError('not_found', 'this port serves only MCP and the admin API, for replicas of the fleet'),
  );
  return undefined;
}

function isForOperators(path: string): boolean {
  return path.startsWith(API_PATH) || OPERATORS_MCP.test(path);
}

/** Whether a request was sent to the replica that runs a server, and that is another one by now. Links are told so themselves. */
function isPlacedElsewhere(
  replicas: Replicas,
  { to, link }: Introduced,
  server: string | undefined,
): boolean {
  if (to === undefined || to === replicas.self || link || server === undefined) return false;
  return replicas.runs?.(server) === false;
}
