/**
 * Which process of a network namespace runs a server: the one that listens on an abstract Unix socket. The kernel is the lease: it gives
 * the name to one process, keeps it while that process is stopped, and frees it when the process ends, however it ends.
 *
 * Abstract sockets have no permissions, so anybody may listen on a name, or connect to it. Both sides prove that they have the state key
 * before the first message: 32 bytes from the guest, its nonce; 64 from the holder, its nonce and its proof; 32 from the guest, its proof;
 * and one from the holder. The proofs are over the name, both nonces and the role, so that neither is good for another connection.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../observe/log.js';
import { hiddenName, joined, type FleetKeys } from './keys.js';

const BYTES = 32;
const READY = Buffer.of(1);
/** How long a proof may take. */
const PROOF_MS = 2000;
/** How many connections may be about to prove themselves. */
const MAX_UNPROVEN = 64;
/** How long a holder that has proved nothing yet may be silent: it may be stopped. */
const PATIENCE_MS = 30_000;
const WARN_MS = 60_000;
/** Pauses between attempts. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;

/** The name of the socket. `config`: what the child depends on, as text: replicas that differ in it run a child each. */
export function hostName(keys: FleetKeys, prefix: string, server: string, config: string): string {
  // Nobody can pass a connection on from one namespace to another.
  const text = joined('host', namespace(), prefix, server, config);
  return `\0mcpstead-${hiddenName(keys.current('name'), text)}`;
}

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/net');
  } catch {
    return '';
  }
}

/**
 * `seeking`: not known yet. `holder`: this process runs the server and serves the others. `guest`: another one runs it. `alone`: a stranger
 * has the name, so this process runs a server of its own and serves nobody.
 */
export type HostRole = 'seeking' | 'holder' | 'guest' | 'alone';

export interface HostLeaseDeps {
  /** See hostName. */
  readonly name: string;
  readonly keys: FleetKeys;
  /** For the log. */
  readonly server: string;
  readonly log: Logger;
  /** A connection of a guest that has proved itself. It belongs to the callee. */
  readonly serve: (socket: Socket) => void;
  /** Called from a later turn. */
  readonly changed: (role: HostRole) => void;
  readonly proofMs?: number;
  readonly patienceMs?: number;
}

/** One failed connection: the other side proved something else; or, `silent`, nothing before its end or in time. */
export class ProofError extends Error {
  readonly silent: boolean;

  constructor(silent: boolean) {
    super(
      silent
        ? 'the process that has the socket does not answer'
        : 'the process that has the socket does not have the state key',
    );
    this.silent = silent;
  }
}

export class HostLease {
  readonly #deps: HostLeaseDeps;
  #role: HostRole = 'seeking';
  #server: Server | undefined;
  /** To the holder: its end is the end of the holder. */
  #line: Socket | undefined;
  #attempt: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pause = FIRST_PAUSE_MS;
  #silentSince: number | undefined;
  #warned = -Infinity;
  readonly #unproven = new Set<Socket>();
  /** Those of guests that have proved themselves: with requests, or only to show them that this process lives. */
  readonly #served = new Set<Socket>();
  #released = false;
  /** Called when no guest is connected any more. */
  #left: (() => void) | undefined;
  #closed = false;

  constructor(deps: HostLeaseDeps) {
    this.#deps = deps;
  }

  get role(): HostRole {
    return this.#role;
  }

  start(): void {
    this.#seek();
  }

