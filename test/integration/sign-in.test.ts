/** People sign in at the gateway, at a real identity provider, for clients that register themselves. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createBrowser } from '../helpers/login.js';
import { callTool, post } from '../helpers/http.js';
import {
  accessRequest,
  ANSWERS,
  decide,
  formOf,
  refreshed,
  registerClient,
  signedIn,
  signIn,
  signInAt,
  stageSignIn,
  tokenRequest,
  type SignInStage,
} from '../helpers/sign-in.js';

let stage: SignInStage;
beforeAll(async () => {
  stage = await stageSignIn({
    accounts: {
      ada: { groups: ['dev'], preferred_username: 'Ada' },
      bob: { groups: ['guests'], preferred_username: 'Bob' },
      eve: { groups: [], preferred_username: 'Eve' },
    },
    login: { allow: [{ groups: ['dev', 'guests'] }] },
    config: {
      policy: {
        default: 'deny',
        rules: [
          { name: 'all', who: { ids: ['login:*'] }, allow: [{ tools: ['look'] }] },
          { name: 'devs', who: { groups: ['dev'] }, allow: [{ tools: ['write'] }] },
        ],
      },
    },
  });
});

/** The names of the tools that a token lists, or the status. */
async function tools(token: string, path = '/mcp'): Promise<string[] | number> {
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;
  const answer = await post(`${stage.base}${path}`, body, { authorization: `Bearer ${token}` });
  if (answer.status !== 200) return answer.status;
  return answer
    .json<{ result: { tools: { name: string }[] } }>()
    .result.tools.map(({ name }) => name)
    .sort();
}

it('names itself as the authorization server of its routes', async () => {
  const resource = (await (
    await fetch(`${stage.base}/.well-known/oauth-protected-resource/servers/one/mcp`)
  ).json()) as { authorization_servers: string[] };
  expect(resource.authorization_servers).toEqual([stage.base]);
  const answer = await fetch(`${stage.base}/.well-known/oauth-authorization-server`);
  expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
  expect(await answer.json()).toMatchObject({
    issuer: stage.base,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
  });
});

it('signs in, and shows each what his groups may see', async () => {
  const ada = await signedIn(stage.base);
  const bob = await signedIn(stage.base, { person: 'bob' });
  expect(ada.tokens).toMatchObject({ token_type: 'Bearer', expires_in: 600 });
  expect(await tools(ada.tokens.access_token)).toEqual(['one__look', 'one__write']);
  expect(await tools(bob.tokens.access_token)).toEqual(['one__look']);
  // The token is for one route.
  expect(await tools(ada.tokens.access_token, '/servers/one/mcp')).toBe(401);
});

it('renews tokens with what the identity provider says then', async () => {
  const { client, tokens } = await signedIn(stage.base, { person: 'bob' });
  stage.oidc.account('bob', { groups: ['dev'], preferred_username: 'Bob' });
  const next = await refreshed(stage.base, client, tokens.refresh_token);
  expect(await tools(next.body.access_token)).toEqual(['one__look', 'one__write']);
  stage.oidc.account('bob', null);
  const last = await refreshed(stage.base, client, next.body.refresh_token);
  expect([last.status, last.body.error]).toEqual([400, 'invalid_grant']);
  // What the sign-in gave has ended with it.
  expect(await tools(next.body.access_token)).toBe(401);
  stage.oidc.account('bob', { groups: ['guests'], preferred_username: 'Bob' });
});

it('tells who may not use it', async () => {
  const client = await registerClient(stage.base);
  const { url } = accessRequest(stage.base, client);
  await expect(signIn(stage.base, url, client, { person: 'eve' })).rejects.toThrow(
    /403 .*You are Eve, who may not use this gateway\. Ask its operator\./s,
  );
});

