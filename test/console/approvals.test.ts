/** People decide about calls that wait for a yes: on the screen of the console, and on the page that a link leads to. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import {
  AL,
  approvalsOf,
  atBank,
  bankOf,
  BY_FINANCE,
  heldConfig,
  KEYS,
  OWN,
  paid,
  startBank,
  VIEWER,
} from '../helpers/held.js';
import { openConsole, openPage, violations } from '../helpers/browser.js';
import { CONSOLE_KEY } from '../helpers/console.js';
import { stageSignIn } from '../helpers/sign-in.js';
import { until } from '../helpers/wait.js';

/** Where pictures for people go, if somebody wants them. */
const SHOTS = process.env['CONSOLE_SHOTS'];
const LOOKS = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 740 } },
] as const;

/** Judges a page, and takes pictures of it. The page is as wide as before afterwards. */
async function judge(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  for (const { name: look, colorScheme, viewport } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    if (SHOTS !== undefined) {
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: join(SHOTS, `${name}-${look}.png`), fullPage: true });
    }
    expect(await violations(page), `${name} ${look}`).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), name).toBe(true);
  }
  if (before) await page.setViewportSize(before);
}

const LONG = { amount: 12.5, to: 'ann\u202e', lines: Array.from({ length: 120 }, (_, n) => `line ${n}`) };
const approve = (page: Page) => page.getByRole('button', { name: 'Approve' });
const deny = (page: Page) => page.getByRole('button', { name: 'Deny' });
/** As a person does with the keyboard. */
async function toEnd(page: Page): Promise<void> {
  const box = page.locator('pre').first();
  await box.press('End');
  await box.scrollIntoViewIfNeeded();
}

