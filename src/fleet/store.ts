/** The store of a fleet: the only place that knows the client library, which is loaded when a store is configured. */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as Library from 'ioredis';
import type { FleetStoreConfig } from '../config/types.js';
import type { TrustEnvironment } from '../lib/system-roots.js';
import type { Logger } from '../observe/log.js';
import { guardCluster, guardInfo } from './store-answers.js';
import { OTHER_TYPE, sizeOf, tagOf, type Argument } from './store-commands.js';
import { causeOf, StoreError, storeError, WRONG_DATABASE } from './store-error.js';
import { jittered, retry, RETRY_MS } from './store-retry.js';
import { dialer, isAddress, type Address } from './store-socket.js';
import { Uptime } from './store-uptime.js';

export { StoreError } from './store-error.js';

/** As in package.json, where it is optional. */
const PACKAGE = 'ioredis@~6.0.0';

const COMMAND_MS = 500;
const SOCKET_MS = 2000;
const CONNECT_MS = 2000;
/** How long a connection that is ended may take to close. */
const DISCONNECT_MS = 500;
const PROBE_MS = 250;
const GET_BYTES = 1_048_576;
/** Commands and bytes that wait for an answer. */
const MAX_WAITING = 20_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** A Lua script. All its keys are in one slot. */
export interface Script {
  /** Of letters, digits, `-` and `_`; each script has its own. */
  readonly name: string;
  readonly lua: string;
  /** How many keys it has. */
  readonly keys: number;
}

/** Each method rejects with a StoreError, and none waits longer than half a second. */
export interface FleetStore {
  /**
   * performance.now() since when it is connected, without a break in which others may have been taken for dead; undefined: it is away. A store
   * that was only slow is up since the same time as before.
   */
  readonly upSince: number | undefined;
  /** Bulk replies are Buffers. */
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  /**
   * At most `limit` bytes (default: 1 MB) and one more of a value, and OTHER_TYPE for one that is not a string. undefined: there is nothing, or
   * an empty string.
   */
  get(key: string, limit?: number): Promise<Buffer | undefined>;
  /** `ttlMs`: undefined: it stays. */
  set(key: string, value: Buffer, ttlMs?: number): Promise<void>;
  delete(key: string): Promise<void>;
  /** What waits is rejected, and `changed` is not called again. */
  close(): void;
}

export interface FleetStoreDeps {
  readonly log: Logger;
  /** A command that was sent has ended; `op`: the name of the script, or get, set, delete. */
  readonly measured: (op: string, seconds: number, ok: boolean) => void;
  /**
   * It came (true: connected and usable, after every reconnect and failover) or went. `isSame`: it was only slow: nothing that was written is
   * lost, and nobody has run out. Called from a later turn, never during a call of a method.
   */
  readonly changed: (isUp: boolean, isSame: boolean) => void;
  /** The variables that name trusted certificates. */
  readonly environment?: TrustEnvironment;
  /** Loads a package. */
  readonly load?: (name: string) => unknown;
}

/** Connects in the background. Throws an Error that says what to install. */
export function openStore(config: FleetStoreConfig, deps: FleetStoreDeps): FleetStore {
  return new ConnectedStore(config, deps);
}

type Client = Library.Redis | Library.Cluster;
/** A command of a script, by the name that it was defined with. */
type Defined = Record<string, (...args: readonly Argument[]) => Promise<unknown>>;

class ConnectedStore implements FleetStore {
  readonly #config: FleetStoreConfig;
  readonly #deps: FleetStoreDeps;
  readonly #client: Client;
  readonly #defined = new Map<string, string>();
  readonly #uptime = new Uptime();
  /** Whether the log says that it is away. */
  #isReported = false;
  #isClosed = false;
  #isProbing = false;
  #hasChecked = false;
  /** In the slot that failed last. */
  #probeKey = '{mcpstead}:-';
  #timer: NodeJS.Timeout | undefined;
  /** Commands without an answer, and their bytes. */
  #waiting = 0;
  #bytes = 0;
  /** The bytes of commands that timed out: they are in the connection until it answers or closes. */
  #late = 0;

