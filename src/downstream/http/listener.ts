/** One listening port, with or without TLS: bounds its connections, and closes them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Server as NetServer, type AddressInfo, type ListenOptions, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsOptions, TLSSocket } from 'node:tls';
import type { TlsConfig } from '../../config/types.js';
import { briefTurn } from '../../lib/brief-turn.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import { closeAfterAnswer, hasWaiting, oneByOne } from './pipeline.js';
import { sendFailure } from './respond.js';
import { contextOptions } from './tls.js';

export interface Listener {
  listen(): Promise<{ host: string; port: number; origin: string }>;
  /** Serves a connection that was accepted elsewhere; its owner closes it. */
  adopt(socket: Socket): void;
  /** Uses another certificate, or other CA certificates, for new connections. Returns whether they are others; without TLS, never. */
  renew(tls: TlsConfig | undefined): boolean;
  /**
   * Serves until no request is running, for at most `graceMs`, then closes the port and all connections. Requests in the meantime
   * are answered with `Connection: close`. With `reusePort`, and with `portFirst`, the port closes first: other processes, or those to which
   * a balancer sends what is refused here, get all new connections.
   */
  close(graceMs: number, portFirst?: boolean): Promise<void>;
  /** Resolves once no request is running, after `ms` at the latest. The port stays open. */
  quiet(ms: number): Promise<void>;
  destroy(): void;
}

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** undefined: without TLS. */
  readonly tls: TlsConfig | undefined;
  /** http.idle_connection_ms */
  readonly idleMs: number;
  /** The port is for other replicas: `secure` is TLS with their key; undefined: without TLS. */
  readonly peers?: { readonly secure: TlsOptions | undefined };
  /** undefined: not bounded. */
  readonly maxConnections: number | undefined;
  /** Other processes of this machine may listen on the same port with this option (SO_REUSEPORT): Linux, Node.js 22.12 or later. */
  readonly reusePort?: boolean;
  readonly log: Logger;
  readonly boundary: Boundary;
}

/** Without a request for this long, a port that takes no new connections closes those that it has. */
const SILENCE_MS = 250;
/** Timeouts for the head and the body of a request. The head includes the TLS handshake. */
const HEADERS_MS = 30_000;
const REQUEST_MS = 120_000;
/** How many bytes may be queued for a client before its upstream is paused. */
const SOCKET_BYTES = 131_072;
/** Replicas introduce clients with all that they know of them. */
const PEER_HEADER_BYTES = 131_072;

