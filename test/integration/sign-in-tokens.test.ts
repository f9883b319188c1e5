/** What codes, access tokens and refresh tokens of the gateway are good for, and for whom. */
import { beforeAll, describe, expect, it } from 'vitest';
import { post } from '../helpers/http.js';
import {
  accessRequest,
  ANSWERS,
  refreshed,
  registerClient,
  signedIn,
  signIn,
  stageSignIn,
  tokenRequest,
  type SignInStage,
  type TestClient,
} from '../helpers/sign-in.js';

let stage: SignInStage;
let client: TestClient;
let other: TestClient;

beforeAll(async () => {
  stage = await stageSignIn({ auth: { scopes: ['read'], implies: { admin: ['read'] } } });
  client = await registerClient(stage.base);
  other = await registerClient(stage.base, `${ANSWERS}2`);
});

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;

async function status(token: string, path = '/mcp'): Promise<number> {
  return (await post(`${stage.base}${path}`, LIST, { authorization: `Bearer ${token}` })).status;
}

interface Given {
  readonly form: Record<string, string>;
}

/** A code, and the form that redeems it. */
async function code(more: Record<string, string> = {}): Promise<Given> {
  const { url, verifier } = accessRequest(stage.base, client, more);
  const returned = await signIn(stage.base, url, client);
  return {
    form: {
      grant_type: 'authorization_code',
      code: returned.searchParams.get('code') ?? '',
      code_verifier: verifier,
      client_id: client.id,
      redirect_uri: client.redirectUri,
    },
  };
}

const ask = async (form: Record<string, string>): Promise<[number, string | undefined]> => {
  const { status: answered, body } = await tokenRequest(stage.base, form);
  return [answered, body.error];
};
const without = (form: Record<string, string>, name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(form).filter(([key]) => key !== name));

