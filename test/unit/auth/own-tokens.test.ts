/** Access tokens of the gateway itself: verified with its own keys, good where they are for, and dead with their grant. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuthConfig } from '../../../src/config/index.js';
import type { Principal } from '../../../src/protocol/ports.js';
import { hasRole } from '../../../src/proxy/roles.js';
import { Vetted } from '../../../src/proxy/vetted.js';
import {
  authenticator,
  bearer,
  issuerConfig,
  keyConfig,
  shown,
  type Stage,
  type Verdict,
} from '../../helpers/authenticator.js';
import { createIssuer, createKey, type TestKey } from '../../helpers/issuer.js';
import { createOwn, LOGIN, ownClaims, type TestOwn } from '../../helpers/own-issuer.js';

let key: TestKey;
let other: TestKey;
let rsa: TestKey;
beforeAll(async () => {
  [key, other, rsa] = await Promise.all([createKey('ES256', 'own'), createKey(), createKey('RS256', 'rsa')]);
});

const NOW = Date.UTC(2026, 10, 1) / 1000;
const GATEWAY = 'https://gw.example';
const CONSOLE = `${GATEWAY}/-/`;
const claims = (more: Parameters<typeof ownClaims>[1] = {}) => ownClaims(NOW, more);
const consoleClaims = () => claims({ aud: CONSOLE, console: true });

interface Signing extends Stage {
  readonly own: TestOwn;
  ask(token: string, path?: string): Promise<Verdict>;
}

async function signing(
  auth: Partial<AuthConfig> = {},
  options: Parameters<typeof authenticator>[1] = {},
): Promise<Signing> {
  const own = await createOwn([key]);
  const stage = authenticator({ login: LOGIN, ...auth }, { own, ...options });
  return Object.assign(stage, {
    own,
    ask: async (token: string, path = '/mcp') => stage.auth.authenticate(bearer(token), path),
  });
}

const asPrincipal = (verdict: Verdict): Principal => {
  if ('status' in verdict) throw new Error(verdict.reason);
  return verdict;
};

describe('a token of the gateway', () => {
  it('admits the person who signed in, without a request', async () => {
    const stage = await signing({ implies: { write: ['read'] } });
    const token = await stage.own.sign(claims({ scope: 'write' }));
    const principal = await stage.ask(token);
    expect(principal).toEqual({
      id: 'login:u1',
      kind: 'token',
      name: 'Ada',
      groups: ['dev'],
      scopes: ['write', 'read'],
      claims: { tenant: 'a' },
      credential: expect.stringMatching(/^[\w-]{22}\.[\w-]{22}$/) as string,
      expires: (NOW + 660) * 1000,
      grant: { id: 'g1', isConsole: false },
    });
    // Seen: the same object, at once.
    expect(stage.auth.authenticate(bearer(token), '/mcp')).toBe(principal);
    expect(stage.own.reads).toBe(1);
    expect(stage.asked).toEqual([]);
    expect(stage.auth.current(asPrincipal(principal))).toBe(principal);
  });

  it('has the id that the same person has by the same issuer, and its own credential', async () => {
    const idp = createIssuer([other], LOGIN.issuer);
    const stage = await signing({ issuers: [issuerConfig({ issuer: LOGIN.issuer })] }, { fetch: idp.fetch });
    const mine = asPrincipal(await stage.ask(await stage.own.sign(claims())));
    const its = asPrincipal(
      await stage.ask(
        await other.sign({ iss: LOGIN.issuer, aud: `${GATEWAY}/mcp`, sub: 'u1', exp: NOW + 60 }),
      ),
    );
    expect([mine.id, its.id]).toEqual(['corp:u1', 'corp:u1']);
    expect(mine.credential.split('.')[0]).not.toBe(its.credential.split('.')[0]);
    expect(its.grant).toBeUndefined();
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ['expired', { exp: NOW - 60 }, {}, 'expired'],
    ['without exp', { exp: undefined }, {}, 'bad_format'],
    ['of the future', { iat: NOW + 61 }, {}, 'not_yet_valid'],
    ['of another issuer', { iss: 'https://gw.example/' }, {}, 'unknown_issuer'],
    ['of the identity provider', { iss: LOGIN.issuer }, {}, 'unknown_issuer'],
    ['without a grant', { grant: undefined }, {}, 'bad_format'],
    ['with an empty grant', { grant: '' }, {}, 'bad_format'],
    ['with a grant that is not text', { grant: 7 }, {}, 'bad_format'],
    ['of another identity provider', { provider: 'abcdefghijklmnop' }, {}, 'inactive'],
    ['without an identity provider', { provider: undefined }, {}, 'inactive'],
    ['without kept claims', { kept: undefined }, {}, 'bad_format'],
    ['with kept claims that are a list', { kept: [] }, {}, 'bad_format'],
    ['without sub', { sub: '' }, {}, 'bad_format'],
    ['with 201 groups', { groups: Array.from({ length: 201 }, String) }, {}, 'bad_format'],
    ['bound to a key', { cnf: {} }, {}, 'bound_token'],
    ['without typ', {}, { typ: undefined }, 'bad_format'],
    ['of the type JWT', {}, { typ: 'JWT' }, 'bad_format'],
    ['with a critical header', {}, { crit: ['x'], x: 1 }, 'bad_format'],
    ['of a console for a route', { console: true }, {}, 'wrong_audience'],
    ['of another route', { aud: `${GATEWAY}/servers/a/mcp` }, {}, 'wrong_audience'],
    ['of two audiences', { aud: [`${GATEWAY}/mcp`, 'https://x'] }, {}, 'wrong_audience'],
    ['of elsewhere', { aud: 'https://gw.example.evil/mcp' }, {}, 'wrong_audience'],
    ['without an audience', { aud: undefined }, {}, 'wrong_audience'],
  ])('%s is refused', async (_, more, header, reason) => {
    const stage = await signing();
    // jose does not sign with a header that it does not know.
    const token = await stage.own
      .sign({ ...claims(), ...more }, header)
      .catch(async () => withHeader(await stage.own.sign({ ...claims(), ...more }), header));
    expect(await stage.ask(token)).toMatchObject({ status: 401, reason });
  });

  function withHeader(token: string, header: object): string {
    const [, payload = '', signature = ''] = token.split('.');
    const encoded = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'own', typ: 'at+jwt', ...header }));
    return `${encoded.toString('base64url')}.${payload}.${signature}`;
  }

  it('is signed with ES256 by one of its keys', async () => {
    const stage = await signing();
    stage.own.keys = [key, rsa];
    expect(await stage.ask(await rsa.sign(claims(), { typ: 'at+jwt' }))).toMatchObject({
      reason: 'bad_algorithm',
    });
    const forged = await createKey('ES256', 'own');
    expect(await stage.ask(await forged.sign(claims(), { typ: 'at+jwt' }))).toMatchObject({
      reason: 'bad_signature',
    });
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims())).toString('base64url')}.`;
    expect(await stage.ask(none)).toMatchObject({ reason: 'bad_algorithm' });
  });

  it('without kid may be signed by any of its keys', async () => {
    const stage = await signing();
    stage.own.keys = [other, key];
    expect(await stage.ask(await key.sign(claims(), { typ: 'at+jwt', kid: undefined }))).toMatchObject({
      id: 'login:u1',
    });
  });

  it('is told from those of an issuer, which come first where a token is exchanged', async () => {
    const idp = createIssuer([other], LOGIN.issuer);
    const stage = await signing({ issuers: [issuerConfig({ issuer: LOGIN.issuer })] }, { fetch: idp.fetch });
    await stage.ask(await stage.own.sign(claims()));
    expect(stage.auth.shownBy('corp:u1')).toMatchObject({ issuer: GATEWAY, grant: 'g1' });
    const its = await other.sign({ iss: LOGIN.issuer, aud: `${GATEWAY}/mcp`, sub: 'u1', exp: NOW + 60 });
    await stage.ask(its);
    expect(stage.auth.shownBy('corp:u1')).toMatchObject({
      token: its,
      issuer: LOGIN.issuer,
      grant: undefined,
    });
  });
});

describe('where a token counts', () => {
  const admitted = async (stage: Signing, more: object, path: string) =>
    !('status' in (await stage.ask(await stage.own.sign({ ...claims(), ...more }), path)));

  it('is its route, with all its doors', async () => {
    const stage = await signing();
    for (const path of ['/mcp', '/sse', '/messages']) expect(await admitted(stage, {}, path)).toBe(true);
    expect(await admitted(stage, {}, '/servers/a/mcp')).toBe(false);
    expect(await admitted(stage, {}, '/profiles/a/mcp')).toBe(false);
    const aud = `${GATEWAY}/servers/a/mcp`;
    expect(await admitted(stage, { aud }, '/servers/a/mcp')).toBe(true);
    expect(await admitted(stage, { aud }, '/mcp')).toBe(false);
  });

  it('is each route under `resource: gateway`', async () => {
    const stage = await signing({ resource: 'gateway' });
    for (const path of ['/mcp', '/servers/a/mcp', '/-/api/v1/grants'])
      expect(await admitted(stage, { aud: GATEWAY }, path)).toBe(true);
  });

  it('is below /-/, whatever resource of the gateway it is for', async () => {
    const stage = await signing();
    for (const aud of [GATEWAY, `${GATEWAY}/mcp`, `${GATEWAY}/servers/a/mcp`])
      expect(await admitted(stage, { aud }, '/-/api/v1/grants')).toBe(true);
    for (const aud of ['https://gw.example.evil/mcp', 'https://gw.exampl', 'https://other.example/-/'])
      expect(await admitted(stage, { aud }, '/-/api/v1/grants')).toBe(false);
  });

  it('is below /-/ alone for that of the console', async () => {
    for (const resource of ['route', 'gateway'] as const) {
      const stage = await signing({ resource });
      const token = await stage.own.sign(consoleClaims());
      for (const path of ['/mcp', '/servers/a/mcp', '/sse', '/metrics'])
        expect(await stage.ask(token, path)).toMatchObject({ status: 401, reason: 'wrong_audience' });
      expect(await stage.ask(token, '/-/api/v1/status')).toMatchObject({
        id: 'login:u1',
        grant: { id: 'g1', isConsole: true },
      });
      // Seen.
      expect(await stage.ask(token, '/mcp')).toMatchObject({ reason: 'wrong_audience' });
      expect(await stage.ask(token, '/-/api/v1/status')).toMatchObject({ id: 'login:u1' });
    }
  });

  it('is judged for each place, also of two requests at the same time', async () => {
    const stage = await signing();
    const token = await stage.own.sign(consoleClaims());
    const verdicts = await Promise.all([stage.ask(token, '/mcp'), stage.ask(token, '/-/x')]);
    expect(verdicts).toMatchObject([{ reason: 'wrong_audience' }, { id: 'login:u1' }]);
  });

  it('that only looks like the console is not the console', async () => {
    const stage = await signing();
    expect(await stage.ask(await stage.own.sign(claims({ console: true })), '/-/x')).toMatchObject({
      reason: 'wrong_audience',
    });
    expect(await stage.ask(await stage.own.sign(claims({ aud: CONSOLE })), '/-/x')).toMatchObject({
      reason: 'wrong_audience',
    });
    const text = await stage.own.sign({ ...consoleClaims(), console: 'true' });
    expect(await stage.ask(text, '/-/x')).toMatchObject({ reason: 'wrong_audience' });
  });

  it('follows the path of public_url', async () => {
    const stage = await signing({}, { publicUrl: 'https://GW.example:443/pre/' });
    const iss = 'https://gw.example/pre';
    expect(await admitted(stage, { iss, aud: `${iss}/mcp` }, '/mcp')).toBe(true);
    expect(await admitted(stage, { iss, aud: `${iss}/-/`, console: true }, '/-/x')).toBe(true);
    expect(await admitted(stage, { iss, aud: `${GATEWAY}/mcp` }, '/mcp')).toBe(false);
    expect(await admitted(stage, { iss: GATEWAY, aud: `${iss}/mcp` }, '/mcp')).toBe(false);
  });
});

describe('a grant that has ended', () => {
  it('ends its tokens at the next check, new ones and those that were seen', async () => {
    const stage = await signing();
    const token = await stage.own.sign(claims());
    const principal = asPrincipal(await stage.ask(token));
    const elsewhere = await stage.own.sign(claims({ grant: 'g2' }));
    const vetted = new Vetted();
    expect(vetted.current(principal, stage.auth)).toBe(principal);
    stage.own.ended.add('g1');
    const refusal = {
      status: 401,
      reason: 'inactive',
      challenge:
        'Bearer error="invalid_token", error_description="inactive", resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp"',
    };
    expect(stage.auth.authenticate(bearer(token), '/mcp')).toEqual(refusal);
    expect(await stage.ask(await stage.own.sign(claims({ exp: NOW + 601 })))).toEqual(refusal);
    expect(stage.auth.current(principal)).toBeUndefined();
    expect(vetted.current(principal, stage.auth)).toBeUndefined();
    expect(await stage.ask(elsewhere)).toMatchObject({ grant: { id: 'g2' } });
  });

  it('that ends while a token is verified refuses the token', async () => {
    const stage = await signing();
    const asked = stage.ask(await stage.own.sign(claims()));
    stage.own.ended.add('g1');
    expect(await asked).toMatchObject({ reason: 'inactive' });
  });
});

describe('the keys of the gateway', () => {
  const DOWN = { status: 503, reason: 'issuer_unavailable', retryAfter: 5 };

  /** Reading never ends. Returns a promise that resolves once it has begun. */
  function hanging(own: TestOwn): Promise<void> {
    return new Promise((resolve) => {
      own.read = () => {
        resolve();
        return new Promise(() => undefined);
      };
    });
  }

  it('are read once for many tokens at the same time', async () => {
    const stage = await signing();
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, i) => stage.own.sign(claims({ sub: `u${i}` }))),
    );
    const verdicts = await Promise.all(tokens.map((token) => stage.ask(token)));
    expect(verdicts.map((each) => asPrincipal(each).id)).toEqual(tokens.map((_, i) => `login:u${i}`));
    expect(stage.own.reads).toBe(1);
  });

  it('are not read before the first token', async () => {
    const stage = await signing();
    await stage.ask('eyJ.e.e');
    expect(stage.own.reads).toBe(0);
  });

  it('that cannot be read are a 503, and are tried again in 5 s', async () => {
    const stage = await signing();
    stage.own.read = () => Promise.reject(new Error('no key here'));
    const token = await stage.own.sign(claims());
    expect(await stage.ask(token)).toEqual(DOWN);
    expect(stage.lines).toContainEqual([
      'cannot read the signing keys of the gateway',
      { error: 'no key here', kept: false },
    ]);
    stage.own.read = undefined;
    expect(await stage.ask(token)).toEqual(DOWN);
    expect(stage.own.reads).toBe(1);
    stage.pass(5000);
    expect(await stage.ask(token)).toMatchObject({ id: 'login:u1' });
  });

  it('that are not read in time are a 503', async () => {
    const stage = await signing();
    const reading = hanging(stage.own);
    const asked = stage.ask(await stage.own.sign(claims()));
    await reading;
    stage.pass(5000);
    expect(await asked).toEqual(DOWN);
    expect(stage.clock.timers.size).toBe(0);
  });

  it('leave nothing behind when they are closed', async () => {
    const stage = await signing();
    const reading = hanging(stage.own);
    const asked = stage.ask(await stage.own.sign(claims()));
    await reading;
    stage.auth.close();
    expect(await asked).toEqual(DOWN);
    expect(stage.clock.timers.size).toBe(0);
    expect(stage.lines.filter(([line]) => line.includes('signing keys'))).toEqual([]);
  });

  it('are read again for an unknown kid, at most each 30 s', async () => {
    const stage = await signing();
    await stage.ask(await stage.own.sign(claims()));
    const next = await createKey('ES256', 'next');
    const token = await next.sign(claims(), { typ: 'at+jwt' });
    expect(await stage.ask(token)).toMatchObject({ reason: 'bad_signature' });
    expect(stage.own.reads).toBe(2);
    stage.own.keys = [next, key];
    expect(await stage.ask(token)).toMatchObject({ reason: 'bad_signature' });
    expect(stage.own.reads).toBe(2);
    stage.pass(30_000);
    expect(await stage.ask(token)).toMatchObject({ id: 'login:u1' });
    expect(stage.own.reads).toBe(3);
  });

  it('stay if they cannot be read again', async () => {
    const stage = await signing();
    const token = await stage.own.sign(claims());
    await stage.ask(token);
    stage.own.read = () => Promise.reject(new Error('gone'));
    expect(await stage.ask(await other.sign(claims(), { typ: 'at+jwt' }))).toMatchObject({
      reason: 'bad_signature',
    });
    expect(await stage.ask(await stage.own.sign(claims({ sub: 'u2' })))).toMatchObject({ id: 'login:u2' });
  });

  it('that are dropped no longer count for what was seen', async () => {
    const stage = await signing();
    const token = await stage.own.sign(claims());
    await stage.ask(token);
    const next = await createKey('ES256', 'next');
    stage.own.keys = [next];
    expect(await stage.ask(await next.sign(claims(), { typ: 'at+jwt' }))).toMatchObject({ id: 'login:u1' });
    expect(await stage.ask(token)).toMatchObject({ reason: 'bad_signature' });
  });
});