  /** Opens a connection to the holder. Rejects with a ProofError or with an error of the socket. */
  connect(signal?: AbortSignal): Promise<Socket> {
    return connectToHolder(this.#deps, signal);
  }

  /**
   * Frees the name, and never takes it again. Connections with requests go on until `close`; those that only show that this process lives end,
   * so that the others see it.
   */
  release(): void {
    this.#released = true;
    clearTimeout(this.#timer);
    this.#server?.close();
    for (const socket of this.#unproven) socket.destroy();
    for (const socket of this.#served) if (socket.bytesRead <= 2 * BYTES) socket.destroy();
  }

  /** Resolves when no guest is connected. */
  left(): Promise<void> {
    if (this.#served.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#left = resolve));
  }

  /** Frees the name, and closes the connections. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#server?.close();
    this.#line?.destroy();
    this.#attempt?.destroy();
    for (const socket of [...this.#unproven, ...this.#served]) socket.destroy();
  }

  #seek(): void {
    if (this.#closed || this.#released) return;
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#greet(socket);
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (this.#closed) return;
      if (error.code === 'EADDRINUSE') this.#visit();
      else this.#beAlone(`the socket cannot be opened: ${error.code ?? error.message}`);
    });
    server.listen({ path: this.#deps.name, backlog: 511 }, () => {
      if (this.#closed || this.#released) return void server.close();
      server.on('error', () => undefined);
      this.#server = server;
      this.#become('holder');
    });
  }

  /** Finds out who has the name. */
  #visit(): void {
    connectToHolder(this.#deps, undefined, (socket) => (this.#attempt = socket)).then(
      (socket) => {
        if (this.#closed) return void socket.destroy();
        this.#line = socket;
        this.#silentSince = undefined;
        this.#pause = FIRST_PAUSE_MS;
        socket.resume();
        socket.on('error', () => undefined);
        socket.once('close', () => {
          this.#line = undefined;
          if (this.#closed) return;
          this.#become('seeking');
          this.#seek();
        });
        this.#become('guest');
      },
      (error: unknown) => {
        if (this.#closed) return;
        if (!(error instanceof ProofError)) return this.#seekLater();
        if (!error.silent) return this.#beAlone(error.message);
        // A holder that is stopped has the name as well: no second child while that is likely.
        this.#silentSince ??= performance.now();
        const { patienceMs = PATIENCE_MS } = this.#deps;
        if (performance.now() - this.#silentSince >= patienceMs) this.#beAlone(error.message);
        else this.#seekLater();
      },
    );
  }

  /** Anybody on the machine can connect: one line a minute. */
  #warn(): void {
    const now = performance.now();
    if (now - this.#warned < WARN_MS) return;
    this.#warned = now;
    this.#deps.log.warn('refused a connection of a process that does not have the state key', {
      server: this.#deps.server,
    });
  }

  #seekLater(): void {
    const pause = this.#pause * (0.5 + Math.random());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => {
      this.#seek();
    }, pause);
  }

  #beAlone(why: string): void {
    this.#deps.log.warn(
      `placement: host is not possible: ${why}; this replica runs a server of its own until it is restarted`,
      { server: this.#deps.server, socket: `@${this.#deps.name.slice(1)}` },
    );
    this.#become('alone');
  }

  #become(role: HostRole): void {
    if (this.#role === role) return;
    this.#role = role;
    setImmediate(() => {
      if (!this.#closed && this.#role === role) this.#deps.changed(role);
    });
  }

  #greet(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#unproven.size >= MAX_UNPROVEN) return void socket.destroy();
    this.#unproven.add(socket);
    socket.once('close', () => {
      this.#unproven.delete(socket);
      this.#served.delete(socket);
      if (this.#served.size === 0) this.#left?.();
    });
    proveAsHolder(socket, this.#deps).then(
      () => {
        this.#unproven.delete(socket);
        if (this.#closed) return void socket.destroy();
        this.#served.add(socket);
        this.#deps.serve(socket);
      },
      () => {
        socket.destroy();
        if (!this.#closed) this.#warn();
      },
    );
  }
}

type Proving = Pick<HostLeaseDeps, 'name' | 'keys' | 'proofMs'>;

/** `opened`: gets the socket at once, so that it can be destroyed. */
async function connectToHolder(
  deps: Proving,
  signal?: AbortSignal,
  opened?: (socket: Socket) => void,
): Promise<Socket> {
  const socket = connect({ path: deps.name });
  opened?.(socket);
  socket.on('error', () => undefined);
  const abort = (): void => {
    socket.destroy();
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    await whenConnected(socket);
    await proveAsGuest(socket, deps);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function whenConnected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => {
      reject(new Error('the socket was closed'));
    });
  });
}

async function proveAsGuest(socket: Socket, { name, keys, proofMs = PROOF_MS }: Proving): Promise<void> {
  await inTime(socket, proofMs, async () => {
    const mine = randomBytes(BYTES);
    socket.write(mine);
    const said = await exactly(socket, 2 * BYTES);
    const theirs = said.subarray(0, BYTES);
    const key = keys
      .all('peer')
      .find((each) => timingSafeEqual(proof(each, 'holder', name, mine, theirs), said.subarray(BYTES)));
    if (!key) throw new ProofError(false);
    socket.write(proof(key, 'guest', name, mine, theirs));
    const ready = await exactly(socket, READY.length);
    if (!ready.equals(READY)) throw new ProofError(false);
  });
}

async function proveAsHolder(socket: Socket, { name, keys, proofMs = PROOF_MS }: Proving): Promise<void> {
  await inTime(socket, proofMs, async () => {
    const mine = randomBytes(BYTES);
    const theirs = await exactly(socket, BYTES);
    const key = keys.current('peer');
    socket.write(Buffer.concat([mine, proof(key, 'holder', name, theirs, mine)]));
    const said = await exactly(socket, BYTES);
    if (!timingSafeEqual(proof(key, 'guest', name, theirs, mine), said)) throw new ProofError(false);
    socket.write(READY);
  });
}

function proof(key: Buffer, role: 'holder' | 'guest', name: string, guest: Buffer, holder: Buffer): Buffer {
  return createHmac('sha256', key).update(`host ${role}${name}\0`).update(guest).update(holder).digest();
}

/** Rejects with a silent ProofError if `work` takes longer, and destroys the socket. */
async function inTime(socket: Socket, ms: number, work: () => Promise<void>): Promise<void> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    socket.destroy();
  }, ms);
  try {
    await work();
  } catch (error) {
    throw isLate ? new ProofError(true) : error;
  } finally {
    clearTimeout(timer);
  }
}

/** Reads exactly so many bytes; what follows stays in the socket. Rejects with a silent ProofError if the other side closes before. */
function exactly(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('readable', read);
      socket.off('close', closed);
      socket.off('end', closed);
    };
    const read = (): void => {
      const chunk = socket.read(bytes) as Buffer | null;
      if (!chunk) return;
      done();
      if (chunk.length === bytes) resolve(chunk);
      else reject(new ProofError(false));
    };
    const closed = (): void => {
      done();
      // The last holder may be ending, whose name is not free before its other sockets are closed.
      reject(new ProofError(true));
    };
    socket.on('readable', read);
    socket.on('close', closed);
    socket.on('end', closed);
    read();
  });
}
