/** The HTTP port: checks each request, finds its route and its sender, and closes connections. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { isLoopback } from '../../config/index.js';
import { GatewayError } from '../../errors.js';
import type { Place } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { Denied, Principal } from '../../protocol/ports.js';
import { isApplication } from '../../protocol/principal.js';
import { sendDenied } from './denied.js';
import { createDocuments } from './discovery.js';
import { createGuard } from './guard.js';
import { createListener, type Listener } from './listener.js';
import { enterAsReplica } from './peer-door.js';
import { sendProblem } from './problem.js';
import { RETRY_AFTER } from './requests.js';
import { sendError, sendFailure } from './respond.js';
import {
  createRoutes,
  notFor,
  type Admission,
  type Admitted,
  type DependingRoute,
  type Door,
  type HttpRoute,
  type Routed,
  type RoutesDeps,
} from './routes.js';
import { findSignIn, serveSignIn } from './sign-in.js';
import { expiryOf } from './tls.js';
import { serveDiscovery } from './well-known.js';

export interface HttpPort {
  /** Opens the port, and that for operators if there is one. `url`: the merged endpoint; `admin`: the origin of the port for operators. */
  listen(): Promise<{ host: string; port: number; url: string; admin?: string }>;
  /** Opens the port for other replicas. */
  listenForPeers(port: PeerPort): Promise<{ host: string; port: number }>;
  /** Serves a connection of another process of this host, which has proved that it is one of the fleet. Its owner closes it. */
  servePeer(socket: Socket): void;
  /** Waits for the requests of other replicas, for `ms` at the most. */
  quietPeers(ms: number): Promise<void>;
  /** Closes the port for replicas, after all others. */
  closeForPeers(): Promise<void>;
  /** Uses the certificate of a new configuration. */
  renew(): void;
  /** Unix seconds; undefined: there is no TLS. */
  certificateExpires(): number | undefined;
  /**
   * Serves until no request is running, for at most `graceMs`, then closes the port and all connections. Requests in the meantime
   * are answered with `Connection: close`.
   */
  close(graceMs: number): Promise<void>;
  destroy(): void;
}

type Guarded = Exclude<HttpRoute, { readonly admits: 'open' }>;

/** Under mode none, nothing but the console key opens routes that need a key. */
const NO_KEY: Denied = { status: 401, challenge: 'Bearer', reason: 'missing_header' };
const WRONG_KEY: Denied = { status: 401, challenge: 'Bearer', reason: 'wrong_token' };
/** With fewer file descriptors, a warning is logged at the start. */
const FEW_FILES = 4096;
/** How long requests of operators may take once the last client has left. */
const ADMIN_GRACE_MS = 1000;
/** How long an idle connection of another replica stays open: longer than that keeps it. */
const PEER_IDLE_MS = 75_000;
const PEER_GRACE_MS = 500;

export interface HttpPortDeps extends RoutesDeps {
  /** That of the gateway. */
  readonly version: string;
}

export interface PeerPort {
  readonly host: string;
  readonly port: number;
  /** undefined: without TLS. */
  readonly secure: TlsOptions | undefined;
}

