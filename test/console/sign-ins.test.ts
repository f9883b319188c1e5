/** People sign in at the console and at the page of a login by the gateway itself, at a real identity provider, and see what was signed in. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../../src/admin/grant-schemas.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { openConsole, openPage, violations, type ConsolePage } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { startGateway } from '../helpers/gateway.js';
import { send } from '../helpers/http.js';
import {
  consoleClient,
  signedIn,
  stageSignIn,
  type SignInStage,
  type StageOptions,
} from '../helpers/sign-in.js';
import { until } from '../helpers/wait.js';

const KEY = { authorization: `Bearer ${CONSOLE_KEY}` };

function stage(options: StageOptions = {}): Promise<SignInStage> {
  return stageSignIn({
    accounts: {
      ada: { groups: ['ops'], preferred_username: 'Ada' },
      eve: { groups: [], preferred_username: 'Eve' },
    },
    gateway: { env: { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } },
    ...options,
    auth: { admins: [{ groups: ['ops'] }], ...options.auth },
  });
}

/** Allows it, and answers the forms of the identity provider as a person does. */
async function allow(page: Page, person: string): Promise<void> {
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.locator('input[name=login]').fill(person);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** The console of a gateway, whose people go to an identity provider and back. `expected`: roles that are missing, by default. */
function opened({ base }: SignInStage, at = '', expected = /status of 40[13]/): Promise<ConsolePage> {
  return openConsole(base, { at, expected, logsIn: true, leaves: true });
}

async function signInAs(page: Page, person: string): Promise<void> {
  await page.getByRole('button', { name: 'Sign in with your account' }).click();
  await allow(page, person);
}

async function grants(base: string): Promise<readonly Grant[]> {
  const answer = await send(`${base}/-/api/v1/grants`, undefined, { headers: KEY });
  return answer.json<{ grants: Grant[] }>().grants;
}

const stored = async (page: Page): Promise<Record<string, string>> =>
  JSON.parse(await page.evaluate<string>('JSON.stringify({ ...sessionStorage })')) as Record<string, string>;

/** Where pictures for people go, if somebody wants them. */
const SHOTS = process.env['CONSOLE_SHOTS'];
const LOOKS = [
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 320, height: 740 } },
] as const;

