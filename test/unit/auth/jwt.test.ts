import { SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuthConfig } from '../../../src/config/index.js';
import {
  authenticator,
  bearer,
  issuerConfig,
  type Stage,
  type Verdict,
} from '../../helpers/authenticator.js';
import { createIssuer, createKey, type TestIssuer, type TestKey } from '../../helpers/issuer.js';

let key: TestKey;
let rsa: TestKey;
beforeAll(async () => {
  [key, rsa] = await Promise.all([createKey('ES256'), createKey('RS256')]);
});

interface Issuing extends Stage {
  readonly issuer: TestIssuer;
  ask(token: string, path?: string): Promise<Verdict>;
}

function issuing(
  config: Partial<AuthConfig['issuers'][number]> = {},
  more: Partial<AuthConfig> = {},
  options: { publicUrl?: string | null } = {},
): Issuing {
  const issuer = createIssuer([key, rsa]);
  const stage = authenticator(
    { issuers: [issuerConfig(config)], ...more },
    { fetch: issuer.fetch, ...options },
  );
  return Object.assign(stage, {
    issuer,
    ask: async (token: string, path = '/mcp') => stage.auth.authenticate(bearer(token), path),
  });
}

const NOW = Date.UTC(2026, 10, 1) / 1000;
const claims = (more: Record<string, unknown> = {}) => ({
  iss: 'https://id.example/t',
  aud: 'https://gw.example/mcp',
  sub: 'u1',
  exp: NOW + 300,
  iat: NOW,
  ...more,
});
const METADATA = 'resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp"';
const refused = (reason: string) => ({
  status: 401,
  reason,
  challenge: `Bearer error="invalid_token", error_description="${reason.replaceAll('_', ' ')}", ${METADATA}`,
});

