/** The consent page of the gateway, and what a double click presses. */
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { openPage } from '../helpers/browser.js';
import { accessRequest, registerClient, stageSignIn } from '../helpers/sign-in.js';
import { until } from '../helpers/wait.js';

const FRAMES = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))';

/** Until no animation runs. */
async function settled(page: Page): Promise<void> {
  await until(
    () =>
      page.evaluate<boolean>('document.getAnimations().every(({ playState }) => playState === "finished")'),
    'the end of the animations',
  );
}

it('is not pressed by a click that comes with the pointer, as behind a window that closes', async () => {
  const { base, oidc } = await stageSignIn();
  const { page } = await openPage(accessRequest(base, await registerClient(base)).url.href);
  const allow = page.getByRole('button', { name: 'Allow' });
  await allow.waitFor();
  await settled(page);
  await page.evaluate(
    'clicked = []; addEventListener("click", ({ target }) => clicked.push(target.tagName))',
  );
  const box = await allow.boundingBox();
  if (!box) throw new Error('no button');
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  // The second half of a double click comes a tenth of a second later; two frames are less.
  await page.evaluate(FRAMES);
  await page.mouse.down();
  await page.mouse.up();
  expect(await page.evaluate('clicked')).toEqual(['FORM']);
  await settled(page);
  await page.mouse.down();
  await page.mouse.up();
  await page.waitForURL((url) => url.href.startsWith(oidc.issuer));
});
