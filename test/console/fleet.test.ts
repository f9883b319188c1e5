import { describe, expect, it } from 'vitest';
import { openConsole } from '../helpers/browser.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { fleetOf, newKey, roaming, startReplica, together } from '../helpers/fleet.js';
import type { RunningGateway } from '../helpers/gateway.js';
import { startStore } from '../helpers/store.js';
import { scriptedStdio } from '../helpers/upstreams.js';

const key = CONSOLE_KEY;
const env = { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY };

async function startPair(): Promise<{ a: RunningGateway; b: RunningGateway; idB: string }> {
  const store = await startStore();
  const state = newKey();
  const config = { servers: [{ ...scriptedStdio('files'), placement: 'each' as const }] };
  const a = await startReplica(store, config, { key: state, env, fleet: { name: 'first' } });
  const b = await startReplica(store, config, { key: state, env, fleet: { name: 'second' } });
  await together(a.base, b.base);
  return { a, b, idB: (await fleetOf(b.base)).replica };
}

describe('the console of a fleet', () => {
  it('shows the replica that is chosen, whose id is in the address, and acts there', async () => {
    const { a, b, idB } = await startPair();
    const { page } = await openConsole(a.base, { key, at: '#/clients' });
    const chosen = page.getByLabel('Replica');
    await chosen.waitFor();
    expect(await chosen.locator('option').allInnerTexts()).toEqual([
      'the one that answers',
      expect.stringMatching(/^first · [0-9a-f]{10}$/) as string,
      `second · ${idB}`,
    ]);
    const client = await roaming(b.url);
    await chosen.selectOption(idB);
    await page.waitForURL(`${a.base}/-/console/?replica=${idB}#/clients`);
    await page.getByText(client.id.slice(0, 8)).first().waitFor();
    await page.locator('.who summary').click();
    // Screens keep the choice.
    await page.getByRole('link', { name: 'Servers', exact: true }).click();
    await page.waitForURL(`${a.base}/-/console/?replica=${idB}#/servers`);
    await page.goto(`${a.base}/-/console/?replica=${idB}#/servers/files`);
    await page.getByRole('button', { name: 'Switch off' }).click();
    await page.locator('.card .status.off').waitFor();
    expect((await b.health()).servers).toMatchObject([{ name: 'files', connected: false }]);
    expect((await a.health()).servers).toMatchObject([{ name: 'files', connected: true }]);
    await page.getByLabel('Replica').selectOption('');
    await page.waitForURL(`${a.base}/-/console/#/servers/files`);
    await page.locator('.card .status.ok').waitFor();
  });

  it('says that a replica is gone, and leads back to the one that answers', async () => {
    const { a } = await startPair();
    const { page } = await openConsole(a.base, {
      key,
      at: '?replica=ffffffffff#/servers',
      expected: /404/,
    });
    await page.getByText('This replica has ended').waitFor();
    await page.getByRole('button', { name: 'Show the one that answers' }).click();
    await page.getByLabel('Replica').waitFor();
    await page.getByRole('heading', { name: 'Servers', exact: true }).waitFor();
  });
});

it('has nothing to choose where a gateway is alone', async () => {
  const { base } = await startWithKey({ servers: [scriptedStdio('files')] });
  const { page } = await openConsole(base, { key });
  await page.getByRole('link', { name: 'files' }).first().waitFor();
  expect(await page.getByLabel('Replica').count()).toBe(0);
});
