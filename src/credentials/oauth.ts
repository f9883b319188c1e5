/** The only door to oauth4webapi: the requests of OAuth 2.1 with the fetch of the gateway, and their answers as values. */
import * as oauth from 'oauth4webapi';
import { isWebAddress } from '../config/credentials.js';
import { withoutSecrets } from '../lib/echoed-secrets.js';
import { readRetryAfter } from '../lib/retry-after.js';
import { mayPass } from '../lib/may-pass.js';
import type { Guard, GuardedFetch } from '../protocol/small-request.js';
import { objectOf, readJson } from '../wire/json.js';
import { scopesOf } from '../protocol/challenge.js';
import { authenticationOf, type Client } from './client-authentication.js';
import { guarded, type ServerMetadata } from './discovery.js';
import { CredentialProblem, shown } from './problem.js';

export interface Tokens {
  readonly access: string;
  /** undefined: the one before stays, or there is none. */
  readonly refresh: string | undefined;
  /** Seconds; undefined: not said. */
  readonly expiresIn: number | undefined;
  /** undefined: those that were asked for. */
  readonly scopes: readonly string[] | undefined;
}

export interface TokenDeps {
  readonly fetch: GuardedFetch;
  readonly guard: Guard;
  /** `auth.params.token` */
  readonly params: Readonly<Record<string, string>>;
}

/** Where a token is for, in every request. */
export interface Target {
  readonly server: ServerMetadata;
  readonly client: Client;
  /** undefined: the parameter is not sent. */
  readonly resource: string | undefined;
}

const REQUEST_MS = 20_000;
const REVOKE_MS = 5000;
const MOST_BYTES = 262_144;
/** What a header can carry, and a server may be expected to read. */
const TOKEN = /^[\x21-\x7e]{1,16384}$/;
/** A life that is longer counts as this: ten years, in seconds. */
const LONGEST_LIFE_S = 315_360_000;

/** The secrets of one login attempt. */
export interface Proof {
  readonly state: string;
  readonly verifier: string;
}

export function createProof(): Proof {
  return { state: oauth.generateRandomState(), verifier: oauth.generateRandomCodeVerifier() };
}

