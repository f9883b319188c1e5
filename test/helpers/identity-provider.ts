/** An OpenID Connect provider that does what a test says, without a port. */
import { Provider, type ProviderDeps, type SignIn } from '../../src/authorization-server/provider.js';
import type { LoginConfig } from '../../src/config/types.js';
import type { LogFields } from '../../src/observe/log.js';
import type { SmallAnswer, SmallRequest } from '../../src/protocol/small-request.js';
import { createKey, type TestKey } from './issuer.js';

export const ISSUER = 'https://id.example/t';
export const SIGN_IN: SignIn = {
  redirectUri: 'https://gw.example/oauth/callback',
  state: 'state-of-this-sign-in',
  nonce: 'nonce-of-this-sign-in',
  verifier: 'verifier-of-this-sign-in-0123456789abcdefghi',
};

export const LOGIN: LoginConfig = {
  issuer: ISSUER,
  client_id: 'gw',
  client_secret: 'the-secret-of-gw',
  scopes: ['openid', 'email', 'offline_access'],
  params: {},
  claims: { id: 'sub', name: 'preferred_username', groups: 'groups' },
  keep: [],
  allow: [],
  register: ['cimd', 'dcr'],
  redirects: ['*'],
  access_minutes: 10,
  refresh_days: 30,
};

interface Reply {
  readonly status?: number;
  readonly headers?: SmallAnswer['headers'];
  /** JSON, or text as it is. */
  readonly body?: object | string;
}

type Script = (request: SmallRequest) => Reply | Promise<Reply> | undefined;

export async function startIdentityProvider(config: Partial<LoginConfig> = {}) {
  let now = Date.now();
  const asked: SmallRequest[] = [];
  const warnings: (LogFields | undefined)[] = [];
  const durations: [string, number][] = [];
  const key = await createKey('ES256', 'one');
  const idp = {
    asked,
    warnings,
    durations,
    /** What it signs with. */
    key,
    /** What it publishes. */
    keys: [key] as Pick<TestKey, 'jwk'>[],
    /** Replaces its metadata, or adds to it; undefined: absent. */
    metadata: {} as Record<string, unknown>,
    /** Adds to the claims of ID tokens, or replaces them. */
    claims: {} as Record<string, unknown>,
    /** Adds to answers with tokens, or replaces members. */
    tokens: {} as Record<string, unknown>,
    userinfo: { sub: 'ada', email: 'ada@example.com' } as Record<string, unknown>,
    /** Answers in place of it, by the last part of the path. */
    scripts: {} as Record<string, Script>,
    count: (end: string): number => asked.filter(({ url }) => url.endsWith(end)).length,
    pass(seconds: number): void {
      now += seconds * 1000;
    },
    idToken: (claims: object = {}, header: object = {}): Promise<string> => {
      const seconds = Math.floor(now / 1000);
      return idp.key.sign(
        {
          ...{ iss: ISSUER, aud: 'gw', sub: 'ada', iat: seconds, exp: seconds + 300, nonce: SIGN_IN.nonce },
          ...idp.claims,
          ...claims,
        },
        { ...header },
      );
    },
  };
  async function usual({ url }: SmallRequest): Promise<Reply> {
    if (url === `${ISSUER}/.well-known/openid-configuration`)
      return {
        body: {
          issuer: ISSUER,
          authorization_endpoint: 'https://id.example/authorize',
          token_endpoint: 'https://id.example/token',
          jwks_uri: 'https://id.example/jwks',
          userinfo_endpoint: 'https://id.example/userinfo',
          revocation_endpoint: 'https://id.example/revoke',
          id_token_signing_alg_values_supported: ['ES256', 'RS256', 'HS256', 'none'],
          authorization_response_iss_parameter_supported: true,
          ...idp.metadata,
        },
      };
    if (url.endsWith('/jwks')) return { body: { keys: idp.keys.map(({ jwk }) => jwk) } };
    if (url.endsWith('/token'))
      return {
        body: {
          access_token: 'access-token-1',
          token_type: 'Bearer',
          refresh_token: 'refresh-token-1',
          id_token: await idp.idToken(),
          ...idp.tokens,
        },
      };
    if (url.endsWith('/userinfo')) return { body: idp.userinfo };
    if (url.endsWith('/revoke')) return {};
    return { status: 404 };
  }
  const deps: ProviderDeps = {
    now: () => now,
    log: {
      debugEnabled: false,
      debug() {},
      info() {},
      warn: (_, fields) => void warnings.push(fields),
      error() {},
    },
    measured: (operation, seconds) => void durations.push([operation, seconds]),
    fetch: async (request, signal) => {
      asked.push(request);
      signal.throwIfAborted();
      const end = request.url.slice(request.url.lastIndexOf('/') + 1);
      const {
        status = 200,
        headers = {},
        body = '',
      } = (await idp.scripts[end]?.(request)) ?? (await usual(request));
      return { status, headers, body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) };
    },
  };
  return Object.assign(idp, { provider: new Provider({ ...LOGIN, ...config }, deps) });
}

export type TestIdentityProvider = Awaited<ReturnType<typeof startIdentityProvider>>;

/** What a browser brings back. */
export function returned(more: Record<string, string | undefined> = {}): URLSearchParams {
  const all = { code: 'the-code-of-this-sign-in', state: SIGN_IN.state, iss: ISSUER, ...more };
  return new URLSearchParams(
    Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}
