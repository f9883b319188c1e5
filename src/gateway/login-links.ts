/** Links to the page where somebody logs in to a server: who gets one, what the page shows, and how it goes on. */
import { isPerUser, needsPerson, takesKey } from '../config/credentials.js';
import { isLoopback, isSecure } from '../config/index.js';
import type { Config, LoginServer } from '../config/types.js';
import { Offers, type Offer, type OffersDeps } from '../credentials/offers.js';
import { LOGIN_PATH, type LoginPage } from '../downstream/http/logins.js';
import {
  EVERYBODY,
  type LoginAsk,
  type LoginAttempt,
  type LoginOffer,
  type LoginOffers,
  type LoginPreview,
} from '../protocol/logins.js';
import type { Principal } from '../protocol/ports.js';
import { isPerson } from '../protocol/principal.js';

/** Finding the authorization server for the page. */
const LOOK_MS = 10_000;

export interface LoginLinksDeps extends Omit<OffersDeps, 'now'> {
  readonly config: () => Config;
  /** Where browsers reach the gateway; undefined: they do not. */
  readonly origin: () => string | undefined;
  /** Whether a principal may log in for everybody. */
  readonly mayLogIn: (principal: Principal) => boolean;
  preview(ask: LoginAsk, signal: AbortSignal): Promise<LoginPreview>;
  login(server: string, owner: string, scopes: readonly string[], signal: AbortSignal): Promise<LoginAttempt>;
  /** Keeps the key of a server. */
  setKey(server: string, owner: string, key: string): Promise<void>;
  /** Binds a login to the browser that goes on; undefined: it cannot be used any more. */
  bind(id: string): Promise<string | undefined>;
  /** Whether nobody has used a login yet. */
  isOpen(attempt: LoginAttempt): Promise<boolean>;
}

export class LoginLinks implements LoginOffers {
  readonly #deps: LoginLinksDeps;
  readonly #offers: Offers;

  constructor(deps: LoginLinksDeps) {
    this.#deps = deps;
    this.#offers = new Offers({ ...deps, now: Date.now });
  }

  offer(server: string, principal: Principal, scopes: readonly string[]): LoginOffer | undefined {
    const base = this.#base();
    const config = this.#server(server);
    const owner = config && ownerFor(config, principal);
    if (base === undefined || owner === undefined || !this.#mayGoOn(owner, principal)) return undefined;
    const { id, name } = principal;
    const offer = this.#offers.offer({ server, owner, principal: id, name, scopes });
    return { id: offer.id, url: base + LOGIN_PATH + offer.id };
  }

  done(id: string, signal: AbortSignal): Promise<boolean> {
    return this.#offers.done(id, signal);
  }

  /** Somebody has logged in, by a link or in another way. */
  loggedIn(server: string, owner: string): void {
    this.#offers.loggedIn(server, owner);
  }

  /** The principal whom a link was given to; undefined: there is no such link any more. */
  principalOf(id: string): string | undefined {
    return this.#offers.find(id)?.principal;
  }

  /** What the page of a link shows; undefined: there is no such link any more. */
  async page(id: string): Promise<LoginPage | undefined> {
    const offer = this.#valid(id);
    const config = offer && this.#server(offer.server);
    if (!offer || !config) return undefined;
    const common = {
      server: offer.server,
      serverHost: config.kind === 'http' ? new URL(config.url).host : undefined,
      takesKey: takesKey(config),
      by: this.#isOpen() ? undefined : offer.name,
      forEverybody: offer.owner === EVERYBODY,
    };
    const isDone = this.#offers.isDone(id) === true;
    if (isDone || common.takesKey) return { ...common, isDone, hosts: [], scopes: [], problem: undefined };
    try {
      const preview = await this.#deps.preview(offer, AbortSignal.timeout(LOOK_MS));
      return { ...common, isDone, ...preview, problem: undefined };
    } catch (error) {
      const { name, message } = error as Error;
      const problem =
        name === 'TimeoutError'
          ? `there was no answer within ${LOOK_MS / 1000} s: load this page again`
          : message;
      return { ...common, isDone, hosts: [], scopes: [], problem };
    }
  }

  /**
   * Begins the login of a link, or goes on with it in another browser. `principal`: who goes on; undefined: nobody has to say who he is.
   * Resolves with undefined if the link is not for him, or is over. Rejects with an Error whose message says why the login cannot begin.
   */
  async goOn(
    id: string,
    principal: Principal | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly attempt: LoginAttempt; readonly cookie: string } | undefined> {
    const offer = this.#usable(id, principal);
    if (!offer) return undefined;
    const { server, owner, scopes } = offer;
    const attempt = await this.#offers.attempt(
      id,
      (before) => this.#deps.isOpen(before),
      () => this.#deps.login(server, owner, scopes, signal),
    );
    if (!attempt) return undefined;
    if (!isSecure(new URL(attempt.url)))
      throw new Error(`the authorization server of '${server}' has a login page without https`);
    const cookie = await this.#deps.bind(attempt.id);
    if (cookie === undefined) throw new Error('the login has just ended: load the page again');
    return { attempt, cookie };
  }

