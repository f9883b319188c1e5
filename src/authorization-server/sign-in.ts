/**
 * A sign-in, as a browser sees it: the request of an application, the consent of the person, the way to the identity provider and back, and
 * the code for the application (OAuth 2.1, 4.1; RFC 9207).
 */
import type { Logger } from '../observe/log.js';
import type { SignInResult } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import type { ConsentPage, Sender, Step } from '../protocol/sign-in.js';
import { textOf, type JsonObject } from '../wire/json.js';
import { readAccessRequest, once, stateOf } from './access-request.js';
import { ClientProblem } from './client-problem.js';
import type { Client, Clients } from './clients.js';
import type { ClientRequest, Consents, Trip } from './consents.js';
import { hostOf, type Grants } from './grants.js';
import { PAGES } from './pages.js';
import { asPrincipal, mergeClaims, missingClaims, personOf } from './people.js';
import { OAuthProblem, type OAuthErrorCode } from './problem.js';
import { ProviderProblem } from './provider-problem.js';
import type { Answer, Provider } from './provider.js';
import { isLoopbackUri, matches, type Redirects } from './redirects.js';
import { callbackUrl, consoleRedirect, CONSOLE_CLIENT, providerOf, type Settings } from './settings.js';

export interface SignInDeps {
  readonly settings: () => Settings;
  readonly clients: Clients;
  readonly redirects: () => Redirects;
  readonly provider: () => Provider;
  readonly consents: Consents;
  readonly grants: Grants;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** The servers behind a resource; undefined: their names are not for everybody. */
  readonly serversAt: (resource: string) => readonly string[] | undefined;
  /** Whether a client may still have its answers there: a reload may have changed it. */
  readonly isClient: (request: Pick<ClientRequest, 'client' | 'redirectUri'>) => boolean;
  /** Whether `login.allow` names somebody. */
  readonly isAllowed: (principal: Principal) => boolean;
  readonly signedIn: (principal: string, client: string, host: string, address: string) => void;
  /** Somebody was refused. `reason`: for the log, where the result does not say it. */
  readonly refused: (result: SignInResult, address: string, reason?: string) => void;
}

export class SignIn {
  readonly #deps: SignInDeps;

  constructor(deps: SignInDeps) {
    this.#deps = deps;
  }