describe('a reload', () => {
  it('without login withdraws its tokens', async () => {
    const stage = await signing();
    const token = await stage.own.sign(claims());
    const principal = asPrincipal(await stage.ask(token));
    const off = stage.reload({ issuers: [issuerConfig()] });
    expect(off.auth.current(principal)).toBeUndefined();
    expect(await off.auth.authenticate(bearer(token), '/mcp')).toMatchObject({
      status: 401,
      reason: 'unknown_issuer',
    });
    const keys = off.reload({ keys: [keyConfig({ sha256: ['x'] })] });
    expect(keys.auth.current(principal)).toBeUndefined();
    expect(await keys.auth.authenticate(bearer(token), '/mcp')).toMatchObject({ status: 401 });
  });

  it('that changes nothing about login keeps its tokens', async () => {
    const stage = await signing();
    const token = await stage.own.sign(claims());
    const principal = asPrincipal(await stage.ask(token));
    const again = stage.reload({ login: { ...LOGIN, access_minutes: 5 }, scopes: ['x'] });
    expect(again.auth.current(principal)).toBe(principal);
    expect(await again.auth.authenticate(bearer(token), '/mcp')).toEqual(principal);
  });

  it.each([
    [{ login: { ...LOGIN, issuer: 'https://other.example' } }],
    [{ login: { ...LOGIN, client_id: 'other' } }],
    [{ login: { ...LOGIN, claims: { ...LOGIN.claims, id: 'oid' } } }],
    [{ login: LOGIN, issuers: [issuerConfig({ issuer: LOGIN.issuer })] }],
  ])('that may change who a person is withdraws what is open: %j', async (config) => {
    const stage = await signing();
    const principal = asPrincipal(await stage.ask(await stage.own.sign(claims())));
    expect(stage.reload(config).auth.current(principal)).toBeUndefined();
  });

  it.each([
    { ...LOGIN, issuer: 'https://other.example' },
    { ...LOGIN, client_id: 'other' },
    { ...LOGIN, claims: { ...LOGIN.claims, id: 'oid' } },
  ])(
    'with another identity provider ends its tokens at once, whose ids may be other people',
    async (login) => {
      const stage = await signing();
      const token = await stage.own.sign(claims());
      expect(await stage.reload({ login }).auth.authenticate(bearer(token), '/mcp')).toMatchObject({
        status: 401,
        reason: 'inactive',
      });
    },
  );

  it('from login at a URL to an issuer at the same URL takes nothing over', async () => {
    const stage = await signing();
    const idp = createIssuer([other], GATEWAY);
    await stage.ask(await stage.own.sign(claims()));
    const next = authenticator(
      { issuers: [issuerConfig({ issuer: GATEWAY })] },
      { fetch: idp.fetch, previous: stage },
    );
    const token = await other.sign({ iss: GATEWAY, aud: `${GATEWAY}/mcp`, sub: 'u1', exp: NOW + 60 });
    expect(await next.auth.authenticate(bearer(token), '/mcp')).toMatchObject({ id: 'corp:u1' });
  });
});