  constructor(config: FleetStoreConfig, deps: FleetStoreDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#client = clientOf(libraryOf(deps.load), config, dialer(config.tls, deps.environment ?? {}));
    this.#client.on('ready', () => {
      this.#uptime.reconnected();
      this.#probe();
    });
    // A cluster: a node that was lost, or is new.
    for (const event of ['+node', '-node'])
      this.#client.on(event, () => {
        this.#uptime.reconnected();
      });
    this.#client.on('error', (error: unknown) => {
      this.#down(causeOf(error));
    });
    this.#client.on('close', () => {
      this.#late = 0;
      this.#down(causeOf(undefined));
      this.#uptime.reconnected();
    });
    // The library gives up, for example, if no sentinel answers; this store does not.
    this.#client.on('end', () => {
      this.#down(causeOf(undefined));
    });
    this.#client.connect().catch(() => undefined);
  }

  get upSince(): number | undefined {
    return this.#uptime.since;
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    if (keys.length !== script.keys)
      throw new TypeError(`script ${script.name} has ${script.keys} keys, not ${keys.length}`);
    let command = this.#defined.get(script.name);
    if (command === undefined) {
      command = `mcpstead-${script.name}`;
      this.#client.defineCommand(command, { lua: script.lua, numberOfKeys: script.keys });
      this.#defined.set(script.name, command);
    }
    const name = `${command}Buffer`;
    return this.#send(script.name, keys[0] ?? '', sizeOf(keys) + sizeOf(args), () =>
      (this.#client as unknown as Defined)[name]?.(...keys, ...args),
    );
  }

  async get(key: string, limit = GET_BYTES): Promise<Buffer | undefined> {
    const value: unknown = await this.#send('get', key, key.length, () =>
      this.#client.getrangeBuffer(key, 0, limit).catch((error: unknown) => {
        if ((error as Error).message.startsWith('WRONGTYPE')) return OTHER_TYPE;
        throw error;
      }),
    );
    return Buffer.isBuffer(value) && value.length > 0 ? value : undefined;
  }

  async set(key: string, value: Buffer, ttlMs?: number): Promise<void> {
    await this.#send('set', key, key.length + value.length, () =>
      ttlMs === undefined
        ? this.#client.set(key, value)
        : this.#client.set(key, value, 'PX', Math.max(1, Math.ceil(ttlMs))),
    );
  }

  async delete(key: string): Promise<void> {
    await this.#send('delete', key, key.length, () => this.#client.unlink(key));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#uptime.went();
    clearTimeout(this.#timer);
    this.#client.disconnect();
  }

  async #send<T>(op: string, key: string, bytes: number, send: () => Promise<T> | undefined): Promise<T> {
    if (this.#uptime.since === undefined)
      throw new StoreError('away', this.#isClosed ? 'the store is closed' : 'the store is away');
    if (this.#waiting >= MAX_WAITING || this.#bytes + this.#late + bytes > MAX_WAITING_BYTES)
      throw new StoreError('away', 'too many commands wait for the store');
    this.#waiting++;
    this.#bytes += bytes;
    const began = performance.now();
    try {
      const reply = await (send() as Promise<T>);
      // Answers come in the order of commands, so those that timed out earlier are answered too.
      this.#late = 0;
      this.#deps.measured(op, (performance.now() - began) / 1000, true);
      return reply;
    } catch (error) {
      const failed = this.#isClosed ? new StoreError('away', 'the store is closed') : storeError(error);
      if (failed.why === 'away') {
        this.#late += bytes;
        this.#probeKey = `{${tagOf(key)}}:-`;
        this.#down(failed.message);
      }
      this.#deps.measured(op, (performance.now() - began) / 1000, false);
      throw failed;
    } finally {
      this.#waiting--;
      this.#bytes -= bytes;
    }
  }

  #down(cause: string): void {
    if (this.#isClosed) return;
    if (!this.#isReported) {
      this.#isReported = true;
      this.#deps.log.warn('the store of the fleet is away', { cause });
    }
    if (this.#uptime.went()) this.#deps.changed(false, false);
    this.#later();
  }

  #up(): void {
    if (this.#isClosed || this.#uptime.since !== undefined) return;
    const isSame = this.#uptime.came();
    this.#late = 0;
    if (this.#isReported) this.#deps.log.info('the store of the fleet is back');
    this.#isReported = false;
    this.#deps.changed(true, isSame);
    if (!this.#hasChecked) void this.#checkPolicy();
  }

  #later(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#client.status === 'end') this.#client.connect().catch(() => undefined);
      else this.#probe();
    }, jittered(PROBE_MS));
  }

  /**
   * Asks whether it does what it is asked: a connection alone does not show that. A command that writes, but has nothing
   * to do, also shows whether it is a replica.
   */
  #probe(): void {
    if (
      this.#isClosed ||
      this.#isProbing ||
      this.#uptime.since !== undefined ||
      this.#client.status !== 'ready'
    )
      return;
    this.#isProbing = true;
    this.#ask()
      .then(
        () => {
          this.#up();
        },
        (error: unknown) => {
          const failed = storeError(error);
          if (failed.why === 'refused') this.#up();
          else this.#down(failed.message);
        },
      )
      .finally(() => {
        this.#isProbing = false;
      });
  }

  async #ask(): Promise<void> {
    const { db, kind } = this.#config;
    if (db > 0 && kind !== 'cluster')
      await this.#client.select(db).catch((error: unknown) => {
        throw storeError(error).why === 'refused' ? new StoreError('away', WRONG_DATABASE) : error;
      });
    await this.#client.unlink(this.#probeKey);
  }

  async #checkPolicy(): Promise<void> {
    this.#hasChecked = true;
    try {
      const [, policy] = (await this.#client.config('GET', 'maxmemory-policy')) as unknown[];
      if (typeof policy !== 'string' || policy === 'noeviction' || !/^[a-z-]{1,32}$/.test(policy)) return;
      this.#deps.log.warn(
        'the store of the fleet may throw away sessions and logins when its memory is full: set its maxmemory-policy to noeviction',
        { policy },
      );
    } catch {
      // CONFIG is forbidden in many places.
    }
  }
}