describe('a code', () => {
  it.each<[string, (form: Record<string, string>) => Record<string, string>, [number, string]]>([
    ['another client', (form) => ({ ...form, client_id: other.id }), [400, 'invalid_grant']],
    ['another verifier', (form) => ({ ...form, code_verifier: 'w'.repeat(43) }), [400, 'invalid_grant']],
    [
      'another redirect URI',
      (form) => ({ ...form, redirect_uri: other.redirectUri }),
      [400, 'invalid_grant'],
    ],
    [
      'another route',
      (form) => ({ ...form, resource: `${stage.base}/servers/one/mcp` }),
      [400, 'invalid_target'],
    ],
  ])('is over after one try with %s', async (_, wrong, expected) => {
    const { form } = await code();
    expect(await ask(wrong(form))).toEqual(expected);
    expect(await ask(form)).toEqual([400, 'invalid_grant']);
  });

  it('is not touched by requests that are none', async () => {
    const { form } = await code();
    expect(await ask(without(form, 'code_verifier'))).toEqual([400, 'invalid_request']);
    expect(await ask(without(form, 'client_id'))).toEqual([400, 'invalid_request']);
    expect(await ask({ ...form, client_id: 'mcpc_x' })).toEqual([401, 'invalid_client']);
    expect(await ask({ ...form, grant_type: 'password' })).toEqual([400, 'unsupported_grant_type']);
    expect(await ask({ ...form, code: `${form['code'] ?? ''}x` })).toEqual([400, 'invalid_grant']);
    const twice = new URLSearchParams(form);
    twice.append('code', form['code'] ?? '');
    const answer = await fetch(`${stage.base}/oauth/token`, { method: 'POST', body: twice });
    expect(answer.status).toBe(400);
    const secret = await ask({ ...form, client_secret: 'ignored', client_assertion: 'ignored' });
    expect(secret).toEqual([200, undefined]);
  });

  it('names its client in the header, too', async () => {
    const { form } = await code();
    const answer = await fetch(`${stage.base}/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client.id}:secret`)}` },
      body: new URLSearchParams(without(form, 'client_id')),
    });
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
  });

  it('is used by one of ten that show it at once, whose tokens then end', async () => {
    const { form } = await code();
    const all = await Promise.all(Array.from({ length: 10 }, () => tokenRequest(stage.base, form)));
    const good = all.filter(({ status: answered }) => answered === 200);
    expect(good).toHaveLength(1);
    expect(await status(good[0]?.body.access_token ?? '')).toBe(401);
    expect((await refreshed(stage.base, client, good[0]?.body.refresh_token ?? '')).status).toBe(400);
  });
});

describe('an access token', () => {
  it('is good at its route, with all its doors, and at no other', async () => {
    const merged = (await signedIn(stage.base, { client })).tokens.access_token;
    const resource = `${stage.base}/servers/one/mcp`;
    const one = (await signedIn(stage.base, { client, more: { resource } })).tokens.access_token;
    expect([await status(merged), await status(merged, '/servers/one/mcp')]).toEqual([200, 401]);
    expect([await status(one), await status(one, '/servers/one/mcp')]).toEqual([401, 200]);
    // As seen ones.
    expect([await status(one), await status(merged, '/servers/one/mcp')]).toEqual([401, 401]);
  });

  it('for the stream of 2024 opens it', async () => {
    const found = (await (await fetch(`${stage.base}/.well-known/oauth-protected-resource/sse`)).json()) as {
      resource: string;
    };
    const { tokens } = await signedIn(stage.base, { client, more: { resource: found.resource } });
    const stop = new AbortController();
    const answer = await fetch(`${stage.base}/sse`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
      signal: stop.signal,
    });
    expect([answer.status, found.resource]).toEqual([200, `${stage.base}/sse`]);
    stop.abort();
  });

  it('has the scopes that were asked for and mean something; without any, the usual ones', async () => {
    const scopes = async (more: Record<string, string>): Promise<string> =>
      (await signedIn(stage.base, { client, more })).tokens.scope;
    expect(await scopes({})).toBe('read');
    expect(await scopes({ scope: 'admin nonsense offline_access' })).toBe('admin');
  });

  it('tells no client who the client is, and has no more than was said', async () => {
    const { tokens } = await signedIn(stage.base, { client });
    const [head = '', body = ''] = tokens.access_token.split('.');
    const read = (part: string): Record<string, unknown> =>
      JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
    expect(read(head)).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.any(String) as string });
    const claims = read(body);
    expect(claims['client_id']).toMatch(/^[\w-]{16}$/);
    expect(Object.keys(claims).sort().join()).toBe(
      'aud,client_id,exp,grant,groups,iat,iss,jti,kept,name,provider,scope,sub',
    );
    expect([claims['aud'], claims['iss'], claims['groups'], claims['name']]).toEqual([
      `${stage.base}/mcp`,
      stage.base,
      ['dev'],
      'Ada',
    ]);
  });
});

describe('a refresh token', () => {
  it('is for its client, its route, and no more scopes', async () => {
    const { tokens } = await signedIn(stage.base, { client, more: { scope: 'admin read' } });
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, client_id: client.id };
    expect(await ask({ ...form, client_id: other.id })).toEqual([400, 'invalid_grant']);
    expect(await ask({ ...form, resource: `${stage.base}/servers/one/mcp` })).toEqual([
      400,
      'invalid_target',
    ]);
    expect(await ask({ ...form, scope: 'admin more' })).toEqual([400, 'invalid_scope']);
    expect(await ask(without(form, 'client_id'))).toEqual([400, 'invalid_request']);
    expect(await ask({ ...form, refresh_token: tokens.access_token })).toEqual([400, 'invalid_grant']);
    const next = await tokenRequest(stage.base, { ...form, scope: 'read', resource: `${stage.base}/mcp` });
    expect([next.status, next.body.scope]).toEqual([200, 'read']);
    // Fewer scopes of one token are no fewer of the sign-in.
    expect((await refreshed(stage.base, client, next.body.refresh_token)).body.scope).toBe('admin read');
  });

  it('that ten show at once is exchanged for one, by one question to the identity provider', async () => {
    const { tokens } = await signedIn(stage.base, { client });
    const before = stage.oidc.asked.filter((path) => path === '/token').length;
    const all = await Promise.all(
      Array.from({ length: 10 }, () => refreshed(stage.base, client, tokens.refresh_token)),
    );
    expect(all.map((each) => each.status)).toEqual(Array.from({ length: 10 }, () => 200));
    expect(new Set(all.map(({ body }) => body.refresh_token)).size).toBe(1);
    expect(stage.oidc.asked.filter((path) => path === '/token').length).toBe(before + 1);
    expect((await refreshed(stage.base, client, all[3]?.body.refresh_token ?? '')).status).toBe(200);
  });

  it('of somebody who is disabled ends, and those of others go on', async () => {
    stage.oidc.account('bob', { groups: ['dev'] });
    const bob = await signedIn(stage.base, { client, person: 'bob' });
    const ada = await signedIn(stage.base, { client });
    stage.oidc.account('bob', null);
    expect((await refreshed(stage.base, client, bob.tokens.refresh_token)).body.error).toBe('invalid_grant');
    expect([await status(bob.tokens.access_token), await status(ada.tokens.access_token)]).toEqual([
      401, 200,
    ]);
    expect((await refreshed(stage.base, client, ada.tokens.refresh_token)).status).toBe(200);
  });

  it.each([
    ['fails', 500],
    ['limits', 429],
    ['is being mended', 503],
  ])('stays while the identity provider %s', async (_, failure) => {
    const { tokens } = await signedIn(stage.base, { client });
    stage.oidc.intercept((req, res) => {
      if (req.url !== '/token') return false;
      res.writeHead(failure).end();
      return true;
    });
    const away = await refreshed(stage.base, client, tokens.refresh_token);
    expect([away.status, away.body.error]).toEqual([503, 'temporarily_unavailable']);
    expect(await status(tokens.access_token)).toBe(200);
    stage.oidc.intercept(() => false);
    expect((await refreshed(stage.base, client, tokens.refresh_token)).status).toBe(200);
  });
});
