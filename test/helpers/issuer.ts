/** An issuer of access tokens that does what a test says: its keys, its tokens, and its answers, without a port. */
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import type { SmallFetch, SmallRequest } from '../../src/protocol/small-request.js';

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly jwk: Record<string, unknown>;
  readonly sign: (payload: JWTPayload, header?: Record<string, unknown>) => Promise<string>;
}

export async function createKey(alg = 'ES256', kid = `kid-${alg}`): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
  return {
    kid,
    alg,
    jwk,
    sign: (payload, header = {}) =>
      new SignJWT(payload).setProtectedHeader({ alg, kid, ...header }).sign(privateKey),
  };
}

export interface TestIssuer {
  readonly url: string;
  /** Its published keys. */
  keys: TestKey[];
  /** Replaces the answers to some URLs; throws as a connection that fails. */
  answer: (request: SmallRequest) => { status: number; body: string | object } | undefined;
  readonly fetch: SmallFetch;
  /** Exchanges so far, by the last part of the path. */
  count(end: string): number;
}

export function createIssuer(keys: TestKey[], url = 'https://id.example/t'): TestIssuer {
  const asked: string[] = [];
  const { origin, pathname } = new URL(url);
  const issuer: TestIssuer = {
    url,
    keys,
    answer: () => undefined,
    count: (end) => asked.filter((each) => each.endsWith(end)).length,
    fetch: (request) => {
      asked.push(request.url);
      return Promise.resolve().then(() => {
        const { status, body } = issuer.answer(request) ?? usual(request.url);
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        return { status, headers: {}, body: Buffer.from(text) };
      });
    },
  };
  function usual(asked: string): { status: number; body: string | object } {
    if (asked === `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`)
      return {
        status: 200,
        body: { issuer: url, jwks_uri: `${origin}/jwks`, introspection_endpoint: `${origin}/introspect` },
      };
    if (asked === `${origin}/jwks`) return { status: 200, body: { keys: issuer.keys.map(({ jwk }) => jwk) } };
    return { status: 404, body: 'nothing here' };
  }
  return issuer;
}