describe('the consent page', () => {
  it('names first who gets the answer, and sends nobody anywhere before it', async () => {
    const client = await registerClient(stage.base);
    const before = stage.oidc.asked.length;
    const answer = await fetch(accessRequest(stage.base, client).url);
    const page = await answer.text();
    expect(/<h1>([^<]+)<\/h1>/.exec(page)?.[1]).toBe('app.example');
    for (const text of ['Test app', 'not verified', ANSWERS, `${stage.base}/mcp`])
      expect(page).toContain(text);
    expect([answer.headers.get('set-cookie'), page.includes('<script')]).toEqual([null, false]);
    expect(stage.oidc.asked.length).toBe(before);
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(
      ['x-frame-options', 'referrer-policy', 'cache-control'].map((name) => answer.headers.get(name)),
    ).toEqual(['DENY', 'same-origin', 'no-store']);
  });

  it('takes the person back where he says no', async () => {
    const client = await registerClient(stage.base);
    const { url, state } = accessRequest(stage.base, client);
    const browser = createBrowser();
    const page = await (await browser(url, undefined)).text();
    const answer = await decide(stage.base, browser, formOf(page), 'cancel');
    const back = new URL(answer.headers.get('location') ?? '');
    expect([answer.status, Object.fromEntries(back.searchParams)]).toEqual([
      303,
      { error: 'access_denied', state, iss: stage.base },
    ]);
  });

  it.each(['https://evil.example', 'null', undefined])('is not answered by a page of %s', async (origin) => {
    const client = await registerClient(stage.base);
    const form = formOf(await (await fetch(accessRequest(stage.base, client).url)).text());
    const answer = await fetch(`${stage.base}/oauth/consent`, {
      method: 'POST',
      redirect: 'manual',
      ...(origin === undefined ? {} : { headers: { origin } }),
      body: new URLSearchParams({ request: form, decision: 'allow' }),
    });
    expect([answer.status, answer.headers.get('location')]).toEqual([403, null]);
  });
});

it('a callback counts once, in the browser that was sent away', async () => {
  const client = await registerClient(stage.base);
  const browser = createBrowser();
  const page = await (await browser(accessRequest(stage.base, client).url, undefined)).text();
  const away = (await decide(stage.base, browser, formOf(page))).headers.get('location') ?? '';
  const callback = await signInAt(new URL(away), `${stage.base}/oauth/callback`, browser);
  const other = await createBrowser()(callback, undefined);
  expect([other.status, await other.text()]).toEqual([
    400,
    expect.stringContaining('not started in this browser'),
  ]);
  expect((await browser(callback, undefined)).status).toBe(303);
  expect((await browser(callback, undefined)).status).toBe(400);
});

it('a token that was used twice ends all that was given', async () => {
  const client = await registerClient(stage.base);
  const { url, verifier } = accessRequest(stage.base, client);
  const code = (await signIn(stage.base, url, client)).searchParams.get('code') ?? '';
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, client_id: client.id };
  const { body } = await tokenRequest(stage.base, form);
  expect(await tools(body.access_token)).toHaveLength(2);
  expect((await tokenRequest(stage.base, form)).body.error).toBe('invalid_grant');
  expect(await tools(body.access_token)).toBe(401);
  expect((await refreshed(stage.base, client, body.refresh_token)).body.error).toBe('invalid_grant');
});

it('waits where the identity provider is away, and goes on', async () => {
  const { client, tokens } = await signedIn(stage.base);
  stage.oidc.down();
  const away = await refreshed(stage.base, client, tokens.refresh_token);
  expect([away.status, away.body.error]).toEqual([503, 'temporarily_unavailable']);
  expect(await tools(tokens.access_token)).toHaveLength(2);
  stage.oidc.up();
  expect((await refreshed(stage.base, client, tokens.refresh_token)).status).toBe(200);
});

it('revokes', async () => {
  const one = await signedIn(stage.base);
  const other = await signedIn(stage.base);
  await fetch(`${stage.base}/oauth/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ token: one.tokens.refresh_token, client_id: one.client.id }),
  });
  expect(await tools(one.tokens.access_token)).toBe(401);
  expect(await tools(other.tokens.access_token)).toHaveLength(2);
});

it('a call with a token reaches the server', async () => {
  const { tokens } = await signedIn(stage.base, { more: { resource: `${stage.base}/servers/one/mcp` } });
  const headers = { authorization: `Bearer ${tokens.access_token}` };
  const answer = await callTool(`${stage.base}/servers/one/mcp`, 'look', {}, headers);
  expect(answer).toMatchObject({ result: { content: [{ type: 'text' }] } });
});
