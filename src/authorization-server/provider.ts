/**
 * The OpenID Connect provider that people sign in at (OpenID Connect Core 1.0, the code flow with PKCE): the only door of the authorization
 * server to oauth4webapi. Every answer is bounded in size and time, and checked before anything of it is returned.
 */
import * as oauth from 'oauth4webapi';
import type { LoginConfig } from '../config/types.js';
import { basicAuthentication } from '../lib/basic-authentication.js';
import { singleFlight, type SingleFlight } from '../lib/single-flight.js';
import { unlessAborted } from '../lib/within.js';
import type { Logger } from '../observe/log.js';
import type { SmallFetch, SmallRequest } from '../protocol/small-request.js';
import { readObject, type JsonObject } from '../wire/json.js';
import { bodyOf, codeOf, endOfIdToken, MOST_BYTES, type ProviderOperation } from './provider-answers.js';
import { ProviderKeys, type ReadKeys } from './provider-keys.js';
import { metadataUrl, readMetadata, type ProviderMetadata } from './provider-metadata.js';
import { ProviderProblem, refusedSignIn, visible } from './provider-problem.js';
import type { Answer, Refreshed, SignIn } from './provider-types.js';

export type { Answer, ProviderOperation, Refreshed, SignIn };

export interface ProviderDeps {
  /** Through the proxies of the environment. */
  readonly fetch: SmallFetch;
  /** Unix ms. */
  readonly now: () => number;
  readonly log: Logger;
  /** Gets the duration of each request, successful or not. */
  readonly measured: (operation: ProviderOperation, seconds: number) => void;
}

const DISCOVERY_MS = 10_000;
const REQUEST_MS = 20_000;
const REVOCATION_MS = 5000;
const METADATA_MS = 3_600_000;
const FAILURE_MS = 5000;
/** By which clocks may differ. */
const SKEW_S = 60;
/** Parameters that would replace all others (RFC 9101). */
const REQUEST_OBJECTS = ['request', 'request_uri'];

type ProviderConfig = Pick<LoginConfig, 'issuer' | 'client_id' | 'client_secret' | 'scopes' | 'params'>;

/** Metadata, and the keys that are read by it. */
interface Known {
  readonly metadata: ProviderMetadata;
  /** Unix ms. */
  readonly read: number;
  readonly keys: ProviderKeys;
  readonly server: oauth.AuthorizationServer;
}

/** A request by the library. `secrets`: what it holds and no error may repeat. */
interface Call {
  readonly operation: 'code' | 'refresh' | 'userinfo' | 'revocation';
  readonly known: Known;
  readonly secrets: readonly string[];
  readonly signal: AbortSignal;
}

/** A request for tokens. `keys`: at hand before it is sent. */
interface TokenCall extends Call {
  readonly keys: ReadKeys;
}

type Identity = Pick<Answer, 'claims' | 'idToken' | 'idTokenExpires'>;

export class Provider {
  readonly #config: ProviderConfig;
  readonly #deps: ProviderDeps;
  readonly #discovery: SingleFlight<Known>;
  #known: Known | undefined;
  #failure: { readonly problem: unknown; readonly at: number } | undefined;

  constructor(config: ProviderConfig, deps: ProviderDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#discovery = singleFlight((signal) => this.#discover(signal));
  }

  /** Stops the requests that callers share; their own end with their signals. */
  close(): void {
    this.#discovery.cancel(new Error('closed'));
    this.#known?.keys.close();
  }

