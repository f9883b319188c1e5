/** What a person meets first: the page of `mcpstead demo`, and a server that is killed. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openConsole } from '../helpers/browser.js';
import { runCli, tempDir } from '../helpers/cli.js';
import { command } from '../helpers/commands.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { McpClient } from '../../src/client/index.js';
import { atEnd } from '../helpers/cleanup.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const FIXTURE = fileURLToPath(new URL('../fixtures/servers/stdio-upstream.mjs', import.meta.url));

interface Words {
  readonly name: string;
  readonly word: string;
  readonly cause: string | null;
  readonly action: { readonly text: string; readonly command?: string } | null;
}

describe('the first minutes', () => {
  it('has the demo on a page at the address that it prints', async () => {
    const home = await tempDir();
    const demo = runCli(['demo', '--port', '0'], { env: { HOME: home }, cwd: home });
    const url = await until(
      () => /http:\/\/127\.0\.0\.1:\d+\/-\/console\/#t=[\w-]+/.exec(demo.stdout)?.[0],
      'the address of the console',
    );
    const { origin, hash } = new URL(url);
    // Foreign requests, cookies and errors fail it at its end.
    const { page } = await openConsole(origin, { at: hash });
    await page.getByText('2 of 2', { exact: true }).waitFor();
    await page.locator('.server-row', { hasText: 'clock' }).getByText('up').waitFor();
  });

  it('shows a server that was killed and cannot start again, why, and what helps', async () => {
    const folder = await tempDir();
    const [script, pidFile] = [join(folder, 'server.mjs'), join(folder, 'pid')];
    await writeFile(
      script,
      `import { writeFileSync } from 'node:fs';
process.argv[2] = '{}';
writeFileSync(${JSON.stringify(pidFile)}, String(process.pid));
await import(${JSON.stringify(FIXTURE)});`,
    );
    const { base } = await startWithKey({
      servers: [{ name: 'frail', command: process.execPath, args: [script] }],
    });
    const { page } = await openConsole(base, { key: CONSOLE_KEY });
    await page.locator('.server-row', { hasText: 'frail' }).getByText('up').waitFor();
    const pid = Number(await readFile(pidFile, 'utf8'));
    await rm(script);
    process.kill(pid, 'SIGKILL');
    const card = page.locator('.card.failed', { hasText: 'frail' });
    await card.locator('.status', { hasText: /down$/ }).waitFor();
    await card.getByText(/exited|Cannot find module/).waitFor();
    await card.getByText('read what it wrote to stderr, then restart it').waitFor();
    await card.getByRole('button', { name: 'Restart: frail' }).waitFor();
  });
});

describe('one truth', () => {
  it('has the same words in /health, in the commands and on the page: up, starting, down, off, while it drains', async () => {
    const running = await startWithKey(
      {
        servers: [
          scriptedStdio('alright'),
          scriptedStdio('busy'),
          { name: 'slow', command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] },
          { name: 'absent', command: 'no-such-command-here' },
          scriptedStdio('resting'),
        ],
        mcp: { session: { shutdown_grace_seconds: 120 } },
      },
      { wait: ['alright', 'busy', 'resting'] },
    );
    const { base, gateway, url } = running;
    const { page } = await openConsole(base, { key: CONSOLE_KEY, expected: /ERR_|Failed to load/ });
    await page.goto(`${base}/-/console/#/servers/resting`);
    await page.getByRole('button', { name: 'Switch off until reload' }).click();
    await page.goto(`${base}/-/console/`);

    const compare = async (expected: Readonly<Record<string, string>>): Promise<void> => {
      const health = async (): Promise<readonly Words[]> =>
        (await running.health()).servers as unknown as readonly Words[];
      await until(async () =>
        (await health()).every(({ name, word }) => expected[name] === undefined || expected[name] === word),
      );
      for (const { name, word, cause, action } of await health()) {
        if (expected[name] === undefined) continue;
        const row = page.locator('main li[data-row]', { has: page.getByRole('link', { name, exact: true }) });
        await row.locator('.status', { hasText: new RegExp(`${word}$`) }).waitFor();
        if (cause !== null) await row.getByText(cause).waitFor();
        const asked = ['--url', base];
        const { out } = await command(['status', ...asked], { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
        const line = out.split('\n').find((each) => each.startsWith(name)) ?? '';
        for (const part of [word, cause, action?.text, action?.command]) expect(line).toContain(part ?? '');
        const json = await command(['status', '--json', ...asked], { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
        const { servers } = JSON.parse(json.out) as { servers: readonly Words[] };
        expect(servers.find((server) => server.name === name)).toMatchObject({ word, cause, action });
      }
    };
    await compare({ alright: 'up', slow: 'starting', absent: 'down', resting: 'off' });

    const client = new McpClient({ url, era: 'legacy', clientInfo: { name: 'cursor', version: '1' } });
    const stop = new AbortController();
    atEnd(() => client.close());
    const hanging = client.call('busy__hang', {}, { signal: stop.signal });
    await until(async () => {
      const asked = ['servers', '--json', '--url', base];
      const { out } = await command(asked, { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
      const servers = JSON.parse(out) as readonly { name: string; in_flight: number }[];
      return servers.some(({ name, in_flight: open }) => name === 'busy' && open === 1);
    }, 'the call in flight');
    // A gateway that drains still serves: its servers are what they were, and it says that it drains.
    const closed = gateway.close();
    const draining = await command(['status', '--url', base], { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
    expect([draining.status, draining.out]).toEqual([1, expect.stringMatching(/^mcpstead \S+, draining, /)]);
    await compare({ busy: 'up', absent: 'down' });
    stop.abort();
    await hanging.catch(() => undefined);
    await closed;
  });
});
