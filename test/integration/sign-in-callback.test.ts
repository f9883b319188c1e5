/** The way back from the identity provider. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createBrowser } from '../helpers/login.js';
import {
  accessRequest,
  decide,
  formOf,
  registerClient,
  signInAt,
  stageSignIn,
  type SignInStage,
  type TestClient,
} from '../helpers/sign-in.js';

let stage: SignInStage;
let client: TestClient;

beforeAll(async () => {
  stage = await stageSignIn({
    accounts: {
      ada: { groups: ['dev'], preferred_username: 'Ada' },
      eve: { groups: [], preferred_username: 'Eve' },
    },
    login: { allow: [{ groups: ['dev'] }] },
  });
  client = await registerClient(stage.base);
});

describe('the way back', () => {
  /** A browser that stands at the callback. */
  async function back(person = 'ada') {
    const browser = createBrowser();
    const { url, state } = accessRequest(stage.base, client);
    const form = formOf(await (await browser(url, undefined)).text());
    const away = new URL((await decide(stage.base, browser, form)).headers.get('location') ?? '');
    const callback = await signInAt(away, `${stage.base}/oauth/callback`, browser, person);
    return { browser, callback, state };
  }
  const STARTED = 'This sign-in was not started in this browser, or took over 10 minutes. Start again.';

  it('is a page without the cookie, with a foreign state, and with two states', async () => {
    const { browser, callback } = await back();
    const foreign = new URL(callback);
    foreign.searchParams.set('state', (await back()).callback.searchParams.get('state') ?? '');
    const double = new URL(callback);
    double.searchParams.append('state', callback.searchParams.get('state') ?? '');
    const none = new URL(callback);
    none.searchParams.delete('state');
    for (const [answer, name] of [
      [await createBrowser()(callback, undefined), 'without cookie'],
      [await browser(foreign, undefined), 'foreign'],
      [await browser(double, undefined), 'double'],
      [await browser(none, undefined), 'none'],
    ] as const)
      expect([name, answer.status, answer.headers.get('location'), await answer.text()]).toEqual([
        name,
        400,
        null,
        expect.stringContaining(STARTED),
      ]);
    // None of these has used it up.
    expect((await browser(callback, undefined)).status).toBe(303);
  });

  it('counts once, also where the browser keeps the cookie', async () => {
    const browser = createBrowser();
    const form = formOf(await (await browser(accessRequest(stage.base, client).url, undefined)).text());
    const sent = await decide(stage.base, browser, form);
    const [cookie = ''] = sent.headers.getSetCookie();
    const away = new URL(sent.headers.get('location') ?? '');
    const callback = await signInAt(away, `${stage.base}/oauth/callback`, browser);
    const kept = { headers: { cookie: cookie.split(';')[0] as string }, redirect: 'manual' } as const;
    const first = await fetch(callback, kept);
    expect([first.status, first.headers.getSetCookie()]).toEqual([
      303,
      [expect.stringMatching(/=; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=0$/)],
    ]);
    const second = await fetch(callback, kept);
    expect([second.status, second.headers.get('location')]).toEqual([400, null]);
  });

  it('takes no answer of another issuer, and no code that was not given for it', async () => {
    for (const change of [
      (url: URL) => {
        url.searchParams.set('iss', 'https://evil.example');
      },
      (url: URL) => {
        url.searchParams.set('code', 'x');
      },
      (url: URL) => {
        url.searchParams.delete('code');
      },
    ]) {
      const { browser, callback, state } = await back();
      change(callback);
      const answer = await browser(callback, undefined);
      expect(Object.fromEntries(new URL(answer.headers.get('location') ?? '').searchParams)).toEqual({
        error: 'server_error',
        state,
        iss: stage.base,
      });
    }
  });

  it('brings a refusal of the person at the identity provider', async () => {
    const { browser, callback, state } = await back();
    callback.searchParams.delete('code');
    callback.searchParams.set('error', 'access_denied');
    const answer = await browser(callback, undefined);
    expect(Object.fromEntries(new URL(answer.headers.get('location') ?? '').searchParams)).toEqual({
      error: 'access_denied',
      state,
      iss: stage.base,
    });
  });

  it('ends at a page for who is not allowed, and stores nothing', async () => {
    const { browser, callback } = await back('eve');
    const before = await stage.running.metric('mcpstead_login_grants');
    const answer = await browser(callback, undefined);
    expect([answer.status, answer.headers.get('location'), await answer.text()]).toEqual([
      403,
      null,
      expect.stringContaining('You are Eve, who may not use this gateway. Ask its operator.'),
    ]);
    expect(await stage.running.metric('mcpstead_login_grants')).toBe(before);
  });

  it('of three sign-ins of one browser comes in any order; the fourth clears the oldest', async () => {
    const browser = createBrowser();
    const aways: URL[] = [];
    for (let n = 0; n < 4; n++) {
      const form = formOf(await (await browser(accessRequest(stage.base, client).url, undefined)).text());
      aways.push(new URL((await decide(stage.base, browser, form)).headers.get('location') ?? ''));
    }
    const ends: number[] = [];
    for (const away of aways.reverse()) {
      const callback = await signInAt(away, `${stage.base}/oauth/callback`, browser);
      ends.push((await browser(callback, undefined)).status);
    }
    expect(ends).toEqual([303, 303, 303, 400]);
  });
});