describe('what clients find out', () => {
  it('with login alone: the gateway is the authorization server', async () => {
    const stage = await signing({ scopes: ['read'] });
    expect(stage.auth.discovery.oauth).toBe('on');
    expect(
      stage.auth.discovery.metadata(shown(), '/.well-known/oauth-protected-resource/servers/a/mcp'),
    ).toEqual({
      resource: `${GATEWAY}/servers/a/mcp`,
      authorization_servers: [GATEWAY],
      scopes_supported: ['read'],
      bearer_methods_supported: ['header'],
      resource_name: 'mcpstead',
    });
    expect(stage.auth.authenticate(shown(), '/mcp')).toMatchObject({
      status: 401,
      challenge: `Bearer resource_metadata="${GATEWAY}/.well-known/oauth-protected-resource/mcp", scope="read"`,
    });
    expect(stage.auth.stepUp(shown(), '/mcp', ['write'])).toContain('insufficient_scope');
  });

  it('the gateway comes before issuers', async () => {
    const { auth } = await signing(
      { issuers: [issuerConfig()] },
      { fetch: createIssuer([other]).fetch, publicUrl: 'https://gw.example/pre/' },
    );
    expect(auth.discovery.metadata(shown(), '/.well-known/oauth-protected-resource')).toMatchObject({
      authorization_servers: ['https://gw.example/pre', 'https://id.example/t'],
    });
  });
});

describe('roles', () => {
  const everybody = { mode: 'bearer', admins: [{}], viewers: [{}] } as unknown as AuthConfig;
  const roles = (principal: Principal) =>
    (['operator', 'viewer'] as const).filter((role) => hasRole(everybody, principal, role, '/-/x'));

  it('belong to the console of a person, not to his applications', async () => {
    const stage = await signing();
    expect(roles(asPrincipal(await stage.ask(await stage.own.sign(claims()), '/-/x')))).toEqual([]);
    expect(roles(asPrincipal(await stage.ask(await stage.own.sign(consoleClaims()), '/-/x')))).toEqual([
      'operator',
      'viewer',
    ]);
  });

  it('are not given by signing in alone', async () => {
    const stage = await signing();
    const principal = asPrincipal(await stage.ask(await stage.own.sign(consoleClaims()), '/-/x'));
    const nobody = { mode: 'bearer', admins: [], viewers: [] } as unknown as AuthConfig;
    expect(hasRole(nobody, principal, 'viewer', '/-/x')).toBe(false);
  });
});
