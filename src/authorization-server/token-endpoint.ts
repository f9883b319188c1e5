/** `/oauth/token` and `/oauth/revoke` (OAuth 2.1, 4.1.3 and 4.3; RFC 7009). All clients are public: what they send as a secret is ignored. */
import { accessToken } from './access-tokens.js';
import { once, scopeList } from './access-request.js';
import type { Client } from './clients.js';
import type { Confirmed, Grants, Renewed } from './grants.js';
import { OAuthProblem } from './problem.js';
import type { GrantRecord } from './records.js';
import type { Settings } from './settings.js';
import type { SigningKeys } from './signing-keys.js';
import { isRefreshToken, type Tickets } from './tickets.js';

export interface TokenEndpointDeps {
  readonly settings: () => Settings;
  readonly grants: Grants;
  readonly tickets: Tickets;
  readonly keys: SigningKeys;
  /** The kind of the client with an id, as far as it is known without asking anybody; undefined: there is no such client. */
  readonly kindOf: (clientId: string) => Client['kind'] | undefined;
  /** Asks the identity provider whether a person is still who he was. Rejects with an OAuthProblem if it does not answer. */
  readonly confirm: (record: GrantRecord) => Promise<Confirmed>;
  readonly now: () => number;
}

/** RFC 6749, 5.1 */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly scope: string;
}

export class TokenEndpoint {
  readonly #deps: TokenEndpointDeps;

  constructor(deps: TokenEndpointDeps) {
    this.#deps = deps;
  }

  /** Answers a token request. `authorization`: the header, which may name the client. Rejects with an OAuthProblem, or a StateError. */
  async token(form: URLSearchParams, authorization: string | undefined): Promise<TokenAnswer> {
    const grantType = once(form, 'grant_type');
    if (grantType === 'authorization_code') return this.#redeem(form, authorization);
    if (grantType === 'refresh_token') return this.#renew(form, authorization);
    throw new OAuthProblem(
      grantType === undefined ? 'invalid_request' : 'unsupported_grant_type',
      'grant_type must be authorization_code or refresh_token',
    );
  }

  /**
   * Ends the grant of a token, unless it is that of another client. Returns whether it is a token of this gateway. `mayVerify`: whether the
   * signature of an access token may be verified, which costs more than the MAC of a refresh token. Rejects with an OAuthProblem, or a
   * StateError.
   */
  async revoke(
    form: URLSearchParams,
    authorization: string | undefined,
    mayVerify: () => boolean,
  ): Promise<boolean> {
    const token = once(form, 'token');
    if (token === undefined) throw new OAuthProblem('invalid_request', 'token is missing');
    const clientId = clientIdIn(form, authorization);
    if (!isRefreshToken(token) && !mayVerify())
      throw new OAuthProblem('temporarily_unavailable', 'too many tokens that are none', { isGuess: true });
    const id = isRefreshToken(token)
      ? this.#deps.tickets.readRefreshToken(token)?.id
      : await this.#grantOf(token);
    if (id === undefined) return false;
    const record = await this.#deps.grants.get(id);
    if (record && (clientId === undefined || clientId === record.client.id))
      await this.#deps.grants.end(id, 'revoked');
    return true;
  }

  async #grantOf(token: string): Promise<string | undefined> {
    const claims = await this.#deps.keys.verify(token);
    const grant = claims?.['iss'] === this.#deps.settings().issuer ? claims['grant'] : undefined;
    return typeof grant === 'string' ? grant : undefined;
  }

  async #redeem(form: URLSearchParams, authorization: string | undefined): Promise<TokenAnswer> {
    const code = needed(form, 'code');
    const clientId = this.#client(form, authorization);
    const verifier = needed(form, 'code_verifier');
    const redeemed = await this.#deps.grants.redeem(code, {
      clientId,
      verifier,
      redirectUri: once(form, 'redirect_uri'),
      resource: resourceIn(form),
    });
    return this.#answer(redeemed, redeemed.record.scopes);
  }

  async #renew(form: URLSearchParams, authorization: string | undefined): Promise<TokenAnswer> {
    const token = needed(form, 'refresh_token');
    const clientId = this.#client(form, authorization);
    const asked = once(form, 'scope');
    const scopes = asked === undefined ? undefined : scopeList(asked);
    const shown = { clientId, resource: resourceIn(form), scopes };
    const renewed = await this.#deps.grants.renew(token, shown, this.#deps.confirm);
    return this.#answer(renewed, scopes ?? renewed.record.scopes);
  }

  /** The client that asks. Throws an OAuthProblem. */
  #client(form: URLSearchParams, authorization: string | undefined): string {
    const id = clientIdIn(form, authorization);
    if (id === undefined) throw new OAuthProblem('invalid_request', 'client_id is missing');
    if (this.#deps.kindOf(id) === undefined)
      throw new OAuthProblem('invalid_client', 'this client is not registered here: register again');
    return id;
  }

  #answer({ id, record, generation }: Renewed, scopes: readonly string[]): TokenAnswer {
    const { keys, settings, tickets, now } = this.#deps;
    const access = accessToken(keys, settings(), { id, record }, scopes, now());
    return {
      access_token: access.token,
      token_type: 'Bearer',
      expires_in: access.expiresIn,
      refresh_token: tickets.refreshToken(id, generation),
      scope: scopes.join(' '),
    };
  }
}

/** Throws an OAuthProblem. */
function needed(form: URLSearchParams, name: string): string {
  const value = once(form, name);
  if (value === undefined) throw new OAuthProblem('invalid_request', `${name} is missing`);
  return value;
}

/** Clients may send the parameter again. Throws an OAuthProblem. */
function resourceIn(form: URLSearchParams): string | undefined {
  const all = form.getAll('resource');
  if (all.length > 1) throw new OAuthProblem('invalid_target', 'resource is there twice');
  const [resource] = all;
  if (resource === undefined || resource === '') return undefined;
  return resource.endsWith('/') && !resource.endsWith('/-/') ? resource.slice(0, -1) : resource;
}

function clientIdIn(form: URLSearchParams, authorization: string | undefined): string | undefined {
  const named = once(form, 'client_id');
  if (named !== undefined) return named;
  // A client that was told `none` may still send an empty secret.
  const [, basic] = /^basic ([A-Za-z0-9+/=]{1,8192})$/i.exec(authorization ?? '') ?? [];
  const [user] = basic === undefined ? [] : Buffer.from(basic, 'base64').toString('utf8').split(':', 1);
  if (user === undefined || user === '') return undefined;
  try {
    return decodeURIComponent(user.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
