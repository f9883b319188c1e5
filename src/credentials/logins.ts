/** Logins under way: each holds for ten minutes and is used once. */
import { randomBytes } from 'node:crypto';
import { isLoopbackHost } from '../config/credentials.js';
import type { LoginOutcome } from '../observe/stats.js';
import { EVERYBODY, UNKNOWN_LOGIN, type LoginAttempt, type LoginState } from '../protocol/logins.js';
import type { Found } from './discovery.js';
import type { Chosen } from './clients.js';
import {
  authorizationUrl,
  createProof,
  exchangeCode,
  type Proof,
  type TokenDeps,
  type Tokens,
} from './oauth.js';
import { CredentialProblem, shown } from './problem.js';
import { withTokens, type Grant } from './grants.js';

const LIFE_MS = 600_000;
/** Logins at a time; more replace the oldest. */
const MOST = 1000;
/** Logins of one owner that wait for their person; more replace the oldest of his own. */
const MOST_EACH = 50;
/** Logins on another device. */
const LONGEST_DEVICE_MS = 1_800_000;
const DEVICE_REQUEST_MS = 30_000;
const SLOWER_MS = 5000;

/** What a login is for. */
export interface LoginWish {
  readonly server: string;
  /** Of the server: another one gets none of its tokens. */
  readonly serverUrl: string;
  /** EVERYBODY, or the id of a principal. */
  readonly principal: string;
  readonly found: Found;
  readonly chosen: Chosen;
  readonly scopes: readonly string[];
  /** Every scope that was asked for before. */
  readonly asked: readonly string[];
  /** `auth.params.authorize` */
  readonly params: Readonly<Record<string, string>>;
  readonly tokens: TokenDeps;
}

interface Attempt {
  /** What others may see: neither the verifier nor the secret of a client. */
  readonly shown: LoginAttempt;
  readonly wish: LoginWish;
  readonly proof: Proof;
  /** The cookie of the browser that began; undefined: none has. */
  cookie: string | undefined;
  result: LoginState;
  /** The code is being exchanged, or was. */
  used: boolean;
  /** It ends on another device: no browser comes back. */
  readonly isHeld: boolean;
  readonly waiting: Set<() => void>;
}

/** How an answer of an authorization server has come back. */
export interface ReturnedBy {
  /** Of the browser. `isOfHost`: see LoginCookie. */
  readonly cookie?: { readonly value: string; readonly isOfHost: boolean } | undefined;
  /** A person has copied the address by hand. */
  readonly pasted?: boolean;
}

export interface LoginsDeps {
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** An authorization server has answered, so it knows the client. `code`: why it refuses the code for tokens. */
  answered(wish: LoginWish, code: string | undefined): Promise<void>;
  /** Somebody has logged in. */
  done(wish: LoginWish, grant: Grant): Promise<void>;
  readonly count: (server: string, result: LoginOutcome) => void;
}

export class Logins {
  readonly #deps: LoginsDeps;
  readonly #attempts = new Map<string, Attempt>();

  constructor(deps: LoginsDeps) {
    this.#deps = deps;
  }

  async begin(wish: LoginWish): Promise<LoginAttempt> {
    const proof = createProof();
    const { redirectUri, client } = wish.chosen;
    const { server, resource } = wish.found;
    const url = await authorizationUrl({ server, client, resource }, proof, {
      redirectUri,
      scopes: wish.scopes,
      params: wish.params,
    });
    return this.#add(wish, proof, url, { lifeMs: LIFE_MS, isHeld: false }).shown;
  }

  /** A login that ends on another device. `url`: where the person goes there. */
  hold(wish: LoginWish, url: string, lifeMs: number): LoginAttempt {
    const life = { lifeMs: Math.min(lifeMs, LONGEST_DEVICE_MS), isHeld: true };
    return this.#add(wish, createProof(), url, life).shown;
  }