export function createHttpPort(deps: HttpPortDeps): HttpPort {
  const { gate, log, boundary } = deps;
  const started = deps.config();
  const { tls, idle_connection_ms } = started.http;
  const routes = createRoutes(deps);
  const documents = createDocuments(deps.config, deps.version);
  const guards = {
    main: createGuard(started.host, deps.config),
    admin: createGuard(started.admin.host, deps.config),
  };

  /** Answers with an error if `work` is a promise that rejects. */
  function handleRejection(where: Place, res: ServerResponse, work: void | Promise<void>): void {
    if (!work) return;
    boundary.detach(where, work, (error) => {
      sendFailure(res, error);
    });
  }

  function serve(door: Door, req: IncomingMessage, res: ServerResponse): void {
    const url = req.url ?? '';
    const at = url.indexOf('?');
    // Paths are matched exactly.
    const path = at === -1 ? url : url.slice(0, at);
    if (door === 'main' && serveDiscovery(gate, req, res, path)) return;
    const guard = guards[door];
    const query = at === -1 ? '' : url.slice(at + 1);
    const signIn = door === 'main' && deps.signIn.isOn ? findSignIn(deps.signIn, path) : undefined;
    if (signIn) {
      const refusal = guard.checkHost(req);
      if (refusal) return sendError(res, refusal);
      const work = serveSignIn(deps.signIn, signIn, { req, res, path, query }, deps.budget);
      return handleRejection('client_request', res, work);
    }
    if (door === 'main' && documents.serves(path)) {
      const refusal = guard.checkHost(req);
      if (!refusal) return documents.serve(req, res, path, query);
      gate.countInvalid('unknown');
      return sendError(res, refusal);
    }
    const found = routes.find(door, path);
    const isOwn = path.startsWith('/-/');
    const refusal = isOwn ? guard.checkOwn(req, found?.route) : guard.check(req, res);
    if (refusal) {
      gate.countInvalid('unknown');
      return refuse(found?.route, res, refusal);
    }
    if (!found)
      return sendError(
        res,
        new GatewayError('not_found', `nothing is served at ${path.slice(0, 128)}: ${ELSEWHERE[door]}`),
      );
    if (req.method === 'OPTIONS') {
      if (!isOwn) return guard.preflight(req, res);
      // Pages of the gateway itself need no preflight.
      res.writeHead(204).end();
      return;
    }
    const { route, to } = found;
    const request = { req, res, door, path, to, query };
    if (route.admits === 'open') return handleRejection(route.place, res, route.serve(request));
    if (route.admits !== 'depends') return identify(route, route.admits, request);
    const admits = route.admitsFor(request);
    if (!(admits instanceof Promise)) return admit(route, admits, request);
    const admitted = admits.then((result) => {
      if (!res.destroyed) admit(route, result, request);
    });
    handleRejection(route.place, res, admitted);
  }

  /** Serves another replica, which has checked Host and Origin and authenticated the client. */
  function serveReplica(req: IncomingMessage, res: ServerResponse): void {
    if (!deps.replicas) {
      res.destroy();
      return;
    }
    const [path = '', query = ''] = (req.url ?? '').split(/\?(.*)/s);
    const entered = enterAsReplica(deps.replicas, routes, req, res, path);
    if (!entered) return;
    const { route, to, door, peer } = entered;
    const request = { req, res, door, path, to, query, peer };
    if (route.admits === 'mcp') return enter(route, 'mcp', request, peer.principal);
    if (route.admits !== 'depends') return refuse(route, res, notForReplicas(path));
    // The admin API. Only what has a role is sent on.
    const entering = Promise.resolve(route.admitsFor(request)).then((admits) => {
      if (res.destroyed) return;
      if (admits === 'viewer' || admits === 'operator') return enter(route, admits, request, peer.principal);
      refuse(route, res, admits instanceof GatewayError ? admits : notForReplicas(path));
    });
    handleRejection(route.place, res, entering);
  }

  function admit(route: DependingRoute, admits: Admission, request: Routed): void {
    const { res } = request;
    if (admits instanceof GatewayError) refuse(route, res, admits);
    else if (admits === 'open') handleRejection(route.place, res, route.serve(request));
    else identify(route, admits, request);
  }

  /** Authenticates the sender, and serves a route that only `admits` may use. */
  function identify(route: Guarded, admits: Admitted, request: Routed): void {
    const { req, res, path } = request;
    // The console key opens nothing but what is below `/-/`.
    const who = (path.startsWith('/-/') && deps.api.authenticate(req, path)) || gate.authorize(req, path);
    if (!(who instanceof Promise)) return enter(route, admits, request, who);
    // The body is not read until the sender is known.
    const entered = who.then((result) => {
      if (!res.destroyed) enter(route, admits, request, result);
    });
    handleRejection(route.place, res, entered);
  }

  function enter(route: Guarded, admits: Admitted, request: Routed, who: Principal | Denied): void {
    const { req, res } = request;
    if ('status' in who) {
      gate.countInvalid('unknown');
      return sendDenied(res, who, route.problems && sendProblem);
    }
    if (route.keyed && who.kind === 'anonymous') {
      gate.countInvalid('unknown');
      const denied = (req.headers.authorization ?? '') === '' ? NO_KEY : WRONG_KEY;
      return sendDenied(res, denied, route.problems && sendProblem);
    }
    if (admits === 'mcp' && who.approves === true) {
      gate.countInvalid('unknown');
      return refuse(route, res, new GatewayError('forbidden', FOR_VOTES));
    }
    if (admits === 'self' && isApplication(who) && !route.forApplications?.(request)) {
      gate.countInvalid('unknown');
      return refuse(route, res, new GatewayError('forbidden', FOR_PEOPLE));
    }
    if (admits === 'mcp' && gate.state === 'starting')
      return sendError(
        res,
        new GatewayError('unavailable', 'not ready: a required upstream has not connected yet'),
        'null',
        RETRY_AFTER,
      );
    if ((admits === 'viewer' || admits === 'operator') && !gate.permits(who, admits, request.path)) {
      gate.countInvalid('unknown');
      return refuse(route, res, notFor(admits));
    }
    handleRejection(route.place, res, route.serve(request, who));
  }

  const files = openFiles(log);
  const common = { idleMs: idle_connection_ms, log, boundary };
  const main = createListener(
    {
      ...common,
      host: started.host,
      port: started.port,
      tls,
      // Leaves a fifth of the file descriptors to upstreams, children and files.
      maxConnections: files && Math.floor(files * 0.8),
      reusePort: started.http.reuse_port,
    },
    (req, res) => serve('main', req, res),
  );
  const { host, port } = started.admin;
  const admin =
    port === undefined
      ? undefined
      : createListener(
          {
            ...common,
            host,
            port,
            tls: isLoopback(host) ? undefined : tls,
            maxConnections: files && Math.max(16, Math.floor(files * 0.05)),
          },
          (req, res) => serve('admin', req, res),
        );

  let peers: Listener | undefined;
  /** For connections that are accepted elsewhere: it listens nowhere. */
  let adopted: Listener | undefined;
  const forPeers = { ...common, tls: undefined, idleMs: PEER_IDLE_MS, maxConnections: undefined };

  return {
    servePeer(socket) {
      adopted ??= createListener(
        { ...forPeers, host: '', port: 0, peers: { secure: undefined } },
        serveReplica,
      );
      adopted.adopt(socket);
    },
    async listenForPeers(port) {
      peers = createListener({ ...forPeers, host: port.host, port: port.port, peers: port }, serveReplica);
      return await peers.listen().catch((error: unknown) => {
        throw error instanceof Error ? Object.assign(error, { setting: 'fleet.listen' }) : error;
      });
    },
    async quietPeers(ms) {
      await peers?.quiet(ms);
    },
    async closeForPeers() {
      await peers?.close(PEER_GRACE_MS);
    },
    async listen() {
      const opened = await admin?.listen().catch((error: unknown) => {
        // For the message: which key of the config to change.
        throw error instanceof Error ? Object.assign(error, { setting: 'admin' }) : error;
      });
      try {
        const { origin, ...address } = await main.listen();
        return { ...address, url: `${origin}/mcp`, ...(opened && { admin: opened.origin }) };
      } catch (error) {
        admin?.destroy();
        throw error;
      }
    },
    renew() {
      const { tls: next } = deps.config().http;
      const renewed = main.renew(next);
      admin?.renew(next);
      if (renewed && next)
        log.info('TLS certificates renewed', { expires: new Date(expiryOf(next) * 1000).toISOString() });
    },
    certificateExpires() {
      const { tls: current } = deps.config().http;
      return current && expiryOf(current);
    },
    async close(graceMs) {
      routes.drain();
      // Requests from other replicas are answered as well; their port closes later.
      const others = deps.replicas?.another() !== undefined;
      await Promise.all([main.close(graceMs, others), peers?.quiet(graceMs)]);
      await admin?.close(Math.min(graceMs, ADMIN_GRACE_MS));
    },
    destroy() {
      main.destroy();
      admin?.destroy();
      peers?.destroy();
    },
  };
}

/** Sends an error in the form of a route; undefined: there is no route. */
function refuse(route: HttpRoute | undefined, res: ServerResponse, error: GatewayError): void {
  if (route?.problems) sendProblem(res, error);
  else sendError(res, error);
}

function notForReplicas(path: string): GatewayError {
  return new GatewayError('not_found', `${path.slice(0, 128)} is not served to replicas of the fleet`);
}

const FOR_PEOPLE =
  'this is not for applications: sign in to the console of the gateway, or use a key of your own';
const FOR_VOTES = 'this key votes about calls that wait for a yes, and opens nothing else (approver: true)';

/** What a path leads to that is not served on a port. */
const ELSEWHERE: Readonly<Record<Door, string>> = {
  main: 'MCP is at /mcp',
  admin: 'this port is for operators, MCP is on another one',
};

/** How many files may be open; undefined: unknown. Warns if there are few. */
function openFiles(log: Logger): number | undefined {
  let files: number;
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
  } catch {
    return undefined;
  }
  if (!Number.isFinite(files)) return undefined;
  if (files < FEW_FILES)
    log.warn(`only ${files} files may be open (ulimit -n): at most ${Math.floor(files * 0.8)} connections`);
  return files;
}