describe('a token of an issuer', () => {
  it('admits the person that it is about, with what the configuration asks for', async () => {
    const stage = issuing(
      {
        keep: ['tenant', 'absent', 'https://a.example/x'],
        claims: { id: 'sub', name: 'name', groups: 'realm_access.roles' },
      },
      { implies: { write: ['read'] } },
    );
    const token = await key.sign(
      claims({
        name: 'Ada',
        realm_access: { roles: ['dev', 'ops'] },
        scope: 'write  other',
        tenant: { id: 7 },
        'https://a.example/x': 1,
        secret: 'not kept',
      }),
    );
    const principal = await stage.ask(token);
    expect(principal).toEqual({
      id: 'corp:u1',
      kind: 'token',
      name: 'Ada',
      groups: ['dev', 'ops'],
      scopes: ['write', 'other', 'read'],
      claims: { tenant: { id: 7 }, 'https://a.example/x': 1 },
      credential: expect.stringMatching(/^[\w-]{22}\.[\w-]{22}$/) as string,
      expires: (NOW + 360) * 1000,
    });
    // Seen: the same object, at once.
    expect(stage.auth.authenticate(bearer(token), '/mcp')).toBe(principal);
    expect(stage.auth.authenticate(bearer(token), '/sse')).toBe(principal);
    expect(stage.issuer.count('jwks')).toBe(1);
  });

  it.each(['ES256', 'RS256'])('may be signed with %s', async (alg) => {
    const signer = alg === 'ES256' ? key : rsa;
    expect(await issuing().ask(await signer.sign(claims()))).toMatchObject({ id: 'corp:u1', name: 'u1' });
  });

  it.each([
    [{ typ: 'JWT' }, {}, true],
    [{ typ: 'at+jwt' }, {}, true],
    [{ typ: 'application/AT+JWT' }, {}, true],
    [{ typ: 'logout+jwt' }, {}, false],
    [{}, { typ: 'at+jwt' as const }, false],
    [{ typ: 'JWT' }, { typ: 'at+jwt' as const }, false],
    [{ typ: 'at+jwt' }, { typ: 'at+jwt' as const }, true],
  ])('with the header %j is judged by %j: %j', async (header, config, admitted) => {
    const verdict = await issuing(config).ask(await key.sign(claims(), header));
    expect(verdict).toMatchObject(admitted ? { id: 'corp:u1' } : { reason: 'bad_format' });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['exp', { exp: NOW - 60 }, 'expired'],
    ['no exp', { exp: undefined }, 'bad_format'],
    ['exp as text', { exp: String(NOW + 300) }, 'bad_format'],
    ['nbf', { nbf: NOW + 61 }, 'not_yet_valid'],
    ['iat', { iat: NOW + 61 }, 'not_yet_valid'],
    ['nbf as text', { nbf: 'soon' }, 'bad_format'],
    ['another issuer', { iss: 'https://evil.example' }, 'unknown_issuer'],
    ['an issuer with a slash more', { iss: 'https://id.example/t/' }, 'unknown_issuer'],
    ['no issuer', { iss: undefined }, 'unknown_issuer'],
    ['another audience', { aud: 'https://other.example/mcp' }, 'wrong_audience'],
    ['no audience', { aud: undefined }, 'wrong_audience'],
    ['an audience that is not text', { aud: ['https://gw.example/mcp', 7] }, 'wrong_audience'],
    ['an audience that begins like it', { aud: 'https://gw.example/mcp2' }, 'wrong_audience'],
    ['cnf', { cnf: { jkt: 'x' } }, 'bound_token'],
    ['cnf null', { cnf: null }, 'bound_token'],
    ['no sub', { sub: undefined }, 'bad_format'],
    ['an empty sub', { sub: '' }, 'bad_format'],
    ['a sub with a line break', { sub: 'a\nb' }, 'bad_format'],
    ['a sub that is an object', { sub: { a: 1 } }, 'bad_format'],
    ['201 groups', { groups: Array.from({ length: 201 }, (_, i) => `g${i}`) }, 'bad_format'],
    ['groups that are not text', { groups: ['a', {}] }, 'bad_format'],
    ['groups elsewhere', { _claim_names: { groups: 'src1' } }, 'bad_format'],
    ['201 scopes', { scope: 'a '.repeat(201) }, 'bad_format'],
  ])('with %s is refused', async (_what, more, reason) => {
    const stage = issuing();
    expect(await stage.ask(await key.sign(claims(more)))).toEqual(refused(reason));
    expect(stage.lines).toContainEqual([
      'authentication refused',
      expect.objectContaining({ reason, address: '192.0.2.7' }),
    ]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['exp within the skew', { exp: NOW - 59 }],
    ['nbf and iat within the skew', { nbf: NOW + 60, iat: NOW + 60 }],
    ['several audiences', { aud: ['x', 'https://gw.example/mcp'] }],
    ['the public URL as audience', { aud: 'https://gw.example' }],
    ['the public URL with a slash', { aud: 'https://gw.example/' }],
    ['the route with a slash', { aud: 'https://gw.example/mcp/' }],
    ['the stream of the route', { aud: 'https://gw.example/sse' }],
    ['a configured audience', { aud: 'api://gw' }],
    ['200 groups', { groups: Array.from({ length: 200 }, (_, i) => `g${i}`) }],
    ['one group', { groups: 'dev' }],
    ['scp as a list', { scp: ['a', 'b'] }],
  ])('with %s is admitted', async (_what, more) => {
    const stage = issuing({ audiences: ['api://gw'] });
    expect(await stage.ask(await key.sign(claims(more)))).toMatchObject({ id: 'corp:u1' });
  });

  it.each<[Record<string, unknown>, boolean]>([
    [{}, false],
    [{ azp: 'app' }, true],
    [{ client_id: 'app' }, true],
    [{ azp: 'evil' }, false],
    [{ azp: 'app', client_id: 'evil' }, false],
    [{ azp: ['app'] }, false],
  ])('of the client %j: %j', async (more, admitted) => {
    const verdict = await issuing({ clients: ['app'] }).ask(await key.sign(claims(more)));
    expect(verdict).toMatchObject(admitted ? { id: 'corp:u1' } : { reason: 'wrong_client' });
  });

  it('is for one route, also once it was seen, and names that route in the challenge', async () => {
    const stage = issuing({}, { scopes: ['read'] });
    const token = await key.sign(claims());
    expect(await stage.ask(token)).toMatchObject({ id: 'corp:u1' });
    const elsewhere = await stage.ask(token, '/servers/a/mcp');
    expect(elsewhere).toEqual({
      status: 401,
      reason: 'wrong_audience',
      challenge:
        'Bearer error="invalid_token", error_description="wrong audience", resource_metadata="https://gw.example/.well-known/oauth-protected-resource/servers/a/mcp", scope="read"',
    });
    expect(await stage.ask(token, '/profiles/a/mcp')).toMatchObject({ reason: 'wrong_audience' });
    expect(await stage.ask(token, '/-/reload')).toMatchObject({ id: 'corp:u1' });
    const both = await key.sign(claims({ aud: 'https://gw.example' }));
    for (const path of ['/mcp', '/servers/a/mcp', '/servers/b/sse', '/profiles/p/mcp'])
      expect(await stage.ask(both, path)).toMatchObject({ id: 'corp:u1' });
  });

  it('is for the gateway under `resource: gateway`', async () => {
    const stage = issuing({}, { resource: 'gateway' });
    expect(await stage.ask(await key.sign(claims()))).toMatchObject({ reason: 'wrong_audience' });
    const token = await key.sign(claims({ aud: 'https://gw.example' }));
    expect(await stage.ask(token, '/servers/a/mcp')).toMatchObject({ id: 'corp:u1' });
  });

  it('on a loopback address may name it in each way, with the port of the gateway only', async () => {
    const stage = issuing({}, {}, { publicUrl: null });
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
      const token = await key.sign(claims({ aud: `http://${host}:8766/mcp` }));
      expect(await stage.ask(token)).toMatchObject({ id: 'corp:u1' });
    }
    const other = await key.sign(claims({ aud: 'http://127.0.0.1:9999/mcp' }));
    const spoofed = {
      ...bearer(other),
      headers: { host: '127.0.0.1:9999', authorization: `Bearer ${other}` },
    };
    expect(await stage.auth.authenticate(spoofed, '/mcp')).toMatchObject({ reason: 'wrong_audience' });
  });

  it('expires: it is refused, even if it was seen, and its principal is no longer fresh', async () => {
    const stage = issuing();
    const token = await key.sign(claims());
    const principal = await stage.ask(token);
    if (!('kind' in principal)) throw new Error('refused');
    stage.pass(359_999);
    expect(await stage.ask(token)).toBe(principal);
    expect(stage.auth.isFresh(principal)).toBe(true);
    stage.pass(1);
    expect(await stage.ask(token)).toMatchObject({ reason: 'expired' });
    expect([stage.auth.isFresh(principal), stage.auth.current(principal) !== undefined]).toEqual([
      false,
      true,
    ]);
  });
});

