import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { openConsole } from '../helpers/browser.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { everythingStdio, modernStdio, scriptedStdio } from '../helpers/upstreams.js';

const key = CONSOLE_KEY;
const run = promisify(execFile);

const ODD_TOOLS = [
  {
    name: 'fields',
    description: 'Needs a form of every kind',
    inputSchema: {
      type: 'object',
      $defs: { colour: { enum: ['red', 'green'] } },
      required: ['path'],
      properties: {
        path: { type: 'string' },
        head: { type: 'integer' },
        deep: { type: 'boolean' },
        colour: { $ref: '#/$defs/colour' },
        rows: { type: 'array', items: { type: 'array', items: { type: 'integer' } } },
        where: { type: 'object', properties: { x: { type: 'number' } } },
        odd: { $ref: 'https://schemas.test/odd' },
        either: { anyOf: [{ type: 'string' }, { type: 'integer' }] },
      },
    },
  },
  {
    name: 'root',
    inputSchema: { type: 'object', anyOf: [{ required: ['a'] }, { required: ['b'] }] },
  },
];

/** Opens the page of a tool and waits for its form. */
async function open(base: string, tool: string, more = ''): Promise<Page> {
  const { page } = await openConsole(base, { key, at: `#/tools/${tool}${more}` });
  await page.getByRole('button', { name: /^Call/ }).waitFor();
  return page;
}

const result = (page: Page) => page.getByRole('region', { name: 'Result' });

