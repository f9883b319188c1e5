/** Every screen in both themes, wide and narrow: what axe finds, and whether it scrolls sideways. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { McpClient } from '../../src/client/index.js';
import { openConsole, violations } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir } from '../helpers/cli.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { everythingStdio, filesystemStdio, modernStdio, scriptedStdio } from '../helpers/upstreams.js';

const SCREENS: Readonly<Record<string, string>> = {
  overview: '',
  servers: 'servers',
  server: 'servers/everything',
  'server-tools': 'servers/everything?tab=tools',
  'server-history': 'servers/postgres?tab=history',
  'server-stderr': 'servers/everything?tab=stderr',
  tools: 'tools',
  tool: 'tools/files__read_text_file',
  json: 'tools/files__edit_file?era=legacy',
  prompts: 'prompts',
  prompt: 'prompts/everything__args-prompt',
  resources: 'resources',
  activity: 'activity',
  clients: 'clients',
  charts: 'charts',
  config: 'config',
  explain: 'explain?as=anonymous',
  pins: 'pins',
  logs: 'logs',
};

/** Where pictures for people go, if somebody wants them. */
const SHOTS = process.env['CONSOLE_SHOTS'];

const LOOKS = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 740 } },
  { name: 'small', colorScheme: 'dark', viewport: { width: 320, height: 640 } },
] as const;

async function busy() {
  const folder = await tempDir();
  const running = await startWithKey(
    {
      servers: [
        everythingStdio(),
        { ...filesystemStdio(folder), pin: 'enforce' },
        modernStdio('modern'),
        scriptedStdio('scripted', { stderr: ['listening', 'ready'] }),
        { name: 'postgres', command: 'uvx', args: ['mcp-postgres'] },
        { name: 'tickets', url: 'http://127.0.0.1:9/mcp' },
      ],
      policy: { default: 'allow' },
      state: { dir: await tempDir() },
    } as never,
    { wait: ['everything', 'files', 'modern', 'scripted'] },
  );
  const clients = [
    new McpClient({ url: running.url, era: 'legacy', clientInfo: { name: 'cursor', version: '1.4' } }),
    new McpClient({ url: running.url, era: 'modern', clientInfo: { name: 'claude-code', version: '2.0' } }),
  ];
  for (const client of clients) {
    atEnd(() => client.close());
    for (const text of ['a', 'b', 'c']) {
      await client.call('everything__echo', { message: text });
      await client.call('modern__greet', { name: text });
      await client.call('scripted__is_error', {});
      await client.call('files__list_allowed_directories', {});
    }
    await client.call('scripted__error', {});
  }
  const stop = new AbortController();
  atEnd(() => stop.abort());
  void clients[0]?.call('scripted__hang', {}, { signal: stop.signal });
  return running;
}

describe('how the console looks', () => {
  it.each(LOOKS)(
    'has no fault that axe finds, and nothing beside the page: $name',
    async ({ name, ...look }) => {
      const { base } = await busy();
      const { page } = await openConsole(base, { key: CONSOLE_KEY, ...look });
      await page.locator('.server-row, .card').first().waitFor();
      if (SHOTS !== undefined) await mkdir(SHOTS, { recursive: true });
      for (const [screen, at] of Object.entries(SCREENS)) {
        await page.goto(`${base}/-/console/#/${at}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.locator('main p.empty', { hasText: /^Reading/ }).waitFor({ state: 'detached' });
        if (SHOTS !== undefined) await page.screenshot({ path: join(SHOTS, `${screen}-${name}.png`) });
        expect(await violations(page), screen).toEqual([]);
        const sideways = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        expect(sideways, screen).toBeLessThanOrEqual(0);
      }
    },
  );

  it.each(LOOKS)('looks right while something happens: $name', async ({ name, ...look }) => {
    const { gateway, base } = await busy();
    const { page } = await openConsole(base, { key: CONSOLE_KEY, ...look, expected: /ERR_|Failed to load/ });
    const judge = async (what: string): Promise<void> => {
      if (SHOTS !== undefined) await page.screenshot({ path: join(SHOTS, `${what}-${name}.png`) });
      expect(await violations(page), what).toEqual([]);
      const sideways = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      expect(sideways, what).toBeLessThanOrEqual(0);
    };
    const visit = async (at: string): Promise<void> => {
      await page.goto(`${base}/-/console/#/${at}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
    };
    await visit('tools/modern__ask_everything');
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.getByRole('region', { name: 'modern asks' }).first().waitFor();
    await judge('try-asked');
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await page.locator('.outcome').waitFor();
    await visit('tools/everything__get-structured-content');
    await page.getByRole('combobox').first().selectOption({ index: 1 });
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.locator('.outcome').waitFor();
    await judge('try-result');
    await page.getByRole('button', { name: /^Messages/ }).click();
    await page.locator('.messages summary').last().click();
    await judge('try-messages');
    await page.getByRole('button', { name: 'Raw', exact: true }).first().click();
    await judge('try-raw');
    await visit('tools/files__read_text_file');
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.getByText('is required').waitFor();
    await judge('try-problems');
    await visit('activity');
    await page.locator('.call-row', { hasText: 'structured' }).getByRole('link').click();
    await page.getByRole('rowheader', { name: 'wait' }).waitFor();
    await judge('call');
    await visit('servers/postgres');
    await page.getByText('is not in PATH').first().waitFor();
    await judge('server-down');
    await page.evaluate('document.activeElement.blur()');
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await judge('keys');
    await page.keyboard.press('Escape');
    await visit('');
    gateway.destroy();
    await page.getByText('not connected').waitFor();
    await judge('lost');
    await page.evaluate('sessionStorage.clear()');
  });

  it('says in every empty state which command to run first', async () => {
    const { base } = await startWithKey({});
    const stranger = await openConsole(base, { expected: /status of 401/ });
    await stranger.page.getByLabel('Or a key').fill('wrong');
    await stranger.page.keyboard.press('Enter');
    await stranger.page.getByText('This key is wrong.').waitFor();
    if (SHOTS !== undefined) await stranger.page.screenshot({ path: join(SHOTS, 'signin.png') });
    expect(await violations(stranger.page)).toEqual([]);
    const { page } = await openConsole(base, { key: CONSOLE_KEY });
    await page.getByText('No servers are configured').waitFor();
    for (const [screen, at] of [
      ['overview', ''],
      ['servers', 'servers'],
      ['tools', 'tools'],
      ['prompts', 'prompts'],
      ['resources', 'resources'],
      ['activity', 'activity'],
      ['clients', 'clients'],
    ] as const) {
      await page.goto(`${base}/-/console/#/${at}`);
      await page.locator('.empty code', { hasText: 'mcpstead' }).first().waitFor();
      if (SHOTS !== undefined) await page.screenshot({ path: join(SHOTS, `empty-${screen}.png`) });
      expect(await violations(page), screen).toEqual([]);
    }
  });

  it('sends a policy that admits no script of others, and small files', async () => {
    const { base } = await startWithKey({});
    const { page } = await openConsole(base, { key: CONSOLE_KEY, at: '#/charts' });
    await page.getByRole('heading', { name: 'Charts' }).waitFor();
    const sizes = await page.evaluate<number[]>(
      `performance.getEntriesByType('resource').filter(({ name }) => name.includes('/-/console/')).map((entry) => entry.encodedBodySize)`,
    );
    expect(sizes.length).toBeGreaterThan(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(120 * 1024);
  });
});
