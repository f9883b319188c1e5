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
import { until } from '../../helpers/wait.js';

let key: TestKey;
let next: TestKey;
beforeAll(async () => {
  [key, next] = await Promise.all([createKey('ES256', 'one'), createKey('ES256', 'two')]);
});

const DAY = 86_400;
const NOW = Date.UTC(2026, 10, 1) / 1000;
const claims = (more: Record<string, unknown> = {}) => ({
  iss: 'https://id.example/t',
  aud: 'https://gw.example/mcp',
  sub: 'u1',
  exp: NOW + 10 * DAY,
  ...more,
});
const DOWN = { status: 503, reason: 'issuer_unavailable', retryAfter: 5 };
const ADMITTED = { id: 'corp:u1' };

function begin(config: Partial<AuthConfig['issuers'][number]> = {}, issuer = createIssuer([key])) {
  const stage = authenticator(
    { issuers: [issuerConfig({ issuer: issuer.url, ...config })] },
    { fetch: issuer.fetch },
  );
  return { stage, issuer };
}

const ask = async (stage: Stage, token: string): Promise<Verdict> =>
  stage.auth.authenticate(bearer(token), '/mcp');
const failing = (issuer: TestIssuer, message = 'connection refused'): void => {
  issuer.answer = () => {
    throw new Error(message);
  };
};
const metric = (stage: Stage) => stage.stats.issuers.get('corp');

