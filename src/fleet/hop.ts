/** Requests from this replica to another one: HTTP/1.1, with TLS 1.3 and a key in place of certificates unless the network is safe. */
import { createRequire } from 'node:module';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TlsOptions } from 'node:tls';
import type { buildConnector as BuildConnector, Client as ClientType } from 'undici';
import { ClientPool } from '../lib/client-pool.js';
import {
  HANDED_HEADER,
  MOVED_HEADER,
  type HopController,
  type HopHandler,
  type HopRequest,
} from '../protocol/elsewhere.js';
import type { FleetKeys } from './keys.js';

/** The cipher of connections between replicas, whose hash fits keys of any length. */
export const PEER_CIPHER = 'TLS_AES_128_GCM_SHA256';
const CONNECT_MS = 2000;
/** Shorter than the other side keeps an idle connection. */
const KEEP_ALIVE_MS = 30_000;
/** A connection that is older takes no new request. */
const CONNECTION_MS = 600_000;
/** The largest answer that says where a request belongs. */
const MAX_SAID_BYTES = 65_536;
const MAX_HEADER_BYTES = 65_536;

/** Names the key of a fleet in a TLS handshake. */
export function pskIdentity(number: number): string {
  return `mcpstead ${number}`;
}

/** How the port for replicas is secured: by a key of the fleet, without certificates. */
export function securedBy(keys: FleetKeys): TlsOptions {
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: PEER_CIPHER,
    pskCallback: (_socket: unknown, identity: string) => {
      const number = Number(/^mcpstead (\d{1,3})$/.exec(identity)?.[1] ?? NaN);
      return identity === pskIdentity(number) ? (keys.numbered('peer', number)[0] ?? null) : null;
    },
  };
}

interface UndiciHandler {
  onRequestStart(controller: UndiciController): void;
  onResponseStart(
    controller: UndiciController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void;
  onResponseData(controller: UndiciController, chunk: Buffer): void;
  onResponseEnd(): void;
  onResponseError(controller: UndiciController | undefined, error: Error): void;
}

interface UndiciController extends HopController {
  pause(): void;
  abort(reason: Error): void;
  readonly rawHeaders?: Buffer[] | string[] | undefined;
}

type Request = HopRequest & { readonly origin: string };

export interface HopDeps {
  readonly keys: FleetKeys;
  /** Whether connections are encrypted. */
  readonly secure: boolean;
  /** An exception in code of the gateway. */
  readonly caught: (thrown: unknown) => void;
  /** Opens the connections, in place of `address`. */
  readonly connect?: (signal: AbortSignal) => Promise<Socket>;
}

/** The connections to one replica at one address. */
export class Hop {
  readonly #pool: ClientPool<Request, UndiciHandler>;
  readonly #origin: string;
  readonly #caught: (thrown: unknown) => void;

  /** `address`: `host:port`. */
  constructor(address: string, { keys, secure, caught, connect }: HopDeps) {
    this.#caught = caught;
    this.#origin = `${secure ? 'https' : 'http'}://${address}`;
    const { Client } = undici();
    const common = {
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      maxResponseSize: -1,
    };
    this.#pool = new ClientPool(
      () =>
        new Client(this.#origin, {
          ...common,
          connect: connect ? connectorOf(connect) : secure ? secureConnector(keys) : { timeout: CONNECT_MS },
        }) as unknown as ClientPoolClient,
      CONNECTION_MS,
    );
  }

  /** Returns a function that ends the exchange; the handler hears nothing after it. */
  send(request: HopRequest, handler: HopHandler): () => void {
    const exchange = new HopExchange(handler, this.#caught);
    this.#pool.dispatch({ ...request, origin: this.#origin }, exchange);
    return () => {
      exchange.leave();
    };
  }

  /** Takes no new exchanges, and closes when those in flight have ended. */
  close(): void {
    void this.#pool.close();
  }

  /** Fails the exchanges in flight. */
  destroy(): void {
    this.#pool.destroy(new Error('the replica is gone'));
  }
}

type ClientPoolClient = ConstructorParameters<
  typeof ClientPool<Request, UndiciHandler>
>[0] extends () => infer C
  ? C
  : never;

/** An answer that says where a request belongs. */
interface Said {
  readonly headers: Record<string, string | string[] | undefined>;
  readonly chunks: Buffer[];
  bytes: number;
}

class HopExchange implements UndiciHandler {
  readonly #handler: HopHandler;
  readonly #caught: (thrown: unknown) => void;
  #controller: UndiciController | undefined;
  #said: Said | undefined;
  #begun = false;
  #left = false;

  constructor(handler: HopHandler, caught: (thrown: unknown) => void) {
    this.#handler = handler;
    this.#caught = caught;
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    // A paused exchange does not notice that it is aborted.
    this.#controller?.resume();
    this.#controller?.abort(new Error('the client is gone'));
  }