  /** Asks for the tokens of a login that was held, until it has ended. Never rejects. */
  async poll(
    id: string,
    intervalMs: number,
    ask: (signal: AbortSignal) => Promise<Tokens | 'pending' | 'slower'>,
  ): Promise<void> {
    const attempt = this.#attempts.get(id);
    let ms = intervalMs;
    while (attempt?.result.state === 'waiting') {
      await new Promise((resolve) => setTimeout(resolve, ms).unref());
      if (resultOf(attempt).state !== 'waiting') return;
      if (attempt.shown.expires <= this.#deps.now()) return this.#expire(attempt);
      try {
        const got = await ask(AbortSignal.timeout(DEVICE_REQUEST_MS));
        if (got === 'slower') ms += SLOWER_MS;
        if (typeof got !== 'string') await this.#succeeded(attempt, got);
      } catch (error) {
        // It may answer the next time.
        if (error instanceof CredentialProblem && error.kind === 'temporary') continue;
        await this.#failed(attempt, error);
      }
    }
  }

  /** Without a wait: the limit holds for logins that begin at once, too. */
  #add(
    wish: LoginWish,
    proof: Proof,
    url: string,
    { lifeMs, isHeld }: { readonly lifeMs: number; readonly isHeld: boolean },
  ): Attempt {
    this.#forgetOld(wish.principal);
    const shown: LoginAttempt = {
      id: randomBytes(16).toString('base64url'),
      server: wish.server,
      principal: wish.principal,
      issuer: wish.found.server.issuer,
      scopes: wish.scopes,
      redirectUri: wish.chosen.redirectUri,
      url,
      expires: this.#deps.now() + lifeMs,
    };
    const attempt: Attempt = {
      shown,
      wish,
      proof,
      cookie: undefined,
      result: { state: 'waiting' },
      used: isHeld,
      isHeld,
      waiting: new Set(),
    };
    this.#attempts.set(shown.id, attempt);
    return attempt;
  }

  /** undefined: there is none with this id, or its time is over. */
  find(id: string): LoginAttempt | undefined {
    return this.#valid(this.#attempts.get(id))?.shown;
  }

  stateOf(id: string): LoginState | undefined {
    const attempt = this.#attempts.get(id);
    if (attempt && !attempt.used && !this.#valid(attempt)) this.#expire(attempt);
    return attempt?.result;
  }

  /** Binds a login to the browser that goes on with it. Returns the value of its cookie; a later browser replaces an earlier one. */
  bind(id: string): string | undefined {
    const attempt = this.#valid(this.#attempts.get(id));
    if (!attempt || attempt.used) return undefined;
    return (attempt.cookie = randomBytes(16).toString('base64url'));
  }

  /** Resolves when the login has ended, or when the signal aborts. */
  async ended(id: string, signal: AbortSignal): Promise<LoginState | undefined> {
    const attempt = this.#attempts.get(id);
    if (!attempt || this.stateOf(id)?.state !== 'waiting' || signal.aborted) return attempt?.result;
    await new Promise<void>((resolve) => {
      const over = (): void => {
        attempt.waiting.delete(over);
        signal.removeEventListener('abort', over);
        clearTimeout(timer);
        resolve();
      };
      const left = attempt.shown.expires - this.#deps.now();
      const timer = setTimeout(over, Math.min(left, LIFE_MS)).unref();
      attempt.waiting.add(over);
      signal.addEventListener('abort', over, { once: true });
    });
    return this.stateOf(id) ?? attempt.result;
  }

  /** The login that an answer of the authorization server belongs to. */
  of(returned: URLSearchParams): LoginAttempt | undefined {
    return this.#valid(this.#byState(returned))?.shown;
  }

  /**
   * Takes the answer of the authorization server. Rejects with a CredentialProblem.
   */
  async finish(returned: URLSearchParams, by: ReturnedBy, signal: AbortSignal): Promise<LoginAttempt> {
    const attempt = this.#valid(this.#byState(returned));
    if (!attempt || attempt.used) throw new CredentialProblem('login', UNKNOWN_LOGIN);
    const { protocol, hostname } = new URL(attempt.shown.redirectUri);
    const { cookie } = by;
    // Over https only the cookie with the prefix counts: another site of the same domain can set any other one.
    const isOwn =
      cookie !== undefined && attempt.cookie === cookie.value && (cookie.isOfHost || protocol !== 'https:');
    // Another person's browser must not bind his account. At a loopback address only this machine can come back, which several users may share.
    const isThisMachine = isLoopbackHost(hostname) && attempt.shown.principal === EVERYBODY;
    if (!isOwn && by.pasted !== true && !isThisMachine)
      throw new CredentialProblem(
        'login',
        'this browser did not begin the login: paste the address of this page into the terminal where mcpstead login waits',
        {
          code: 'other_browser',
        },
      );
    attempt.used = true;
    const { found, chosen, tokens } = attempt.wish;
    const target = { server: found.server, client: chosen.client, resource: found.resource };
    const { redirectUri } = attempt.shown;
    try {
      const got = await exchangeCode(target, attempt.proof, returned, redirectUri, tokens, signal);
      await this.#succeeded(attempt, got);
    } catch (error) {
      throw await this.#failed(attempt, error);
    }
    return attempt.shown;
  }

  async #succeeded(attempt: Attempt, got: Tokens): Promise<void> {
    const { wish } = attempt;
    const { found, chosen, scopes, asked, server } = wish;
    await this.#deps.answered(wish, undefined).catch(() => undefined);
    const base = {
      server: found.server,
      client: storable(chosen.client),
      login: randomBytes(12).toString('base64url'),
      resource: found.resource,
      scopes,
      asked: [...new Set([...asked, ...scopes])],
    };
    await this.#deps.done(wish, withTokens(base, got, this.#deps.now()));
    this.#end(attempt, { state: 'done' });
    this.#deps.count(server, 'success');
  }

