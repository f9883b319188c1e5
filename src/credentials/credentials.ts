/** The credentials of all servers that are called with OAuth, and the logins that give them. */
import { usesOAuth } from '../config/credentials.js';
import type { HttpServerConfig, OAuthConfig, OAuthServer } from '../config/types.js';
import type { Logger } from '../observe/log.js';
import type { LoginOutcome, TokenRefresh } from '../observe/stats.js';
import {
  EVERYBODY,
  type Connection,
  type DeviceAttempt,
  type LoginAttempt,
  type LoginAsk,
  type LoginPreview,
} from '../protocol/logins.js';
import type { GuardedFetch } from '../protocol/small-request.js';
import { scopesOf } from '../protocol/challenge.js';
import { checkRegistration, clientFor, type ClientDeps } from './clients.js';
import { OAuthCredential } from './credential.js';
import { connectionOf, type ServerCredential } from './server-credential.js';
import { FoundServer, guardOf, hostsOf } from './found-server.js';
import {
  alone,
  changeClient,
  clientKey,
  grantKey,
  readClient,
  readGrant,
  writeClient,
  writeGrant,
  type Grant,
  type Records,
} from './grants.js';
import { Logins, type LoginWish } from './logins.js';
import { machineGrant, secretFrom, type Subject } from './machine-grants.js';
import type { Client } from './client-authentication.js';
import { beginDevice, pollDevice, refresh, revoke, type TokenDeps } from './oauth.js';
import { OwnedCredentials, type OwnedEntry } from './owned-credentials.js';
import { eraseOwned } from './owned-records.js';
import { OpenCredential } from './open-credential.js';
import { CredentialProblem } from './problem.js';
import type { RunCommand } from './secret-sources.js';

export interface CredentialsDeps {
  readonly records: () => Promise<Records>;
  /** Whether other processes use the same records. */
  readonly shared: boolean;
  readonly fetch: GuardedFetch;
  readonly log: Logger;
  /** The redirect URI of logins, unless a server has its own. */
  readonly redirectUri: () => string;
  /** The URL of the metadata document that the gateway serves; undefined: it serves none. */
  readonly document: () => string | undefined;
  /** Resolves with what a command prints. */
  readonly run: RunCommand;
  /** What a principal has shown to the gateway, for grants that exchange it; undefined: those do not work. */
  readonly subject?: (
    whose: { readonly server: string; readonly owner: string },
    signal: AbortSignal,
  ) => Promise<Subject>;
  /** Somebody has logged in. `owner`: EVERYBODY, or the id of a principal. */
  readonly loggedIn?: (server: string, owner: string) => void;
  readonly count: {
    refreshed(server: string, result: TokenRefresh): void;
    login(server: string, result: LoginOutcome): void;
  };
  /** Unix time in milliseconds. */
  readonly now?: () => number;
}

interface Entry extends OwnedEntry<OAuthServer, OAuthCredential> {
  readonly found: FoundServer;
  readonly open: OpenCredential;
}

/** A registration that is older is made anew if a login on it never came back: servers forget clients and do not say so. */
const STALE_CLIENT_MS = 3_600_000;
/** How long a login, or its end, waits for a renewal under way. */
const LOCK_WAIT_MS = 30_000;
const LOGOUT_WAIT_MS = 5000;
const SECRET_MS = 15_000;

export class Credentials {
  readonly logins: Logins;
  readonly #deps: CredentialsDeps;
  readonly #now: () => number;
  readonly #owned: OwnedCredentials<OAuthServer, OAuthCredential, Entry>;