function libraryOf(load: (name: string) => unknown = createRequire(import.meta.url)): typeof Library {
  try {
    return load('ioredis') as typeof Library;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(`fleet.store needs a package beside mcpstead: npm install ${PACKAGE}`);
  }
}

function clientOf(library: typeof Library, config: FleetStoreConfig, dial: Dial): Client {
  const { kind, nodes, db, username, password } = config;
  const options: Options = {
    ...boundsOf(library, config.tls, dial),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    db,
    maxLoadingRetryTime: RETRY_MS,
    // After a failover the old primary is a replica: the new one is looked for.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
  if (kind !== 'cluster') {
    const client = new library.Redis({
      ...options,
      ...(kind === 'single' ? nodes[0] : { Connector: sentinelConnector(library, config, dial) }),
      enableOfflineQueue: false,
      retryStrategy: retry,
    });
    guardInfo(client);
    return client;
  }
  const cluster = new library.Cluster([...nodes], {
    redisOptions: options,
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: retry,
    maxRedirections: 4,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 50,
    slotsRefreshTimeout: COMMAND_MS,
    // Certificates are for host names.
    ...(config.tls && { dnsLookup: sameName }),
  });
  guardCluster(cluster);
  return cluster;
}

function sameName(host: string, done: (error: null, address: string) => void): void {
  done(null, host);
}

type Connector = NonNullable<Library.RedisOptions['Connector']>;
type Options = Omit<Library.RedisOptions, 'replyMapping'>;
type Dial = (address: Address) => Socket;

/** What bounds each connection. RESP2 has all that is needed, and can be judged before it is read. */
function boundsOf(library: typeof Library, tls: boolean, dial: Dial): Options {
  return {
    Connector: class extends library.AbstractConnector {
      readonly #address: Address;

      constructor(options: unknown) {
        super(DISCONNECT_MS);
        this.#address = options as Address;
      }

      // eslint-disable-next-line @typescript-eslint/require-await -- a bad address is a rejection
      override async connect(): Promise<Socket> {
        this.connecting = true;
        return (this.stream = dialed(this, dial, this.#address));
      }
    },
    // The library waits for the handshake if this is set.
    ...(tls && { tls: {} }),
    protocol: 2,
    commandTimeout: COMMAND_MS,
    socketTimeout: SOCKET_MS,
    connectTimeout: CONNECT_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    lazyConnect: true,
  };
}

function dialed(connector: { firstError?: Error }, dial: Dial, address: Address): Socket {
  const socket = dial(address);
  socket.once('error', (error) => {
    connector.firstError = error;
  });
  return socket;
}

/** Asks the sentinels, one after another, where the primary is; the next attempt begins with the next one. */
function sentinelConnector(library: typeof Library, config: FleetStoreConfig, dial: Dial): Connector {
  const { nodes } = config;
  let first = 0;
  return class extends library.AbstractConnector {
    constructor() {
      super(DISCONNECT_MS);
    }

    /** A primary that was replaced is a replica, or does not know it yet and is asked again. */
    override check(info: unknown): boolean {
      const { role } = (info ?? {}) as { role?: unknown };
      return role === undefined || role === 'master';
    }

    override async connect(): Promise<Socket> {
      this.connecting = true;
      const start = first++;
      for (let at = 0; at < nodes.length && this.connecting; at++) {
        const node = nodes[(start + at) % nodes.length];
        const primary = node && (await primaryBy(library, config, dial, node));
        if (primary && this.connecting) return (this.stream = dialed(this, dial, primary));
      }
      throw new StoreError(
        'away',
        'no sentinel answers with a primary of the name that fleet.store ends with',
      );
    }
  };
}

async function primaryBy(
  library: typeof Library,
  config: FleetStoreConfig,
  dial: Dial,
  node: Address,
): Promise<Address | undefined> {
  const { username, password, tls, name = '' } = config;
  // Sentinels often have no password: they are shown it if they ask for one.
  for (const auth of [{}, { ...(username !== undefined && { username }), password }]) {
    const sentinel = new library.Redis({
      ...boundsOf(library, tls, dial),
      ...node,
      ...(auth as { username?: string; password?: string }),
      enableReadyCheck: false,
      retryStrategy: null,
    });
    sentinel.on('error', () => undefined);
    try {
      const answer: unknown = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
      const [host, port] = Array.isArray(answer) ? [answer[0] as unknown, Number(answer[1])] : [];
      return typeof host === 'string' && isAddress(host, port) ? { host, port: port ?? 0 } : undefined;
    } catch (error) {
      if (password === undefined || !(error as Error).message.startsWith('NOAUTH')) return undefined;
    } finally {
      sentinel.disconnect();
    }
  }
  return undefined;
}
