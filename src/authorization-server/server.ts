/**
 * The authorization server in the gateway: signs people in at an OpenID Connect provider for clients that register themselves, and gives them
 * tokens of its own. Answers are plain data; `downstream/http/sign-in.ts` sends them.
 */
import { PerSecond } from '../lib/per-second.js';
import { Tries } from '../lib/tries.js';
import type { Logger } from '../observe/log.js';
import type { SignInStats } from '../observe/stats.js';
import type { GrantView, OwnIssuer, SignInEvent } from '../protocol/authorization-server.js';
import type { Principal } from '../protocol/ports.js';
import type { JsonAnswer, Sender, SignInServer, Step } from '../protocol/sign-in.js';
import type { GuardedFetch, SmallFetch } from '../protocol/small-request.js';
import { ClientDocuments } from './client-documents.js';
import { Clients } from './clients.js';
import { confirmPerson } from './confirm.js';
import { Consents } from './consents.js';
import { Endings } from './endings.js';
import { Grants, hostOf, type GrantEnd } from './grants.js';
import { OAuthProblem } from './problem.js';
import { PAGES } from './pages.js';
import { Provider } from './provider.js';
import { isGrantId, type GrantRecord, type Records } from './records.js';
import { Redirects } from './redirects.js';
import { Seals } from './seals.js';
import { consoleRedirect, CONSOLE_CLIENT, metadataOf, providerOf, type Settings } from './settings.js';
import { SignIn } from './sign-in.js';
import { SigningKeys } from './signing-keys.js';
import { Tickets } from './tickets.js';
import { TokenEndpoint } from './token-endpoint.js';

export interface AuthorizationServerDeps {
  readonly settings: Settings;
  /** A key of 32 bytes for each line of the state key, the current one first. */
  readonly keys: readonly Buffer[];
  readonly records: () => Promise<Records>;
  readonly fetch: SmallFetch;
  readonly guardedFetch: GuardedFetch;
  readonly log: Logger;
  readonly stats: SignInStats;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** The servers behind a resource; undefined: their names are not for everybody. */
  readonly serversAt: (resource: string) => readonly string[] | undefined;
  /** Whether `login.allow` names somebody. */
  readonly isAllowed: (principal: Principal) => boolean;
  /** Grants have ended, here or in another process: their sessions and streams end. */
  readonly ended: (ids: ReadonlySet<string>) => void;
  /** For the audit log. */
  readonly happened: (event: SignInEvent) => void;
}

const REGISTRATIONS = { burst: 20, eachMs: 3000 };
const PAGE_VIEWS = { burst: 60, eachMs: 1000 };
const FAILURES = { burst: 20, eachMs: 1000 };
/** Beyond the life of access tokens: clocks differ. */
const SKEW_MS = 120_000;
const REQUEST_MS = 30_000;
/** Lines about refusals in a second. */
const MOST_LINES = 10;

export class AuthorizationServer implements OwnIssuer, SignInServer {
  readonly #deps: AuthorizationServerDeps;
  #settings: Settings;
  readonly #seals: Seals;
  readonly #keys: SigningKeys;
  readonly #endings: Endings;
  readonly #grants: Grants;
  readonly #tokens: TokenEndpoint;
  readonly #signIn: SignIn;
  readonly #registrations: Tries;
  readonly #views: Tries;
  readonly #failures: Tries;
  /** Lines about refusals. */
  readonly #lines: PerSecond;
  readonly #documents: ClientDocuments;
  readonly #clients: Clients;
  #provider: Provider;
  #redirects: Redirects;

