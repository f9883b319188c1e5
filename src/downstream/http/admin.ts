/** The routes for operators: health, readiness, metrics, reload. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Boundary } from '../../observe/boundary.js';
import type { LinkState, Principal } from '../../protocol/ports.js';
import type { Budget } from '../../lib/budget.js';
import { readJson } from '../../wire/json.js';
import { readBody } from './body.js';
import { sendError, sendFailure, sendJson } from './respond.js';

/** The state of an upstream in `/health`. Contains no secrets. */
export interface ServerHealth {
  readonly name: string;
  /** Without userinfo and query values; `stdio:<command>` for a child. */
  readonly url: string;
  readonly protocol: string;
  readonly required: boolean;
  readonly connected: boolean;
  readonly tools_count: number;
  /** null before the first contact. */
  readonly last_seen_seconds_ago: number | null;
  readonly reconnects: number;
  readonly last_error: string | null;
  readonly state: LinkState;
  /** Another process of this host, or of the fleet, runs the server (`placement`). Absent: none does. */
  readonly via?: 'host' | 'fleet';
  /**
   * The login that is missing, with its reason: never, revoked, scopes, issuer_changed, unreadable. Where each user has his own: how many are connected.
   * Absent: none is missing.
   */
  readonly login?:
    | { readonly per: 'gateway'; readonly reason: string }
    | { readonly per: 'user'; readonly connected: number };
  /** The headers of clients that the server gets; absent: none. */
  readonly headers_from_client?: readonly string[];
  /** null while unknown. */
  readonly era: 'legacy' | 'modern' | null;
  readonly revision: string | null;
  /** Lists that are out of date because the last refresh failed; absent: none. */
  readonly lists?: Readonly<Record<string, { readonly stale: true; readonly error: string }>> | 'kept';
  /** With `lists: kept`: the age of the lists, which are from an earlier run. */
  readonly lists_age_seconds?: number;
  /** The link for legacy clients, if the server supports both eras. */
  readonly legacy?: {
    readonly state: ServerHealth['state'];
    readonly revision: string | null;
    readonly error: string | null;
  };
  /** After a reload: the link that will replace this one. */
  readonly next?: { readonly state: ServerHealth['state']; readonly error: string | null };
  /** The state in words: up, starting, connecting, down, needs login, needs approval, off, draining. */
  readonly word: string;
  /** Why it is not up; null: it is, or nothing has failed yet. */
  readonly cause: string | null;
  /** What helps; null: nothing has to be done. */
  readonly action: {
    readonly text: string;
    /** A command line. */
    readonly command?: string | undefined;
    /** A path under `/-/api/v1/`. */
    readonly post?: string | undefined;
  } | null;
}

export interface Health {
  /** `degraded`: at least one upstream is not connected. */
  readonly status: 'ok' | 'degraded';
  readonly uptime_seconds: number;
  readonly servers: readonly ServerHealth[];
  /** Tools and prompts that the configuration takes out of lists, a sentence each, by endpoint; absent: none. */
  readonly problems?: Readonly<Record<string, readonly string[]>>;
  /** absent: the gateway is alone. */
  readonly fleet?: FleetHealth;
}

/** A replica and its fleet. */
export interface FleetHealth {
  /** Its identity, of this run of it. */
  readonly replica: string;
  readonly name: string;
  /** Live ones, this one among them. */
  readonly replicas: number;
  readonly store: 'up' | 'down';
  readonly draining: boolean;
  /** Others have had another configuration, or listed something else, for a minute. */
  readonly differs: boolean;
  /** Which of them; absent: neither. */
  readonly differs_in?: readonly ('config' | 'lists')[];
}

export interface Ready {
  readonly ready: boolean;
  /** The required upstreams that have not connected, or `required servers` if they are not named; what else is wrong; `shutting down`. */
  readonly waiting_for: readonly string[];
}

/** What became of a reload in a replica. */
export interface ReplicaReload {
  readonly replica: string;
  readonly name: string;
  readonly ok: boolean;
  /** Why the replica keeps the configuration that it has. */
  readonly error?: string;
}

/** The result of a reload: names of servers and keys. */
export interface ReloadResult {
  readonly added: number;
  readonly removed: number;
  readonly restarted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly servers: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly restarted: readonly string[];
    readonly updated: readonly string[];
  };
  /** Changed keys that take effect after a restart only. */
  readonly restart_required: readonly string[];
}

