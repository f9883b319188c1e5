/** An authorization server that takes assertions and exchanges tokens, and checks each request in full. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { generateKeyPair, importJWK, jwtVerify, SignJWT, type CryptoKey, type JWK } from 'jose';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { atEnd } from './cleanup.js';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const TYPE = 'urn:ietf:params:oauth:token-type:';
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

interface Rules {
  /** Whose assertions and subject tokens it takes. */
  readonly trusts: CryptoKey;
  /** Whom the tokens are for that are exchanged here; undefined: for this issuer. */
  audience?: string;
  /** `id:secret` of the clients that authenticate by Basic. */
  readonly basic?: string;
  /** What it calls the tokens that it exchanges for others, in place of the right type. */
  issuedType?: string;
}

export interface StrictIssuer {
  readonly issuer: string;
  readonly rules: Rules;
  /** The bodies of all token requests. */
  readonly requests: Record<string, string>[];
  /** Tokens that it gave. */
  readonly tokens: string[];
}

export async function keys() {
  return generateKeyPair('ES256', { extractable: true });
}

/** A JWT about `claims`. */
export async function signed(
  key: CryptoKey,
  claims: Record<string, unknown>,
  seconds = 300,
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ sub: 'ada', iat: now, exp: now + seconds, ...claims })
    .setProtectedHeader({ alg: 'ES256' })
    .sign(key);
}

/** `own`: signs the assertions that it gives. */
export async function startStrictIssuer(rules: Rules, own?: CryptoKey): Promise<StrictIssuer> {
  const requests: Record<string, string>[] = [];
  const tokens: string[] = [];
  const server = createServer((req, res) => {
    const answer = (status: number, body: object): void => {
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (req.url === '/.well-known/oauth-authorization-server')
      return answer(200, { issuer, token_endpoint: `${issuer}/token` });
    if (req.url !== '/token') return answer(404, {});
    let text = '';
    req.on('data', (piece: Buffer) => (text += piece.toString()));
    req.on('end', () => {
      const body = Object.fromEntries(new URLSearchParams(text));
      requests.push(body);
      judged(body, req.headers.authorization ?? '').then(
        (given) => {
          answer(200, given);
        },
        (error: unknown) => {
          const [code, why] = String((error as Error).message).split(': ');
          answer(code === 'invalid_client' ? 401 : 400, { error: code, error_description: why });
        },
      );
    });
  });
  const judged = async (body: Record<string, string>, authorization: string): Promise<object> => {
    const { grant_type: grant = '', resource, scope } = body;
    if (rules.basic !== undefined && authorization !== `Basic ${btoa(rules.basic)}`)
      throw new Error('invalid_client: wrong secret');
    const verified = async (jwt: string | undefined, code: string) =>
      jwtVerify(jwt ?? '', rules.trusts, { audience: rules.audience ?? issuer }).catch((error: unknown) => {
        throw new Error(`${code}: ${(error as Error).message}`);
      });
    if (grant === 'client_credentials') {
      if (body['client_assertion_type'] !== CLIENT_ASSERTION) throw new Error('invalid_client: no assertion');
      await verified(body['client_assertion'], 'invalid_client');
    } else if (grant === JWT_BEARER) await verified(body['assertion'], 'invalid_grant');
    else if (grant === TOKEN_EXCHANGE) {
      await verified(body['subject_token'], 'invalid_grant');
      const asked = body['requested_token_type'] ?? '';
      if (asked === `${TYPE}id-jag`) {
        if (!own || !body['audience'] || !resource)
          throw new Error('invalid_request: no audience or resource');
        return {
          access_token: await signed(own, { aud: body['audience'], resource }),
          issued_token_type: rules.issuedType ?? asked,
          token_type: 'N_A',
        };
      }
      if (asked !== `${TYPE}access_token`) throw new Error('invalid_request: requested_token_type');
    } else throw new Error(`unsupported_grant_type: ${grant}`);
    if (resource === undefined) throw new Error('invalid_target: no resource');
    const token = `token-${tokens.length + 1}`;
    tokens.push(token);
    return {
      access_token: token,
      token_type: 'Bearer',
      expires_in: 300,
      ...(scope !== undefined && { scope }),
      ...(grant === TOKEN_EXCHANGE && { issued_token_type: rules.issuedType ?? `${TYPE}access_token` }),
    };
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { issuer, rules, requests, tokens };
}

/** A server that takes the last token of an issuer. */
export async function guarded(issuer: () => StrictIssuer) {
  return createUpstream({
    tools: [tool('echo')],
    onHttp: (received, res) => {
      const { path, headers } = received;
      if (path.startsWith('/.well-known/oauth-protected-resource')) {
        const origin = `http://${headers.host ?? ''}`;
        res.end(JSON.stringify({ resource: `${origin}/mcp`, authorization_servers: [issuer().issuer] }));
        return true;
      }
      const isGood = headers.authorization === `Bearer ${issuer().tokens.at(-1) ?? ''}`;
      if (!isGood) res.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      return !isGood;
    },
  });
}

type Oidc = Awaited<ReturnType<typeof startOidc>>;

/** The identity provider of the callers, and the key that its tokens are verified with. */
export async function startCorp(): Promise<{ oidc: Oidc; trusts: CryptoKey }> {
  const oidc = await startOidc();
  atEnd(() => {
    oidc.close();
  });
  const { kty, n, e } = oidc.privateKey;
  return { oidc, trusts: (await importJWK({ kty, n, e } as JWK, 'RS256')) as CryptoKey };
}

/** A token of a caller for a gateway. */
export async function inboundFor({ issuer }: Oidc, resource: string): Promise<string> {
  const asked = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('machine:machine-secret')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope: 'read' }),
  });
  const { access_token: token } = (await asked.json()) as { access_token: string };
  return token;
}
