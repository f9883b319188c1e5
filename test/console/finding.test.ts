import { describe, expect, it } from 'vitest';
import { openConsole } from '../helpers/browser.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { createUpstream } from '../fixtures/servers/http-upstream.js';
import { everythingStdio, filesystemStdio } from '../helpers/upstreams.js';
import { tempDir } from '../helpers/cli.js';

const key = CONSOLE_KEY;

describe('finding tools', () => {
  it('searches descriptions too, sums tokens, and sorts by them', async () => {
    const { base } = await startWithKey({ servers: [everythingStdio(), filesystemStdio(await tempDir())] });
    const { page } = await openConsole(base, { key, at: '#/tools' });
    await page.getByRole('searchbox').fill('allowed access');
    const found = page.getByRole('list', { name: 'Tools' }).getByRole('link');
    await page
      .getByRole('status')
      .filter({ hasText: /^\d+ of / })
      .waitFor();
    const names = await found.locator('.name').allInnerTexts();
    expect(names.length).toBeGreaterThan(0);
    expect(names.every((name) => !name.includes('access'))).toBe(true);
    expect(new URL(page.url()).hash).toBe('#/tools?q=allowed+access');
    await page.getByRole('searchbox').fill('');
    await page.getByRole('button', { name: 'By tokens' }).click();
    const tokens = (await found.locator('.number').allInnerTexts()).map((text) =>
      Number(text.replace(/\D/g, '')),
    );
    expect(tokens.every((count) => count > 0)).toBe(true);
    expect(tokens).toEqual([...tokens].sort((a, b) => b - a));
    const total = Number((await page.getByText(/tokens, estimated/).innerText()).replace(/\D/g, ''));
    expect(total).toBeGreaterThan(Math.max(...tokens));
  });

  it('shows the tools of a profile, and what they take of a context', async () => {
    const { base } = await startWithKey({
      servers: [everythingStdio()],
      profiles: [
        { name: 'small', prefix: 'auto', allow: [{ servers: ['everything'], tools: ['echo', 'get-sum'] }] },
      ],
    });
    const { page } = await openConsole(base, { key, at: '#/tools' });
    await page.getByRole('combobox', { name: 'Endpoint' }).selectOption('small');
    await page.getByRole('status').filter({ hasText: /^2$/ }).waitFor();
    const rows = page.getByRole('list', { name: 'Tools' }).getByRole('link').locator('.name');
    expect(await rows.allInnerTexts()).toEqual(['echo', 'get-sum']);
    const total = await page.getByText(/tokens, estimated/).innerText();
    const chosen = await page
      .getByRole('combobox', { name: 'Endpoint' })
      .locator('option:checked')
      .innerText();
    expect(chosen).toBe(`small (${total.split(' ')[0]})`);
  });

  it('shows 10,000 tools without a page of 10,000 rows, and finds one among them', async () => {
    const tools = Array.from({ length: 10_000 }, (_, n) => ({
      name: `tool_${n}`,
      description: `Does the thing number ${n} for whoever needs it, with words like ${(n * 7919) % 10_007}needle`,
      inputSchema: { type: 'object', properties: { a: { type: 'string' } } },
    }));
    const upstream = await createUpstream({ tools });
    const { base } = await startWithKey({ servers: [{ name: 'many', url: upstream.url }] });
    const { page } = await openConsole(base, { key, at: '#/tools' });
    await page.getByRole('status').filter({ hasText: '10,000' }).waitFor();
    expect(await page.locator('.virtual li').count()).toBeLessThan(100);
    await page.getByRole('searchbox').fill('7919needle');
    await page.getByRole('status').filter({ hasText: '1 of 10,000' }).waitFor();
    expect(await page.getByRole('list', { name: 'Tools' }).getByRole('link').first().innerText()).toContain(
      'tool_1',
    );
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await page.getByRole('searchbox').fill('');
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await page.getByText('many__tool_9999', { exact: true }).waitFor();
  });
});