describe('the metadata of an issuer', () => {
  it.each([
    [
      'https://id.example/t',
      [
        '/.well-known/oauth-authorization-server/t',
        '/.well-known/openid-configuration/t',
        '/t/.well-known/openid-configuration',
      ],
    ],
    ['https://id.example', ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']],
    ['https://id.example/', ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']],
  ])('of %s is looked for by RFC 8414, then OpenID Connect', async (url, paths) => {
    const issuer = createIssuer([key], url);
    issuer.answer = ({ url: asked }) => (asked.endsWith('jwks') ? undefined : { status: 404, body: '' });
    const { stage } = begin({}, issuer);
    expect(await ask(stage, await key.sign(claims({ iss: url })))).toEqual(DOWN);
    expect(stage.asked.map((each) => new URL(each.url).pathname)).toEqual(paths);
    // The last of them is enough.
    issuer.answer = ({ url: asked }) =>
      new URL(asked).pathname === paths.at(-1)
        ? { status: 200, body: { issuer: url, jwks_uri: 'https://id.example/jwks' } }
        : asked.endsWith('jwks')
          ? undefined
          : { status: 404, body: '' };
    stage.pass(5000);
    await until(() => metric(stage)?.up);
    expect(await ask(stage, await key.sign(claims({ iss: url })))).toMatchObject(ADMITTED);
  });

  it.each([
    [
      'another issuer',
      { issuer: 'https://evil.example', jwks_uri: 'https://id.example/jwks' },
      "its issuer is 'https://evil.example'",
    ],
    [
      'keys over http',
      { issuer: 'https://id.example/t', jwks_uri: 'http://id.example/jwks' },
      'is not an https URL',
    ],
    ['no keys', { issuer: 'https://id.example/t' }, 'it has no jwks_uri'],
    ['a text', '"text"', 'did not answer with a JSON object'],
  ])('with %s is not used, and the log says why', async (_what, body, why) => {
    const issuer = createIssuer([key]);
    issuer.answer = ({ url }) => (url.endsWith('jwks') ? undefined : { status: 200, body });
    const { stage } = begin({}, issuer);
    expect(await ask(stage, await key.sign(claims()))).toEqual(DOWN);
    expect(JSON.stringify(stage.lines)).toContain(why);
    expect(issuer.count('jwks')).toBe(0);
    expect(metric(stage)).toMatchObject({ up: false, keysRead: 0 });
  });

  it('is not followed through redirects', async () => {
    const issuer = createIssuer([key]);
    issuer.answer = () => ({ status: 302, body: '' });
    const { stage } = begin({}, issuer);
    expect(await ask(stage, await key.sign(claims()))).toEqual(DOWN);
    expect(JSON.stringify(stage.lines)).toContain('redirects are not followed');
  });

  it('is asked for with the limits', () => {
    const { stage } = begin();
    expect(stage.asked[0]).toMatchObject({ method: 'GET', timeoutMs: 5000, maxBytes: 524_288 });
  });
});

describe('the keys of an issuer', () => {
  it('are read at the start, and renewed each ten minutes', async () => {
    const { stage, issuer } = begin();
    await until(() => metric(stage)?.up);
    expect(issuer.count('jwks')).toBe(1);
    expect(metric(stage)?.keysRead).toBe(stage.now / 1000);
    stage.pass(599_999);
    expect(issuer.count('jwks')).toBe(1);
    stage.pass(1);
    await until(() => issuer.count('jwks') === 2);
    await until(() => metric(stage)?.keysRead === stage.now / 1000);
  });

  it('are read again for a new kid, once in thirty seconds, the first load aside', async () => {
    const { stage, issuer } = begin();
    expect(await ask(stage, await key.sign(claims()))).toMatchObject(ADMITTED);
    issuer.keys = [key, next];
    expect(await ask(stage, await next.sign(claims()))).toMatchObject(ADMITTED);
    expect(issuer.count('jwks')).toBe(2);
    const third = await createKey('ES256', 'three');
    issuer.keys = [third];
    expect(await ask(stage, await third.sign(claims()))).toMatchObject({ reason: 'bad_signature' });
    expect(issuer.count('jwks')).toBe(2);
    stage.pass(30_000);
    expect(await ask(stage, await third.sign(claims()))).toMatchObject(ADMITTED);
    expect(issuer.count('jwks')).toBe(3);
  });

  it('are read once for a thousand unknown kids', async () => {
    const { stage, issuer } = begin();
    expect(await ask(stage, await key.sign(claims()))).toMatchObject(ADMITTED);
    const tokens = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => key.sign(claims({ sub: `u${i}` }), { kid: `unknown-${i}` })),
    );
    // From as many addresses: nobody is kept out by the count of failures.
    const verdicts = await Promise.all(
      tokens.map(async (token, i) =>
        stage.auth.authenticate(bearer(token, { remoteAddress: `10.0.${i >> 8}.${i & 255}` }), '/mcp'),
      ),
    );
    expect(new Set(verdicts.map((verdict) => ('reason' in verdict ? verdict.reason : 'admitted')))).toEqual(
      new Set(['bad_signature']),
    );
    expect(issuer.count('jwks')).toBe(2);
    expect(issuer.count('oauth-authorization-server/t')).toBe(1);
  });

  it('that are withdrawn no longer count, not even for a token that was seen', async () => {
    const { stage, issuer } = begin({}, createIssuer([key, next]));
    const [kept, gone] = [await key.sign(claims()), await next.sign(claims({ sub: 'u2' }))];
    expect(await ask(stage, kept)).toMatchObject(ADMITTED);
    expect(await ask(stage, gone)).toMatchObject({ id: 'corp:u2' });
    issuer.keys = [key];
    stage.pass(600_000);
    await until(() => metric(stage)?.keysRead === stage.now / 1000);
    expect(await ask(stage, gone)).toMatchObject({ status: 401, reason: 'bad_signature' });
    expect(await ask(stage, kept)).toMatchObject(ADMITTED);
  });

  it('that are replaced under the same kid no longer count', async () => {
    const { stage, issuer } = begin();
    const token = await key.sign(claims());
    expect(await ask(stage, token)).toMatchObject(ADMITTED);
    issuer.keys = [await createKey('ES256', 'one')];
    stage.pass(600_000);
    await until(() => metric(stage)?.keysRead === stage.now / 1000);
    expect(await ask(stage, token)).toMatchObject({ reason: 'bad_signature' });
  });

  it('are held for a day while the issuer is down', async () => {
    const { stage, issuer } = begin();
    await until(() => metric(stage)?.up);
    failing(issuer);
    const read = metric(stage)?.keysRead;
    stage.pass(600_000);
    await until(() => metric(stage)?.up === false);
    expect(await ask(stage, await key.sign(claims()))).toMatchObject(ADMITTED);
    expect(metric(stage)?.keysRead).toBe(read);
    stage.pass(DAY * 1000 - 600_001);
    expect(await ask(stage, await key.sign(claims({ sub: 'u2' })))).toMatchObject({ id: 'corp:u2' });
    stage.pass(1);
    expect(await ask(stage, await key.sign(claims({ sub: 'u3' })))).toEqual(DOWN);
    issuer.answer = () => undefined;
    stage.pass(30_000);
    await until(() => metric(stage)?.up);
    expect(await ask(stage, await key.sign(claims({ sub: 'u3' })))).toMatchObject({ id: 'corp:u3' });
  });

  it('that were never read make 503, without a request for each token, and no failure is counted', async () => {
    const issuer = createIssuer([key]);
    failing(issuer, 'cannot resolve host id.example');
    const { stage } = begin({}, issuer);
    for (let i = 0; i < 30; i++) expect(await ask(stage, await key.sign(claims({ jti: i })))).toEqual(DOWN);
    expect(issuer.count('oauth-authorization-server/t')).toBe(1);
    expect(stage.lines.find(([message]) => message.startsWith('cannot read'))?.[1]).toMatchObject({
      issuer: 'corp',
      error: expect.stringContaining('cannot resolve host') as string,
    });
    issuer.answer = () => undefined;
    stage.pass(5000);
    await until(() => metric(stage)?.up);
    expect(await ask(stage, await key.sign(claims()))).toMatchObject(ADMITTED);
  });

  it.each([
    ['not a set', { keys: 7 }],
    ['too many keys', { keys: Array.from({ length: 101 }, () => ({ kty: 'EC' })) }],
    ['no JSON', 'no'],
  ])('that are %s are not used', async (_what, body) => {
    const issuer = createIssuer([key]);
    issuer.answer = ({ url }) => (url.endsWith('jwks') ? { status: 200, body } : undefined);
    const { stage } = begin({}, issuer);
    expect(await ask(stage, await key.sign(claims()))).toEqual(DOWN);
  });

  it('of unknown types are passed over', async () => {
    const issuer = createIssuer([key]);
    issuer.answer = ({ url }) =>
      url.endsWith('jwks')
        ? {
            status: 200,
            body: { keys: [{ kty: 'AKP', kid: 'pq' }, 'text', { kty: 'oct', kid: 'h', k: 'AA' }, key.jwk] },
          }
        : undefined;
    const { stage } = begin({}, issuer);
    expect(await ask(stage, await key.sign(claims()))).toMatchObject(ADMITTED);
    expect(await ask(stage, await key.sign(claims(), { kid: 'h' }))).toMatchObject({
      reason: 'bad_signature',
    });
  });
});