  async #failed(attempt: Attempt, error: unknown): Promise<CredentialProblem> {
    const { wish } = attempt;
    const problem =
      error instanceof CredentialProblem
        ? error
        : new CredentialProblem('temporary', `the login failed: ${shown(String(error))}`, { cause: error });
    const { code, message } = problem;
    this.#end(attempt, { state: 'failed', text: message });
    if (code !== undefined) await this.#deps.answered(wish, code).catch(() => undefined);
    this.#deps.count(wish.server, code === 'access_denied' ? 'denied' : 'refused');
    return problem;
  }

  close(): void {
    for (const attempt of this.#attempts.values())
      this.#end(attempt, { state: 'failed', text: 'the gateway is shutting down' });
    this.#attempts.clear();
  }

  #end(attempt: Attempt, result: LoginState): void {
    if (attempt.result.state === 'waiting') attempt.result = result;
    attempt.used = true;
    for (const over of [...attempt.waiting]) over();
  }

  #byState(returned: URLSearchParams): Attempt | undefined {
    const states = returned.getAll('state');
    if (states.length !== 1) return undefined;
    for (const attempt of this.#attempts.values()) if (attempt.proof.state === states[0]) return attempt;
    return undefined;
  }

  #valid(attempt: Attempt | undefined): Attempt | undefined {
    return attempt && attempt.shown.expires > this.#deps.now() ? attempt : undefined;
  }

  #expire(attempt: Attempt): void {
    if (attempt.result.state !== 'waiting') return;
    this.#end(attempt, { state: 'failed', text: 'its 10 minutes are over' });
    this.#deps.count(attempt.shown.server, 'expired');
  }

  /** Makes room for a login of an owner. */
  #forgetOld(principal: string): void {
    const own: Attempt[] = [];
    for (const [id, attempt] of this.#attempts) {
      const isWaiting = attempt.result.state === 'waiting';
      if (isWaiting && attempt.used && !attempt.isHeld) continue;
      if (!this.#valid(attempt) || this.#attempts.size >= MOST) {
        this.#attempts.delete(id);
        this.#expire(attempt);
      } else if (isWaiting && attempt.shown.principal === principal) own.push(attempt);
    }
    for (const attempt of own.slice(0, Math.max(0, own.length - MOST_EACH + 1))) {
      this.#attempts.delete(attempt.shown.id);
      this.#end(attempt, { state: 'failed', text: `${MOST_EACH} others were begun since: begin it again` });
      this.#deps.count(attempt.shown.server, 'expired');
    }
  }
}

/** It may have ended meanwhile. */
function resultOf({ result }: Attempt): LoginState {
  return result;
}

/** What the configuration names is not stored: it may change there. */
function storable(client: Chosen['client']): Chosen['client'] {
  return client.kind === 'given' ? { ...client, authentication: { method: 'none' } } : client;
}
