/**
 * The credentials of the servers that may need a login. What they are made of is loaded when a server asks for a credential, somebody logs
 * in, or the state has a login from before: a gateway without logins pays nothing.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { CALLBACK_PATH, clientMetadata } from '../config/client-metadata.js';
import {
  changesHeaders,
  isPerUser,
  isShownAlike,
  takesKey,
  takesLogin,
  usesOAuth,
} from '../config/credentials.js';
import { childEnvironment } from '../config/environment.js';
import type { ServerConfig } from '../config/types.js';
import type { Credentials } from '../credentials/credentials.js';
import type { ReturnedBy } from '../credentials/logins.js';
import { CLIENT_PATH, LOGIN_PATH } from '../downstream/http/logins.js';
import { createSlots, type Slots } from '../lib/slots.js';
import type { Logger } from '../observe/log.js';
import type { CredentialState, GatewayStats } from '../observe/stats.js';
import type { Credential } from '../protocol/credential.js';
import {
  EVERYBODY,
  type Connection,
  type DeviceAttempt,
  type LoginAttempt,
  type LoginState,
  UNKNOWN_LOGIN,
} from '../protocol/logins.js';
import type { Principal } from '../protocol/ports.js';
import type { State } from '../state/open.js';
import { createKeptHeaders } from './kept-headers.js';
import { LazyCredential } from './lazy-credential.js';
import { LoginLinks, ownerFor } from './login-links.js';
import { ServerKeys } from './server-keys.js';
import { subjectOf, type SubjectsDeps } from './subjects.js';

/** How soon it is tried again to erase logins. */
const ERASE_AGAIN_MS = 5000;
/** Commands that print the headers of users of one server and run at the same time. */
const MOST_COMMANDS = 8;
const NOBODY: ReadonlySet<string> = new Set();

export interface GatewayCredentialsDeps extends SubjectsDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  readonly stats: GatewayStats;
  readonly state: () => Promise<State>;
  /** Where browsers reach the gateway: an origin, with the path of a proxy in front. */
  readonly origin: () => string;
  /** Whether a port is open. */
  readonly isListening: () => boolean;
  /** Whether a principal has a role. */
  readonly permits: (principal: Principal, role: 'operator', path: string) => boolean;
}

export class GatewayCredentials {
  /** Links to the page where somebody logs in. */
  readonly links: LoginLinks;
  readonly #deps: GatewayCredentialsDeps;
  /** By server, then by owner. */
  readonly #known = new Map<string, Map<string, LazyCredential>>();
  readonly #keys: ServerKeys;
  /** By server: its users do not make those of another one wait. */
  readonly #commands = new Map<string, Slots>();
  #room: Promise<Credentials> | undefined;
  #closed = false;
  /** Principals whose logins are to be erased. */
  readonly #gone = new Set<string>();
  #eraseAgain: NodeJS.Timeout | undefined;

