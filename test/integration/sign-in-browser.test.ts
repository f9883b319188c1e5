/** What a real browser does with the pages of a sign-in: frames, cookies, buttons and the origin of forms. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { openPage } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { accessRequest, ANSWERS, registerClient, stageSignIn, type SignInStage } from '../helpers/sign-in.js';

/** A page of another site. */
async function siteWith(html: string): Promise<string> {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/html' }).end(html);
  }).listen(0, '127.0.0.1');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

const consentOf = async ({ base }: SignInStage): Promise<URL> =>
  accessRequest(base, await registerClient(base, ANSWERS)).url;

it('a page in a frame of another site is blank', async () => {
  const stage = await stageSignIn();
  const url = await consentOf(stage);
  const site = await siteWith(`<iframe src="${url.href.replaceAll('&', '&amp;')}"></iframe>`);
  const { page } = await openPage(site);
  const frame = page.frames()[1];
  await frame?.waitForLoadState();
  expect([page.frames().length, frame?.url().startsWith(stage.base)]).toEqual([2, false]);
  expect(await page.frameLocator('iframe').getByRole('button', { name: 'Allow' }).count()).toBe(0);
});

it('a form of another site is refused, with its origin and without', async () => {
  const stage = await stageSignIn();
  const { page: own } = await openPage((await consentOf(stage)).href);
  const form = (await own.locator('input[name=request]').getAttribute('value')) ?? '';
  const before = stage.oidc.asked.length;
  const html = `<form method="post" action="${stage.base}/oauth/consent">
    <input name="request" value="${form}"><button name="decision" value="allow">Win</button></form>`;
  for (const policy of ['', '<meta name="referrer" content="no-referrer">']) {
    const { page } = await openPage(await siteWith(policy + html));
    await page.getByRole('button', { name: 'Win' }).click();
    await page.getByText('Open this page from your application.').waitFor();
  }
  expect(stage.oidc.asked.length).toBe(before);
});

it('a button is pressed by nobody who clicks twice, or presses a key, as the page opens', async () => {
  const stage = await stageSignIn();
  const url = await consentOf(stage);
  const { page, faults } = await openPage(url.href);
  const allow = page.getByRole('button', { name: 'Allow', includeHidden: true });
  await allow.waitFor();
  const box = await allow.boundingBox();
  // Again from its beginning: the animation runs once for each page.
  await page.reload({ waitUntil: 'commit' });
  await allow.waitFor({ state: 'attached' });
  const isHidden = await page.evaluate(
    'getComputedStyle(document.querySelector("button")).visibility === "hidden"',
  );
  if (isHidden === true) {
    await page.mouse.dblclick((box?.x ?? 0) + 5, (box?.y ?? 0) + 5);
    expect(page.url()).toBe(url.href);
  }
  await page.keyboard.press('Enter');
  await page.keyboard.press('Space');
  expect(page.url()).toBe(url.href);
  expect(await page.evaluate('document.activeElement.tagName')).toBe('BODY');
  expect(faults).toEqual([]);
  // Cancel needs no waiting.
  await page.route(`${ANSWERS}*`, (route) => route.fulfill({ status: 200, body: 'back' }));
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForURL((at) => at.href.startsWith(ANSWERS));
  expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied');
});

describe.each(['127.0.0.1', 'localhost'])('over http at %s', (host) => {
  it('Chromium keeps the cookie, sends it back, and loses it with the answer', async () => {
    const stage = await stageSignIn({ publicUrl: (port) => `http://${host}:${port}` });
    const { page } = await openPage((await consentOf(stage)).href);
    await page.route(`${ANSWERS}*`, (route) => route.fulfill({ status: 200, body: 'back' }));
    const own = async () =>
      (await page.context().cookies()).filter(({ name }) => name.startsWith('__Host-mcpstead_'));
    expect(await own()).toEqual([]);
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.locator('input[name=login]').waitFor();
    expect(await own()).toEqual([
      expect.objectContaining({ domain: host, httpOnly: true, secure: true, sameSite: 'Lax', path: '/' }),
    ]);
    await page.locator('input[name=login]').fill('ada');
    await page.locator('input[name=password]').fill('any');
    await page.getByRole('button', { name: 'Sign-in' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((at) => at.href.startsWith(ANSWERS));
    expect(new URL(page.url()).searchParams.get('code')).toMatch(/^mcpa_/);
    expect(await own()).toEqual([]);
  });
});