/** Where the person is sent. */
export async function authorizationUrl(
  { server, client, resource }: Target,
  proof: Proof,
  options: {
    readonly redirectUri: string;
    readonly scopes: readonly string[];
    readonly params: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const url = new URL(server.authorization_endpoint ?? '');
  const set = {
    // OpenID Connect Core, 11: without it, offline access may be left out.
    ...(options.scopes.includes('offline_access') && { prompt: 'consent' }),
    ...options.params,
    response_type: 'code',
    client_id: client.id,
    redirect_uri: options.redirectUri,
    state: proof.state,
    code_challenge: await oauth.calculatePKCECodeChallenge(proof.verifier),
    code_challenge_method: 'S256',
    ...(options.scopes.length > 0 && { scope: options.scopes.join(' ') }),
    ...(resource !== undefined && { resource }),
  };
  for (const [name, value] of Object.entries(set)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * Checks what the authorization server sent back with the browser, and exchanges the code (RFC 9207, 2.4 before anything else is read).
 */
export async function exchangeCode(
  target: Target,
  proof: Proof,
  returned: URLSearchParams,
  redirectUri: string,
  deps: TokenDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const { server, client } = target;
  let params: URLSearchParams;
  try {
    params = oauth.validateAuthResponse(metadataFor(server), { client_id: client.id }, returned, proof.state);
  } catch (error) {
    throw refusedLogin(error, server.issuer);
  }
  const { verifier } = proof;
  return tokensOf(target, async (as, id, authentication) => {
    const options = optionsFor(target, deps, signal);
    return oauth.processAuthorizationCodeResponse(
      as,
      id,
      await oauth.authorizationCodeGrantRequest(
        as,
        id,
        authentication,
        params,
        redirectUri,
        verifier,
        options,
      ),
    );
  });
}

export async function refresh(
  target: Target,
  token: string,
  deps: TokenDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  return tokensOf(target, async (as, id, authentication) => {
    const options = optionsFor(target, deps, signal);
    return oauth.processRefreshTokenResponse(
      as,
      id,
      await oauth.refreshTokenGrantRequest(as, id, authentication, token, options),
    );
  });
}

/**
 * A token request of another grant. `issued`: what the answer must call the token (RFC 8693, 2.2.1); undefined: it says nothing of the kind.
 */
export async function requestTokens(
  target: Target,
  { grant, parameters }: { readonly grant: string; readonly parameters: Readonly<Record<string, string>> },
  deps: TokenDeps,
  signal: AbortSignal,
  issued?: { readonly type: string; readonly isAssertion: boolean },
): Promise<Tokens> {
  const options = optionsFor(target, deps, signal);
  const all = new URLSearchParams({ ...options.additionalParameters, ...parameters });
  return tokensOf(target, async (as, id, authentication) => {
    const answer = await oauth.processGenericTokenEndpointResponse(
      as,
      id,
      await oauth.genericTokenEndpointRequest(as, id, authentication, grant, all, options),
      { recognizedTokenTypes: issued?.isAssertion === true ? { n_a: () => undefined } : {} },
    );
    if (!issued) return answer;
    const { issued_token_type: type } = answer;
    if (type !== issued.type)
      throw new CredentialProblem(
        'config',
        `${shown(target.server.issuer)} gave a token of the type ${typeof type === 'string' ? shown(type) : 'nothing'}, not ${issued.type}`,
      );
    return issued.isAssertion ? { ...answer, token_type: 'bearer' } : answer;
  });
}

/** A login on another device (RFC 8628). */
export interface DeviceLogin {
  readonly code: string;
  /** What the person types. */
  readonly userCode: string;
  readonly url: string;
  /** The URL with the code in it, if there is one. */
  readonly completeUrl: string | undefined;
  /** Seconds. */
  readonly expiresIn: number;
  readonly interval: number;
}

export async function beginDevice(
  target: Target,
  scopes: readonly string[],
  deps: TokenDeps,
  signal: AbortSignal,
): Promise<DeviceLogin> {
  const { server, resource } = target;
  if (server.device_authorization_endpoint === undefined)
    throw new CredentialProblem(
      'config',
      `${shown(server.issuer)} has no login on another device: leave out --device`,
    );
  const parameters: Record<string, string> = {
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    ...(resource !== undefined && { resource }),
  };
  const answer = await attempt(target, async (as, id, authentication) => {
    const options = optionsFor({ server, resource: undefined }, { ...deps, params: {} }, signal);
    return oauth.processDeviceAuthorizationResponse(
      as,
      id,
      await oauth.deviceAuthorizationRequest(as, id, authentication, parameters, options),
    );
  });
  for (const url of [answer.verification_uri, answer.verification_uri_complete])
    if (url !== undefined && !isWebAddress(url, deps.guard.isLoopback))
      throw new CredentialProblem(
        'config',
        `${shown(server.issuer)} names a page for the login that is not https`,
      );
  return {
    code: answer.device_code,
    userCode: shown(answer.user_code),
    url: answer.verification_uri,
    completeUrl: answer.verification_uri_complete,
    expiresIn: answer.expires_in,
    interval: Math.min(Math.max(answer.interval ?? 5, 1), 60),
  };
}

/** undefined: not yet; `slower`: ask less often. */
export async function pollDevice(
  target: Target,
  code: string,
  deps: TokenDeps,
  signal: AbortSignal,
): Promise<Tokens | 'pending' | 'slower'> {
  try {
    return await tokensOf(target, async (as, id, authentication) => {
      const options = optionsFor(target, deps, signal);
      return oauth.processDeviceCodeResponse(
        as,
        id,
        await oauth.deviceCodeGrantRequest(as, id, authentication, code, options),
      );
    });
  } catch (error) {
    if (error instanceof CredentialProblem && error.code === 'authorization_pending') return 'pending';
    if (error instanceof CredentialProblem && error.code === 'slow_down') return 'slower';
    throw error;
  }
}

/** Withdraws a token (RFC 7009), if the server can. Rejects with a CredentialProblem. */
export async function revoke(
  target: Omit<Target, 'resource'>,
  token: string,
  kind: 'refresh_token' | 'access_token',
  deps: TokenDeps,
  signal: AbortSignal,
): Promise<void> {
  const { server } = target;
  if (server.revocation_endpoint === undefined) return;
  await attempt(target, async (as, id, authentication) => {
    const options = optionsFor(
      { server, resource: undefined },
      { ...deps, params: {} },
      signal,
      'revocation',
    );
    return oauth.processRevocationResponse(
      await oauth.revocationRequest(as, id, authentication, token, {
        ...options,
        additionalParameters: { token_type_hint: kind },
      }),
    );
  });
}

function metadataFor(server: ServerMetadata): oauth.AuthorizationServer {
  const { issuer, token_endpoint } = server;
  return {
    issuer,
    token_endpoint,
    ...(server.revocation_endpoint !== undefined && { revocation_endpoint: server.revocation_endpoint }),
    ...(server.device_authorization_endpoint !== undefined && {
      device_authorization_endpoint: server.device_authorization_endpoint,
    }),
    ...(server.authorization_response_iss_parameter_supported === true && {
      authorization_response_iss_parameter_supported: true,
    }),
  };
}

function optionsFor(
  { server: { issuer }, resource }: Pick<Target, 'server' | 'resource'>,
  { fetch, guard, params }: TokenDeps,
  signal: AbortSignal,
  purpose: 'tokens' | 'revocation' = 'tokens',
) {
  const timeoutMs = purpose === 'tokens' ? REQUEST_MS : REVOKE_MS;
  return {
    // Whether http is allowed is the guard's to say.
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: async (
      url: string,
      { method, headers, body }: oauth.CustomFetchOptions<string, unknown>,
    ) => {
      const request = {
        url,
        method: method as 'POST',
        headers: { ...headers, accept: 'application/json' },
        body: String(body),
        timeoutMs,
        maxBytes: MOST_BYTES,
      };
      try {
        const answer = await fetch(request, guard, signal);
        // Nothing in the answer matters (RFC 7009, 2.2).
        if (purpose === 'revocation' && answer.status >= 200 && answer.status < 300)
          return new Response(null, { status: 200 });
        return answerOf(answer, issuer, new URLSearchParams(request.body));
      } catch (error) {
        if (error instanceof CredentialProblem) throw error;
        if (signal.aborted) throw new CredentialProblem('temporary', 'the request was stopped');
        throw guarded(error, new URL(url).host);
      }
    },
    additionalParameters: { ...params, ...(resource !== undefined && { resource }) },
    signal,
  };
}

/** The answer in the one form that the library takes: JSON, with an error under 400. */
function answerOf(
  { status, body, headers }: Awaited<ReturnType<GuardedFetch>>,
  issuer: string,
  sent: URLSearchParams,
): Response {
  const retryAfter = headers['retry-after'];
  if (mayPass(status))
    throw new CredentialProblem('temporary', `${shown(issuer)} answered HTTP ${status}`, {
      retryAfterMs: typeof retryAfter === 'string' ? readRetryAfter(retryAfter) : undefined,
    });
  if (status === 200 && body.length === 0) return new Response(null, { status });
  const type = headers['content-type'];
  const isForm =
    typeof type === 'string' && type.toLowerCase().startsWith('application/x-www-form-urlencoded');
  const json = isForm
    ? Object.fromEntries(new URLSearchParams(body.toString('utf8')))
    : objectOf(readJson(body));
  if (!json) throw new CredentialProblem('config', `${shown(issuer)} answered HTTP ${status} without JSON`);
  // The gateway has no use for it, and does not check it.
  const { id_token: _, expires_in: life, ...rest }: Record<string, unknown> = json;
  const lifeS = typeof life === 'string' && life !== '' ? Number(life) : life;
  if (typeof lifeS === 'number' && lifeS > 0) rest['expires_in'] = Math.min(lifeS, LONGEST_LIFE_S);
  // Some servers write null, or nothing, for what they do not give, and scopes as a list.
  if (Array.isArray(rest['scope'])) rest['scope'] = rest['scope'].join(' ');
  for (const name of ['refresh_token', 'scope'])
    if (rest[name] === null || (name === 'refresh_token' && rest[name] === '')) delete rest[name];
  for (const name of ['error', 'error_description'])
    if (typeof rest[name] === 'string') rest[name] = withoutSecrets(rest[name], sent);
  const isError = typeof rest['error'] === 'string';
  return new Response(JSON.stringify(rest), {
    status: isError && status < 400 ? 400 : status,
    headers: { 'content-type': 'application/json' },
  });
}

/** A request by the library: the authorization server, the client, and how it authenticates, as the library takes them. */
type Request<T> = (
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  authentication: oauth.ClientAuth,
) => Promise<T>;

async function tokensOf(
  target: Pick<Target, 'server' | 'client'>,
  request: Request<oauth.TokenEndpointResponse>,
): Promise<Tokens> {
  const read = await attempt(target, request);
  const name = shown(target.server.issuer);
  if (read.token_type !== 'bearer')
    throw new CredentialProblem(
      'config',
      `${name} gives tokens of the type ${shown(read.token_type)}: only bearer works`,
    );
  if (!TOKEN.test(read.access_token) || (read.refresh_token !== undefined && !TOKEN.test(read.refresh_token)))
    throw new CredentialProblem('config', `${name} gave a token that a header cannot carry`);
  const { expires_in: expiresIn, scope } = read;
  return {
    access: read.access_token,
    refresh: read.refresh_token,
    expiresIn,
    scopes: scope === undefined ? undefined : scopesOf(scope),
  };
}

/** What the requests of the library reject with, as a CredentialProblem. */
async function attempt<T>(
  { server, client }: Pick<Target, 'server' | 'client'>,
  request: Request<T>,
): Promise<T> {
  try {
    const id = { client_id: client.id || 'none' };
    return await request(metadataFor(server), id, await authenticationOf(client));
  } catch (error) {
    const name = shown(server.issuer);
    const cause = causeOf(error);
    if (cause) throw cause;
    if (error instanceof oauth.ResponseBodyError) {
      const { error: code, error_description: text } = error;
      const passes = code === 'temporarily_unavailable' || code === 'server_error';
      throw new CredentialProblem(
        passes ? 'temporary' : OVER.has(code) ? 'login' : 'config',
        `${name} refuses: ${shown(code)}${text === undefined ? '' : ` (${shown(text)})`}`,
        { code },
      );
    }
    // Without the cause: it holds the answer, and with it tokens.
    throw new CredentialProblem(
      'config',
      `${name} gave an answer that is not usable: ${shown((error as Error).message)}`,
    );
  }
}

/** Errors that end a login; GitHub has a word of its own. */
const OVER = new Set(['invalid_grant', 'bad_refresh_token']);

function causeOf(error: unknown): CredentialProblem | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at instanceof CredentialProblem) return at;
  return undefined;
}

function refusedLogin(error: unknown, issuer: string): CredentialProblem {
  if (error instanceof oauth.AuthorizationResponseError) {
    const { error: code, error_description: text } = error;
    return new CredentialProblem(
      'login',
      `${shown(issuer)} refused the login: ${shown(code)}${text === undefined ? '' : ` (${shown(text)})`}`,
      // Whoever knows the state of a login can write this; that a client is unknown, only the token endpoint says.
      { code: code === 'invalid_client' ? undefined : code },
    );
  }
  return new CredentialProblem(
    'login',
    `the answer to the login does not come from ${shown(issuer)}: it was not used`,
  );
}
