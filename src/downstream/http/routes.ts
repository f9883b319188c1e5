/** Every route of the port: its path, who is admitted, and what serves it. A new route is a row here. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Place } from '../../observe/boundary.js';
import type { Principal } from '../../protocol/ports.js';
import type { Endpoint, Gate, Route as McpRoute } from '../../proxy/gate.js';
import { serveExplain, serveHealth, serveMetrics, serveReady, serveReload, type Admin } from './admin.js';
import { createMcp } from './mcp.js';
import { sendError } from './respond.js';
import { createSse2024, type Sse2024Deps } from './sse-2024.js';

/** An admitted request. */
export interface Routed {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Without the `?`. */
  readonly query: string;
  /** The server or the profile that the path names. */
  readonly to: Endpoint;
}

interface OpenRoute {
  readonly path: string | RegExp;
  /** Anybody, without authentication. */
  readonly admits: 'open';
  /** The boundary label for exceptions after the handler has returned. */
  readonly place: Place;
  serve(request: Routed): void | Promise<void>;
}

export interface GuardedRoute {
  readonly path: string | RegExp;
  /** `mcp`: clients, once the gateway is ready; `operator`: any holder of a valid token. */
  readonly admits: 'mcp' | 'operator';
  readonly place: Place;
  serve(request: Routed, principal: Principal): void | Promise<void>;
}

export type HttpRoute = OpenRoute | GuardedRoute;

export interface RoutesDeps extends Sse2024Deps {
  readonly admin: Admin;
}

export interface Routes {
  /** The route for a path, which must match exactly, and what the path names. */
  find(path: string): { readonly route: HttpRoute; readonly to: Endpoint } | undefined;
  /** Ends the HTTP+SSE streams once their clients have no running requests. */
  drain(): void;
}

/** Matches `/<kind>`, `/servers/<name>/<kind>` and `/profiles/<name>/<kind>`. */
const below = (kind: string): RegExp =>
  new RegExp(`^(?:/(?:servers/([A-Za-z0-9._-]{1,64})|profiles/([A-Za-z0-9._-]{1,64})))?/${kind}$`);

export function createRoutes(deps: RoutesDeps): Routes {
  const { admin, gate } = deps;
  const mcp = createMcp(deps);
  const sse = createSse2024(deps);
  const place = 'client_request';
  const all: readonly HttpRoute[] = [
    {
      path: below('mcp'),
      admits: 'mcp',
      place,
      serve({ req, res, to }, principal) {
        const target = endpoint(gate, res, to, 'mcp', principal);
        if (target) mcp(req, res, principal, target);
      },
    },
    {
      path: below('sse'),
      admits: 'mcp',
      place,
      serve({ req, res, to }, principal) {
        const target = endpoint(gate, res, to, 'sse', principal);
        if (target) sse.stream(req, res, principal, target);
      },
    },
    {
      path: below('messages'),
      admits: 'mcp',
      place,
      serve({ req, res, to, query }, principal) {
        const target = endpoint(gate, res, to, 'sse', principal);
        if (target) sse.messages(req, res, principal, target, query);
      },
    },
    { path: '/health', admits: 'open', place, serve: ({ req, res }) => serveHealth(admin, req, res) },
    { path: '/ready', admits: 'open', place, serve: ({ req, res }) => serveReady(admin, req, res) },
    {
      path: '/metrics',
      admits: 'open',
      place: 'metrics',
      serve: ({ req, res }) => serveMetrics(admin, req, res),
    },
    { path: '/-/reload', admits: 'operator', place, serve: ({ req, res }) => serveReload(admin, req, res) },
    {
      path: '/-/explain',
      admits: 'operator',
      place,
      serve({ req, res }) {
        serveExplain(admin, deps.budget, req, res);
      },
    },
  ];
  const plain = new Map(
    all.flatMap((route) => (typeof route.path === 'string' ? [[route.path, route]] : [])),
  );
  const patterns = all.filter((route) => typeof route.path !== 'string') as (HttpRoute & { path: RegExp })[];
  /** The most common route, found without a pattern. Only this route may end with a slash. */
  const merged = { route: all[0] as HttpRoute, to: {} };

  return {
    find(path) {
      if (path === '/mcp' || path === '/mcp/') return merged;
      const route = plain.get(path);
      if (route) return { route, to: {} };
      for (const each of patterns) {
        const found = each.path.exec(path);
        if (found) return { route: each, to: { server: found[1], profile: found[2] } };
      }
      return undefined;
    },
    drain() {
      sse.drain();
    },
  };
}

/** The endpoint; undefined: it does not exist, and the request was answered. */
function endpoint(
  gate: Gate,
  res: ServerResponse,
  to: Endpoint,
  kind: 'mcp' | 'sse',
  principal: Principal,
): McpRoute | undefined {
  const target = gate.route(to, kind, principal);
  if (!target) sendError(res, new GatewayError('not_found', missing(to)));
  return target;
}

function missing({ server, profile }: Endpoint): string {
  if (server !== undefined) return `no server '${server}' here`;
  return profile === undefined
    ? 'this key is for the endpoint of its profile'
    : `no profile '${profile}' here`;
}
