import { createRequire } from 'node:module';
import type { LookupFunction, Socket } from 'node:net';
import type { buildConnector as BuildConnector, Client as ClientType, Dispatcher as Undici } from 'undici';
import type { HttpServerConfig } from '../../config/types.js';
import type { Logger } from '../../observe/log.js';
import { ClientPool } from '../../lib/client-pool.js';
import { type SecureOptions, tlsOptions, type TrustEnvironment } from './trust.js';

/**
 * One exchange. It is passed to undici as it is, so that a call copies nothing.
 * `headers` is flat: name, value, name, value; without Host and Content-Length, which undici writes.
 */
interface UpstreamRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  /** Scheme, host and port, as `new URL().origin` has it. */
  readonly origin: string;
  readonly headers: string[];
  readonly body: Buffer | null;
  /** A stream that stays open (GET, listen): these have a pool of their own. */
  readonly long?: boolean;
}

export interface Controller {
  /** `onResponseError` is called with this reason before abort() returns; the socket is closed. */
  abort(reason: Error): void;
  /** At most one more chunk is delivered after it. */
  pause(): void;
  resume(): void;
}

/**
 * Called by undici itself. Exactly one of `onResponseEnd` and `onResponseError` is called, and nothing after it. An error before
 * `onRequestStart` (no connection, a closed dispatcher) has no controller, and may be reported before dispatch() returns. Before
 * `onRequestStart` an exchange cannot be aborted: abort it there.
 */
export interface UpstreamHandler {
  onRequestStart(controller: Controller): void;
  /** Also called for 1xx: return at once when `status` is below 200. Names are lower case. */
  onResponseStart(
    controller: Controller,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void;
  /** The chunk belongs to the handler. */
  onResponseData(controller: Controller, chunk: Buffer): void;
  onResponseEnd(controller: Controller): void;
  onResponseError(controller: Controller | undefined, error: Error): void;
}

/** What the connections to a server depend on. */
export interface Endpoint extends Pick<
  HttpServerConfig,
  'name' | 'url' | 'proxy' | 'tls' | 'tls_skip_verify'
> {
  readonly timeouts: Pick<HttpServerConfig['timeouts'], 'connect_ms'>;
}

export interface Dispatcher {
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): void;
  /** Keeps idle sockets for less time, in the end not at all: the server closed one just when it was used again. */
  lowerKeepAlive(): void;
  /** Takes no new exchanges; resolves when those in flight have ended. */
  close(): Promise<void>;
  /** Fails the exchanges in flight with `reason`. */
  destroy(reason?: Error): void;
}

/** The socket of a failed exchange. */
export interface StaleSocket {
  /** It had served an exchange before. */
  readonly reused: boolean;
  /** No byte was received on it for this exchange. */
  readonly silent: boolean;
}

const UNKNOWN: StaleSocket = { reused: false, silent: false };
const NOT_CONNECTED: StaleSocket = { reused: false, silent: true };

/** How long an idle socket is kept if the server names no time, in ms: at first, and after each lowering; 0: one exchange per socket. */
const KEEP_ALIVE_MS = [4000, 1000, 0] as const;
const SOCKET_TTL_MS = 300_000;
/** The buffer of a socket in bytes: several times one read; with less the socket is paused after each. */
const SOCKET_BYTES = 131_072;
/** How long a socket is silent before TCP asks whether its peer is still there, in ms. */
const TCP_KEEP_ALIVE_MS = 60_000;
/** How long one address may take before the other address family is tried as well, in ms. */
const FAMILY_ATTEMPT_MS = 500;

const require = createRequire(import.meta.url);
const { Client, buildConnector } = loadUndici();

interface Parts {
  Client: typeof ClientType;
  buildConnector: typeof BuildConnector;
}

/** Loading all of undici takes 50 ms longer than the two parts that are used. */
function loadUndici(): Parts {
  try {
    return {
      Client: require('undici/lib/dispatcher/client.js') as typeof ClientType,
      buildConnector: require('undici/lib/core/connect.js') as typeof BuildConnector,
    };
  } catch {
    return require('undici') as Parts;
  }
}

/** The socket of a client, and its state when the present exchange began. */
interface Line {
  socket: Socket;
  reused: boolean;
  read: number;
}

/** The socket of each error. */
const failures = new WeakMap<Error, StaleSocket>();

/** Records the state of the socket for each error; undici itself does so only for some. */
class WatchedClient extends Client {
  readonly #own: { line: Line | undefined };

  constructor(origin: string, options: ClientType.Options & { connect: BuildConnector.connector }) {
    const own: { line: Line | undefined } = { line: undefined };
    super(origin, {
      ...options,
      connect: (target, callback) => {
        options.connect(target, (error, socket) => {
          if (error) {
            failures.set(error, NOT_CONNECTED);
            return callback(error, null);
          }
          socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
          const line: Line = { socket, reused: false, read: socket.bytesRead };
          own.line = line;
          line.socket.on('error', (reason) => failures.set(reason, stateOf(line)));
          callback(null, socket);
        });
      },
    });
    this.#own = own;
  }

