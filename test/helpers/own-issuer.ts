/** The authorization server of a gateway at https://gw.example, as authentication sees it: its keys, its tokens, and its ended grants. */
import { providerOfLogin, type AuthConfig } from '../../src/config/index.js';
import { providerDigest, type OwnClaims, type OwnIssuer } from '../../src/protocol/authorization-server.js';
import { LOGIN as IDP_LOGIN } from './identity-provider.js';
import { createKey, type TestKey } from './issuer.js';

export const LOGIN: NonNullable<AuthConfig['login']> = {
  ...IDP_LOGIN,
  issuer: 'https://idp.example',
  client_secret: undefined,
  scopes: ['openid'],
  claims: { id: 'sub', name: 'name', groups: 'groups' },
};

export interface TestOwn extends OwnIssuer {
  keys: TestKey[];
  readonly ended: Set<string>;
  /** How often the keys were read. */
  reads: number;
  /** Replaces reading the keys. */
  read: (() => Promise<readonly object[]>) | undefined;
  /** Signs with the first key. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

export async function createOwn(keys?: TestKey[]): Promise<TestOwn> {
  const own: TestOwn = {
    keys: keys ?? [await createKey('ES256', 'own')],
    ended: new Set(),
    reads: 0,
    read: undefined,
    publicKeys: () => {
      own.reads++;
      return own.read ? own.read() : Promise.resolve(own.keys.map(({ jwk }) => jwk));
    },
    isEnded: (grant) => own.ended.has(grant),
    sign: (claims, header) => {
      const [key] = own.keys;
      if (!key) throw new Error('no key');
      return key.sign(claims, { typ: 'at+jwt', ...header });
    },
  };
  return own;
}

/** The claims of a token for the route `/mcp`. `now`: Unix seconds. */
export function ownClaims(
  now: number,
  more: Partial<Record<keyof OwnClaims, unknown>> = {},
): Record<string, unknown> {
  const claims: OwnClaims = {
    iss: 'https://gw.example',
    aud: 'https://gw.example/mcp',
    sub: 'u1',
    client_id: 'abcdefghijklmnop',
    scope: 'read',
    groups: ['dev'],
    name: 'Ada',
    kept: { tenant: 'a' },
    grant: 'g1',
    provider: providerDigest(providerOfLogin(LOGIN)),
    jti: 'j',
    iat: now,
    exp: now + 600,
  };
  return { ...claims, ...more };
}
