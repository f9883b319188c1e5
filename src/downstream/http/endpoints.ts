/** Finds the endpoint that a request is for. */
import type { ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Principal } from '../../protocol/ports.js';
import type { Endpoint, Gate, Route } from '../../proxy/gate.js';
import type { Replicas } from './replicas.js';
import { RETRY_AFTER } from './requests.js';
import { sendError } from './respond.js';

/** The endpoint; undefined: it does not exist, and the request was answered. */
export function endpoint(
  gate: Gate,
  res: ServerResponse,
  to: Endpoint,
  kind: 'mcp' | 'sse',
  principal: Principal,
): Route | undefined {
  const target = gate.route(to, kind, principal);
  if (!target) sendError(res, new GatewayError('not_found', missing(to)));
  return target;
}

/** The end of a link of another replica; undefined: the server is not run here, and the request was answered. */
export function linkEnd(
  { gate, replicas }: { readonly gate: Gate; readonly replicas?: Replicas | undefined },
  res: ServerResponse,
  { server }: Endpoint,
): Route | undefined {
  const runs = server !== undefined && replicas?.runs?.(server) !== false;
  const target = runs ? gate.linkRoute(server) : undefined;
  if (!target) {
    const why = `this replica does not run the server '${server ?? ''}'`;
    sendError(res, new GatewayError('unavailable', why), 'null', RETRY_AFTER);
  }
  return target;
}

function missing({ server, profile }: Endpoint): string {
  if (server !== undefined) return `no server '${server}' here`;
  return profile === undefined
    ? 'this key is for the endpoint of its profile'
    : `no profile '${profile}' here`;
}
