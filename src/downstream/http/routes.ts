/** Every route of the port: its path, who is admitted, and what serves it. A new route is a row here. */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import { CLIENT_HEADER } from '../../protocol/elsewhere.js';
import type { Principal, Shown } from '../../protocol/ports.js';
import type { Endpoint } from '../../proxy/gate.js';
import {
  serveHealth,
  serveMetrics,
  servePins,
  serveQuestion,
  serveReady,
  serveReload,
  type Admin,
} from './admin.js';
import { acrossTo, chooseReplicas, isProblem } from './api-replicas.js';
import { API_PATH, refuseApi, serveApi, type Api, type ApiRoute } from './api.js';
import { CONSOLE_PATH, createConsoleFiles } from './console.js';
import { endpoint, linkEnd } from './endpoints.js';
import type { LoginPages } from './logins.js';
import { createMcp } from './mcp.js';
import { PassedStreams } from './passed-streams.js';
import { firstValue } from './requests.js';
import type { SignInDoor } from './sign-in.js';
import { pageRoutes } from './page-routes.js';
import type { Admission, Door, HttpRoute, Routed } from './row.js';
import { createSse2024, type Sse2024Deps } from './sse-2024.js';

export type { Admission, Admitted, DependingRoute, Door, HttpRoute, Routed } from './row.js';

export interface RoutesDeps extends Sse2024Deps {
  readonly admin: Admin;
  readonly api: Api;
  readonly logins: LoginPages;
  readonly signIn: SignInDoor;
}

export interface Routes {
  /** The route for a path on a port, which must match exactly, and what the path names. */
  find(door: Door, path: string): { readonly route: HttpRoute; readonly to: Endpoint } | undefined;
  /** Ends the HTTP+SSE streams once their clients have no running requests, and streams that other replicas send through this one. */
  drain(): void;
}

const REFUSALS = {
  operator: 'this is for operators: mcp.auth.admins names them',
  viewer: 'this is for operators and viewers: mcp.auth.admins and mcp.auth.viewers name them',
} as const;

/** The error for a principal that is not admitted. */
export function notFor(admits: keyof typeof REFUSALS): GatewayError {
  return new GatewayError('forbidden', REFUSALS[admits]);
}

/** An application may see and end its own. */
const GRANTS = /^\/-\/api\/v1\/grants(?:\/[\w-]{1,64})?$/;
const APPROVALS = /^\/-\/api\/v1\/approvals(?:\/[\w-]{1,128})?$/;
const ONE_LOGIN = /^\/-\/api\/v1\/logins\/[\w-]{1,64}$/;

/** MCP for operators and viewers. */
export const OPERATORS_MCP = /^\/-\/(?:servers\/([A-Za-z0-9._-]{1,64})\/)?mcp$/;

/** Matches `/<kind>`, `/servers/<name>/<kind>` and `/profiles/<name>/<kind>`. */
const below = (kind: string): RegExp =>
  new RegExp(`^(?:/(?:servers/([A-Za-z0-9._-]{1,64})|profiles/([A-Za-z0-9._-]{1,64})))?/${kind}$`);