  onRequestStart(controller: UndiciController): void {
    this.#controller = controller;
    if (this.#left) controller.abort(new Error('the client is gone'));
  }

  onResponseStart(
    controller: UndiciController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200 || this.#left) return;
    if (status === 421) {
      this.#said = { headers, chunks: [], bytes: 0 };
      return;
    }
    this.#begun = true;
    this.#run(() => {
      this.#handler.head(status, rawHeaders(controller, headers), controller);
    });
  }

  onResponseData(controller: UndiciController, chunk: Buffer): void {
    if (this.#left) return;
    const said = this.#said;
    if (said) {
      said.bytes += chunk.length;
      if (said.bytes > MAX_SAID_BYTES) controller.abort(new Error('too large'));
      else said.chunks.push(chunk);
      return;
    }
    this.#run(() => {
      if (!this.#handler.data(chunk)) controller.pause();
    });
  }

  onResponseEnd(): void {
    if (this.#left) return;
    this.#left = true;
    const said = this.#said;
    this.#run(() => {
      if (said) this.#handler.said(answerIn(said));
      else this.#handler.end();
    });
  }

  onResponseError(): void {
    if (this.#left) return;
    this.#left = true;
    this.#run(() => {
      this.#handler.failed(this.#controller !== undefined, this.#begun);
    });
  }

  #run(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#caught(thrown);
    }
  }
}

/** Where a request belongs, as a replica says that did nothing with it. */
function answerIn({ headers, chunks }: Said): Parameters<HopHandler['said']>[0] {
  if (headers[HANDED_HEADER] !== undefined) return { record: Buffer.concat(chunks) };
  const to = headers[MOVED_HEADER];
  return { to: typeof to === 'string' ? to : undefined };
}

function rawHeaders(
  { rawHeaders: raw }: UndiciController,
  headers: Record<string, string | string[] | undefined>,
): string[] {
  if (raw) return raw.map(String);
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((each) => [name, each]),
  );
}

type Connected = (error: Error | null, socket: Socket | null) => void;

/** Returns what says that a socket is connected, or why it is not: the first time counts. It fails by itself with an error, or after a while. */
function toldOnce(socket: Socket, connected: Connected): (error: Error | null) => void {
  let isOver = false;
  const done = (error: Error | null): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.off('error', done);
    if (error) socket.destroy();
    connected(error, error ? null : socket);
  };
  const timer = setTimeout(() => {
    done(new Error('the replica does not answer'));
  }, CONNECT_MS);
  socket.on('error', done);
  socket.once('close', () => {
    done(new Error('the replica closed the connection'));
  });
  return done;
}

/** Connects with the key of the fleet. Certificates prove nothing here: whoever shows one is refused. */
function secureConnector(keys: FleetKeys): BuildConnector.connector {
  return ({ hostname, port }, callback) => {
    const socket = connectTls({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port),
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ciphers: PEER_CIPHER,
      pskCallback: () => ({ identity: pskIdentity(keys.number), psk: keys.current('peer') }),
      checkServerIdentity: () => new Error('a certificate in place of the key of the fleet'),
      ALPNProtocols: ['http/1.1'],
    });
    const done = toldOnce(socket, callback as Connected);
    socket.once('secureConnect', () => {
      // A handshake with a key counts as a resumed session; one with a certificate does not.
      const isKeyed = socket.isSessionReused() && Object.keys(socket.getPeerCertificate()).length === 0;
      socket.setNoDelay(true);
      done(isKeyed ? null : new Error('a certificate in place of the key of the fleet'));
    });
  };
}

/**
 * Opens a connection to a replica at `host:port`, for whoever sends requests there otherwise. Rejects with an Error within two seconds, or
 * with the reason of `signal`.
 */
export function connectToReplica(
  address: string,
  { keys, secure }: Pick<HopDeps, 'keys' | 'secure'>,
  signal: AbortSignal,
): Promise<Socket> {
  const { hostname, port } = new URL(`http://${address}`);
  const target = { hostname, port: port || '80', protocol: 'https:' } as BuildConnector.Options;
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) return void aborted();
    signal.addEventListener('abort', aborted, { once: true });
    const connected: Connected = (error, socket) => {
      signal.removeEventListener('abort', aborted);
      // Until its next owner listens.
      socket?.on('error', () => undefined);
      if (signal.aborted) socket?.destroy();
      if (socket) resolve(socket);
      else reject(error ?? new Error('no connection'));
    };
    if (secure) secureConnector(keys)(target, connected);
    else connectPlain(target, connected);
  });
}

function connectPlain({ hostname, port }: BuildConnector.Options, connected: Connected): void {
  const socket = connectTcp({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), noDelay: true });
  const done = toldOnce(socket, connected);
  socket.once('connect', () => {
    done(null);
  });
}

function connectorOf(connect: (signal: AbortSignal) => Promise<Socket>): BuildConnector.connector {
  return (_target, callback) => {
    const connected = callback as Connected;
    connect(AbortSignal.timeout(CONNECT_MS)).then(
      (socket) => {
        connected(null, socket);
      },
      (error: unknown) => {
        connected(error instanceof Error ? error : new Error(String(error)), null);
      },
    );
  };
}

let library: { Client: typeof ClientType } | undefined;
/** Loaded with the first fleet: a gateway alone has no use for it here. */
function undici(): { Client: typeof ClientType } {
  return (library ??= createRequire(import.meta.url)('undici') as { Client: typeof ClientType });
}