/** Judges a page, and takes pictures of it. */
async function judge(page: Page, name: string): Promise<void> {
  for (const { colorScheme, viewport } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    if (SHOTS !== undefined) await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`) });
  }
}

describe('signing in to the console with an account', () => {
  it('leads through consent and identity provider to the screen that was open, and out again', async () => {
    const at = await stage();
    const { page } = await opened(at, '#/servers');
    await page.getByRole('button', { name: 'Sign in with your account' }).waitFor();
    await judge(page, 'sign-in');
    await signInAs(page, 'ada');
    await page.getByRole('heading', { name: 'Servers' }).waitFor();
    await page.getByText('operator', { exact: true }).first().waitFor();
    expect(page.url()).toBe(`${at.base}/-/console/#/servers`);
    const { 'mcpstead.tokens': tokens = '', ...others } = await stored(page);
    expect(Object.keys(others)).toEqual([]);
    expect(await page.evaluate('localStorage.length')).toBe(0);
    expect(tokens).toContain('mcpr_');
    // Neither the code nor a token is in an address, also not in the history.
    const session = await page.context().newCDPSession(page);
    const { entries } = await session.send('Page.getNavigationHistory');
    const own = entries.map(({ url }) => url).filter((url) => url.startsWith(`${at.base}/-/`));
    expect(own).toEqual([`${at.base}/-/console/#/servers`, `${at.base}/-/console/#/servers`]);
    await page.locator('.who summary').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in with your account' }).waitFor();
    expect(await stored(page)).toEqual({});
    await until(async () => (await grants(at.base)).length === 0, 'the end of the sign-in');
    await page.reload();
    await page.getByRole('button', { name: 'Sign in with your account' }).waitFor();
  });

  it('shows somebody without a role his own sign-ins alone', async () => {
    const at = await stage();
    await signedIn(at.base, { person: 'ada' });
    const { tokens } = await signedIn(at.base, { person: 'eve' });
    const { page } = await opened(at);
    await signInAs(page, 'eve');
    await page.getByRole('heading', { name: 'Your sign-ins' }).waitFor();
    await page.getByText('You are neither operator nor viewer.').waitFor();
    expect(await page.locator('.card').count()).toBe(2);
    expect(await page.getByText('login:ada').count()).toBe(0);
    await judge(page, 'own-sign-ins');
    await page.getByRole('button', { name: 'End: Eve, Test app' }).click();
    await page.getByRole('button', { name: 'End now: Eve, Test app' }).click();
    await until(async () => (await page.locator('.card').count()) === 1);
    const { status } = await send(`${at.base}/-/api/v1/grants`, undefined, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(status).toBe(401);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in with your account' }).waitFor();
  });

  it('renews its token when it is refused, and says when the sign-in has ended', async () => {
    const at = await stage();
    // The last refresh is refused with 400.
    const { page } = await opened(at, '', /status of 40[013]/);
    await signInAs(page, 'ada');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    const before = (await stored(page))['mcpstead.tokens'];
    // As after a long sleep of the machine: the access token is over, and only requests tell.
    await page.evaluate(`{
      const tokens = JSON.parse(sessionStorage.getItem('mcpstead.tokens'));
      sessionStorage.setItem('mcpstead.tokens', JSON.stringify({ ...tokens, access: tokens.access.slice(0, -4) + 'AAAA' }));
    }`);
    await page.reload();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    const after = (await stored(page))['mcpstead.tokens'];
    expect(after).not.toBe(before);
    const [grant] = await grants(at.base);
    await send(`${at.base}/-/api/v1/grants/${grant?.id}`, undefined, { method: 'DELETE', headers: KEY });
    await page.getByRole('link', { name: 'Sign-ins' }).click();
    await page.getByText('Your sign-in has ended.').waitFor();
    expect(await stored(page)).toEqual({});
  });

  it('says what did not work, and leads back', async () => {
    const at = await stage();
    const { page } = await opened(at);
    await page.getByRole('button', { name: 'Sign in with your account' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('alert').getByText('You did not allow it.').waitFor();
    await judge(page, 'not-signed-in');
    expect(page.url()).toBe(`${at.base}/-/signed-in`);
    await page.getByRole('link', { name: 'Back' }).click();
    await page.getByRole('button', { name: 'Sign in with your account' }).waitFor();
    // An answer that nobody here asked for.
    await page.goto(`${at.base}/-/signed-in?code=mcpa_x&state=y&iss=${encodeURIComponent(at.base)}`);
    await page.getByRole('alert').getByText('not started in this tab').waitFor();
    expect(await stored(page)).toEqual({});
  });
});

describe('the screen of sign-ins', () => {
  it('shows operators all, filters, and ends one after a question', async () => {
    const at = await stage();
    const { page } = await openConsole(at.base, { key: CONSOLE_KEY, at: '#/sign-ins' });
    await page.getByText('Nobody is signed in.').waitFor();
    await judge(page, 'sign-ins-empty');
    await signedIn(at.base, { person: 'ada' });
    await signedIn(at.base, { person: 'eve' });
    await page.reload();
    await page.getByText('2 sign-ins').waitFor();
    await judge(page, 'sign-ins');
    await page.getByRole('searchbox').fill('eve app.example');
    await page.getByText('1 of 2 sign-ins').waitFor();
    await page.getByRole('button', { name: 'End: Eve, Test app' }).click();
    await judge(page, 'sign-ins-question');
    await page.getByRole('button', { name: 'Keep' }).click();
    await page.getByRole('button', { name: 'End: Eve, Test app' }).click();
    await page.getByRole('button', { name: 'End now: Eve, Test app' }).click();
    await page.getByText('No sign-in fits the filter.').waitFor();
    expect((await grants(at.base)).map(({ person }) => person)).toEqual(['login:ada']);
  });

  it('is absent where nobody signs in, as is the button', async () => {
    const { base } = await startWithKey({ servers: [] });
    const { page } = await openConsole(base);
    await page.getByLabel('Or a key').waitFor();
    await page.getByLabel('Or a key').fill(CONSOLE_KEY);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(await page.getByRole('link', { name: 'Sign-ins' }).count()).toBe(0);
    expect((await send(`${base}/-/signed-in?code=x`)).status).toBe(404);
  });
});

describe('the page of a login', () => {
  it('takes a sign-in in place of a key, which ends with it', async () => {
    const other = await startOidc();
    atEnd(() => {
      other.close();
    });
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const guarded = await startGateway(
      {
        servers: [upstream.entry('one')],
        mcp: { auth: { issuers: [{ name: 'corp', issuer: other.issuer }], scopes: ['read'] } },
        metrics: { auth: 'none' },
      },
      { wait: [] },
    );
    const { base } = await stage({
      config: { servers: [{ name: 'x', url: guarded.url, auth: { per: 'user' } }] },
      isUp: (gateway) => gateway.health().servers[0]?.state === 'login_required',
    });
    const { tokens } = await signedIn(base, { ...consoleClient(base), person: 'eve' });
    const link = await send(
      `${base}/-/api/v1/servers/x/login/link`,
      {},
      {
        headers: { authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' },
      },
    );
    const { url } = link.json<{ url: string }>();
    const { page } = await openPage(url);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await judge(page, 'login-page');
    // Somebody else: the link is not for him.
    await page.getByRole('button', { name: 'Sign in' }).click();
    await allow(page, 'ada');
    await page.getByText('You are signed in at this gateway.').waitFor();
    await judge(page, 'login-page-signed-in');
    expect(page.url()).toBe(url);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('alert').getByText('given to somebody else').waitFor();
    expect(await stored(page)).toEqual({});
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await allow(page, 'eve');
    await page.getByText('You are signed in at this gateway.').waitFor();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((to) => to.origin === new URL(other.issuer).origin);
    await until(async () => (await grants(base)).length === 1, 'the end of the sign-ins for the link');
    await page.locator('input[name=login]').fill('eve');
    await page.locator('input[name=password]').fill('any');
    await page.locator('button[type=submit]').click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'You are logged in' }).waitFor();
  });
});
