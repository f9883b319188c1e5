/** What clients ask people for at `/oauth/authorize`, and what nobody is asked. */
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
  stage = await stageSignIn({ login: { redirects: ['*', 'named.example'] }, auth: { scopes: ['read'] } });
  client = await registerClient(stage.base);
  local = await registerClient(stage.base, LOOPBACK);
});

/** The page for a request whose parameters are `more` or, where that is undefined, missing. */
const ask = (of: TestClient, more: Readonly<Record<string, string | undefined>> = {}) =>
  openPage(changed(accessRequest(stage.base, of).url, more));
const register = (redirectUris: unknown, more: object = {}) =>
  postRegistration(stage.base, redirectUris, more);

describe('a request that is wrong', () => {
  const WRONG: [string, Record<string, string | undefined>, string][] = [
    ['no challenge', { code_challenge: undefined }, 'invalid_request'],
    ['no method', { code_challenge_method: undefined }, 'invalid_request'],
    ['plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['a short challenge', { code_challenge: 'abc' }, 'invalid_request'],
    ['no resource', { resource: undefined }, 'invalid_target'],
    ['a resource elsewhere', { resource: 'https://other.example/mcp' }, 'invalid_target'],
    ['a resource that begins like this one', { resource: 'BASE.evil.example/mcp' }, 'invalid_target'],
    ['the resource of the console', { resource: 'BASE/-/' }, 'invalid_target'],
    ['the whole gateway', { resource: 'BASE' }, 'invalid_target'],
    ['a resource with dots', { resource: 'BASE/servers/../mcp' }, 'invalid_target'],
    ['a token at once', { response_type: 'token' }, 'unsupported_response_type'],
    ['a fragment', { response_mode: 'fragment' }, 'invalid_request'],
    ['a form', { response_mode: 'form_post' }, 'invalid_request'],
    ['prompt=none', { prompt: 'none' }, 'login_required'],
    ['a request object', { request: 'x' }, 'request_not_supported'],
    ['a request URI', { request_uri: 'https://x.example' }, 'request_uri_not_supported'],
    ['a long state', { state: 'x'.repeat(1025) }, 'invalid_request'],
  ];
  const filled = (more: Record<string, string | undefined>): Record<string, string | undefined> => ({
    ...more,
    ...(more['resource'] !== undefined && { resource: more['resource'].replace('BASE', stage.base) }),
  });

  it.each(WRONG)('goes back to a program of this machine: %s', async (_, more, error) => {
    const { status, location } = await ask(local, { state: 'theirs', ...filled(more) });
    expect(status).toBe(303);
    const back = new URL(location ?? '');
    expect(back.href.startsWith(`${LOOPBACK}?`)).toBe(true);
    expect(Object.fromEntries(back.searchParams)).toEqual({
      error,
      error_description: expect.any(String) as string,
      iss: stage.base,
      ...(more['state'] === undefined && { state: 'theirs' }),
    });
  });

  it.each(WRONG.slice(0, 6))('shows a link where nobody has named the host: %s', async (_, more) => {
    const { status, location, text } = await ask(client, filled(more));
    expect([status, location]).toEqual([400, null]);
    expect(text).toContain(`href="${ANSWERS}?error=`);
  });

  it('goes back to a host that the configuration names', async () => {
    const named = await registerClient(stage.base, 'https://named.example/cb');
    const { status, location } = await ask(named, { prompt: 'none' });
    expect([status, location?.startsWith('https://named.example/cb?error=login_required')]).toEqual([
      303,
      true,
    ]);
  });

  it.each(['resource', 'state', 'code_challenge', 'scope', 'anything'])(
    'has %s twice, and then says so to nobody but the client',
    async (name) => {
      const { url } = accessRequest(stage.base, local, { state: 'theirs', scope: 'read', anything: 'x' });
      url.searchParams.append(name, url.searchParams.get(name) ?? '');
      const { status, location } = await openPage(url);
      const back = new URL(location ?? '').searchParams;
      expect([status, back.get('error'), back.get('state')]).toEqual([
        303,
        name === 'resource' ? 'invalid_target' : 'invalid_request',
        name === 'state' ? null : 'theirs',
      ]);
    },
  );
});

it('a route need not exist: nobody finds out which ones do', async () => {
  const pages = await Promise.all(
    ['/servers/one/mcp', '/servers/none/mcp', '/profiles/none/sse'].map((path) =>
      ask(client, { resource: `${stage.base}${path}` }),
    ),
  );
  expect(pages.map(({ status }) => status)).toEqual([200, 200, 200]);
});

it('markup is text, and a name cannot change the line of the host', async () => {
  const answer = await register([ANSWERS], {
    client_name: '<img src=x onerror=alert(1)>"\'\u202egnp.\u0000\n<h1>evil.example</h1>',
  });
  const { client_id: id } = (await answer.json()) as { client_id: string };
  const { text } = await ask({ id, redirectUri: ANSWERS });
  expect(text).not.toMatch(/<img|onerror=alert\(1\)>|\u202e|\u0000/);
  expect([...text.matchAll(/<h1>([^<]*)<\/h1>/g)].map(([, host]) => host)).toEqual(['app.example']);
});
