import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { openConsole } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { send } from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const REFUSED = /status of 40[13]/;

describe('signing in to the console', () => {
  it('takes a ticket out of the address, which works once', async () => {
    const { gateway, base } = await startWithKey({ servers: [scriptedStdio('files')] });
    const url = gateway.consoleUrl() ?? '';
    const at = url.slice(url.indexOf('#'));
    expect(at).toMatch(/^#t=[\w-]{20,}$/);
    const { page } = await openConsole(base, { at });
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(new URL(page.url()).hash).toBe('#/');
    await page.getByText('operator', { exact: true }).first().waitFor();
    const again = await openConsole(base, { at, expected: REFUSED });
    await again.page.getByText('This key or ticket is not accepted.').waitFor();
    expect(again.page.url()).not.toContain('t=');
  });

  it('takes a typed key, and says when it is wrong', async () => {
    const { base } = await startWithKey({ servers: [scriptedStdio('files')] });
    const { page } = await openConsole(base, { expected: REFUSED });
    await page.getByLabel('Or a key').fill('mcpo_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('This key or ticket is not accepted.').waitFor();
    await page.getByLabel('Or a key').fill('no key at all');
    await page.keyboard.press('Enter');
    await page.getByText('unauthorized: wrong token').waitFor();
    await page.getByLabel('Or a key').fill(CONSOLE_KEY);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.locator('.who summary').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Or a key').waitFor();
    await page.reload();
    await page.getByLabel('Or a key').waitFor();
  });

  it('shows a viewer no restart, stderr, log or bodies, and says to others which role is missing', async () => {
    const [eye, dev] = [createApiKey(), createApiKey()];
    const entry = (name: string, key: string) => ({ name, sha256: [hashApiKey(key)] });
    const { base } = await startWithKey({
      servers: [scriptedStdio('files')],
      mcp: {
        auth: {
          keys: [entry('eye', eye), entry('dev', dev)],
          admins: [{ ids: ['key:ops'] }],
          viewers: [{ ids: ['key:eye'] }],
        },
      },
    });
    const { page } = await openConsole(base, { key: eye, at: '#/servers/files' });
    await page.getByText('viewer').first().waitFor();
    await page.getByRole('button', { name: 'History' }).waitFor();
    expect(await page.getByRole('button', { name: 'Restart' }).count()).toBe(0);
    expect(await page.getByRole('button', { name: 'stderr' }).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'Log' }).count()).toBe(0);
    const shown = { headers: { authorization: `Bearer ${eye}` } };
    expect((await send(`${base}/-/api/v1/servers/files/stderr`, undefined, shown)).status).toBe(403);
    const act = { headers: { ...shown.headers, 'content-type': 'application/json' } };
    expect((await send(`${base}/-/api/v1/servers/files/restart`, '{}', act)).status).toBe(403);

    const other = await openConsole(base, { key: dev, expected: REFUSED });
    await other.page
      .getByText(/mcp\.auth\.viewers/)
      .first()
      .waitFor();
  });

  it('is not there with console.enabled: false, and needs a key in every mode', async () => {
    const off = await startWithKey({ console: { enabled: false } });
    expect((await send(`${off.base}/-/console/`)).status).toBe(404);
    const on = await startWithKey({});
    expect((await send(`${on.base}/-/api/v1/me`)).status).toBe(401);
    expect((await send(`${on.base}/-/console/`, undefined, { headers: { host: 'evil.test' } })).status).toBe(
      403,
    );
  });

  it('gives nothing to a page of another local port', async () => {
    const { base } = await startWithKey({ servers: [scriptedStdio('files')] });
    const stranger = createServer((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/html' });
      res.end('<!doctype html><html lang="en"><title>stranger</title><p>hello');
    });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      stranger.closeAllConnections();
      stranger.close();
    });
    const { page } = await openConsole(base, { expected: /./ });
    await page.goto(`http://127.0.0.1:${(stranger.address() as AddressInfo).port}/`);
    const outcome = await page.evaluate(
      async ([url, key]) => {
        const headers = { authorization: `Bearer ${key}` };
        const tries = [
          fetch(`${url}/-/api/v1/me`, { headers }),
          fetch(`${url}/-/api/v1/servers/files/restart`, { method: 'POST', mode: 'no-cors', body: '{}' }),
          fetch(`${url}/-/console/`),
        ];
        const settled = await Promise.allSettled(tries);
        return settled.map((each) => (each.status === 'rejected' ? 'refused' : each.value.type));
      },
      [base, CONSOLE_KEY] as const,
    );
    expect(outcome).toEqual(['refused', 'opaque', 'refused']);
    const history = await until(async () => {
      const answer = await send(`${base}/-/api/v1/servers/files/history`, undefined, {
        headers: { authorization: `Bearer ${CONSOLE_KEY}` },
      });
      return answer.status === 200 && answer.text;
    });
    expect(history).not.toContain('operator');
  });
});
