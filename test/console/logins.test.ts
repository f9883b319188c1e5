/** Logging in to a server by the page of a link, and from the console, at a real authorization server. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { openConsole, openPage, violations } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { startGateway } from '../helpers/gateway.js';
import { send } from '../helpers/http.js';
import { until } from '../helpers/wait.js';

const KEY = createApiKey();

/** A gateway whose server `x` asks for a login. `keyed`: it has an operator with a key. */
async function stage({ keyed = false, per = 'gateway', scopes = ['read'] } = {}) {
  const oidc = await startOidc();
  atEnd(() => {
    oidc.close();
  });
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const guarded = await startGateway(
    {
      servers: [upstream.entry('one')],
      mcp: { auth: { issuers: [{ name: 'corp', issuer: oidc.issuer }], scopes } },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const auth = {
    keys: [{ name: 'ada', sha256: [hashApiKey(KEY)] }],
    admins: per === 'gateway' ? [{ ids: ['key:ada'] }] : [],
  };
  const running = await startWithKey(
    { servers: [{ name: 'x', url: guarded.url, auth: { per } }], ...(keyed && { mcp: { auth } }) } as never,
    { wait: [] },
  );
  const state = (): string | undefined => running.gateway.health().servers[0]?.state;
  await until(() => state() === 'login_required', 'the refusal');
  return { ...running, state };
}

async function linkOf(base: string, key = CONSOLE_KEY): Promise<string> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  return (await send(`${base}/-/api/v1/servers/x/login/link`, '{}', { headers })).json<{ url: string }>().url;
}

/** Answers the forms of the authorization server as a person does. */
async function logInThere(page: Page): Promise<void> {
  await page.locator('input[name=login]').fill('ada');
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** Where pictures for people go, if somebody wants them. */
const SHOTS = process.env['CONSOLE_SHOTS'];
const LOOKS = [
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 390, height: 740 } },
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

describe('the page of a login', () => {
  it('leads through the authorization server to the login, without a key where nobody needs one', async () => {
    const { base, state } = await stage();
    const { page, faults } = await openPage(await linkOf(base));
    await page.getByRole('heading', { name: 'Log in to x' }).waitFor();
    await judge(page, 'login-page');
    expect(await page.locator('input').count()).toBe(0);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((url) => url.origin !== base);
    // The authorization server's own pages are not judged.
    expect(faults.filter((fault) => /Content.Security|TrustedHTML/i.test(fault))).toEqual([]);
    await logInThere(page);
    await page.getByRole('heading', { name: 'You are logged in' }).waitFor();
    await judge(page, 'login-done');
    expect(page.url()).toBe(`${base}/-/login/done`);
    const cookies = await page.context().cookies(base);
    expect(cookies.filter(({ name }) => name.includes('mcpstead'))).toEqual([]);
    await until(() => state() === 'up', 'the server');
  });

  it('takes a pasted key, which it neither keeps nor puts into an address, and says when it is wrong', async () => {
    const { base } = await stage({ keyed: true });
    const { page } = await openPage(await linkOf(base, KEY));
    await page.getByLabel('Your key or token').waitFor();
    await judge(page, 'login-key');
    for (const [key, words] of [
      ['wrong', 'This credential is not accepted.'],
      ['ключ', 'only letters'],
      [CONSOLE_KEY, 'given to somebody else'],
    ] as const) {
      await page.getByLabel('Your key or token').fill(key);
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByRole('alert').getByText(words).waitFor();
    }
    await page.getByLabel('Your key or token').fill(KEY);
    await page.keyboard.press('Enter');
    await page.locator('input[name=login]').waitFor();
    expect(page.url()).not.toContain(KEY);
    await page.goBack();
    await page.getByRole('button', { name: 'Continue' }).waitFor();
    expect(await page.getByLabel('Your key or token').inputValue()).toBe('');
    expect(await page.evaluate('[localStorage.length, sessionStorage.length]')).toEqual([0, 0]);
  });

  it('shows markup in scopes as text, and cannot be framed', async () => {
    const evil = '<img/src=x/onerror=alert(1)>';
    const { base } = await stage({ scopes: [evil] });
    const link = await linkOf(base);
    const { page, faults } = await openPage(link);
    await page.getByText(evil).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(faults).toEqual([]);
    const other = createServer((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/html' }).end(`<iframe src="${link}"></iframe>`);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      other.closeAllConnections();
      other.close();
    });
    await page.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
    expect(await page.frames().at(-1)?.content()).not.toContain('Continue');
    expect(faults).not.toEqual([]);
  });
});

describe('connections in the console', () => {
  it('log in in another tab, show how the login stands, and log out', async () => {
    const { base, state } = await stage();
    const { page } = await openConsole(base, { key: CONSOLE_KEY, at: '#/connections', logsIn: true });
    await page.locator('.card').getByText('needs a login').waitFor();
    await judge(page, 'connections');
    await page.getByRole('button', { name: 'Log in: x' }).click();
    await page.getByRole('link', { name: 'Continue in a new tab' }).waitFor();
    await judge(page, 'connection-begun');
    const tab = page.context().waitForEvent('page');
    await page.getByRole('link', { name: 'Continue in a new tab' }).click();
    await logInThere(await tab);
    await page.locator('.card').getByText('logged in').waitFor();
    await page.getByText(/renewed by the gateway/).waitFor();
    await judge(page, 'connection');
    await until(() => state() === 'up', 'the server');
    await page.getByRole('button', { name: 'Log out: x' }).click();
    await page.getByRole('button', { name: 'Log in: x' }).waitFor();
    // The card of the server has the button, too.
    await page.getByRole('link', { name: 'x', exact: true }).click();
    await page.getByRole('button', { name: 'Log in: x' }).click();
    await page.getByRole('link', { name: 'Continue in a new tab' }).waitFor();
  });

  it('are those of a user alone, who has no role', async () => {
    const { base } = await stage({ keyed: true, per: 'user' });
    const { page } = await openConsole(base, {
      key: KEY,
      at: '#/',
      logsIn: true,
      expected: /status of 403/,
    });
    await page.getByRole('heading', { name: 'Your connections' }).waitFor();
    await page.getByRole('button', { name: 'Log in: x' }).click();
    const tab = page.context().waitForEvent('page');
    await page.getByRole('link', { name: 'Continue in a new tab' }).click();
    await logInThere(await tab);
    await page.locator('.card').getByText('logged in').waitFor();
    await page.getByText('for you alone').waitFor();
    await judge(page, 'own-connections');
  });

  it('are absent where no server takes a login', async () => {
    const { base } = await startWithKey({ servers: [] });
    const { page } = await openConsole(base, { key: CONSOLE_KEY });
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(await page.getByRole('link', { name: 'Connections' }).count()).toBe(0);
  });
});