  override dispatch(options: Undici.DispatchOptions, handler: Undici.DispatchHandler): boolean {
    const line = this.#own.line;
    if (line !== undefined) {
      line.reused = true;
      line.read = line.socket.bytesRead;
    }
    return super.dispatch(options, handler);
  }
}

function stateOf(line: Line): StaleSocket {
  return { reused: line.reused, silent: line.socket.bytesRead === line.read };
}

/** The socket of the exchange that failed with `error`: decides whether it may be sent again. */
export function staleSocket(error: Error): StaleSocket {
  return failures.get(error) ?? UNKNOWN;
}

type Pool = ClientPool<Undici.DispatchOptions, Undici.DispatchHandler>;

interface Pools {
  short: Pool;
  long: Pool;
}

/**
 * The connections to one HTTP server, direct or through its proxy. The caller limits the exchanges in flight, and with them the sockets;
 * the only timeout here is that of the connection. Throws if a file of `tls` cannot be used.
 */
export function createDispatcher(
  server: Endpoint,
  deps: {
    logger: Logger;
    environment?: TrustEnvironment;
    lookup?: LookupFunction;
    /** Opens the connections, in place of the address in the URL. The signal aborts when the dispatcher is destroyed. */
    connect?: ((signal: AbortSignal) => Promise<Socket>) | undefined;
  },
): Dispatcher {
  const environment = deps.environment ?? process.env;
  const socketOptions = {
    timeout: server.timeouts.connect_ms,
    autoSelectFamily: true,
    highWaterMark: SOCKET_BYTES,
    autoSelectFamilyAttemptTimeout: FAMILY_ATTEMPT_MS,
    // Set on the connected socket: where a system lacks the option, setting it before fails the connection.
    keepAlive: false,
  };
  /** For connections to the server itself: what a proxy resolves is not seen here. */
  const direct = deps.lookup ? { ...socketOptions, lookup: deps.lookup } : socketOptions;
  /** Pools of connections to the proxy, for CONNECT. */
  const tunnels = new Set<Pool>();
  const proxy = server.proxy === undefined ? undefined : parseProxy(server.proxy);
  const pools = new Map<string, Pools>();
  /** Replaced by a lowering, but not yet idle. */
  const retired = new Set<Pool>();
  let level = 0;
  let closed = false;
  let trust: SecureOptions | undefined;
  const ended = new AbortController();
  // An unusable file fails the start, not the first call.
  if (server.url.startsWith('https:')) trust = tlsOptions(server, environment);

  function connectorFor(origin: string): BuildConnector.connector {
    if (deps.connect) return given(deps.connect, server.timeouts.connect_ms, ended.signal);
    if (!origin.startsWith('https:')) return buildConnector(direct);
    trust ??= tlsOptions(server, environment);
    const secure = buildConnector({ ...direct, ...trust });
    return proxy ? throughTunnel(proxy, secure) : secure;
  }

  function openPool(origin: string, connect: BuildConnector.connector): Pool {
    const idle = KEEP_ALIVE_MS[level] as number;
    const options = {
      pipelining: idle === 0 ? 0 : 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeoutThreshold: 1000,
      ...(idle > 0 ? { keepAliveTimeout: idle } : {}),
      // The hint of a server is trusted until it has failed once.
      ...(level > 0 ? { keepAliveMaxTimeout: Math.max(idle, 1) } : {}),
      connect,
    };
    return new ClientPool(() => new WatchedClient(origin, options), SOCKET_TTL_MS);
  }

  function poolsFor(origin: string): Pools {
    let entry = pools.get(origin);
    if (entry === undefined) {
      // An exchange without TLS is sent to the proxy, with the whole URL as its path.
      const target = proxy && !origin.startsWith('https:') ? proxy.origin : origin;
      const connect = target === proxy?.origin ? proxy.connect : connectorFor(origin);
      entry = { short: openPool(target, connect), long: openPool(target, connect) };
      pools.set(origin, entry);
    }
    return entry;
  }

  function parseProxy(text: string): Proxy {
    const url = new URL(text);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new Error(`proxy: ${url.protocol}// is not supported; use http:// or https://`);
    }
    const connect = buildConnector(
      url.protocol === 'https:'
        ? { ...socketOptions, ...tlsOptions({ ...server, tls: {}, tls_skip_verify: false }, environment) }
        : socketOptions,
    );
    return { origin: url.origin, host: url.host, authorization: basic(url), connect };
  }

  function throughTunnel(via: Proxy, secure: BuildConnector.connector): BuildConnector.connector {
    const options = { headersTimeout: server.timeouts.connect_ms, bodyTimeout: 0, connect: via.connect };
    const toProxy: Pool = new ClientPool(() => new WatchedClient(via.origin, options), SOCKET_TTL_MS);
    tunnels.add(toProxy);
    return (target, callback) => {
      const host = target.hostname.includes(':') ? `[${target.hostname}]` : target.hostname;
      const authority = `${host}:${target.port || '443'}`;
      const headers = ['host', authority];
      if (via.authorization) headers.push('proxy-authorization', via.authorization);
      toProxy.dispatch(
        { method: 'CONNECT', path: authority, headers },
        {
          onRequestStart() {},
          onRequestUpgrade(_controller, status, _headers, stream) {
            const socket = stream as Socket;
            if (status === 200) return secure({ ...target, httpSocket: socket }, callback);
            socket.on('error', () => {}).destroy();
            callback(new Error(`proxy ${via.host} answered ${status} to CONNECT ${authority}`), null);
          },
          onResponseError(_controller, error) {
            callback(new Error(`proxy ${via.host}: ${explain(error)}`, { cause: error }), null);
          },
        },
      );
    };
  }
  function viaProxy(request: UpstreamRequest, via: Proxy): UpstreamRequest {
    const headers = [...request.headers];
    if (!headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'host')) {
      headers.push('host', new URL(request.origin).host);
    }
    if (via.authorization) headers.push('proxy-authorization', via.authorization);
    return { ...request, path: request.origin + request.path, headers };
  }

  function everyPool(): Pool[] {
    return [...[...pools.values()].flatMap((entry) => [entry.short, entry.long]), ...retired];
  }

  return {
    dispatch(request, handler) {
      if (closed) return handler.onResponseError(undefined, new Error('the upstream is closed'));
      let entry: Pools;
      try {
        entry = poolsFor(request.origin);
      } catch (error) {
        failures.set(error as Error, NOT_CONNECTED);
        return handler.onResponseError(undefined, error as Error);
      }
      const pool = request.long === true ? entry.long : entry.short;
      const sent = proxy && !request.origin.startsWith('https:') ? viaProxy(request, proxy) : request;
      pool.dispatch(sent, handler);
    },
    lowerKeepAlive() {
      if (closed || level === KEEP_ALIVE_MS.length - 1) return;
      level++;
      deps.logger.debug('upstream closes idle connections early: keeping them for less time', {
        server: server.name,
        idle_ms: KEEP_ALIVE_MS[level],
      });
      for (const { short, long } of pools.values()) {
        for (const pool of [short, long]) {
          retired.add(pool);
          void pool.close().finally(() => retired.delete(pool));
        }
      }
      pools.clear();
    },
    async close() {
      closed = true;
      await Promise.allSettled(
        [...pools.values()].flatMap(({ short, long }) => [short.close(), long.close()]),
      );
      // Only now: an exchange that waits for its connection needs the tunnel.
      await Promise.allSettled([...tunnels].map((pool) => pool.close()));
    },
    destroy(reason) {
      closed = true;
      ended.abort(reason);
      for (const pool of [...everyPool(), ...tunnels]) pool.destroy(reason ?? null);
    },
  };
}

