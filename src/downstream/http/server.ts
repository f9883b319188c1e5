/** The HTTP port: checks each request, finds its route and its sender, and closes connections. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GatewayError } from '../../errors.js';
import type { Place } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { Denied, Principal } from '../../protocol/ports.js';
import { sendDenied } from './denied.js';
import { createGuard } from './guard.js';
import { hasWaiting, oneByOne } from './pipeline.js';
import { RETRY_AFTER } from './requests.js';
import { sendError, sendFailure } from './respond.js';
import { createRoutes, type GuardedRoute, type Routed, type RoutesDeps } from './routes.js';
import { serveDiscovery } from './well-known.js';

export interface HttpPort {
  listen(): Promise<{ host: string; port: number; url: string }>;
  /**
   * Serves until no request is running, for at most `graceMs`, then closes the port and all connections. Requests in the meantime
   * are answered with `Connection: close`.
   */
  close(graceMs: number): Promise<void>;
  destroy(): void;
}

/** Timeouts for the head and the body of a request. */
const HEADERS_MS = 30_000;
const REQUEST_MS = 120_000;
/** With fewer file descriptors, a warning is logged at the start. */
const FEW_FILES = 4096;
/** How many bytes may be queued for a client before its upstream is paused. */
const SOCKET_BYTES = 131_072;

export function createHttpPort(deps: RoutesDeps): HttpPort {
  const { gate, log, boundary } = deps;
  const started = deps.config();
  const guard = createGuard(started.host, deps.config);
  const routes = createRoutes(deps);
  let active = 0;
  let idle: (() => void) | undefined;
  let draining = false;

  /** Answers with an error if `work` is a promise that rejects. */
  function handleRejection(where: Place, res: ServerResponse, work: void | Promise<void>): void {
    if (!work) return;
    boundary.detach(where, work, (error) => {
      sendFailure(res, error);
    });
  }

  function serve(req: IncomingMessage, res: ServerResponse): void {
    const url = req.url ?? '';
    const query = url.indexOf('?');
    // Paths are matched exactly.
    const path = query === -1 ? url : url.slice(0, query);
    if (serveDiscovery(gate, req, res, path)) return;
    const refusal = guard.check(req, res);
    if (refusal) {
      gate.countInvalid('unknown');
      return sendError(res, refusal);
    }
    const found = routes.find(path);
    if (!found)
      return sendError(
        res,
        new GatewayError('not_found', `nothing is served at ${path.slice(0, 128)}: MCP is at /mcp`),
      );
    if (req.method === 'OPTIONS') return guard.preflight(req, res);
    const { route, server } = found;
    const request = { req, res, server, query: query === -1 ? '' : url.slice(query + 1) };
    if (route.admits === 'open') return handleRejection(route.place, res, route.serve(request));
    const who = gate.authorize(req, path);
    if (!(who instanceof Promise)) return enter(route, request, who);
    // The body is not read until the sender is known.
    const entered = who.then((result) => {
      if (!res.destroyed) enter(route, request, result);
    });
    handleRejection(route.place, res, entered);
  }

  function enter(route: GuardedRoute, request: Routed, who: Principal | Denied): void {
    const { res } = request;
    if ('status' in who) {
      gate.countInvalid('unknown');
      return sendDenied(res, who);
    }
    if (route.admits === 'mcp' && gate.state === 'starting')
      return sendError(
        res,
        new GatewayError('unavailable', 'not ready: a required upstream has not connected yet'),
        'null',
        RETRY_AFTER,
      );
    handleRejection(route.place, res, route.serve(request, who));
  }

  /** Logs a write after the end of a response, which is a bug in the gateway. Other errors mean that the client has disconnected. */
  function lateWrite(error: NodeJS.ErrnoException): void {
    if (error.code === 'ERR_STREAM_WRITE_AFTER_END') boundary.caught('client_request', error);
  }

  const server: Server = createServer(
    {
      highWaterMark: SOCKET_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: started.http.idle_connection_ms,
    },
    oneByOne(
      (req, res) => {
        active++;
        if (draining) res.setHeader('Connection', 'close');
        res.on('error', lateWrite);
        try {
          serve(req, res);
        } catch (error) {
          sendFailure(res, boundary.caught('client_request', error));
        }
      },
      () => {
        active--;
        if (active === 0) idle?.();
      },
    ),
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    // The body of a waiting request is not read until its turn.
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && hasWaiting(socket)) return;
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request';
    // The client may never close the connection, and a close is not noticed while the socket is paused.
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => {
      socket.destroy();
    });
  });
  boundConnections(server, log);

  return {
    listen() {
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: started.host, port: started.port }, () => {
          server.off('error', reject);
          server.on('error', (error) => {
            log.error('the HTTP port failed', { error: error.message });
          });
          const { address, port, family } = server.address() as AddressInfo;
          const shown = family === 'IPv6' ? `[${address}]` : address;
          resolve({ host: address, port, url: `http://${shown}:${port}/mcp` });
        });
      });
    },
    async close(graceMs) {
      draining = true;
      routes.drain();
      if (active > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, graceMs);
          idle = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      // Gives the last answers one turn to be sent.
      await new Promise((resolve) => setImmediate(resolve));
      server.closeAllConnections();
      await closed;
    },
    destroy() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Leaves a fifth of the file descriptors to upstreams, children and files. */
function boundConnections(server: Server, log: Logger): void {
  let files: number;
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
  } catch {
    return;
  }
  if (!Number.isFinite(files)) return;
  server.maxConnections = Math.floor(files * 0.8);
  if (files < FEW_FILES)
    log.warn(`only ${files} files may be open (ulimit -n): at most ${server.maxConnections} connections`);
}