describe('a reload', () => {
  it('keeps the keys of an unchanged issuer, forgets what was seen, and takes the new settings', async () => {
    const { stage, issuer } = begin();
    const token = await key.sign(claims());
    const principal = await ask(stage, token);
    if (!('kind' in principal)) throw new Error('refused');
    failing(issuer);
    const after = stage.reload({ issuers: [issuerConfig({ name: 'renamed' })] });
    expect(await ask(after, token)).toMatchObject({ id: 'renamed:u1' });
    expect([...after.stats.issuers.keys()]).toEqual(['renamed']);
    expect(after.auth.current(principal)).toBeUndefined();
    const back = after.reload({ issuers: [issuerConfig()] });
    expect(back.auth.current(principal)).toBeDefined();
    const strict = back.reload({ issuers: [issuerConfig({ clients: ['app'] })] });
    expect(await ask(strict, token)).toMatchObject({ reason: 'wrong_client' });
    expect(issuer.count('jwks')).toBe(1);
    // Its timer goes on.
    issuer.answer = () => undefined;
    strict.pass(600_000);
    await until(() => issuer.count('jwks') === 2);
  });

  it('without the issuer ends its requests, and its principals are no longer accepted', async () => {
    const { stage, issuer } = begin();
    const principal = await ask(stage, await key.sign(claims()));
    if (!('kind' in principal)) throw new Error('refused');
    const after = stage.reload({ keys_file: '/keys.yaml' });
    expect(after.auth.current(principal)).toBeUndefined();
    expect(after.stats.issuers.size).toBe(0);
    after.pass(600_000);
    expect(after.clock.timers.size).toBe(0);
    expect(issuer.count('jwks')).toBe(1);
  });
});

