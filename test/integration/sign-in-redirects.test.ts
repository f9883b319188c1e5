/** Where answers of sign-ins go: to redirect URIs that are registered, character by character, and nowhere else. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  accessRequest,
  ANSWERS,
  changed,
  openPage,
  postRegistration,
  registerClient,
  stageSignIn,
  type SignInStage,
  type TestClient,
} from '../helpers/sign-in.js';

const LOOPBACK = 'http://127.0.0.1:7777/callback';

let stage: SignInStage;
let client: TestClient;
let local: TestClient;

beforeAll(async () => {
  stage = await stageSignIn({ login: { redirects: ['*', 'zed:'] } });
  client = await registerClient(stage.base);
  local = await registerClient(stage.base, LOOPBACK);
});

/** The page for a request whose parameters are `more` or, where that is undefined, missing. */
const ask = (of: TestClient, more: Readonly<Record<string, string | undefined>> = {}) =>
  openPage(changed(accessRequest(stage.base, of).url, more));
const register = (redirectUris: unknown, more: object = {}) =>
  postRegistration(stage.base, redirectUris, more);

describe('a redirect URI', () => {
  it('is not at the gateway itself', async () => {
    for (const path of ['/-/signed-in', '/oauth/callback', '/-/oauth/callback']) {
      const own = await registerClient(stage.base, `${stage.base}${path}`);
      expect(await ask(own)).toMatchObject({ status: 400, location: null });
    }
    const other = await registerClient(stage.base, 'http://127.0.0.1/-/signed-in');
    const redirect_uri = `${stage.base}/-/signed-in`;
    expect(await ask(other, { redirect_uri })).toMatchObject({ status: 400, location: null });
  });

  it.each([
    `${ANSWERS}x`,
    `${ANSWERS}/`,
    `${ANSWERS}?`,
    ANSWERS.slice(0, -1),
    ANSWERS.replace('callback', 'Callback'),
    ANSWERS.replace('https', 'http'),
    ANSWERS.replace('app.example', 'app.example.'),
    ANSWERS.replace('app.example', 'APP.example'),
    ANSWERS.replace('app.example', 'app.example:443'),
    ANSWERS.replace('app.example', 'x@app.example'),
    ANSWERS.replace('/callback', '/./callback'),
    ANSWERS.replace('callback', '%63allback'),
    `${ANSWERS}#x`,
    `${ANSWERS}\t`,
    ' ',
  ])('that is not quite the registered one leads nowhere: %j', async (redirect_uri) => {
    const { status, location, text } = await ask(client, { redirect_uri });
    expect([status, location]).toEqual([400, null]);
    expect(text).toContain('which it did not register.');
    expect(text).not.toContain('name="request"');
  });

  it('may be left out where one is registered, and is not taken twice', async () => {
    expect((await ask(client, { redirect_uri: undefined })).status).toBe(200);
    const { url } = accessRequest(stage.base, client);
    url.searchParams.append('redirect_uri', ANSWERS);
    expect((await openPage(url)).status).toBe(400);
  });

  it.each([
    ['http://127.0.0.1:1/callback', 200],
    ['http://127.0.0.1:65535/callback', 200],
    ['http://127.0.0.1/callback', 200],
    ['http://localhost:7777/callback', 400],
    ['http://[::1]:7777/callback', 400],
    ['http://127.0.0.1:7777/callback/', 400],
    ['http://127.0.0.1:7777/', 400],
    ['http://127.0.0.1:7777/callback?x', 400],
    ['http://127.0.0.1:99999/callback', 400],
    ['http://127.0.0.1:07777/callback', 400],
    ['https://127.0.0.1:7777/callback', 400],
  ])('of this machine has any port, and nothing else that is other: %s', async (redirect_uri, status) => {
    expect((await ask(local, { redirect_uri })).status).toBe(status);
  });

  it('of a bad kind is not registered; the good ones beside it are', async () => {
    const bad = [
      'javascript:alert(1)',
      'JavaScript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      'http://app.example/cb',
      'http://127.0.0.1.evil.example/cb',
      'https://a.example\\@evil.example/',
      'https://user@a.example/',
      'https://a.example/#x',
      'https://a.exam\tple/',
      'foo://bar/',
    ];
    const good = ['https://a.example/cb', 'cursor://anysphere.cursor-mcp/oauth', 'zed://agent/mcp', LOOPBACK];
    const mixed = await register([...bad.slice(0, 4), ...good], { token_endpoint_auth_method: 'x' });
    expect([mixed.status, await mixed.json()]).toEqual([
      201,
      expect.objectContaining({
        redirect_uris: good,
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
      }),
    ]);
    for (const list of [bad.slice(0, 6), bad.slice(6), [], 'https://a.example/', undefined]) {
      const answer = await register(list);
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        400,
        'invalid_redirect_uri',
      ]);
    }
  });
});

it.each([
  ['unknown', 'mcpc_abc'],
  ['altered', undefined],
  ['of another form', 'console2'],
  ['markup', '<script>alert(1)</script>'],
  ['empty', ''],
])('a client id that is %s gets a page', async (_, id) => {
  const altered = `${client.id.slice(0, -1)}${client.id.endsWith('A') ? 'B' : 'A'}`;
  const { status, location, text } = await ask(client, { client_id: id ?? altered });
  expect([status, location]).toEqual([400, null]);
  expect(text).toContain('not registered here');
  expect(text).not.toContain('<script');
});
