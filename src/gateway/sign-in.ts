/** Signing people in at the gateway itself (`mcp.auth.login`). The authorization server is loaded when the configuration asks for one. */
import type { AuthorizationServer } from '../authorization-server/server.js';
import type { Settings } from '../authorization-server/settings.js';
import { groupsNamed, issuerOfGateway, principalPrefix, scopesNamed } from '../config/index.js';
import type { Config } from '../config/types.js';
import type { SignInDoor } from '../downstream/http/sign-in.js';
import type { Logger } from '../observe/log.js';
import { SignInStats, type GatewayStats } from '../observe/stats.js';
import type { GrantView, OwnIssuer, SignInEvent } from '../protocol/authorization-server.js';
import type { Principal, Shown } from '../protocol/ports.js';
import type { SmallFetch } from '../protocol/small-request.js';
import { matches } from '../policy/who.js';
import type { State } from '../state/open.js';

export interface GatewaySignInDeps {
  readonly config: () => Config;
  /** Names proxies and certificates. */
  readonly env: NodeJS.ProcessEnv;
  readonly fetch: SmallFetch;
  readonly state: () => Promise<State>;
  readonly log: Logger;
  readonly stats: GatewayStats;
  readonly address: (shown: Shown) => string;
  /** Grants have ended: what belongs to their tokens ends. */
  readonly ended: (grants: ReadonlySet<string>) => void;
  readonly happened: (event: SignInEvent) => void;
}

/** What a key of the state signs and seals here. */
const LABEL = 'authorization server';

export class GatewaySignIn implements OwnIssuer, SignInDoor {
  readonly #deps: GatewaySignInDeps;
  #server: Promise<AuthorizationServer> | undefined;
  /** The one that `#server` has become, and the issuer that it is. */
  #ready: { readonly server: AuthorizationServer; readonly issuer: string } | undefined;
  /** Counts the servers that were made and dropped: one that is still being made then is not used. */
  #run = 0;
  #closed = false;

  constructor(deps: GatewaySignInDeps) {
    this.#deps = deps;
  }

  get isOn(): boolean {
    return this.#deps.config().mcp.auth.login !== undefined;
  }

  get prefix(): string {
    const { public_url } = this.#deps.config().http;
    return public_url === null ? '' : new URL(public_url).pathname.replace(/\/+$/, '');
  }

  address(shown: Shown): string {
    return this.#deps.address(shown);
  }

  server(): Promise<AuthorizationServer> | undefined {
    if (!this.isOn) return undefined;
    if (this.#server) return this.#server;
    const made = this.#create().catch((error: unknown) => {
      if (this.#server === made) {
        this.#server = undefined;
        const { message } = error as Error;
        this.#deps.log.error('nobody can sign in: the state cannot be used', { error: message });
      }
      throw error;
    });
    return (this.#server = made);
  }

  /** Reads what is stored, before the first request is served. Never rejects. */
  async start(): Promise<void> {
    await this.server()?.catch(() => undefined);
  }

  /** Another configuration is in force. */
  reloaded(): void {
    const settings = this.#settings();
    if (!settings) {
      this.#deps.stats.signIns = undefined;
      return this.#drop();
    }
    if (this.#ready && this.#ready.issuer !== settings.issuer) this.#drop();
    if (this.#ready) this.#ready.server.use(settings);
    else void this.start();
  }

  async publicKeys(): Promise<readonly object[]> {
    return (await this.server())?.publicKeys() ?? [];
  }

  isEnded(grant: string): boolean {
    return this.#ready?.server.isEnded(grant) === true;
  }

  /** The sign-ins of a principal; undefined: all. Rejects if the state cannot be read. */
  async grants(principal?: string): Promise<readonly GrantView[]> {
    return (await this.server())?.grants(principal) ?? [];
  }

  /** Ends a sign-in and returns whether there was one. Rejects if the state cannot be read. */
  async endGrant(id: string, why: 'operator' | 'revoked'): Promise<boolean> {
    return (await this.server())?.endGrant(id, why) ?? false;
  }

  /** The id of a client that an operator registers. Rejects with an Error whose message says why it is not allowed. */
  async printClient(name: string, uris: readonly string[]): Promise<string> {
    const server = await this.server();
    if (!server) throw new Error('nobody signs in here: set mcp.auth.login');
    return server.print(name, uris);
  }

  /** The ID token that the identity provider gave last for a sign-in; undefined: there is none that counts. */
  async idToken(grant: string): ReturnType<AuthorizationServer['idToken']> {
    return (await this.server())?.idToken(grant);
  }

  /** Updates the gauge. */
  measure(): void {
    const { signIns } = this.#deps.stats;
    if (signIns && this.#ready) signIns.grants = this.#ready.server.size;
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    this.#run++;
    this.#ready?.server.close();
    this.#ready = undefined;
    this.#server = undefined;
  }

  #settings(): Settings | undefined {
    const config = this.#deps.config();
    const { auth } = config.mcp;
    const { login, resource, scopes: usual } = auth;
    if (!login) return undefined;
    return {
      ...{ login, resource, usual },
      issuer: issuerOfGateway(config),
      scopes: scopesNamed(config),
      groups: groupsNamed(config),
      prefix: principalPrefix(auth),
    };
  }

  async #create(): Promise<AuthorizationServer> {
    const run = this.#run;
    const { env, log, stats, fetch, state, ended, happened } = this.#deps;
    const [{ AuthorizationServer: Server }, { createGuardedFetch }, opened] = await Promise.all([
      import('../authorization-server/server.js'),
      import('../upstream/http/guarded-fetch.js'),
      state(),
    ]);
    const keys = await opened.keysFor(LABEL);
    const settings = this.#settings();
    if (!settings || this.#closed || run !== this.#run)
      throw new Error('the gateway signs nobody in any more');
    const server = new Server({
      ...{ settings, keys, log, fetch, ended, happened },
      records: () => Promise.resolve(opened.store),
      guardedFetch: createGuardedFetch(env, log),
      stats: (stats.signIns ??= new SignInStats()),
      now: Date.now,
      serversAt: (resource) => this.#serversAt(resource),
      isAllowed: (principal) => this.#isAllowed(principal),
    });
    this.#ready = { server, issuer: settings.issuer };
    await server.start();
    return server;
  }

  #isAllowed(principal: Principal): boolean {
    const { allow = [] } = this.#deps.config().mcp.auth.login ?? {};
    return allow.length === 0 || allow.some((who) => matches(who, principal, ''));
  }

  /** As `/health` names them to anybody. */
  #serversAt(resource: string): readonly string[] | undefined {
    const { policy, admin, servers } = this.#deps.config();
    if (policy || admin.port !== undefined) return undefined;
    const [, kind, name] = /\/(servers|profiles)\/([^/]+)\/(?:mcp|sse)$/.exec(resource) ?? [];
    if (kind === 'profiles') return undefined;
    return servers.map((server) => server.name).filter((each) => name === undefined || each === name);
  }
}