  /** Whether a link is for a server that takes a key. */
  takesKey(id: string): boolean {
    const offer = this.#valid(id);
    const config = offer && this.#server(offer.server);
    return config !== undefined && takesKey(config);
  }

  /**
   * Sets the key that a link is for. `principal`: as for `goOn`. Resolves with the server; undefined: the link is not for him, or is over.
   * Rejects with an Error whose message says why the key is not kept.
   */
  async setKey(id: string, principal: Principal | undefined, key: string): Promise<string | undefined> {
    const offer = this.#usable(id, principal);
    if (!offer) return undefined;
    await this.#deps.setKey(offer.server, offer.owner, key);
    return offer.server;
  }

  close(): void {
    this.#offers.close();
  }

  /** Whether everybody who has a link may go on with it. */
  #isOpen(): boolean {
    return this.#deps.config().mcp.auth.mode === 'none';
  }

  /** An offer that may still be used: a reload may have changed who gets links. */
  #valid(id: string): Offer | undefined {
    const offer = this.#offers.find(id);
    const config = offer && this.#server(offer.server);
    if (!config || this.#base() === undefined) return undefined;
    return isPerUser(config) === (offer.owner !== EVERYBODY) ? offer : undefined;
  }

  /** The offer of a link that somebody goes on with. */
  #usable(id: string, principal: Principal | undefined): Offer | undefined {
    const offer = this.#valid(id);
    if (!offer || this.#isOpen()) return offer;
    const isOwn = principal?.id === offer.principal && this.#mayGoOn(offer.owner, principal);
    return isOwn ? offer : undefined;
  }

  #mayGoOn(owner: string, principal: Principal): boolean {
    return this.#isOpen() || owner !== EVERYBODY || this.#deps.mayLogIn(principal);
  }

  #server(name: string): LoginServer | undefined {
    const config = this.#deps.config().servers.find((each) => each.name === name);
    return config && needsPerson(config) ? config : undefined;
  }

  /** Where links lead to; undefined: there are none, because others could read what they carry, or could use them. */
  #base(): string | undefined {
    const { host } = this.#deps.config();
    const origin = this.#deps.origin();
    if (origin === undefined || (this.#isOpen() && !isLoopback(host))) return undefined;
    const url = new URL(origin);
    const isOwn = url.protocol === 'https:' || (isLoopback(url.hostname) && isLoopback(host));
    return isOwn ? origin : undefined;
  }
}

/** Whose login to a server a principal makes; undefined: it is no person whom the gateway can tell from others. */
export function ownerFor(config: LoginServer, principal: Principal): string | undefined {
  if (!isPerUser(config)) return EVERYBODY;
  return isPerson(principal) ? principal.id : undefined;
}