  constructor(deps: AuthorizationServerDeps) {
    const { keys, log, now, stats, records, isAllowed } = deps;
    this.#deps = deps;
    this.#settings = deps.settings;
    const settings = (): Settings => this.#settings;
    this.#seals = new Seals(keys, deps.settings.issuer);
    this.#keys = new SigningKeys(keys);
    this.#registrations = new Tries({ ...REGISTRATIONS, now });
    this.#views = new Tries({ ...PAGE_VIEWS, now });
    this.#failures = new Tries({ ...FAILURES, now });
    this.#lines = new PerSecond(MOST_LINES, now);
    this.#provider = this.#createProvider();
    this.#redirects = new Redirects(deps.settings.login.redirects);
    this.#documents = new ClientDocuments({
      now,
      fetch: deps.guardedFetch,
      mayFetch: (address) => this.#mayFetch(address),
    });
    this.#clients = new Clients({
      now,
      seals: this.#seals,
      documents: this.#documents,
      settings: () => ({ register: this.#settings.login.register, redirects: this.#redirects }),
    });
    const tickets = new Tickets(this.#seals);
    this.#endings = new Endings({
      records,
      log,
      ended: deps.ended,
    });
    this.#grants = new Grants({
      ...{ records, tickets, log, now },
      endings: this.#endings,
      provider: () => providerOf(this.#settings),
      unusedMs: () => this.#settings.login.refresh_days * 86_400_000,
      tokenMs: () => this.#settings.login.access_minutes * 60_000 + SKEW_MS,
      isClient: (record) => this.#isClient(record),
      principalOf: (person) => this.#principalOf(person),
      withdraw: (record) => this.#withdraw(record),
      ended: (id, record, why) => {
        this.#ended(id, record, why);
      },
    });
    this.#tokens = new TokenEndpoint({
      ...{ settings, tickets, now },
      grants: this.#grants,
      keys: this.#keys,
      kindOf: (id) => (id === CONSOLE_CLIENT ? 'console' : this.#clients.kindOf(id)),
      confirm: (record) =>
        confirmPerson({ ...{ settings, isAllowed, log, now }, provider: () => this.#provider }, record),
    });
    this.#signIn = new SignIn({
      ...{ settings, log, now, isAllowed },
      clients: this.#clients,
      isClient: (request) => this.#isClient(request),
      redirects: () => this.#redirects,
      provider: () => this.#provider,
      consents: new Consents(this.#seals, now),
      grants: this.#grants,
      serversAt: deps.serversAt,
      signedIn: (principal, client, host, address) => {
        stats.results.add('success');
        log.info('signed in', { id: principal, client, host });
        deps.happened({ event: 'login', principal, client, host, address });
      },
      refused: (result, address, reason = result) => {
        stats.results.add(result);
        this.#refused(reason, address);
      },
    });
  }

  /** Reads what is stored. Resolves when tokens of grants that have ended are known. Never rejects. */
  async start(): Promise<void> {
    await this.#endings.start();
    void this.#grants.start();
    const signal = AbortSignal.timeout(REQUEST_MS);
    void this.#provider.metadata(signal).catch((error: unknown) => {
      const { issuer } = this.#settings.login;
      this.#deps.log.warn('the identity provider cannot be used now: nobody can sign in', {
        issuer,
        error: (error as Error).message,
      });
    });
  }

  /** Another configuration is in force. */
  use(settings: Settings): void {
    const before = this.#settings;
    this.#settings = settings;
    const [old, now] = [before.login, settings.login];
    if (JSON.stringify(idpOf(old)) !== JSON.stringify(idpOf(now))) {
      this.#provider.close();
      this.#provider = this.#createProvider();
    }
    this.#redirects = new Redirects(now.redirects);
    if (providerOf(before) !== providerOf(settings)) void this.#grants.sweep();
  }

  get metadata(): object {
    return metadataOf(this.#settings);
  }

  get jwks(): object {
    return { keys: this.#keys.publicKeys };
  }

  publicKeys(): Promise<readonly object[]> {
    return Promise.resolve(this.#keys.publicKeys);
  }

  isEnded(grant: string): boolean {
    return this.#endings.has(grant);
  }

  /** RFC 7591 */
  register(body: Buffer, { address }: Pick<Sender, 'address'>): JsonAnswer {
    const wait = this.#registrations.wait(address);
    if (wait > 0) {
      this.#deps.stats.clients.dcr.add('limited');
      return this.#tooMany('register', wait);
    }
    this.#registrations.add(address);
    const answer = this.#clients.register(body);
    this.#deps.stats.clients.dcr.add(answer.status === 201 ? 'success' : 'refused');
    return answer;
  }

  authorize(parameters: URLSearchParams, sender: Sender): Promise<Step> {
    return this.#view(sender, (signal) => this.#signIn.authorize(parameters, sender, signal));
  }

  consent(form: URLSearchParams, sender: Sender): Promise<Step> {
    return this.#view(sender, (signal) => this.#signIn.consent(form, sender, signal));
  }

  callback(returned: URLSearchParams, sender: Sender): Promise<Step> {
    return this.#view(sender, (signal) => this.#signIn.callback(returned, sender, signal));
  }

  /** `authorization`: the header. */
  token(form: URLSearchParams, authorization: string | undefined, sender: Sender): Promise<JsonAnswer> {
    const isRefresh = form.get('grant_type') === 'refresh_token';
    return this.#program('token', sender, async () => {
      try {
        const body = await this.#tokens.token(form, authorization);
        if (isRefresh) this.#deps.stats.renewals.add('success');
        return { status: 200, body };
      } catch (error) {
        if (isRefresh) this.#deps.stats.renewals.add(resultOf(error));
        throw error;
      }
    });
  }

  revoke(form: URLSearchParams, authorization: string | undefined, sender: Sender): Promise<JsonAnswer> {
    return this.#program('revoke', sender, async () => {
      const mayVerify = (): boolean => this.#failures.wait(sender.address) === 0;
      const isKnown = await this.#tokens.revoke(form, authorization, mayVerify);
      // RFC 7009, 2.2: that is no error. But a signature was verified for it.
      if (!isKnown) this.#failures.add(sender.address);
      return { status: 200 };
    });
  }

  /** The id of a client for `mcpstead grants client`. Throws an Error whose message says which URI is not allowed. */
  print(name: string, uris: readonly string[]): string {
    return this.#clients.print(name, uris);
  }

  /** Those of a principal; undefined: all. */
  async grants(principal?: string): Promise<readonly GrantView[]> {
    if (principal === undefined) return this.#grants.list();
    const { prefix } = this.#settings;
    if (!principal.startsWith(`${prefix}:`)) return [];
    return this.#grants.list(principal.slice(prefix.length + 1));
  }

  /** Ends a grant. Returns whether there was one. */
  async endGrant(id: string, why: 'operator' | 'revoked'): Promise<boolean> {
    return isGrantId(id) && this.#grants.end(id, why);
  }

  /** The ID token of the last refresh of a grant; undefined: there is none that counts. */
  async idToken(grant: string): Promise<{ readonly token: string; readonly expires: number } | undefined> {
    const record = await this.#grants.get(grant);
    const { idToken: token, idTokenExpires: expires } = record ?? {};
    if (token === undefined || expires === undefined || expires <= this.#deps.now()) return undefined;
    return { token, expires };
  }

  /** How many grants there are. */
  get size(): number {
    return this.#grants.size;
  }

  close(): void {
    this.#endings.close();
    this.#grants.close();
    this.#documents.close();
    this.#provider.close();
  }

  #createProvider(): Provider {
    const { fetch, log, now, stats } = this.#deps;
    return new Provider(this.#settings.login, {
      ...{ fetch, log, now },
      measured: (op, seconds) => {
        stats.measured(op, seconds);
      },
    });
  }

  /** New documents of clients cost as much as registrations. */
  #mayFetch(address: string): number {
    const wait = this.#registrations.wait(address);
    if (wait === 0) this.#registrations.add(address);
    else this.#deps.stats.clients.cimd.add('limited');
    return wait;
  }

  #isClient({ client: { kind, id }, redirectUri }: Pick<GrantRecord, 'client' | 'redirectUri'>): boolean {
    if (kind === 'console') return redirectUri === consoleRedirect(this.#settings);
    return this.#clients.check(kind, id, redirectUri);
  }

  /** `person`: his id at the identity provider. */
  #principalOf(person: string): string {
    return `${this.#settings.prefix}:${person}`;
  }

  async #view(sender: Sender, work: (signal: AbortSignal) => Promise<Step>): Promise<Step> {
    const wait = this.#views.wait(sender.address);
    if (wait > 0) {
      this.#deps.stats.limited.add('page');
      this.#deps.stats.results.add('limited');
      this.#refused('limited', sender.address);
      return PAGES.tooMany(wait);
    }
    this.#views.add(sender.address);
    try {
      return await work(AbortSignal.timeout(REQUEST_MS));
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.#failedNow(error);
      return PAGES.notNow();
    }
  }

  async #program(
    route: 'token' | 'revoke',
    { address }: Sender,
    work: () => Promise<JsonAnswer>,
  ): Promise<JsonAnswer> {
    try {
      return await work();
    } catch (error) {
      if (isPassing(error)) {
        this.#failedNow(error);
        return refusal(new OAuthProblem('temporarily_unavailable', 'try again later', { retryAfter: 5 }));
      }
      if (!(error instanceof OAuthProblem)) throw error;
      if (error.isGuess || error.code === 'invalid_client') {
        const wait = this.#failures.wait(address);
        if (wait > 0) return this.#tooMany(route, wait);
        this.#failures.add(address);
      }
      this.#refused(error.code, address);
      return refusal(error);
    }
  }

  #failedNow(error: Error): void {
    this.#deps.log.error('a sign-in cannot go on now', { error: error.message });
  }

  #tooMany(route: 'register' | 'token' | 'revoke', wait: number): JsonAnswer {
    this.#deps.stats.limited.add(route);
    return refusal(
      new OAuthProblem('temporarily_unavailable', `too many requests: wait ${wait} s`, { retryAfter: wait }),
      429,
    );
  }

  #refused(reason: string, address: string): void {
    if (!this.#lines.admits()) return;
    this.#deps.log.info('sign-in refused', { reason, address });
    this.#deps.happened({ event: 'login_refused', reason, address });
  }

  #ended(id: string, { person, client, redirectUri }: GrantRecord, reason: GrantEnd): void {
    const principal = this.#principalOf(person.id);
    this.#deps.log.info('grant ended', { id, reason });
    this.#deps.happened({
      event: 'grant_ended',
      grant: id,
      principal,
      client: client.name,
      host: hostOf(redirectUri),
      reason,
    });
  }

  async #withdraw({ provider, refresh }: GrantRecord): Promise<void> {
    // Another provider's token is not shown to this one.
    if (refresh === undefined || provider !== providerOf(this.#settings)) return;
    await this.#provider.revoke(refresh, AbortSignal.timeout(REQUEST_MS));
  }
}

/** Whether it may work later: the state cannot be read or written, or something took too long. */
function isPassing(error: unknown): error is Error {
  return error instanceof Error && (error.name === 'StateError' || error.name === 'TimeoutError');
}

/** What the requests to the identity provider depend on. */
function idpOf({ issuer, client_id, client_secret, scopes, params }: Settings['login']): unknown[] {
  return [issuer, client_id, client_secret, scopes, params];
}

function resultOf(error: unknown): 'refused' | 'unavailable' | 'error' {
  if (!(error instanceof OAuthProblem)) return 'error';
  return error.code === 'temporarily_unavailable' ? 'unavailable' : 'refused';
}

const STATUS: Readonly<Record<string, number>> = { invalid_client: 401, temporarily_unavailable: 503 };

function refusal({ code, message, retryAfter }: OAuthProblem, status = STATUS[code] ?? 400): JsonAnswer {
  return {
    status,
    body: { error: code, error_description: message },
    ...(retryAfter !== undefined && { headers: ['Retry-After', String(retryAfter)] }),
  };
}