  constructor(deps: CredentialsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
    this.logins = new Logins({
      now: this.#now,
      count: (server, result) => {
        deps.count.login(server, result);
      },
      answered: (wish, code) => this.#answered(wish, code),
      done: (wish, grant) => this.#loggedIn(wish, grant),
    });
    this.#owned = new OwnedCredentials<OAuthServer, OAuthCredential, Entry>({
      createEntry: (config) => this.#createEntry(config),
      create: ({ config, found }, owner) => this.#create(config, found, owner),
      recordKey: ({ name, url }, owner) => grantKey(name, url, owner),
      refusals: {
        unknown: (server) => `'${server}' takes no login: see its auth`,
        each: (server) => `at '${server}' each user logs in for himself, with a key of his own`,
        one: (server) => `at '${server}' one login serves everybody`,
      },
    });
  }

  /**
   * The credential of a server, the same one for the same configuration and owner; undefined: it needs none of these. `owner`: EVERYBODY, or
   * the id of a principal, whose credential is kept until `release`.
   */
  of(config: HttpServerConfig, owner = EVERYBODY): ServerCredential | undefined {
    if (usesOAuth(config)) return this.#owned.of(config, owner);
    this.remove(config.name);
    return undefined;
  }

  #createEntry(config: OAuthServer): Entry {
    const found = new FoundServer(config, this.#deps.fetch, this.#now);
    const open = new OpenCredential({
      server: config.name,
      find: (challenge, signal) => found.get(challenge, {}, signal),
      checkRegistration: ({ server }) => {
        checkRegistration(server, config.auth, this.#clientDeps(config));
      },
    });
    return { config, found, credentials: new Map(), open };
  }

  /** Forgets the credential of an owner, unless somebody waits for its changes. */
  release(server: string, owner: string): void {
    this.#owned.release(server, owner);
  }

  /** Begins a login. `scopes`: in addition to those that the server asks for. Rejects with a CredentialProblem. */
  async login(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<LoginAttempt> {
    return this.logins.begin(await this.#wish(server, owner, scopes, signal));
  }

  /** The same on another device (RFC 8628): the person types `userCode` at `url` there. The login ends by itself. */
  async deviceLogin(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<DeviceAttempt> {
    const wish = await this.#wish(server, owner, scopes, signal);
    const target = { server: wish.found.server, client: wish.chosen.client, resource: wish.found.resource };
    const device = await beginDevice(target, wish.scopes, wish.tokens, signal);
    const url = device.completeUrl ?? device.url;
    const attempt = this.logins.hold(wish, url, device.expiresIn * 1000);
    void this.logins.poll(attempt.id, device.interval * 1000, (ended) =>
      pollDevice(target, device.code, wish.tokens, ended),
    );
    return { ...attempt, userCode: device.userCode };
  }

  /** What a login would ask for. Registers nothing. Rejects with a CredentialProblem. */
  async preview({ server, owner, scopes }: LoginAsk, signal: AbortSignal): Promise<LoginPreview> {
    const entry = this.#owned.at(server, owner);
    const { found, wanted } = await this.#plan(entry, owner, { scopes, isWanted: false }, signal);
    checkRegistration(found.server, entry.config.auth, this.#clientDeps(entry.config));
    return { hosts: hostsOf(found), scopes: wanted };
  }

  /** Where a login goes, and what it asks for. */
  async #plan(
    entry: Entry,
    owner: string,
    { scopes, isWanted }: { readonly scopes: readonly string[]; readonly isWanted: boolean },
    signal: AbortSignal,
  ) {
    const { auth, name } = entry.config;
    if (auth.grant !== 'authorization_code')
      throw new CredentialProblem(
        'config',
        `'${name}' gets its tokens without a person: grant: ${auth.grant}`,
      );
    // A credential that nobody uses is not kept.
    const credential = this.#owned.peek(entry, owner);
    await credential.reload();
    const challenge = credential.challenge ?? entry.open.challenge;
    const found = await entry.found.get(challenge, { isWanted }, signal);
    const asked = credential.asked(found.server.issuer);
    const usual = auth.scopes ?? challenge?.scopes ?? found.scopes ?? [];
    const all = new Set([...asked, ...usual, ...scopes.flatMap(scopesOf)]);
    if (all.size > 0 && found.server.scopes_supported?.includes('offline_access') === true)
      all.add('offline_access');
    return { found, asked, wanted: [...all] };
  }

  async #wish(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<LoginWish> {
    const entry = this.#owned.at(server, owner);
    const { auth, url } = entry.config;
    const { found, asked, wanted } = await this.#plan(entry, owner, { scopes, isWanted: true }, signal);
    const chosen = await clientFor(found.server, auth, this.#clientDeps(entry.config), signal);
    await this.#note(chosen.client, auth, { unanswered: true });
    return {
      server,
      serverUrl: url,
      principal: owner,
      found,
      chosen,
      scopes: wanted,
      asked,
      params: auth.params.authorize,
      tokens: this.#tokens(entry.config),
    };
  }

  /** Erases a login, and withdraws it where its authorization server can. Returns whether there was one. */
  async logout(
    server: string,
    owner: string,
    options: { readonly forgetClient?: boolean },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { config, credentials } = this.#owned.at(server, owner);
    const records = await this.#deps.records();
    const key = grantKey(server, config.url, owner);
    const stored = await alone(
      records,
      key,
      AbortSignal.any([signal, AbortSignal.timeout(LOGOUT_WAIT_MS)]),
      async () => {
        const there = await readGrant(records, key);
        await records.delete(key);
        return there;
      },
    );
    await credentials.get(owner)?.reload();
    if (!stored) return false;
    const { grant } = stored;
    try {
      const client = await this.#client(config, grant, signal);
      const deps = this.#tokens(config);
      const [token, kind] =
        grant.refresh === undefined
          ? ([grant.access, 'access_token'] as const)
          : ([grant.refresh, 'refresh_token'] as const);
      await revoke({ server: grant.server, client }, token, kind, deps, signal);
    } catch (error) {
      this.#deps.log.warn('a login was erased here, but its authorization server was not told', {
        server,
        error: error instanceof Error ? error.message : String(error),
      });
    }
    if (options.forgetClient === true) await this.#note(grant.client, config.auth, undefined);
    return true;
  }

  /** All servers that take a login, by name. `owner`: whose logins are shown where each user has his own; EVERYBODY: nobody's. */
  async connections(owner: string): Promise<Connection[]> {
    const all = this.#owned.all().map(async (entry): Promise<Connection> => {
      const { config } = entry;
      const credential = this.#owned.peek(entry, config.auth.per === 'user' ? owner : EVERYBODY);
      if (config.auth.per === 'gateway' || owner !== EVERYBODY) await credential.reload();
      return connectionOf(config, credential);
    });
    return (await Promise.all(all)).sort((a, b) => (a.server < b.server ? -1 : 1));
  }

  /** Erases the logins of servers that the configuration does not name any more, apart from those of `kept`. Returns their names. */
  async prune(kept: ReadonlySet<string>): Promise<string[]> {
    return eraseOwned(await this.#deps.records(), 'grant', (...of) => this.#owned.keeps(...of, kept));
  }

  /** Erases the logins of principals that are gone: who gets the same id later is somebody else. */
  async eraseOwners(ids: ReadonlySet<string>): Promise<void> {
    await eraseOwned(await this.#deps.records(), 'grant', (_key, _server, owner) => !ids.has(owner));
    await this.#owned.reload(ids);
  }

  /** Forgets a server that was removed. */
  remove(server: string): void {
    this.#owned.remove(server);
  }

  close(): void {
    this.logins.close();
    this.#owned.close();
  }

  #create(config: OAuthServer, found: FoundServer, owner: string): OAuthCredential {
    const { auth, name } = config;
    const { log, records, shared, count, run, subject } = this.#deps;
    const obtain = machineGrant({
      auth,
      find: (challenge, signal) => found.get(challenge, {}, signal),
      client: () => this.#clientDeps(config),
      tokens: this.#tokens(config),
      run,
      now: this.#now,
      subject:
        subject && owner !== EVERYBODY ? (signal) => subject({ server: name, owner }, signal) : undefined,
    });
    return new OAuthCredential({
      server: name,
      auth,
      key: grantKey(name, config.url, owner),
      records,
      shared,
      log,
      now: this.#now,
      find: (challenge, since, signal) => found.get(challenge, { since }, signal),
      checkRegistration: ({ server }) => {
        checkRegistration(server, auth, this.#clientDeps(config));
      },
      client: (grant, signal) => this.#client(config, grant, signal),
      renew: ({ server, resource, refresh: token }, client, signal) =>
        refresh({ server, client, resource }, token, this.#tokens(config), signal),
      ...(obtain && { obtain }),
      forgetClient: (client) => this.#note(client, auth, undefined),
      count: (result) => {
        count.refreshed(name, result);
      },
    });
  }

  async #answered({ server, principal, chosen }: LoginWish, code: string | undefined): Promise<void> {
    const isUnknown = code === 'invalid_client';
    const { config } = this.#owned.at(server, principal);
    await this.#note(chosen.client, config.auth, isUnknown ? undefined : { unanswered: false });
  }

  /** Changes what is known about a client that the gateway has registered; undefined: forgets it. */
  async #note(
    client: Client,
    auth: OAuthConfig,
    change: { readonly unanswered: boolean } | undefined,
  ): Promise<void> {
    if (client.kind !== 'registered') return;
    await changeClient(await this.#deps.records(), client, this.#redirectUri(auth), change);
  }

  async #loggedIn({ server, serverUrl, principal }: LoginWish, grant: Grant): Promise<void> {
    const { config, credentials } = this.#owned.at(server, principal);
    if (config.url !== serverUrl)
      throw new CredentialProblem('config', `the url of '${server}' has changed: begin the login again`);
    const records = await this.#deps.records();
    const key = grantKey(server, serverUrl, principal);
    await alone(records, key, AbortSignal.timeout(LOCK_WAIT_MS), () => writeGrant(records, key, grant));
    await credentials.get(principal)?.reload();
    this.#deps.loggedIn?.(server, principal);
    const { issuer } = grant.server;
    this.#deps.log.info('logged in to a server', { server, issuer, scopes: grant.scopes.join(' ') });
  }

  /** The client of a grant; one that the configuration names is as it says today. */
  async #client(config: OAuthServer, grant: Grant, signal: AbortSignal): Promise<Client> {
    const { auth } = config;
    if (grant.client.kind !== 'given') return grant.client;
    if (auth.client_id !== grant.client.id)
      throw new CredentialProblem(
        'login',
        `the login was that of the client ${grant.client.id}, which auth.client_id is not any more`,
      );
    return (await clientFor(grant.server, auth, this.#clientDeps(config), signal)).client;
  }

  #clientDeps(config: OAuthServer): ClientDeps {
    const { auth } = config;
    const { fetch, records } = this.#deps;
    return {
      fetch,
      guard: guardOf(config),
      document: this.#document(auth),
      redirectUri: this.#redirectUri(auth),
      known: async (issuer, redirectUri) => {
        const known = await readClient(await records(), issuer, redirectUri);
        const isStale = known?.unanswered === true && known.registeredAt + STALE_CLIENT_MS <= this.#now();
        return isStale ? undefined : known;
      },
      alone: async (issuer, redirectUri, signal, work) =>
        alone(await records(), clientKey(issuer, redirectUri), signal, work),
      keep: async (asked, registered) => writeClient(await records(), asked, registered),
      now: this.#now,
      secret: () => secretFrom(auth.client_secret, 'auth', this.#deps.run, AbortSignal.timeout(SECRET_MS)),
    };
  }

  #redirectUri(auth: OAuthConfig): string {
    return auth.redirect_uri ?? this.#deps.redirectUri();
  }

  #document(auth: OAuthConfig): string | undefined {
    return auth.client_metadata_url ?? this.#deps.document();
  }

  #tokens(config: OAuthServer): TokenDeps {
    return { fetch: this.#deps.fetch, guard: guardOf(config), params: config.auth.params.token };
  }
}
