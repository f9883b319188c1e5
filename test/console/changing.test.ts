import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { createGateway } from '../../src/index.js';
import { openConsole } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir, tempFile } from '../helpers/cli.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { createUpstream } from '../fixtures/servers/http-upstream.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const key = CONSOLE_KEY;
const env = { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY };

describe('changing a gateway', () => {
  it('shows what a reload would do and problems at their lines; checks and applies an edit', async () => {
    const server = scriptedStdio('files');
    const text = `host: 127.0.0.1
port: 0
console: {edit: true}
state: {dir: ${await tempDir()}}
servers:
  - name: files
    command: ${JSON.stringify(server.command)}
    args: ${JSON.stringify(server.args)}
    env: {API_TOKEN: a-secret-value}
`;
    const file = await tempFile('config.yaml', text);
    const load = () => loadConfig(file, env);
    const gateway = createGateway(load(), { env, configFile: file, reload: load });
    atEnd(() => gateway.destroy());
    const { port } = await gateway.listen();
    const base = `http://127.0.0.1:${port}`;
    const { page } = await openConsole(base, { key, at: '#/config' });
    const editor = page.getByRole('textbox', { name: /^The file/ });
    await editor.waitFor();
    const shown = await editor.inputValue();
    expect(shown).toContain('***');
    expect(await page.content()).not.toContain('a-secret-value');
    await editor.fill(shown.replace('port: 0', 'port: many'));
    await page.getByRole('button', { name: 'Check' }).click();
    await page
      .getByRole('alert')
      .getByText(/line \d/)
      .first()
      .waitFor();
    expect(await page.getByRole('button', { name: 'Apply' }).isDisabled()).toBe(true);
    await editor.fill(shown.replace('edit: true', 'edit: true, calls: 400'));
    await page.getByRole('button', { name: 'Check' }).click();
    await page.locator('.diff .plus', { hasText: 'calls: 400' }).waitFor();
    await page.getByRole('button', { name: 'Apply' }).click();
    await until(async () => (await readFile(file, 'utf8')).includes('calls: 400'), 'the edited file');
    const written = await readFile(file, 'utf8');
    expect(written).toContain('a-secret-value');
    expect(written).not.toContain('***');
    await writeFile(file, (await readFile(file, 'utf8')).replace('name: files', 'name: letters'));
    await page.reload();
    await page.getByRole('listitem').filter({ hasText: 'adds letters' }).waitFor();
    await page.getByRole('button', { name: 'Reload', exact: true }).click();
    await page.getByText('Nothing: the file is what runs.').waitFor();
    await page.goto(`${base}/-/console/#/servers/letters`);
    await page.locator('.card .status.ok').waitFor();
  });

  it('shows what changed in a pinned definition, and approves it', async () => {
    const tool = (description: string) => ({ name: 'pay', description, inputSchema: { type: 'object' } });
    const upstream = await createUpstream({ tools: [tool('Pays ten')] });
    const { base } = await startWithKey({
      servers: [{ name: 'bank', url: upstream.url, pin: 'enforce' }],
      state: { dir: await tempDir() },
    });
    const { page } = await openConsole(base, { key, at: '#/pins' });
    await page.getByText('approved').first().waitFor();
    (upstream.options as { tools: unknown[] }).tools = [tool('Pays everything')];
    await page.goto(`${base}/-/console/#/servers/bank`);
    await page.getByRole('button', { name: 'Refresh lists' }).click();
    await page.locator('.card .status.attention', { hasText: 'needs approval' }).waitFor();
    await page.goto(`${base}/-/console/#/pins`);
    await page.locator('.diff .minus', { hasText: 'Pays ten' }).waitFor();
    await page.locator('.diff .plus', { hasText: 'Pays everything' }).waitFor();
    await page.getByRole('button', { name: 'Approve pay' }).click();
    await page.locator('.diff').waitFor({ state: 'detached' });
    await page.goto(`${base}/-/console/#/servers/bank`);
    await page.locator('.card .status.ok', { hasText: 'up' }).waitFor();
  });

  it('shows what somebody may see, and by which rule', async () => {
    const { base } = await startWithKey({
      servers: [scriptedStdio('files')],
      policy: { default: 'allow' },
    });
    const { page } = await openConsole(base, { key, at: '#/explain?as=anonymous&tool=files__echo' });
    await page.locator('.explain-row', { hasText: 'echo' }).waitFor();
  });

  it('captures bodies only after somebody asked for it', async () => {
    const { base } = await startWithKey({ servers: [scriptedStdio('files')] });
    const { page } = await openConsole(base, { key, at: '#/tools/files__echo' });
    const call = async (count: number): Promise<void> => {
      await page.goto(`${base}/-/console/#/tools/files__echo`);
      await page.getByLabel(/^arguments/).fill('{"word": "remarkable", "password": "hunter2"}');
      await page.getByRole('button', { name: /^Call/ }).click();
      await page.locator('.outcome', { hasText: 'result' }).waitFor();
      await page.goto(`${base}/-/console/#/activity`);
      await page
        .locator('.call-row', { hasText: 'echo' })
        .nth(count - 1)
        .waitFor();
      await page.locator('.call-row', { hasText: 'echo' }).first().getByRole('link').click();
    };
    await call(1);
    await page.getByText('Arguments and results are not kept').waitFor();
    await page.goto(`${base}/-/console/#/activity`);
    await page.getByText('Capture arguments and results').click();
    await page.locator('details select').selectOption('files');
    await page.getByRole('button', { name: 'Capture', exact: true }).click();
    await page.getByText(/are captured until/).waitFor();
    await call(2);
    await page
      .getByText(/remarkable/)
      .first()
      .waitFor();
    expect(await page.locator('main pre').first().innerText()).not.toContain('hunter2');
  });
});
