/** The port for other replicas: they say who asks, as they have authenticated him. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { PEER_PATH, type Introduced } from '../../protocol/elsewhere.js';
import type { Replicas } from './replicas.js';
import { answerReplica } from './forward.js';
import { sendError, sendJson } from './respond.js';
import type { HttpRoute, Routes } from './routes.js';

/** A request that a replica has introduced, and its route. */
export interface FromReplica {
  readonly route: HttpRoute;
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
  const found = routes.find('main', path);
  if (found && isPlacedElsewhere(replicas, peer, found.to.server)) {
    req.resume();
    answerReplica(res, { kind: 'moved', to: undefined });
    return undefined;
  }
  if (found?.route.admits === 'mcp') return { ...found, peer };
  sendError(res, new GatewayError('not_found', 'this port serves only MCP, for replicas of the fleet'));
  return undefined;
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