describe('the screen of approvals', () => {
  it('shows the queue and one call; its yes works once all was on the screen', async () => {
    const bank = await startBank({ ...BY_FINANCE, repeat: { minutes: 15, covers: 'arguments' } });
    // Nobody has a role: the queue is on the first page.
    const { page } = await openConsole(bank.base, { key: AL, expected: /status of 403/ });
    await page.getByText('No call waits for a yes.').waitFor();
    const answer = bank.pay(LONG);
    await page.getByText('waits for a yes').waitFor();
    await page.getByText('yours to decide').waitFor();
    await page.getByText('0 of 1 yes by').waitFor();
    await judge(page, 'approvals-own');
    await page.getByRole('link', { name: 'pay' }).click();
    await page.getByText('"ann\\u{202e}"').waitFor();
    expect(await approve(page).isDisabled()).toBe(true);
    await page.getByText('Scroll to the end').waitFor();
    await judge(page, 'approval-own');
    expect(await approve(page).isDisabled()).toBe(true);
    await toEnd(page);
    await approve(page).click();
    expect(await paid(answer)).toBe('paid');
    await page.getByText('was sent').waitFor();
    expect(bank.calls).toEqual([LONG]);
    await page.getByText('Yes by corp:al').waitFor();
  });

  it('is a screen for operators, who refuse with a note; viewers see no arguments', async () => {
    const bank = await startBank();
    const { page } = await openConsole(bank.base, { key: CONSOLE_KEY, at: '#/approvals' });
    await page.getByText('No call waits for a yes.').waitFor();
    await judge(page, 'approvals-empty');
    const answer = bank.pay({ amount: 1 });
    await page.getByRole('link', { name: 'pay' }).waitFor();
    await page.getByRole('link', { name: 'Approvals 1 waiting' }).waitFor();
    await judge(page, 'approvals');
    await page.getByRole('link', { name: 'pay' }).click();
    await deny(page).waitFor();
    expect(await approve(page).count()).toBe(0);
    await page.getByText('Others vote on this call.').waitFor();
    await judge(page, 'approval-operator');
    const viewer = await openConsole(bank.base, { key: VIEWER, at: '#/approvals' });
    await viewer.page.getByRole('link', { name: 'pay' }).click();
    await viewer.page.getByText('see the arguments').waitFor();
    expect(await deny(viewer.page).count()).toBe(0);
    expect([...viewer.bodies.values()].filter((body) => body.includes('amount'))).toEqual([]);
    await page.getByLabel('Note for the caller').fill('ask Ann first');
    await deny(page).click();
    expect((await answer).error?.message).toContain('not sent: ask Ann first');
    await page.getByText('No by console').waitFor();
    await page.getByText('ask Ann first').waitFor();
    await page.getByRole('link', { name: 'Approvals', exact: true }).first().click();
    await page.getByRole('heading', { name: 'Decided lately' }).waitFor();
    await viewer.page.getByText('was refused').waitFor();
    expect(bank.calls).toEqual([]);
  });

  it('takes a yes back', async () => {
    const bank = await startBank({ ...BY_FINANCE, need: 2 });
    void bank.pay({ amount: 1 }).catch(() => undefined);
    const { id } = await bank.waiting();
    const { page } = await openConsole(bank.base, {
      ...{ key: AL, at: `#/approvals/${id}`, expected: /status of 403/ },
    });
    await approve(page).click();
    await page.getByText('1 of 2 yes by').waitFor();
    await page.getByRole('button', { name: 'Take back the yes' }).click();
    await page.getByText('0 of 2 yes by').waitFor();
    await approve(page).waitFor();
    expect(bank.calls).toEqual([]);
  });

  it('widens a yes to the same calls that follow, until it is taken back', async () => {
    const bank = await startBank({ ...BY_FINANCE, repeat: { minutes: 15, covers: 'arguments' } });
    const answer = bank.pay({ amount: 1 });
    const { id } = await bank.waiting();
    const { page } = await openConsole(bank.base, {
      // The record makes way for that of the next call: 404.
      ...{ key: AL, at: `#/approvals/${id}`, expected: /status of 40[34]/ },
    });
    await page.getByRole('checkbox').check();
    await approve(page).click();
    expect(await paid(answer)).toBe('paid');
    expect(await paid(bank.pay({ amount: 1 }))).toBe('paid');
    // The call that went unasked has a record of its own.
    const [last] = await approvalsOf(bank.base, AL);
    await page.goto(page.url().replace(/#.*/, `#/approvals/${last?.id ?? ''}`));
    const button = page.getByRole('button', { name: 'Take back the yes for further calls' });
    await button.click();
    await button.waitFor({ state: 'detached' });
    void bank.pay({ amount: 1 }).catch(() => undefined);
    await bank.waiting();
    expect(bank.calls).toHaveLength(2);
  });

  it('lets the holder of the console key confirm for the caller, where only this machine reaches the gateway', async () => {
    const bank = await startBank({ tools: ['pay'], by: 'caller' }, { keys: false });
    const answer = bank.pay({ amount: 1 }, {});
    const { id } = await bank.waiting();
    const { page } = await openConsole(bank.base, { key: CONSOLE_KEY, at: `#/approvals/${id}` });
    await approve(page).click();
    expect(await paid(answer)).toBe('paid');
  });

  it('is absent where no rule holds calls', async () => {
    const bank = await startBank(BY_FINANCE, { policy: { default: 'allow' } });
    const { page } = await openConsole(bank.base, { key: CONSOLE_KEY });
    await page.getByRole('link', { name: 'Activity' }).waitFor();
    expect(await page.getByRole('link', { name: /^Approvals/ }).count()).toBe(0);
  });
});

describe('the page of a call', () => {
  const fill = async (page: Page, key: string): Promise<void> => {
    await page.getByLabel('Your key for this gateway').fill(key);
    await page.getByRole('button', { name: 'Show the call' }).click();
  };

  it('shows nothing before somebody has shown who he is, then takes his yes, once all was on the screen', async () => {
    const bank = await startBank();
    const answer = bank.pay(LONG);
    const { id } = await bank.waiting();
    const { page, faults } = await openPage(`${bank.base}/-/approvals/${id}`);
    expect(await page.content()).not.toContain('12.5');
    await judge(page, 'page-key');
    await fill(page, 'wrong-key');
    await page.getByText('This credential is not accepted.').waitFor();
    await fill(page, AL);
    await page.getByText('"ann\\u{202e}"').waitFor();
    await page.getByText('Scroll to the end').waitFor();
    await judge(page, 'page-call');
    expect(await approve(page).isDisabled()).toBe(true);
    await toEnd(page);
    await page.getByLabel('Note for the caller').fill('fine');
    await approve(page).click();
    expect(await paid(answer)).toBe('paid');
    await page.getByText('yes by corp:al: fine').waitFor();
    expect(bank.calls).toEqual([LONG]);
    expect(await page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])')).toBe(
      '[{},{}]',
    );
    expect(faults.filter((fault) => !fault.includes('status of 401'))).toEqual([]);
  });

  it('refuses with a note, which the caller reads', async () => {
    const bank = await startBank();
    const answer = bank.pay({ amount: 2 });
    const { page } = await openPage(`${bank.base}/-/approvals/${(await bank.waiting()).id}`);
    await fill(page, AL);
    await page.getByLabel('Note for the caller').fill('too much');
    await deny(page).click();
    expect((await answer).error?.message).toContain('not sent: too much');
    await page.getByText('was refused').waitFor();
    expect(await approve(page).isHidden()).toBe(true);
  });

  it('says that a call is his own, and takes no vote', async () => {
    const bank = await startBank();
    void bank.pay({ amount: 2 }).catch(() => undefined);
    const { page } = await openPage(`${bank.base}/-/approvals/${(await bank.waiting()).id}`);
    await fill(page, OWN);
    await page.getByText('This is a call of your own: others vote on it.').waitFor();
    await judge(page, 'page-own');
    expect([await approve(page).isHidden(), await deny(page).isHidden()]).toEqual([true, true]);
  });

  it('says what was decided meanwhile', async () => {
    const bank = await startBank();
    const answer = bank.pay({ amount: 2 });
    const { id, digest } = await bank.waiting();
    const [one, two] = [
      await openPage(`${bank.base}/-/approvals/${id}`),
      await openPage(`${bank.base}/-/approvals/${id}`),
    ];
    for (const { page } of [one, two]) {
      await fill(page, AL);
      await approve(page).waitFor();
    }
    expect(digest).not.toBeNull();
    await deny(one.page).click();
    await answer;
    await approve(two.page).click();
    await two.page.getByRole('alert').getByText('this call was decided already').waitFor();
    await two.page.getByText('was refused').waitFor();
    expect(bank.calls).toEqual([]);
  });

  it('takes a sign-in at the gateway', async () => {
    const server = await bankOf();
    const { base, running } = await stageSignIn({
      accounts: { al: { groups: ['finance'], preferred_username: 'Al' } },
      config: heldConfig(server, [{ name: 'ask', hold: [BY_FINANCE] }], 60, { mcp: {} }),
      auth: { keys: KEYS },
      gateway: { env: { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } },
      isUp: () => true,
    });
    const bank = atBank(running, server);
    const answer = bank.pay({ amount: 3 });
    const url = `${base}/-/approvals/${(await bank.waiting()).id}`;
    const { page } = await openPage(url);
    await judge(page, 'page-sign-in');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.locator('input[name=login]').fill('al');
    await page.locator('input[name=password]').fill('any');
    await page.locator('button[type=submit]').click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('"amount": 3').waitFor();
    expect(page.url()).toBe(url);
    await approve(page).click();
    expect(await paid(answer)).toBe('paid');
    await until(
      async () => (await approvalsOf(base, CONSOLE_KEY))[0]?.votes.some(({ by }) => by === 'login:al'),
      'the vote of a person',
    );
  });
});