describe('trying a tool', () => {
  it('has a field for everything, checks numbers, and sends what is typed', async () => {
    const { base } = await startWithKey({ servers: [scriptedStdio('s', { tools: ODD_TOOLS })] });
    const page = await open(base, 's__fields');
    await page.getByLabel('head').fill('1x');
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.getByText('is not a number').waitFor();
    await page.getByText('is required').waitFor();
    await page.getByLabel('path').fill('/data/a.txt');
    await page.getByLabel('head').fill('10');
    await page.getByLabel('deep').selectOption('true');
    await page.getByLabel('colour').selectOption('green');
    const rows = page.getByRole('group', { name: /^rows/ });
    await rows.getByRole('button', { name: 'Add an item' }).click();
    const inner = rows.getByRole('group').first();
    await inner.getByRole('button', { name: 'Add an item' }).click();
    await inner.getByLabel('1').fill('7');
    await page.getByRole('group', { name: 'where' }).getByLabel('x').fill('1.50');
    await page.getByLabel('odd').fill('{"any": [1]}');
    await page.getByLabel('either').fill('5');
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.keyboard.press('Control+Enter');
    await result(page)
      .getByText(
        '{"path":"/data/a.txt","head":10,"deep":true,"colour":"green","rows":[[7]],"where":{"x":1.5},"odd":{"any":[1]},"either":5}',
      )
      .waitFor();
  });

  it('draws a root anyOf as JSON, says where it is wrong, and sends it untouched', async () => {
    const { base } = await startWithKey({ servers: [scriptedStdio('s', { tools: ODD_TOOLS })] });
    const page = await open(base, 's__root');
    const json = page.getByRole('textbox', { name: /Arguments as JSON/ });
    await json.fill('{\n  "a": 1,\n  "b" 2\n}');
    await page.getByText('Line 3, column 7: a colon is missing after the name').waitFor();
    expect(await page.getByRole('button', { name: /^Call/ }).isDisabled()).toBe(true);
    const raw = '{ "a": 1.0,   "n": 12345678901234567890 }';
    await json.fill(raw);
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.getByRole('button', { name: /^Messages/ }).click();
    const messages = await page.locator('.messages pre').allTextContents();
    expect(messages.some((text) => text.includes(`"arguments":${raw}`))).toBe(true);
  });

  it.each(['legacy', 'modern'])('answers elicitation of servers of both eras as a %s client', async (era) => {
    const { base } = await startWithKey({ servers: [scriptedStdio('old'), modernStdio('new')] });
    const page = await open(base, 'old__ask', `?era=${era}`);
    await page.getByRole('button', { name: /^Call/ }).click();
    await page.getByText('Sure?').waitFor();
    await page.getByRole('button', { name: 'Answer' }).click();
    await result(page)
      .getByText(/\\?"action\\?":\\?"accept/)
      .first()
      .waitFor();

    const second = await open(base, 'new__ask_everything', `?era=${era}`);
    await second.getByRole('button', { name: /^Call/ }).click();
    const asks = (method: string) =>
      second.getByRole('region', { name: 'new asks' }).filter({ hasText: method });
    await asks('elicitation/create').getByRole('textbox').fill('Ada');
    await asks('elicitation/create').getByRole('button', { name: 'Answer' }).click();
    await asks('sampling/createMessage').getByRole('textbox').fill('Paris');
    await asks('sampling/createMessage').getByRole('button', { name: 'Answer' }).click();
    await asks('roots/list').getByRole('textbox').fill('file:///tmp');
    await asks('roots/list').getByRole('button', { name: 'Answer' }).click();
    await result(second)
      .getByText(/Ada.*Paris.*file:\/\/\/tmp/s)
      .first()
      .waitFor();
  });

  it.each(['legacy', 'modern'])(
    'shows progress before the result, and cancels at the server, as a %s client',
    async (era) => {
      const { base } = await startWithKey({ servers: [scriptedStdio('s')] });
      const page = await open(base, 's__progress', `?era=${era}`);
      await page.getByRole('button', { name: /^Call/ }).click();
      await result(page).getByText('progress done').waitFor();
      const steps = await page.locator('.steps li').allInnerTexts();
      expect(steps.map((text) => text.replace(/^\S+ (?:m?s)\s*/, ''))).toEqual([
        'progress 1 of 3',
        'progress 2 of 3',
        'progress 3 of 3',
        'result',
      ]);
      await page.goto(`${base}/-/console/#/tools/s__hang?era=${era}`);
      await page.getByRole('heading', { name: 's__hang' }).waitFor();
      await page.getByRole('button', { name: /^Call/ }).click();
      await page.getByText('waiting for the server').waitFor();
      // The server has read the call when it has answered another one.
      const other = await open(base, 's__received');
      for (;;) {
        await other.getByRole('button', { name: /^Call/ }).click();
        await other.locator('.outcome', { hasText: 'result' }).waitFor();
        if ((await result(other).innerText()).includes('hang')) break;
      }
      await page.getByRole('button', { name: 'Cancel' }).click();
      await result(page).getByText('cancelled').first().waitFor();
      for (;;) {
        await other.getByRole('button', { name: /^Call/ }).click();
        await other.locator('.outcome', { hasText: 'result' }).waitFor();
        if ((await result(other).innerText()).includes('notifications/cancelled')) break;
      }
    },
  );

  it('gives a curl that works, with the credential in the environment', async () => {
    const token = 'secret-of-clients';
    const { base } = await startWithKey(
      { servers: [everythingStdio()], mcp: { auth: { mode: 'bearer' } } },
      { env: { MCPSTEAD_BEARER_TOKEN: token } },
    );
    for (const era of ['legacy', 'modern']) {
      const page = await open(base, 'everything__echo', `?era=${era}`);
      await page.getByLabel('message').fill("it's so");
      await page.getByRole('button', { name: 'curl', exact: true }).click();
      const command = await page.locator('.curl pre').innerText();
      expect(command).not.toContain(token);
      expect(command).not.toContain(CONSOLE_KEY);
      const { stdout } = await run('bash', ['-c', command], {
        env: { PATH: process.env['PATH'], MCPSTEAD_BEARER_TOKEN: token },
      });
      expect(stdout).toContain("Echo: it's so");
    }
  });

  it('works by keyboard alone', async () => {
    const { base } = await startWithKey({ servers: [everythingStdio()] });
    const { page } = await openConsole(base, { key });
    await page.getByText('live').waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.getByRole('link', { name: 'everything__echo' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('echo');
    await page
      .getByRole('status')
      .filter({ hasText: /^\d+ of / })
      .waitFor();
    await page.keyboard.press('Tab');
    await page.evaluate('document.activeElement.blur()');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'everything__echo' }).waitFor();
    for (;;) {
      await page.keyboard.press('Tab');
      if (await page.evaluate<boolean>("document.activeElement.tagName === 'TEXTAREA'")) break;
    }
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Control+Enter');
    await result(page).getByText('Echo: by keyboard').waitFor();
    await page.evaluate('document.activeElement.blur()');
    await page.keyboard.press('?');
    await page.getByRole('dialog').getByText('next, previous row').waitFor();
    await page.getByLabel('Use these keys').uncheck();
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    expect(await page.getByRole('heading', { name: 'everything__echo' }).count()).toBe(1);
  });

  it('gets prompts and reads resources', async () => {
    const { base } = await startWithKey({ servers: [everythingStdio()] });
    const { page } = await openConsole(base, { key, at: '#/prompts/everything__args-prompt' });
    await page.getByLabel(/^city/).fill('Paris');
    await page.getByRole('button', { name: /^Get/ }).click();
    await result(page).getByText(/Paris/).first().waitFor();
    await page.goto(`${base}/-/console/#/resources`);
    await page.getByRole('list', { name: 'Resources' }).getByRole('link').first().click();
    await page.getByRole('button', { name: /^Read/ }).click();
    await page.locator('.outcome', { hasText: 'result' }).waitFor();
  });
});