export interface Admin {
  health(): Health;
  /** `named`: whether the answer names servers. */
  ready(named: boolean): Ready;
  /** What the policy decides, for an operator's question. Throws a GatewayError. */
  explain(question: unknown): object;
  /** Definitions of pinned servers, or of one: what is approved and what waits. */
  pins(server: string | undefined): object;
  /** Rejects with a GatewayError. */
  approvePins(question: unknown, principal: Principal): Promise<object>;
  /** undefined: metrics are off. */
  metrics(): { readonly contentType: string; readonly chunks: AsyncIterable<string> } | undefined;
  /** Rejects with an Error whose message says what is wrong with the new config; the running one is kept. */
  reload(principal: Principal, address: string | undefined): Promise<ReloadResult>;
  /** The same in all replicas of the fleet. Rejects with a GatewayError if there is none, or its store is away. */
  reloadFleet(principal: Principal, address: string | undefined): Promise<readonly ReplicaReload[]>;
}

const GET = ['Allow', 'GET, HEAD'];

function isGet(req: IncomingMessage, res: ServerResponse): boolean {
  if (req.method === 'GET' || req.method === 'HEAD') return true;
  sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', GET);
  return false;
}

/** `servers`: whether the answer names them. */
export function serveHealth(admin: Admin, req: IncomingMessage, res: ServerResponse, servers: boolean): void {
  if (!isGet(req, res)) return;
  const { servers: all, problems, ...rest } = admin.health();
  sendJson(res, 200, JSON.stringify(servers ? { ...rest, servers: all, problems } : rest));
}

/** `servers`: whether the answer names the servers that it waits for. */
export function serveReady(admin: Admin, req: IncomingMessage, res: ServerResponse, servers: boolean): void {
  if (!isGet(req, res)) return;
  const ready = admin.ready(servers);
  sendJson(res, ready.ready ? 200 : 503, JSON.stringify(ready), ready.ready ? [] : ['Retry-After', '1']);
}

export async function serveMetrics(admin: Admin, req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (!isGet(req, res)) return;
  const metrics = admin.metrics();
  if (!metrics) {
    res.writeHead(404, ['Content-Type', 'text/plain; charset=utf-8']).end('metrics disabled\n');
    return;
  }
  res.writeHead(200, ['Content-Type', metrics.contentType]);
  for await (const chunk of metrics.chunks) {
    if (res.destroyed) return;
    if (!res.write(chunk)) await new Promise((resolve) => res.once('drain', resolve).once('close', resolve));
  }
  res.end();
}

export async function serveReload(
  admin: Admin,
  {
    req,
    res,
    query,
  }: { readonly req: IncomingMessage; readonly res: ServerResponse; readonly query: string },
  principal: Principal,
): Promise<void> {
  if (req.method !== 'POST') {
    sendError(res, new GatewayError('method_not_allowed', 'reload with POST'), 'null', ['Allow', 'POST']);
    return;
  }
  req.resume();
  try {
    if (new URLSearchParams(query).has('fleet')) {
      const replicas = await admin.reloadFleet(principal, req.socket.remoteAddress);
      sendJson(res, replicas.every(({ ok }) => ok) ? 200 : 409, JSON.stringify({ replicas }));
      return;
    }
    sendJson(res, 200, JSON.stringify(await admin.reload(principal, req.socket.remoteAddress)));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    res.writeHead(400, ['Content-Type', 'text/plain; charset=utf-8']).end(`${text}\n`);
  }
}

/** Questions are small. */
const QUESTION_BYTES = 65_536;

export function servePins(admin: Admin, req: IncomingMessage, res: ServerResponse, query: string): void {
  if (!isGet(req, res)) return;
  sendJson(res, 200, JSON.stringify(admin.pins(new URLSearchParams(query).get('server') ?? undefined)));
}

/** Answers a question in JSON: 400 with a text if it cannot be answered. */
export function serveQuestion(
  { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
  { budget, boundary }: { readonly budget: Budget; readonly boundary: Boundary },
  answer: (question: unknown) => object | Promise<object>,
): void {
  if (req.method !== 'POST') {
    sendError(res, new GatewayError('method_not_allowed', 'ask with POST'), 'null', ['Allow', 'POST']);
    return;
  }
  readBody(req, res, QUESTION_BYTES, budget, req.socket, (body, error, held) => {
    held?.release();
    if (error) return sendError(res, error);
    if (!body) return;
    const answered = Promise.resolve()
      .then(() => answer(readJson(body)))
      .then((value) => {
        sendJson(res, 200, JSON.stringify(value));
      })
      .catch((thrown: unknown) => {
        if (!(thrown instanceof GatewayError)) throw thrown;
        if (thrown.code === 'forbidden') return sendError(res, thrown);
        res.writeHead(400, ['Content-Type', 'text/plain; charset=utf-8']).end(`${thrown.message}\n`);
      });
    boundary.detach('client_request', answered, (failure) => {
      sendFailure(res, failure);
    });
  });
}