describe('tricks with the algorithm', () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it('`none` is refused, with and without a signature', async () => {
    for (const alg of ['none', 'None', 'NONE'])
      for (const signature of ['', 'eA'])
        expect(await issuing().ask(`${part({ alg })}.${part(claims())}.${signature}`)).toEqual(
          refused('bad_algorithm'),
        );
  });

  it('HS256 with the public key as secret is refused', async () => {
    const secret = new TextEncoder().encode(JSON.stringify(rsa.jwk));
    const token = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: rsa.kid }).sign(secret);
    expect(await issuing().ask(token)).toEqual(refused('bad_algorithm'));
  });

  it('an algorithm that is not listed is refused, and one that does not fit the key', async () => {
    expect(await issuing({ algorithms: ['RS256'] }).ask(await key.sign(claims()))).toEqual(
      refused('bad_algorithm'),
    );
    const [header, payload, signature] = (await key.sign(claims())).split('.') as [string, string, string];
    const read = JSON.parse(Buffer.from(header, 'base64url').toString()) as object;
    const other = part({ ...read, alg: 'RS256' });
    expect(await issuing().ask(`${other}.${payload}.${signature}`)).toEqual(refused('bad_signature'));
  });

  it('`crit` is refused, and a key in the header is not used', async () => {
    const part0 = part({ alg: 'ES256', kid: key.kid, crit: ['exp'], exp: 1 });
    const [, payload, signature] = (await key.sign(claims())).split('.') as [string, string, string];
    expect(await issuing().ask(`${part0}.${payload}.${signature}`)).toEqual(refused('bad_format'));
    const mallory = await createKey('ES256', 'mallory');
    const token = await mallory.sign(claims(), {
      jwk: mallory.jwk,
      jku: 'https://evil.example',
      kid: key.kid,
    });
    const stage = issuing();
    expect(await stage.ask(token)).toEqual(refused('bad_signature'));
    expect(stage.asked.map(({ url }) => new URL(url).host)).not.toContain('evil.example');
  });

  it('another payload under the same signature is refused', async () => {
    const [header, , signature] = (await key.sign(claims())).split('.') as [string, string, string];
    const token = `${header}.${part(claims({ sub: 'root' }))}.${signature}`;
    const stage = issuing();
    expect(await stage.ask(await key.sign(claims()))).toMatchObject({ id: 'corp:u1' });
    expect(await stage.ask(token)).toEqual(refused('bad_signature'));
  });

  it('over 8 KB is refused unread', async () => {
    const token = await key.sign(claims({ pad: 'x'.repeat(8000) }));
    expect(await issuing().ask(token)).toEqual(refused('bad_format'));
  });

  it('a token with five parts is not a JWT of ours', async () => {
    expect(await issuing().ask('eyJh.b.c.d.e')).toEqual(refused('wrong_token'));
  });
});

describe('a token without kid', () => {
  it('is verified with the key that fits, of up to four', async () => {
    const second = await createKey('ES256', 'second');
    const stage = issuing();
    // The keys are read later.
    stage.issuer.keys = [key, second];
    expect(await stage.ask(await second.sign(claims(), { kid: undefined }))).toMatchObject({ id: 'corp:u1' });
    const stranger = await createKey('ES256');
    expect(await stage.ask(await stranger.sign(claims(), { kid: undefined }))).toEqual(
      refused('bad_signature'),
    );
  });
});

describe('wrong tokens', () => {
  it('are 429 after twenty; seen ones are admitted, new ones are not verified', async () => {
    const stage = issuing();
    const seen = await key.sign(claims());
    const fresh = await key.sign(claims({ sub: 'u2' }));
    const principal = await stage.ask(seen);
    for (let i = 0; i < 20; i++)
      expect(await stage.ask(`${seen.slice(0, -8)}AAAAAAA${i % 10}`)).toMatchObject({ status: 401 });
    const full = { status: 429, reason: 'too_many', retryAfter: 1 };
    expect(await stage.ask(`${seen.slice(0, -4)}AAAA`)).toEqual(full);
    expect(await stage.ask(fresh)).toEqual(full);
    expect(await stage.ask(seen)).toBe(principal);
    stage.pass(1000);
    expect(await stage.ask(fresh)).toMatchObject({ id: 'corp:u2' });
  });

  it('equal ones at the same time are verified once', async () => {
    const stage = issuing();
    const token = await key.sign(claims());
    const all = await Promise.all(Array.from({ length: 50 }, () => stage.ask(token)));
    expect(new Set(all).size).toBe(1);
  });
});
