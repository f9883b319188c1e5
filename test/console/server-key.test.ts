/** The page where a person sets the key of a server. */
import { chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, message, post, textOf } from '../helpers/http.js';
import { scratchFolder } from '../helpers/state.js';
import { until } from '../helpers/wait.js';

const KEY = 'a-key-of-the-server';

it('takes the key, and leads to the end of the login', async () => {
  const upstream = await createUpstream({
    tools: [tool('t')],
    onCall: (asked) => {
      asked.text(String(asked.received.headers.authorization));
    },
  });
  const running = await startGateway(
    { state: { dir: scratchFolder() }, servers: [upstream.entry('x', { auth: { type: 'key' } })] },
    { wait: [] },
  );
  await until(async () => (await running.health()).servers[0]?.state === 'login_required', 'the missing key');
  const { error } = message(await post(running.url, callBody('x__t')));
  const browser = await chromium.launch({
    ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  atEnd(() => browser.close());
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on('pageerror', (fault) => faults.push(String(fault)));
  await page.goto((error?.data as { url: string }).url);
  const field = page.getByLabel('Your key for x');
  const save = page.getByRole('button', { name: 'Save the key' });
  await field.fill('a key');
  await save.click();
  await page.getByText('without spaces').waitFor();
  await field.fill(` ${KEY} `);
  await save.click();
  await page.getByRole('heading', { name: 'You are logged in' }).waitFor();
  expect([new URL(page.url()).pathname, faults]).toEqual(['/-/login/done', []]);
  await until(async () => (await running.health()).servers[0]?.connected === true, 'the server');
  expect(textOf(message(await post(running.url, callBody('x__t'))))).toBe(`Bearer ${KEY}`);
});
