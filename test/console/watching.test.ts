import { describe, expect, it } from 'vitest';
import { createGateway } from '../../src/index.js';
import { McpClient, type Era } from '../../src/client/index.js';
import { openConsole } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const key = CONSOLE_KEY;

function client(url: string, era: Era = 'legacy', name = 'cursor'): McpClient {
  const made = new McpClient({ url, era, clientInfo: { name, version: '1' } });
  atEnd(() => made.close());
  return made;
}

describe('watching a gateway', () => {
  it('shows who needs somebody first, with cause and way out, in the words of /health', async () => {
    const running = await startWithKey(
      { servers: [scriptedStdio('alright'), { name: 'zebra', command: 'no-such-command-here' }] },
      { wait: ['alright'] },
    );
    const { base } = running;
    const { page } = await openConsole(base, { key });
    const card = page.locator('.card.failed', { hasText: 'zebra' });
    await card.getByText('down').waitFor();
    await card.getByText(/'no-such-command-here' is not in PATH/).waitFor();
    await card.getByText('install it, or write its full path').waitFor();
    await card.getByRole('button', { name: 'Copy mcpstead restart zebra' }).waitFor();
    await card.getByRole('button', { name: 'Restart: zebra' }).click();
    await card.getByText(/^done \d\d:\d\d:\d\d$/).waitFor();
    const { servers } = await running.health();
    const words = servers.find(({ name }) => name === 'zebra') as unknown as {
      word?: string;
      cause?: string;
    };
    if (words.cause !== undefined) await card.getByText(words.cause).waitFor();
    const [first] = await page.locator('main .name').allInnerTexts();
    expect(first).toBe('zebra');
  });

  it('shows a server that dies, what helps, and that it is back', async () => {
    const { base, url } = await startWithKey({ servers: [scriptedStdio('frail')] });
    const { page } = await openConsole(base, { key });
    await page.locator('.server-row', { hasText: 'frail' }).getByText('up').waitFor();
    await page.goto(`${base}/-/console/#/servers/frail?tab=history`);
    void client(url).call('frail__exit', {});
    await page.locator('tbody tr', { hasText: /exit/i }).first().waitFor();
    await page.locator('.card .status.ok', { hasText: 'up' }).waitFor();
    await page.getByRole('button', { name: 'Restart', exact: true }).click();
    await page.getByText(/^\d\d:\d\d:\d\d restart begun$/).waitFor();
    await page.locator('.card .status.ok', { hasText: 'up' }).waitFor();
    await page.getByRole('button', { name: 'About' }).click();
    await page.getByRole('button', { name: 'Switch off until reload' }).click();
    await page.locator('.card .status.off', { hasText: 'off' }).waitFor();
    await page.getByText('Not known while it is not connected.').waitFor();
    expect(await page.getByText('Last error').count()).toBe(0);
    await page.getByRole('button', { name: 'Switch on', exact: true }).click();
    await page.locator('.card .status.ok', { hasText: 'up' }).waitFor();
  });

  it('shows a server that the configuration disables as off, and how to enable it', async () => {
    const servers = [scriptedStdio('files'), { ...scriptedStdio('spare'), disabled: true }];
    const { base } = await startWithKey({ servers }, { wait: ['files'] });
    const { page } = await openConsole(base, { key });
    await page.locator('header').getByText('1 of 1 up').waitFor();
    await page.locator('.server-row', { hasText: 'spare' }).locator('.status.off').waitFor();
    await page.goto(`${base}/-/console/#/servers/spare`);
    await page.getByRole('button', { name: 'Copy mcpstead enable spare' }).waitFor();
    expect(await page.getByRole('button', { name: 'Switch on' }).count()).toBe(0);
  });

  it("shows another client's call while it runs, cancels it, and keeps failures from before", async () => {
    const { base, url } = await startWithKey({ servers: [scriptedStdio('files')] });
    const other = client(url);
    await other.call('files__error', {});
    const { page } = await openConsole(base, { key, at: '#/activity' });
    await page.locator('.call-row', { hasText: 'error' }).getByText('failed').waitFor();
    const secret = 'argument-that-nobody-keeps';
    const hanging = other.call('files__hang', { secret });
    const row = page.locator('.call-row', { hasText: 'hang' });
    await row.getByText('in flight').waitFor();
    expect(await row.innerText()).toContain('cursor');
    await row.getByRole('link').click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.locator('.card .status', { hasText: 'cancelled' }).waitFor();
    expect((await hanging).ok).toBe(false);
    await page.goto(`${base}/-/console/`);
    const latest = page.getByRole('region', { name: 'Latest failures' });
    await latest.locator('.call-row', { hasText: 'error' }).waitFor();
    expect(await latest.locator('.call-row', { hasText: 'hang' }).count()).toBe(0);
    await other.call('files__echo', { secret });
    await page.goto(`${base}/-/console/#/activity?outcome=ok`);
    await page.locator('.call-row', { hasText: 'echo' }).getByText('ok').waitFor();
    expect(await page.locator('.call-row', { hasText: 'error' }).count()).toBe(0);
    await page.locator('.call-row', { hasText: 'echo' }).getByRole('link').click();
    await page.getByText('wait', { exact: true }).waitFor();
    expect(await page.content()).not.toContain(secret);
  });

  it('holds no secret of the configuration in any response', async () => {
    const secret = 'hunter2-is-a-secret';
    const { base } = await startWithKey(
      {
        servers: [
          { ...scriptedStdio('files', { stderr: [`token=${secret}`] }), env: { API_TOKEN: secret } },
          { name: 'web', url: `http://127.0.0.1:9/mcp?key=${secret}`, headers: { 'x-key': secret } },
        ],
      },
      { wait: ['files'] },
    );
    const { page, bodies } = await openConsole(base, { key });
    for (const at of [
      'servers/files',
      'servers/web',
      'servers/files?tab=stderr',
      'tools',
      'clients',
      'config',
      'activity',
      'logs',
    ]) {
      await page.goto(`${base}/-/console/#/${at}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.locator('main p.empty', { hasText: /^Reading/ }).waitFor({ state: 'detached' });
    }
    expect(bodies.size).toBeGreaterThan(5);
    for (const [what, body] of bodies) expect(body, what).not.toContain(secret);
  });

  it('ends a session', async () => {
    const { base, url } = await startWithKey({ servers: [scriptedStdio('files')] });
    const { page } = await openConsole(base, { key, at: '#/clients' });
    await page.getByText('No client is connected').waitFor();
    await client(url, 'legacy', 'vscode').call('files__echo', {});
    await client(url, 'modern', 'claude').call('files__echo', {});
    await page.locator('.client-row', { hasText: 'claude' }).getByText('no session').waitFor();
    await page.getByRole('button', { name: 'End the session of vscode' }).click();
    await page.locator('.client-row', { hasText: 'vscode' }).waitFor({ state: 'detached' });
    await page.getByRole('rowheader', { name: 'claude (modern)' }).waitFor();
    await page.getByText('1 parked').or(page.getByText('1 passed')).first().waitFor();
  });

  it('says that the gateway is gone, clears nothing, and recovers when it is back', async () => {
    const config = { servers: [scriptedStdio('files')], host: '127.0.0.1' };
    const env = { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY };
    const first = createGateway({ ...config, port: 0 }, { env });
    atEnd(() => first.destroy());
    const { port } = await first.listen();
    const base = `http://127.0.0.1:${port}`;
    const { page } = await openConsole(base, { key, expected: /ERR_|Failed to load/ });
    const row = page.locator('.server-row', { hasText: 'files' });
    await row.waitFor();
    first.destroy();
    await page.getByText(/not connected, data \d+ s old/).waitFor();
    expect(await row.count()).toBe(1);
    const second = await until(async () => {
      const made = createGateway({ ...config, port }, { env });
      try {
        await made.listen();
        return made;
      } catch {
        made.destroy();
        return undefined;
      }
    }, 'the port');
    atEnd(() => second.destroy());
    await page.getByText('live').waitFor();
    await row.getByText('up').waitFor();
  });
});