  /** Read again after an hour; the last one that could be read outlives an outage. Rejects with a ProviderProblem. */
  async metadata(signal: AbortSignal): Promise<ProviderMetadata> {
    return (await this.#knowledge(signal)).metadata;
  }

  /** Where the browser is sent. Rejects with a ProviderProblem. */
  async authorizationUrl(signIn: SignIn, signal: AbortSignal): Promise<string> {
    const { client_id, scopes, params } = this.#config;
    const url = new URL((await this.#knowledge(signal)).metadata.authorization_endpoint);
    const set = {
      ...params,
      response_type: 'code',
      client_id,
      redirect_uri: signIn.redirectUri,
      scope: scopes.join(' '),
      state: signIn.state,
      nonce: signIn.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(signIn.verifier),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(set)) url.searchParams.set(name, value);
    for (const name of REQUEST_OBJECTS) url.searchParams.delete(name);
    return url.href;
  }

  /**
   * Checks what came back with the browser (RFC 9207, 2.4, before anything else is read), exchanges the code, and checks the ID token (OpenID
   * Connect Core, 3.1.3.7). Rejects with a ProviderProblem.
   */
  async exchange(
    { returned, ...signIn }: SignIn & { readonly returned: URLSearchParams },
    signal: AbortSignal,
  ): Promise<Answer> {
    const { nonce, verifier, redirectUri } = signIn;
    const known = await this.#knowledge(signal);
    const params = this.#returned(known, returned, signIn);
    const secrets = [verifier, nonce, params.get('code') ?? ''];
    const keys = await this.#keys(known.keys.current(signal));
    const call: TokenCall = { operation: 'code', known, keys, secrets, signal };
    return this.#attempt(call, async (server, client, options) => {
      const authentication = this.#authentication(known.metadata);
      const response = await oauth.authorizationCodeGrantRequest(
        server,
        client,
        authentication,
        params,
        redirectUri,
        verifier,
        options,
      );
      const answer = await oauth.processAuthorizationCodeResponse(server, client, response, {
        expectedNonce: nonce,
        requireIdToken: true,
      });
      const identity = await this.#identity(call, response, answer);
      if (!identity) throw new Error('no ID token');
      return { ...identity, refresh: answer.refresh_token, access: accessOf(answer) };
    });
  }

  /**
   * Asks for new tokens, and so whether the person may still sign in. An ID token must be for the same client, by the same issuer, about the
   * same `sub` (OpenID Connect Core, 12.2); the kind is `ended` if it is not. Rejects with a ProviderProblem.
   */
  async refresh(token: string, expected: { readonly sub: string }, signal: AbortSignal): Promise<Refreshed> {
    const known = await this.#knowledge(signal);
    const keys = await this.#keys(known.keys.current(signal));
    const call: TokenCall = { operation: 'refresh', known, keys, secrets: [token], signal };
    return this.#attempt(call, async (server, client, options) => {
      const authentication = this.#authentication(known.metadata);
      const response = await oauth.refreshTokenGrantRequest(server, client, authentication, token, options);
      const answer = await oauth.processRefreshTokenResponse(server, client, response);
      const identity = await this.#identity(call, response, answer);
      if (identity && identity.claims['sub'] !== expected.sub) throw this.#wrongIdToken('refresh', 'sub');
      return {
        claims: identity?.claims,
        idToken: identity?.idToken,
        idTokenExpires: identity?.idTokenExpires,
        refresh: answer.refresh_token ?? token,
        access: accessOf(answer),
      };
    });
  }

  /**
   * The claims of the userinfo endpoint (OpenID Connect Core, 5.3); undefined: there is none. Claims about another `sub` are refused with the
   * kind `identity`. Rejects with a ProviderProblem.
   */
  async userinfo(access: string, sub: string, signal: AbortSignal): Promise<JsonObject | undefined> {
    const known = await this.#knowledge(signal);
    if (known.metadata.userinfo_endpoint === undefined) return undefined;
    const call: Call = { operation: 'userinfo', known, secrets: [access], signal };
    return this.#attempt(call, async (server, client, options) => {
      const response = await oauth.userInfoRequest(server, client, access, options);
      return oauth.processUserInfoResponse(server, client, sub, response);
    });
  }

  /** Withdraws a refresh token (RFC 7009) within 5 s, if the identity provider can. Never rejects: a failure is a warning in the log. */
  async revoke(token: string, signal: AbortSignal): Promise<void> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(REVOCATION_MS)]);
    try {
      const known = await this.#knowledge(limited);
      if (known.metadata.revocation_endpoint === undefined) return;
      const call: Call = { operation: 'revocation', known, secrets: [token], signal: limited };
      await this.#attempt(call, async (server, client, options) => {
        const authentication = this.#authentication(known.metadata);
        const response = await oauth.revocationRequest(server, client, authentication, token, {
          ...options,
          additionalParameters: { token_type_hint: 'refresh_token' },
        });
        await oauth.processRevocationResponse(response);
      });
    } catch (error) {
      this.#deps.log.warn('cannot revoke a refresh token at the identity provider', {
        host: this.#host,
        error: (error as Error).message,
      });
    }
  }

  get #host(): string {
    const { issuer } = this.#config;
    return URL.canParse(issuer) ? new URL(issuer).host : visible(issuer);
  }

  async #knowledge(signal: AbortSignal): Promise<Known> {
    if (signal.aborted) throw this.#stopped();
    const isWithin = (at: number, ms: number): boolean => Math.abs(this.#deps.now() - at) < ms;
    if (this.#known && isWithin(this.#known.read, METADATA_MS)) return this.#known;
    if (this.#failure && isWithin(this.#failure.at, FAILURE_MS)) {
      if (this.#known) return this.#known;
      throw this.#failure.problem;
    }
    try {
      return await unlessAborted(this.#discovery.call(), signal);
    } catch (error) {
      throw error instanceof ProviderProblem ? error : this.#stopped();
    }
  }

  async #discover(signal: AbortSignal): Promise<Known> {
    const { issuer } = this.#config;
    try {
      const url = metadataUrl(issuer);
      const text = await this.#get('discovery', url, signal);
      const metadata = readMetadata(readObject(Buffer.from(text)) ?? {}, issuer);
      const { now } = this.#deps;
      const keys =
        this.#known?.metadata.jwks_uri === metadata.jwks_uri
          ? this.#known.keys
          : new ProviderKeys(metadata, (stop) => this.#get('jwks', metadata.jwks_uri, stop), now);
      this.#failure = undefined;
      this.#known = { metadata, read: now(), keys, server: { ...metadata } };
      return this.#known;
    } catch (error) {
      this.#failure = { problem: error, at: this.#deps.now() };
      if (!this.#known) throw error;
      this.#deps.log.warn('cannot read the metadata of the identity provider again: the last one is used', {
        host: this.#host,
        error: (error as Error).message,
      });
      return this.#known;
    }
  }

  async #get(operation: 'discovery' | 'jwks', url: string, signal: AbortSignal): Promise<string> {
    const headers = { accept: 'application/json' };
    const request = { url, method: 'GET', headers, timeoutMs: DISCOVERY_MS, maxBytes: MOST_BYTES } as const;
    return this.#send(operation, request, [], signal);
  }

  /** Sends a request. Resolves with the body, JSON. Rejects with a ProviderProblem. */
  async #send(
    operation: ProviderOperation,
    request: SmallRequest,
    secrets: readonly string[],
    signal: AbortSignal,
  ): Promise<string> {
    const { host } = new URL(request.url);
    const began = performance.now();
    const answer = await this.#deps
      .fetch(request, signal)
      .catch((error: unknown) => {
        if (signal.aborted) throw this.#stopped();
        const why = codeOf((error as Error).message, secrets);
        throw new ProviderProblem('away', host, `${host} does not answer: ${why}`);
      })
      .finally(() => {
        this.#deps.measured(operation, (performance.now() - began) / 1000);
      });
    return bodyOf({ host, operation, secrets, answer });
  }

  /** Runs requests of the library. Rejects with a ProviderProblem, without the causes of the library: they hold answers, and so tokens. */
  async #attempt<T>(
    { operation, known, secrets, signal }: Call,
    run: (
      server: oauth.AuthorizationServer,
      client: oauth.Client,
      options: ReturnType<typeof optionsFor>,
    ) => Promise<T>,
  ): Promise<T> {
    const hidden = [...secrets, this.#config.client_secret ?? ''];
    const timeoutMs = operation === 'revocation' ? REVOCATION_MS : REQUEST_MS;
    const options = optionsFor(async (url, { method, headers, body }) => {
      const request: SmallRequest = {
        url,
        method: method === 'POST' ? 'POST' : 'GET',
        headers: { ...headers, accept: 'application/json' },
        ...(body instanceof URLSearchParams && { body: body.toString() }),
        timeoutMs,
        maxBytes: MOST_BYTES,
      };
      return this.#send(operation, request, hidden, signal);
    });
    try {
      return await run(known.server, this.#client(), options);
    } catch (error) {
      if (error instanceof ProviderProblem) throw error;
      const cause = error instanceof Error ? (error.cause as Record<string, unknown> | undefined) : undefined;
      if (error instanceof oauth.OperationProcessingError) {
        if (error.code === oauth.JWT_CLAIM_COMPARISON)
          throw this.#wrongIdToken(operation, String(cause?.['claim']));
        if (error.code === oauth.JSON_ATTRIBUTE_COMPARISON)
          throw new ProviderProblem(
            'identity',
            this.#host,
            `${this.#host} answered userinfo about another sub than that of the ID token: it is not used`,
          );
      }
      throw new ProviderProblem(
        'config',
        this.#host,
        `${this.#host} gave an answer that is not usable: ${codeOf((error as Error).message, hidden)}`,
      );
    }
  }

  /** Whose answer this is (RFC 9207), before whether it is an error, before the code. */
  #returned(known: Known, returned: URLSearchParams, { state, nonce, verifier }: SignIn): URLSearchParams {
    try {
      const params = oauth.validateAuthResponse(known.server, this.#client(), returned, state);
      // The library takes an empty issuer for none.
      if (returned.get('iss') !== '' && params.getAll('code').length === 1 && params.get('code') !== '')
        return params;
    } catch (error) {
      if (error instanceof oauth.AuthorizationResponseError && returned.get('iss') !== '')
        throw refusedSignIn(this.#host, codeOf(error.error, [state, nonce, verifier]));
    }
    throw new ProviderProblem(
      'login',
      this.#host,
      `an answer to a sign-in is not from ${this.#host}, or is of another sign-in: it was not used`,
    );
  }

  /** The ID token of an answer that the library has processed, after its signature is verified; undefined: there is none. */
  async #identity(
    call: TokenCall,
    response: Response,
    answer: oauth.TokenEndpointResponse,
  ): Promise<Identity | undefined> {
    const claims = oauth.getValidatedIdTokenClaims(answer);
    const { id_token: idToken } = answer;
    if (!claims || idToken === undefined) return undefined;
    await this.#verify(call, response);
    const seconds = this.#deps.now() / 1000;
    const end = endOfIdToken(claims, this.#config.client_id, seconds, SKEW_S);
    if (typeof end === 'string') throw this.#wrongIdToken(call.operation, end);
    return { claims, idToken, idTokenExpires: end };
  }

  /** What a promise for keys resolves with. A code and a refresh token are used up once: keys that are away must show before. */
  async #keys(run: Promise<ReadKeys>): Promise<ReadKeys> {
    try {
      return await run;
    } catch (error) {
      throw error instanceof ProviderProblem ? error : this.#stopped();
    }
  }

  /** Verifies the signature of an ID token. Keys that were read before may be rotated since: they are read again, once. */
  async #verify({ known, keys, signal }: TokenCall, response: Response): Promise<void> {
    const verify = ({ server, text }: ReadKeys): Promise<void> =>
      oauth.validateApplicationLevelSignature(
        server as unknown as oauth.AuthorizationServer,
        response,
        optionsFor(() => Promise.resolve(text)),
      );
    try {
      await verify(keys);
    } catch {
      await verify(await this.#keys(known.keys.again(signal)));
    }
  }

  #wrongIdToken(operation: Call['operation'], claim: string): ProviderProblem {
    const isOther = operation === 'refresh' && ['iss', 'aud', 'azp', 'sub'].includes(claim);
    const kind = isOther ? 'ended' : claim === 'nonce' ? 'login' : 'config';
    const help = claim === 'iat' ? ': compare the clocks' : '';
    return new ProviderProblem(
      kind,
      this.#host,
      `${this.#host} gave an ID token with a wrong ${claim}${help}`,
    );
  }

  #stopped(): ProviderProblem {
    return new ProviderProblem('away', this.#host, `the request to ${this.#host} was stopped`);
  }

  #client(): oauth.Client {
    return {
      client_id: this.#config.client_id,
      [oauth.clockTolerance]: SKEW_S,
      [oauth.clockSkew]: Math.round((this.#deps.now() - Date.now()) / 1000),
    };
  }

  #authentication({
    token_endpoint_auth_methods_supported: methods = [],
  }: ProviderMetadata): oauth.ClientAuth {
    const { client_id, client_secret: secret } = this.#config;
    if (secret === undefined) return oauth.None();
    if (methods.length > 0 && !methods.includes('client_secret_basic')) return oauth.ClientSecretPost(secret);
    return (_server, _client, _body, headers) => {
      headers.set('authorization', basicAuthentication(client_id, secret));
    };
  }
}

/** For each request of the library: `send` resolves with the body of an answer that is good, JSON. */
function optionsFor(
  send: (url: string, options: oauth.CustomFetchOptions<string, unknown>) => Promise<string>,
) {
  return {
    // The metadata was checked for it.
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: async (url: string, options: oauth.CustomFetchOptions<string, unknown>) =>
      new Response(await send(url, options), { headers: { 'content-type': 'application/json' } }),
  };
}

function accessOf({ token_type, access_token }: oauth.TokenEndpointResponse): string | undefined {
  return token_type === 'bearer' ? access_token : undefined;
}