  /** `/oauth/authorize`. Never rejects with what a client has caused. */
  async authorize(parameters: URLSearchParams, sender: Sender, signal: AbortSignal): Promise<Step> {
    let client: Client | undefined;
    try {
      const id = once(parameters, 'client_id');
      client = id === undefined ? undefined : await this.#client(id, sender.address, signal);
    } catch (error) {
      return this.#clientRefused(error, sender);
    }
    if (!client) return this.#page('unknown_client', PAGES.unknownClient(), sender);
    const asked = parameters.getAll('redirect_uri');
    const [only] = client.redirectUris;
    const redirectUri =
      asked.length === 0 && client.redirectUris.length === 1
        ? only
        : asked.length === 1
          ? asked[0]
          : undefined;
    if (redirectUri === undefined || !this.#isRegistered(client, redirectUri))
      return this.#page('wrong_redirect', PAGES.wrongRedirect(shownUri(asked[0] ?? '')), sender);
    const { id, kind, name } = client;
    try {
      const request = {
        client: { id, kind, name },
        redirectUri,
        ...readAccessRequest(parameters, this.#deps.settings(), kind === 'console'),
      };
      return { page: this.#consentPage(request, client) };
    } catch (error) {
      if (!(error instanceof OAuthProblem)) throw error;
      this.#deps.refused('wrong_request', sender.address, error.code);
      return this.#early(redirectUri, stateOf(parameters), error);
    }
  }

  /** What the form of the consent page sends. */
  async consent(form: URLSearchParams, sender: Sender, signal: AbortSignal): Promise<Step> {
    const { settings, consents } = this.#deps;
    // A page of another site must not press the button, and a framed or opaque one has no origin.
    if (sender.origin !== new URL(settings().issuer).origin)
      return this.#page('foreign_origin', PAGES.elsewhere(), sender);
    const request = consents.readForm(form.get('request') ?? '');
    if (!request) return this.#page('not_started', PAGES.notStarted(), sender);
    if (!this.#deps.isClient(request)) return this.#page('unknown_client', PAGES.unknownClient(), sender);
    if (form.get('decision') !== 'allow') {
      this.#deps.refused('cancelled', sender.address);
      return this.#back(request, { error: 'access_denied' });
    }
    const trip = consents.begin(request);
    const cookies = consents.cookiesFor(trip, sender.cookie);
    if (!cookies) return this.#page('too_large', PAGES.tooLarge(), sender);
    try {
      const { state, nonce, verifier } = trip;
      const redirectUri = callbackUrl(settings());
      const location = await this.#deps
        .provider()
        .authorizationUrl({ redirectUri, state, nonce, verifier }, signal);
      return { location, cookies };
    } catch (error) {
      return this.#providerAway(error, sender);
    }
  }

  /** `/oauth/callback`: the browser is back from the identity provider. */
  async callback(returned: URLSearchParams, sender: Sender, signal: AbortSignal): Promise<Step> {
    const { consents } = this.#deps;
    const states = returned.getAll('state');
    const { trip, removal } = consents.finish(states.length === 1 ? (states[0] ?? '') : '', sender.cookie);
    const cookies = removal === undefined ? [] : [removal];
    if (!trip) return { ...this.#page('not_started', PAGES.notStarted(), sender), cookies };
    const { request } = trip;
    if (!this.#deps.isClient(request))
      return { ...this.#page('unknown_client', PAGES.unknownClient(), sender), cookies };
    try {
      return { ...(await this.#finish(trip, returned, sender, signal)), cookies };
    } catch (error) {
      if (!(error instanceof ProviderProblem)) throw error;
      const isDenied = error.kind === 'denied';
      this.#deps.refused(isDenied ? 'denied' : 'provider_failed', sender.address);
      if (!isDenied)
        this.#deps.log.warn('a sign-in failed at the identity provider', { error: error.message });
      return { ...this.#back(request, { error: isDenied ? 'access_denied' : 'server_error' }), cookies };
    }
  }

  async #finish(
    { request, state, nonce, verifier }: Trip,
    returned: URLSearchParams,
    sender: Sender,
    signal: AbortSignal,
  ): Promise<Step> {
    const { settings, provider, grants, isAllowed, now } = this.#deps;
    const redirectUri = callbackUrl(settings());
    const answer = await provider().exchange({ returned, state, nonce, verifier, redirectUri }, signal);
    const { login, prefix } = settings();
    const subject = textOf(answer.claims['sub']) ?? '';
    const claims = await claimsOf(provider(), settings(), answer, subject, signal);
    const person = personOf(login, claims);
    if ('problem' in person)
      return this.#page('unusable_claims', PAGES.notUsable(`${person.problem}: ${person.why}`), sender);
    const principal = asPrincipal(person, claims, prefix);
    if (!isAllowed(principal)) return this.#page('not_allowed', PAGES.notAllowed(person.name), sender);
    if (answer.refresh === undefined)
      this.#deps.log.warn('the identity provider gives no refresh token: this sign-in ends after 12 hours', {
        issuer: login.issuer,
      });
    const { client, resource, scopes, challenge } = request;
    const code = await grants.create({
      provider: providerOf(settings()),
      client,
      redirectUri: request.redirectUri,
      resource,
      scopes,
      person,
      subject,
      claims,
      confirmed: now(),
      refresh: answer.refresh,
      idToken: answer.idToken,
      idTokenExpires: answer.idTokenExpires,
      challenge,
    });
    this.#deps.signedIn(principal.id, client.name, hostOf(request.redirectUri), sender.address);
    return this.#back(request, { code });
  }

  async #client(id: string, address: string, signal: AbortSignal): Promise<Client> {
    if (id !== CONSOLE_CLIENT) return this.#deps.clients.find(id, { address, signal });
    return {
      id,
      kind: 'console',
      name: 'the console of this gateway',
      host: undefined,
      redirectUris: [consoleRedirect(this.#deps.settings())],
    };
  }

  #isRegistered({ kind, redirectUris }: Client, uri: string): boolean {
    if (kind === 'console') return redirectUris.includes(uri);
    // The pages of the gateway itself are nobody else's.
    if (uri.startsWith(`${this.#deps.settings().issuer}/`)) return false;
    return redirectUris.some((each) => matches(each, uri));
  }

  #consentPage(request: ClientRequest, client: Client): ConsentPage {
    const { settings, consents, serversAt } = this.#deps;
    const { redirectUri, resource, scopes } = request;
    return {
      kind: 'consent',
      form: consents.form(request),
      client: client.name,
      clientHost: client.kind === 'console' ? new URL(settings().issuer).host : client.host,
      answerTo: hostOf(redirectUri),
      redirectUri,
      warning: isLoopbackUri(redirectUri)
        ? 'loopback'
        : redirectUri.startsWith('https:') || client.kind === 'console'
          ? undefined
          : 'scheme',
      resource,
      servers: serversAt(resource),
      scopes,
      provider: new URL(settings().login.issuer).host,
    };
  }

  /** An answer before anybody has consented: only where the operator has named the host, or on this machine. */
  #early(redirectUri: string, state: string | undefined, error: OAuthProblem): Step {
    const location = this.#answerUrl(redirectUri, state, {
      error: error.code,
      error_description: error.message,
    });
    const { protocol, host, hostname } = new URL(redirectUri);
    const isNamed = protocol === 'https:' && this.#deps.redirects().namesHost(host);
    if (isNamed || isLoopbackUri(redirectUri)) return { location };
    return PAGES.withLink(`The request of the application is wrong: ${error.message}.`, {
      url: location,
      host: hostname === '' ? protocol : host,
    });
  }

  #back(
    { redirectUri, state }: ClientRequest,
    answer: { readonly code: string } | { readonly error: OAuthErrorCode },
  ): Step {
    return { location: this.#answerUrl(redirectUri, state, answer) };
  }

  #answerUrl(
    redirectUri: string,
    state: string | undefined,
    answer: Readonly<Record<string, string>>,
  ): string {
    const url = new URL(redirectUri);
    for (const [name, value] of Object.entries(answer)) url.searchParams.set(name, value);
    if (state !== undefined) url.searchParams.set('state', state);
    url.searchParams.set('iss', this.#deps.settings().issuer);
    return url.href;
  }

  #clientRefused(error: unknown, sender: Sender): Step {
    if (error instanceof OAuthProblem) return this.#page('unknown_client', PAGES.unknownClient(), sender);
    if (!(error instanceof ClientProblem)) throw error;
    switch (error.kind) {
      case 'unknown':
        return this.#page('unknown_client', PAGES.unknownClient(), sender);
      case 'limited':
        return this.#page('limited', PAGES.tooMany(error.retryAfter ?? 1), sender);
      case 'unreachable':
        return this.#page('client_unreachable', PAGES.clientProblem(503, error.text), sender);
      case 'refused':
        return this.#page('client_refused', PAGES.clientProblem(400, error.text), sender);
    }
  }

  #providerAway(error: unknown, sender: Sender): Step {
    if (!(error instanceof ProviderProblem)) throw error;
    this.#deps.log.warn('the identity provider cannot be used', { error: error.message });
    const { host } = new URL(this.#deps.settings().login.issuer);
    return this.#page('provider_failed', PAGES.away(host), sender);
  }

  #page(result: SignInResult, step: Step, { address }: Sender): Step {
    this.#deps.refused(result, address);
    return step;
  }
}

/** All that the identity provider says: the ID token, and what is missing there from userinfo. */
export async function claimsOf(
  provider: Provider,
  { login }: Settings,
  { claims, access }: Pick<Answer, 'claims' | 'access'>,
  subject: string,
  signal: AbortSignal,
): Promise<JsonObject> {
  if (missingClaims(login, claims).length === 0 || access === undefined) return claims;
  const more = await provider.userinfo(access, subject, signal);
  return more ? mergeClaims(claims, more) : claims;
}

/** A URI that somebody has made up, for a page: without spaces it cannot be sentences in the name of the gateway. */
function shownUri(uri: string): string {
  return uri === '' ? 'no address' : uri.slice(0, 512).replace(/[^\x21-\x7e]+/g, '?');
}