describe('an opaque token', () => {
  const introspection = { client_id: 'gw:1', secret: 's%cret', cache_seconds: 30 };
  function opaque(answers: Record<string, object | number>) {
    const issuer = createIssuer([key]);
    const asked: { token: string | null; authorization: string | undefined }[] = [];
    issuer.answer = ({ url, method, headers, body }) => {
      if (!url.endsWith('introspect')) return undefined;
      const token = new URLSearchParams(body).get('token');
      asked.push({ token, authorization: headers['authorization'] });
      expect(method).toBe('POST');
      const answer = answers[token ?? ''] ?? { active: false };
      return typeof answer === 'number' ? { status: answer, body: '' } : { status: 200, body: answer };
    };
    return { ...begin({ introspection }, issuer), asked };
  }

  it('is asked about once, while its answer is cached, and keeps its principal', async () => {
    const { stage, asked } = opaque({
      'a+b/=': { active: true, reason: 'none', ...claims({ scope: 'read' }) },
    });
    const principal = await ask(stage, 'a+b/=');
    expect(principal).toMatchObject({ ...ADMITTED, kind: 'token', scopes: ['read'] });
    expect(stage.auth.authenticate(bearer('a+b/='), '/mcp')).toBe(principal);
    expect(asked).toEqual([
      { token: 'a+b/=', authorization: `Basic ${Buffer.from('gw%3A1:s%25cret').toString('base64')}` },
    ]);
    stage.pass(30_000);
    expect(await ask(stage, 'a+b/=')).toBe(principal);
    expect(asked).toHaveLength(2);
    expect(await stage.auth.authenticate(bearer('a+b/='), '/servers/x/mcp')).toMatchObject({
      reason: 'wrong_audience',
    });
    expect(asked).toHaveLength(2);
  });

  it.each<[string, object, string]>([
    ['inactive', { active: false }, 'inactive'],
    ['of another issuer', { active: true, ...claims({ iss: 'https://evil.example' }) }, 'unknown_issuer'],
    ['bound', { active: true, ...claims({ cnf: {} }) }, 'bound_token'],
    ['without audience', { active: true, ...claims({ aud: undefined }) }, 'wrong_audience'],
    ['expired', { active: true, ...claims({ exp: NOW - 100 }) }, 'expired'],
    ['without exp', { active: true, ...claims({ exp: undefined }) }, 'bad_format'],
  ])('that is %s is refused', async (_what, answer, reason) => {
    const { stage } = opaque({ t: answer });
    expect(await ask(stage, 't')).toMatchObject({ status: 401, reason });
  });

  it.each([500, 401, 302])('that is answered with HTTP %s makes 503', async (status) => {
    const { stage } = opaque({ t: status });
    expect(await ask(stage, 't')).toEqual(DOWN);
  });

  it('that says neither makes 503', async () => {
    const { stage } = opaque({ t: { active: 'true' } });
    expect(await ask(stage, 't')).toEqual(DOWN);
  });

  it('is not asked about after twenty wrong ones, nor if it is too long', async () => {
    const { stage, asked } = opaque({ t: { active: true, ...claims() } });
    expect(await ask(stage, 'x'.repeat(8193))).toMatchObject({ reason: 'bad_format' });
    for (let i = 0; i < 19; i++) expect(await ask(stage, `wrong${i}`)).toMatchObject({ reason: 'inactive' });
    expect(await ask(stage, 't')).toMatchObject({ status: 429 });
    expect(asked).toHaveLength(19);
  });
});
