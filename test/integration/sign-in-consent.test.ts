/** The consent of a person, and the way to the identity provider. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createBrowser } from '../helpers/login.js';
import {
  accessRequest,
  decide,
  formOf,
  registerClient,
  signIn,
  stageSignIn,
  type SignInStage,
  type TestClient,
} from '../helpers/sign-in.js';

let stage: SignInStage;
let client: TestClient;

beforeAll(async () => {
  stage = await stageSignIn();
  client = await registerClient(stage.base);
});

const page = async (): Promise<string> => (await fetch(accessRequest(stage.base, client).url)).text();

describe('consent', () => {
  it('is asked for each time: for the same client again, and for the next', async () => {
    const browser = createBrowser();
    const first = accessRequest(stage.base, client);
    await signIn(stage.base, first.url, client, { browser });
    for (const of of [client, await registerClient(stage.base)]) {
      const before = stage.oidc.asked.length;
      const page = await browser(accessRequest(stage.base, of).url, undefined);
      expect([page.status, page.headers.get('location'), page.headers.get('set-cookie')]).toEqual([
        200,
        null,
        null,
      ]);
      expect(formOf(await page.text())).not.toBe('');
      expect(stage.oidc.asked.length).toBe(before);
    }
  });

  it.each<[string, (form: string) => URLSearchParams]>([
    ['without a form', () => new URLSearchParams({ decision: 'allow' })],
    ['with an empty form', () => new URLSearchParams({ decision: 'allow', request: '' })],
    [
      'with an altered form',
      (form) => new URLSearchParams({ decision: 'allow', request: `${form.slice(0, -2)}AA` }),
    ],
    ['with a client id', () => new URLSearchParams({ decision: 'allow', request: client.id })],
  ])('%s is a page', async (_, body) => {
    const form = formOf(await page());
    const answer = await createBrowser()(new URL(`${stage.base}/oauth/consent`), body(form), {
      origin: stage.base,
    });
    expect([answer.status, answer.headers.get('location'), answer.headers.get('set-cookie')]).toEqual([
      400,
      null,
      null,
    ]);
  });

  it.each(['localhost', '127.0.0.1', 'evil.example'])(
    'is not given from another origin of %s',
    async (host) => {
      const form = formOf(await page());
      const origin = `http://${host}:1`;
      const body = new URLSearchParams({ decision: 'allow', request: form });
      const answer = await createBrowser()(new URL(`${stage.base}/oauth/consent`), body, { origin });
      expect([answer.status, answer.headers.get('location'), await answer.text()]).toEqual([
        403,
        null,
        expect.stringContaining('Open this page from your application.'),
      ]);
    },
  );

  it('is not given without a decision, and not by GET', async () => {
    const form = formOf(await page());
    const body = new URLSearchParams({ request: form });
    const answer = await createBrowser()(new URL(`${stage.base}/oauth/consent`), body, {
      origin: stage.base,
    });
    expect(new URL(answer.headers.get('location') ?? '').searchParams.get('error')).toBe('access_denied');
    const url = `${stage.base}/oauth/consent?request=${form}&decision=allow`;
    const got = await fetch(url, { redirect: 'manual', headers: { origin: stage.base } });
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('sets one cookie, which scripts and other hosts do not get', async () => {
    const form = formOf(await page());
    const answer = await decide(stage.base, createBrowser(), form);
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-mcpstead_[\w-]{8}=[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
      ),
    ]);
    const away = new URL(answer.headers.get('location') ?? '');
    expect([answer.status, away.origin]).toEqual([303, stage.oidc.issuer]);
    expect(away.searchParams.get('code_challenge_method')).toBe('S256');
    // Nothing of the client goes to the identity provider.
    expect(away.href).not.toContain(client.id);
  });
});
