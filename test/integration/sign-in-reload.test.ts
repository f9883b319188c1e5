/** What a reload, and the end of a sign-in, change for people who have signed in. */
import { expect, it } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { openSession, openSse, post, type Headers } from '../helpers/http.js';
import {
  accessRequest,
  decide,
  formOf,
  refreshed,
  registerClient,
  signedIn,
  signIn,
  stageSignIn,
  type SignInStage,
} from '../helpers/sign-in.js';
import { createBrowser } from '../helpers/login.js';
import { until } from '../helpers/wait.js';

type Login = NonNullable<NonNullable<NonNullable<ConfigInput['mcp']>['auth']>['login']>;

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' } as const;
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const status = async ({ base }: SignInStage, token: string): Promise<number> =>
  (await post(`${base}/mcp`, LIST, bearer(token))).status;

/** Another configuration; `null`: without login, with a key instead. */
async function reload({ running, config, base }: SignInStage, login: Partial<Login> | null): Promise<void> {
  const port = Number(new URL(base).port);
  const before = config.mcp?.auth?.login as Login;
  const auth =
    login === null
      ? { keys: [{ name: 'ci', sha256: ['A'.repeat(43)] }] }
      : { ...config.mcp?.auth, login: { ...before, ...login } };
  await running.gateway.reload({ ...config, host: '127.0.0.1', port, mcp: { ...config.mcp, auth } });
}

it('without login nothing is served of it, and sign-ins come back with it', async () => {
  const stage = await stageSignIn();
  const { client, tokens } = await signedIn(stage.base);
  expect(await status(stage, tokens.access_token)).toBe(200);
  await reload(stage, null);
  expect(await status(stage, tokens.access_token)).toBe(401);
  for (const path of ['/oauth/jwks', '/oauth/authorize', '/.well-known/oauth-authorization-server'])
    expect([path, (await fetch(`${stage.base}${path}`)).status]).toEqual([path, 404]);
  await reload(stage, {});
  expect((await refreshed(stage.base, client, tokens.refresh_token)).status).toBe(200);
  expect(await status(stage, tokens.access_token)).toBe(200);
});

it('another client at the identity provider ends every sign-in', async () => {
  const stage = await stageSignIn();
  const { client, tokens } = await signedIn(stage.base);
  await reload(stage, { client_id: 'other' });
  // At once: people there may have the same ids.
  expect(await status(stage, tokens.access_token)).toBe(401);
  const metrics = async (): Promise<string> => (await fetch(`${stage.base}/metrics`)).text();
  await until(async () => /^mcpstead_login_grants 0$/m.test(await metrics()), 'the end');
  await reload(stage, {});
  expect(await status(stage, tokens.access_token)).toBe(401);
  expect((await refreshed(stage.base, client, tokens.refresh_token)).body.error).toBe('invalid_grant');
});

it.each<[string, Partial<Login>, number]>([
  ['register', { register: ['cimd'] }, 401],
  ['redirects', { redirects: ['other.example'] }, 401],
  ['allow', { allow: [{ groups: ['ops'] }] }, 400],
])('each renewal checks %s', async (_, login, expected) => {
  const stage = await stageSignIn();
  const { client, tokens } = await signedIn(stage.base);
  const browser = createBrowser();
  const form = formOf(await (await browser(accessRequest(stage.base, client).url, undefined)).text());
  await reload(stage, login);
  expect((await refreshed(stage.base, client, tokens.refresh_token)).status).toBe(expected);
  if (expected === 400) {
    await expect(signIn(stage.base, accessRequest(stage.base, client).url, client)).rejects.toThrow(/403/);
    return;
  }
  // A form that was shown before counts no more.
  expect((await decide(stage.base, browser, form)).status).toBe(400);
  expect((await fetch(accessRequest(stage.base, client).url)).status).toBe(400);
});

it('the end of a sign-in ends its sessions and streams, and none of another', async () => {
  const stage = await stageSignIn();
  const { base, running } = stage;
  const client = await registerClient(base);
  const one = await signedIn(base, { client });
  const other = await signedIn(base, { client });
  const open = async (token: string) => {
    const session = await openSession(running.url, { headers: bearer(token) });
    return { session, stream: await openSse(running.url, undefined, session) };
  };
  const [mine, its] = [await open(one.tokens.access_token), await open(other.tokens.access_token)];
  // This one was shown a newer credential, of the other sign-in, and goes by it.
  const moved = await open(one.tokens.access_token);
  const renewed = { ...moved.session, ...bearer(other.tokens.access_token) };
  expect((await post(running.url, LIST, renewed)).status).toBe(200);
  await fetch(`${base}/oauth/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ token: one.tokens.refresh_token, client_id: client.id }),
  });
  await mine.stream.done();
  expect((await post(running.url, LIST, mine.session)).status).toBe(401);
  expect((await post(running.url, LIST, its.session)).status).toBe(200);
  expect((await post(running.url, LIST, renewed)).status).toBe(200);
  expect(its.stream.ended).toBe(false);
  // Nobody takes over the session that has ended.
  const taken = { ...mine.session, ...bearer(other.tokens.access_token) };
  expect((await post(running.url, LIST, taken)).status).toBe(404);
});