export function createListener(
  options: ListenerOptions,
  serve: (req: IncomingMessage, res: ServerResponse) => void,
): Listener {
  const { log, boundary } = options;
  let { tls } = options;
  let active = 0;
  let begun = 0;
  const idle = new Set<() => void>();
  let draining = false;
  /** Connections that have finished the handshake. */
  const secured = new WeakSet<Duplex>();
  /** Those among the open ones that showed a certificate. */
  const identified = new Set<TLSSocket>();
  /** Connections in their handshake, which verifies against the CA certificates that it began with. */
  const shaking = new Map<string, Socket>();

  /** Logs a write after the end of a response, which is a bug in the gateway. Other errors mean that the client has disconnected. */
  function lateWrite(error: NodeJS.ErrnoException): void {
    if (error.code === 'ERR_STREAM_WRITE_AFTER_END') boundary.caught('client_request', error);
  }

  const handle = oneByOne(
    (req, res) => {
      active++;
      begun++;
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
      if (active === 0) for (const resolve of idle) resolve();
    },
  );
  const { peers } = options;
  const common = {
    highWaterMark: SOCKET_BYTES,
    headersTimeout: HEADERS_MS,
    // The other replica has the whole request.
    requestTimeout: peers ? 0 : REQUEST_MS,
    keepAliveTimeout: options.idleMs,
    ...(peers && { maxHeaderSize: PEER_HEADER_BYTES }),
  };
  let server: Server;
  let secure: TlsServer | undefined;
  if (tls) {
    server = secure = createTlsServer(
      {
        ...common,
        ...contextOptions(tls),
        handshakeTimeout: HEADERS_MS,
        requestCert: tls.client_cert !== 'none',
        rejectUnauthorized: tls.client_cert === 'required',
      },
      handle,
    );
    if (tls.client_cert !== 'none') {
      secure.on('connection', (socket: Socket) => {
        const peer = peerOf(socket);
        shaking.set(peer, socket);
        socket.once('close', () => {
          if (shaking.get(peer) === socket) shaking.delete(peer);
        });
      });
      secure.on('tlsClientError', (_, socket) => shaking.delete(peerOf(socket)));
    }
    secure.on('secureConnection', (socket: TLSSocket) => {
      shaking.delete(peerOf(socket));
      secured.add(socket);
      if (!socket.getPeerX509Certificate()) return;
      identified.add(socket);
      socket.once('close', () => identified.delete(socket));
    });
  } else if (peers?.secure)
    server = secure = createTlsServer({ ...common, ...peers.secure, handshakeTimeout: HEADERS_MS }, handle);
  else server = createServer(common, handle);
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections;

  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Before the end of the handshake there is nothing to answer with.
    if (error.code === 'ECONNRESET' || !socket.writable || (secure && !secured.has(socket))) {
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

  function quiet(ms: number): Promise<void> {
    if (active === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        idle.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      idle.add(done);
    });
  }

  /** Resolves once no request has come for a moment: a balancer may have sent one on a connection that was idle, and does not send it again. */
  async function silent(until: number): Promise<void> {
    const most = (ms: number): number => Math.max(0, Math.min(ms, until - performance.now()));
    let seen: number;
    do {
      seen = begun;
      await new Promise((resolve) => setTimeout(resolve, most(SILENCE_MS)));
      await quiet(most(Infinity));
    } while (seen !== begun && performance.now() < until);
  }

  return {
    listen() {
      const { host, port, reusePort = false } = options;
      // The types of Node.js 20 do not have reusePort.
      const place: ListenOptions & { reusePort?: boolean } = { host, port, ...(reusePort && { reusePort }) };
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(place, () => {
          server.off('error', reject);
          server.on('error', (error) => {
            log.error('the HTTP port failed', { error: error.message });
          });
          const { address, port, family } = server.address() as AddressInfo;
          const shown = family === 'IPv6' ? `[${address}]` : address;
          resolve({ host: address, port, origin: `${secure ? 'https' : 'http'}://${shown}:${port}` });
        });
      });
    },
    adopt(socket) {
      server.emit('connection', socket);
    },
    renew(next) {
      if (!secure || !tls || !next || next.fingerprint === tls.fingerprint) return false;
      secure.setSecureContext(contextOptions(next));
      const otherCa = next.client_ca !== tls.client_ca;
      tls = next;
      // What a connection showed was verified against the old CA certificates.
      if (otherCa) {
        for (const socket of identified) closeAfterAnswer(socket);
        for (const socket of [...shaking.values()]) socket.destroy();
      }
      return true;
    },
    quiet,
    async close(graceMs, portFirst = false) {
      draining = true;
      const until = performance.now() + graceMs;
      const closesFirst = options.reusePort === true || portFirst;
      // The kernel resets connections that nobody has taken when the port closes.
      if (closesFirst) await briefTurn(graceMs);
      // New connections are for others from now on; open ones stay.
      const left = closesFirst
        ? new Promise<void>((resolve) => {
            // That of http would close idle connections, on which a request may be on its way.
            NetServer.prototype.close.call(server, () => {
              resolve();
            });
          })
        : undefined;
      await quiet(Math.max(0, until - performance.now()));
      if (left) await silent(until);
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      // Gives the last answers one turn to be sent.
      await new Promise((resolve) => setImmediate(resolve));
      server.closeAllConnections();
      await (left ?? closed);
    },
    destroy() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Two open connections of a port differ in this. */
function peerOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