export function createRoutes(deps: RoutesDeps): Routes {
  const { admin, gate } = deps;
  const passed = new PassedStreams(deps.wheel);
  const mcp = createMcp(deps, passed);
  const sse = createSse2024(deps);
  const { api } = deps;
  const consoleFiles = createConsoleFiles();
  const apiRoutes = new WeakMap<Routed, ApiRoute>();
  const place = 'client_request';
  /** Fixed at the start, like the port itself. */
  const hasAdminPort = deps.config().admin.port !== undefined;
  const all: readonly HttpRoute[] = [
    {
      path: below('mcp'),
      on: 'main',
      admits: 'mcp',
      place,
      serve({ req, res, to, peer }, principal) {
        const target = peer?.link ? linkEnd(deps, res, to) : endpoint(gate, res, to, 'mcp', principal);
        if (target) mcp(req, res, principal, target, peer);
      },
    },
    {
      path: below('sse'),
      on: 'main',
      admits: 'mcp',
      place,
      serve({ req, res, to, peer }, principal) {
        const target = endpoint(gate, res, to, 'sse', principal);
        if (target) sse.stream({ req, res, principal, route: target, peer });
      },
    },
    {
      path: below('messages'),
      on: 'main',
      admits: 'mcp',
      place,
      serve({ req, res, to, query, peer }, principal) {
        const target = endpoint(gate, res, to, 'sse', principal);
        if (target) sse.messages({ req, res, principal, route: target, query, peer });
      },
    },
    {
      path: '/health',
      on: 'both',
      admits: 'depends',
      place,
      forApplications: () => true,
      admitsFor: admitsForServers,
      serve({ req, res, door, path }, principal) {
        serveHealth(admin, req, res, showsServers(door, path, principal));
      },
    },
    {
      path: '/ready',
      on: 'both',
      admits: 'depends',
      place,
      forApplications: () => true,
      admitsFor: admitsForServers,
      serve({ req, res, door, path }, principal) {
        serveReady(admin, req, res, showsServers(door, path, principal));
      },
    },
    {
      path: '/metrics',
      on: 'operators',
      admits: 'depends',
      place: 'metrics',
      admitsFor() {
        const { metrics, policy } = deps.config();
        // With a policy, the names of servers and tools are not for everybody.
        const auth = metrics.auth ?? (policy && !hasAdminPort ? 'bearer' : 'none');
        return auth === 'bearer' ? 'viewer' : 'open';
      },
      serve: ({ req, res }) => serveMetrics(admin, req, res),
    },
    {
      path: '/-/reload',
      on: 'operators',
      anyType: true,
      admits: 'operator',
      place,
      serve: (request, principal) => serveReload(admin, request, principal),
    },
    {
      path: '/-/explain',
      on: 'operators',
      admits: 'viewer',
      place,
      serve(request, principal) {
        ask(request, principal, 'viewer', (question) => admin.explain(question));
      },
    },
    {
      path: '/-/pins',
      on: 'operators',
      admits: 'viewer',
      place,
      serve({ req, res, query }) {
        servePins(admin, req, res, query);
      },
    },
    {
      path: '/-/pins/approve',
      on: 'operators',
      admits: 'operator',
      place,
      serve(request, principal) {
        ask(request, principal, 'operator', (question) => admin.approvePins(question, principal));
      },
    },
    {
      path: '/',
      on: 'operators',
      admits: 'depends',
      place,
      admitsFor: ({ req }) => (api.enabled && opensPage(req) ? 'open' : nothingAt('/')),
      serve({ res }) {
        // Relative: a proxy in front may have another path.
        res.writeHead(302, ['Location', CONSOLE_PATH.slice(1), 'Content-Length', '0']).end();
      },
    },
    {
      path: /^\/-\/console(?:\/.*)?$/,
      on: 'operators',
      page: true,
      admits: 'depends',
      place,
      admitsFor: ({ path }) => (api.enabled ? 'open' : nothingAt(path)),
      serve: ({ req, res, path }) => consoleFiles.serve(req, res, path),
    },
    {
      // `admits` of each is in the table of the API.
      path: /^\/-\/api\/v1\/.+$/,
      on: 'both',
      keyed: true,
      problems: true,
      admits: 'depends',
      place,
      forApplications: ({ path }) => GRANTS.test(path),
      admitsFor: admitsForApi,
      serve(request, principal) {
        const { req, res, path, peer } = request;
        const route = apiRoutes.get(request) as ApiRoute;
        const { who } = route;
        const chosen = chooseReplicas(request.query, route, deps.replicas, peer !== undefined);
        if (isProblem(chosen)) return refuseApi(req, res, chosen);
        const { query } = chosen;
        return serveApi(
          deps,
          route,
          request,
          { path: path.slice(API_PATH.length), query, principal, shown: peer ? sentOn(req) : req },
          // A reload before the end of the body may have changed who may do this.
          () =>
            principal && (who === 'viewer' || who === 'operator') && !gate.permits(principal, who, path)
              ? notFor(who)
              : undefined,
          principal && acrossTo(chosen, { ...deps, passed }, { req, res, path, query, principal }),
        );
      },
    },
    ...pageRoutes(deps, place, nothingAt),
    {
      path: OPERATORS_MCP,
      on: 'operators',
      keyed: true,
      admits: 'depends',
      place,
      admitsFor: ({ path }) => (api.enabled ? 'viewer' : nothingAt(path)),
      serve({ req, res, to, peer }, principal) {
        const target = principal && endpoint(gate, res, to, 'mcp', principal);
        if (target) mcp(req, res, principal, target, peer);
      },
    },
  ];

  /** Answers an operator's question. A reload before the end of its body may have made somebody else the operator. */
  function ask(
    request: Routed,
    principal: Principal,
    role: 'viewer' | 'operator',
    answer: (question: unknown) => object | Promise<object>,
  ): void {
    serveQuestion(request, deps, (question) => {
      if (!gate.permits(principal, role, request.path)) throw notFor(role);
      return answer(question);
    });
  }

  /** With a port for operators, the main one serves of the API only what is not for them. */
  async function admitsForApi(request: Routed): Promise<Admission> {
    const { req, door, path } = request;
    // Links to logins, and votes, do not need the console.
    const isVote = APPROVALS.test(path);
    if (!api.enabled && !isVote && !ONE_LOGIN.test(path)) return nothingAt(path);
    const found = await api.find(req.method ?? '', path.slice(API_PATH.length));
    if (found instanceof GatewayError) return found;
    const { who } = found;
    if (!api.enabled && !isVote && who !== 'holder') return nothingAt(path);
    if (door === 'main' && hasAdminPort && (who === 'viewer' || who === 'operator')) return nothingAt(path);
    apiRoutes.set(request, found);
    if (who !== 'holder') return who;
    return deps.config().mcp.auth.mode === 'none' ? 'open' : 'self';
  }

  /** `self` where who asks decides whether the answer names the servers. */
  function admitsForServers({ req, door }: Routed): 'self' | 'open' {
    const { policy } = deps.config();
    return door === 'main' && !hasAdminPort && policy && showsWho(req, deps.config()) ? 'self' : 'open';
  }

  /** Whether `/health` and `/ready` name the servers: not on the port of clients, if there is another one or a policy that hides them. */
  function showsServers(door: Door, path: string, principal: Principal | undefined): boolean {
    if (door === 'admin') return true;
    if (hasAdminPort) return false;
    if (!deps.config().policy) return true;
    return principal !== undefined && gate.permits(principal, 'viewer', path);
  }

  function match(path: string): ReturnType<Routes['find']> {
    if (path === '/mcp' || path === '/mcp/') return merged;
    const route = plain.get(path);
    if (route) return { route, to: {} };
    for (const each of patterns) {
      const found = each.path.exec(path);
      if (found) return { route: each, to: { server: found[1], profile: found[2] } };
    }
    return undefined;
  }

  const served: Record<Door, (on: HttpRoute['on']) => boolean> = {
    main: (on) => on !== 'operators' || !hasAdminPort,
    admin: (on) => on !== 'main',
  };
  const plain = new Map(
    all.flatMap((route) => (typeof route.path === 'string' ? [[route.path, route]] : [])),
  );
  const patterns = all.filter((route) => typeof route.path !== 'string') as (HttpRoute & { path: RegExp })[];
  /** The most common route, found without a pattern. Only this route may end with a slash. */
  const merged = { route: all[0] as HttpRoute, to: {} };

  return {
    find(door, path) {
      const found = match(path);
      return found && served[door](found.route.on) ? found : undefined;
    },
    drain() {
      sse.drain();
      passed.end();
    },
  };
}

/** What a request shows that another replica sent on: the address of its client. */
function sentOn({ headers }: IncomingMessage): Shown {
  return { headers, socket: { remoteAddress: firstValue(headers[CLIENT_HEADER]) } };
}

/** Whether a browser opens a page. */
function opensPage({ method, headers }: IncomingMessage): boolean {
  const mode = headers['sec-fetch-mode'];
  return (
    method === 'GET' &&
    /\btext\/html\b/i.test(headers.accept ?? '') &&
    (mode === undefined || mode === 'navigate')
  );
}

/** The error for a path where nothing is served on the port for clients. */
export function nothingAt(path: string): GatewayError {
  return new GatewayError('not_found', `nothing is served at ${path.slice(0, 128)}: MCP is at /mcp`);
}

/** Whether a request says who sends it, rightly or not. */
function showsWho({ headers, socket }: IncomingMessage, { mcp }: Config): boolean {
  if (mcp.auth.mode === 'none' || headers.authorization !== undefined) return true;
  const { user } = mcp.auth.proxy ?? {};
  return (user !== undefined && user in headers) || (socket as Partial<TLSSocket>).authorized === true;
}