  constructor(deps: GatewayCredentialsDeps) {
    this.#deps = deps;
    this.#keys = new ServerKeys({
      ...deps,
      loggedIn: (server, owner) => {
        this.links.loggedIn(server, owner);
      },
    });
    this.links = new LoginLinks({
      config: deps.config,
      origin: () => (deps.isListening() ? deps.origin() : undefined),
      mayLogIn: (principal) => deps.permits(principal, 'operator', LOGIN_PATH),
      stateOf: (server, owner) => presenceOf(this.#known.get(server)?.get(owner)?.state),
      watch: (server, owner, heard) =>
        this.#known.get(server)?.get(owner)?.onChange(heard) ?? (() => undefined),
      preview: async (ask, signal) => (await this.#withAll()).preview(ask, signal),
      login: (server, owner, scopes, signal) => this.login(server, owner, scopes, signal),
      setKey: (server, owner, key) => this.#keys.set(server, owner, key),
      bind: async (id) => (await this.#room)?.logins.bind(id),
      isOpen: async ({ id }) => (await this.#room)?.logins.stateOf(id)?.state === 'waiting',
    });
  }

  /**
   * The credential of a server, the same one for the same configuration and owner; undefined: it needs none that changes. `owner`: EVERYBODY,
   * or the id of a principal, whose credential is forgotten once no link uses it.
   */
  of(config: ServerConfig, owner = EVERYBODY): Credential | undefined {
    const { name } = config;
    const isKept = changesHeaders(config);
    if (!isKept && !takesLogin(config)) {
      if (this.#known.has(name)) this.#forget(name);
      return undefined;
    }
    const owners = this.#known.get(name) ?? new Map<string, LazyCredential>();
    const known = owners.get(owner);
    if (known && isShownAlike(known.config, config)) return known;
    // What still uses the configuration before must not load it again: it would take the place of this one.
    for (const [of, before] of owners) {
      if (isShownAlike(before.config, config)) continue;
      before.close();
      owners.delete(of);
    }
    if (known) this.#removeOther(config);
    const credential = new LazyCredential(config, {
      mayBeStored: () => this.#mayBeStored(),
      load: async () => {
        const principal = owner === EVERYBODY ? undefined : owner;
        if (isKept)
          return createKeptHeaders(config, { ...this.#deps, commands: this.#commandsOf(name) }, principal);
        if (takesKey(config)) return this.#keys.of(config, owner);
        const real = (await this.#load()).of(config, owner);
        if (!real) throw new Error(`'${name}' has no credential`);
        return real;
      },
      unused: () => {
        if (owner !== EVERYBODY) this.#release(name, owner, credential);
      },
    });
    this.#known.set(name, owners.set(owner, credential));
    return credential;
  }

  #commandsOf(server: string): Slots {
    const slots = this.#commands.get(server) ?? createSlots(MOST_COMMANDS);
    this.#commands.set(server, slots);
    return slots;
  }

  /** Which login or key a server gets for a principal; undefined: none, or none that is known. */
  loginOf(config: ServerConfig, principal: string): string | undefined {
    return this.#known.get(config.name)?.get(isPerUser(config) ? principal : EVERYBODY)?.login;
  }

  /** A server that had another kind of credential is forgotten there. */
  #removeOther(config: ServerConfig): void {
    const { name } = config;
    if (!takesKey(config)) return this.#keys.remove(name);
    this.#withRoom((room) => {
      room.remove(name);
    });
  }

  #release(server: string, owner: string, credential: LazyCredential): void {
    const owners = this.#known.get(server);
    if (owners?.get(owner) !== credential) return;
    owners.delete(owner);
    credential.close();
    credential.unload();
    this.#keys.release(server, owner);
    this.#withRoom((room) => {
      room.release(server, owner);
    });
  }

  /** Another configuration is in force: servers that are gone are forgotten. */
  reloaded(): void {
    const names = new Set(this.#deps.config().servers.map(({ name }) => name));
    for (const name of [...this.#known.keys()]) if (!names.has(name)) this.#forget(name);
  }

  /** Begins a login to a server. Rejects with an Error whose message says why it cannot. */
  async login(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<LoginAttempt> {
    return (await this.#withAll()).login(server, owner, scopes, signal);
  }

  async deviceLogin(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<DeviceAttempt> {
    return (await this.#withAll()).deviceLogin(server, owner, scopes, signal);
  }

  async logout(
    server: string,
    owner: string,
    options: { readonly forgetClient: boolean },
    signal: AbortSignal,
  ): Promise<boolean> {
    if (this.#keys.takes(server)) return this.#keys.logout(server, owner);
    return (await this.#withAll()).logout(server, owner, options, signal);
  }

  /** `owner`: whose logins are shown where each user has his own; EVERYBODY: nobody's. */
  async connections(owner: string): Promise<readonly Connection[]> {
    const all = [await this.#keys.connections(owner), await (await this.#withAll()).connections(owner)];
    return all.flat().sort((a, b) => (a.server < b.server ? -1 : 1));
  }

  /** Whether a server takes a key instead of a login. */
  takesKey(server: string): boolean {
    return this.#keys.takes(server);
  }

  /** Sets the key of a server. Rejects with an Error whose message says why it cannot. */
  setKey(server: string, owner: string, key: string): Promise<void> {
    return this.#keys.set(server, owner, key);
  }

  async prune(): Promise<readonly string[]> {
    // A server that is disabled may come back.
    const kept = new Set(this.#deps.config().disabled.map(({ name }) => name));
    const gone = [...(await this.#keys.prune(kept)), ...(await (await this.#withAll()).prune(kept))];
    return [...new Set(gone)];
  }

  /** Erases the logins of principals that are gone, later if the state cannot be used now. Never rejects. */
  async eraseOwners(ids: ReadonlySet<string>): Promise<void> {
    for (const id of ids) this.#gone.add(id);
    clearTimeout(this.#eraseAgain);
    const all = new Set(this.#gone);
    if (all.size === 0) return;
    try {
      if (await this.#mayBeStored()) {
        await (await this.#load()).eraseOwners(all);
        await this.#keys.eraseOwners(all);
      }
      for (const id of all) this.#gone.delete(id);
    } catch (error) {
      this.#deps.log.warn('logins of keys that are gone are not erased yet', { error: String(error) });
      if (this.#closed) return;
      clearTimeout(this.#eraseAgain);
      this.#eraseAgain = setTimeout(() => void this.eraseOwners(NOBODY), ERASE_AGAIN_MS).unref();
    }
  }

  /** Whose login to a server a principal makes; undefined: he is no person whom the gateway can tell from others. */
  ownerFor(server: string, principal: Principal): string | undefined {
    const config = this.#deps.config().servers.find(({ name }) => name === server);
    return config && takesLogin(config) ? ownerFor(config, principal) : EVERYBODY;
  }

  /** Where a browser goes on with the login of a link, and its cookie: see LoginLinks. */
  goOn(...args: Parameters<LoginLinks['goOn']>): ReturnType<LoginLinks['goOn']> {
    return this.links.goOn(...args);
  }

  page(id: string): ReturnType<LoginLinks['page']> {
    return this.links.page(id);
  }

  /** Brings the gauges up to date. */
  measure(): void {
    for (const [name, owners] of this.#known)
      this.#deps.stats.server(name).credential = owners.get(EVERYBODY)?.state;
  }

  async find(id: string): Promise<LoginAttempt | undefined> {
    return (await this.#room)?.logins.find(id);
  }

  /** How a login stands; waits for its end until the signal aborts. */
  async ended(id: string, signal: AbortSignal): Promise<LoginState | undefined> {
    return (await this.#room)?.logins.ended(id, signal);
  }

  /** Takes the answer of an authorization server. Rejects with an Error whose message says what is wrong. */
  async finish(returned: URLSearchParams, by: ReturnedBy, signal: AbortSignal): Promise<LoginAttempt> {
    // Who comes back needs no credential: for him nothing is loaded, and without what was loaded no login is under way.
    const room = await this.#room;
    if (!room) throw new Error(UNKNOWN_LOGIN);
    return room.logins.finish(returned, by, signal);
  }

  /** The metadata of the gateway as a client; undefined: it has none. */
  clientDocument(): Promise<object | undefined> {
    const id = this.#document();
    if (id === undefined) return Promise.resolve(undefined);
    return Promise.resolve({ client_id: id, ...clientMetadata(this.#redirectUri()) });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#eraseAgain);
    for (const name of this.#known.keys()) this.#closeKept(name);
    this.links.close();
    this.#keys.close();
    this.#withRoom((room) => {
      room.close();
    });
  }

  #closeKept(name: string): void {
    for (const credential of this.#known.get(name)?.values() ?? []) credential.close();
  }

  /** Does something with the credentials, if they are loaded. */
  #withRoom(work: (room: Credentials) => void): void {
    void this.#room?.then(work, () => undefined);
  }

  #forget(name: string): void {
    this.#closeKept(name);
    this.#known.delete(name);
    this.#commands.delete(name);
    // A server that is gone gets no metrics again.
    const stats = this.#deps.stats.servers.get(name);
    if (stats) stats.credential = undefined;
    this.#keys.remove(name);
    this.#withRoom((room) => {
      room.remove(name);
    });
  }

  /** With the credentials of all servers, not only of those that were asked for one. */
  async #withAll(): Promise<Credentials> {
    const room = await this.#load();
    for (const server of this.#deps.config().servers.filter(usesOAuth)) {
      const credential = this.of(server);
      if (credential instanceof LazyCredential) await credential.loaded();
    }
    return room;
  }

  /** Whether a login of before may be in the state folder. Reads no key. */
  async #mayBeStored(): Promise<boolean> {
    if (this.#room) return true;
    const { dir } = this.#deps.config().state;
    if (dir === undefined) return false;
    return access(join(dir, 'credentials')).then(
      () => true,
      () => false,
    );
  }

  #load(): Promise<Credentials> {
    if (this.#closed) return Promise.reject(new Error('closed'));
    return (this.#room ??= this.#create().catch((error: unknown) => {
      this.#room = undefined;
      throw error;
    }));
  }

  async #create(): Promise<Credentials> {
    const { env, log, stats, state } = this.#deps;
    const [{ Credentials }, { commandRunner }, { createGuardedFetch }, opened] = await Promise.all([
      import('../credentials/credentials.js'),
      import('../credentials/secret-sources.js'),
      import('../upstream/http/guarded-fetch.js'),
      state(),
    ]);
    return new Credentials({
      records: () => Promise.resolve(opened.store),
      shared: opened.lasts,
      fetch: createGuardedFetch(env, log),
      log,
      redirectUri: () => this.#redirectUri(),
      document: () => this.#document(),
      run: commandRunner(childEnvironment(env, [], {})),
      subject: (whose) => subjectOf(this.#deps, whose),
      loggedIn: (server, owner) => {
        this.links.loggedIn(server, owner);
      },
      count: {
        refreshed: (server, result) => {
          stats.server(server).tokenRefreshes.add(result);
        },
        login: (server, result) => {
          stats.server(server).logins.add(result);
        },
      },
    });
  }

  #redirectUri(): string {
    return this.#deps.origin() + CALLBACK_PATH;
  }

  #document(): string | undefined {
    const { public_url } = this.#deps.config().http;
    return public_url?.startsWith('https:') === true ? this.#deps.origin() + CLIENT_PATH : undefined;
  }
}

/** Whether somebody has to log in. */
function presenceOf(state: CredentialState | undefined): 'missing' | 'there' | undefined {
  if (state === undefined || state === 'failing') return undefined;
  return state === 'login_required' ? 'missing' : 'there';
}