/** A connector that takes its sockets from `connect`, which has `limitMs` for each. */
function given(
  connect: (signal: AbortSignal) => Promise<Socket>,
  limitMs: number,
  ended: AbortSignal,
): BuildConnector.connector {
  return (_target, callback) => {
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(Object.assign(new Error('no connection in time'), { code: 'UND_ERR_CONNECT_TIMEOUT' }));
    }, limitMs);
    connect(AbortSignal.any([ended, late.signal])).then(
      (socket) => {
        clearTimeout(timer);
        callback(null, socket);
      },
      (error: unknown) => {
        clearTimeout(timer);
        callback(error instanceof Error ? error : new Error(String(error)), null);
      },
    );
  };
}

interface Proxy {
  readonly origin: string;
  readonly host: string;
  readonly authorization: string | undefined;
  readonly connect: BuildConnector.connector;
}

function basic(url: URL): string | undefined {
  if (url.username === '') return undefined;
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(user).toString('base64')}`;
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Why an exchange failed, in one line for a log or an error text. Names no addresses but those of the server. */
export function explain(error: Error): string {
  const { code, hostname } = error as NodeJS.ErrnoException & { hostname?: string };
  // Several addresses were tried: the error itself has no message.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map((each) => explain(each as Error)))].join('; ');
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `cannot resolve host ${hostname ?? ''}`.trim();
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'no connection in time (timeouts.connect_ms)';
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE') {
    return 'the upstream closed the connection';
  }
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
    return 'the upstream closed the connection in the middle of its answer';
  if (/wrong version number|packet length too long/.test(error.message))
    return 'the upstream speaks http, not https: write http:// in its url';
  if (code !== undefined && UNTRUSTED.has(code)) {
    return `certificate is not trusted (${error.message}): name its CA in tls.ca_file`;
  }
  return (error.message || code || error.name).replace(/\s+/g, ' ').trim();
}

/** Whether an exchange failed because no connection was made in time. */
export function isTimeout(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT';
}
