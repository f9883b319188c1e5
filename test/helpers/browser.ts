/** The console in Chromium, in front of a gateway. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { afterAll, expect } from 'vitest';
import { CHROMIUM } from './chromium.js';
import { atEnd } from './cleanup.js';
import { NET } from './wait.js';

let browser: Promise<Browser> | undefined;

afterAll(async () => {
  await (await browser)?.close();
  browser = undefined;
});

/** One browser for the tests of a file. */
function launched(): Promise<Browser> {
  browser ??= chromium.launch({
    ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--lang=en-GB'],
  });
  return browser;
}

export interface ConsolePage {
  readonly page: Page;
  /** What the page wrote to its console as an error, and what it requested of others. */
  readonly faults: string[];
  /** Every response: its URL and body, where it has one and has ended. */
  readonly bodies: Map<string, string>;
}

export interface PageOptions extends BrowserContextOptions {
  /** Signs in with it. */
  readonly key?: string;
  /** Part of the address after `/-/console/`. */
  readonly at?: string;
  /** Errors that the test causes. */
  readonly expected?: RegExp;
  /** Somebody logs in at an authorization server of this host, which has cookies. */
  readonly logsIn?: boolean;
  /** Somebody goes to pages of other hosts, which are not judged. */
  readonly leaves?: boolean;
}

/** Opens another page of a gateway in a browser of its own, which may go on to other hosts. */
export async function openPage(
  url: string,
  context: BrowserContextOptions = {},
): Promise<Omit<ConsolePage, 'bodies'>> {
  const made = await (await launched()).newContext({ locale: 'en-GB', ...context });
  atEnd(() => made.close());
  const faults: string[] = [];
  const page = await made.newPage();
  page.setDefaultTimeout(NET);
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(url);
  return { page, faults };
}

/** Opens the console of the gateway at `base` in a browser of its own. At its end it must have had no error. */
export async function openConsole(base: string, options: PageOptions = {}): Promise<ConsolePage> {
  const { key, at = '', expected, logsIn = false, leaves = false, ...context } = options;
  const made = await (await launched()).newContext({ locale: 'en-GB', ...context });
  const faults: string[] = [];
  const bodies = new Map<string, string>();
  const { origin } = new URL(base);
  if (key !== undefined)
    await made.addInitScript(`if (!sessionStorage.getItem('mcpstead.seen')) {
      sessionStorage.setItem('mcpstead.seen', '1');
      sessionStorage.setItem('mcpstead.key', ${JSON.stringify(key)});
    }`);
  const page = await made.newPage();
  page.setDefaultTimeout(NET);
  page.on('console', (message) => {
    // The page asks whether people sign in here: 404 where they do not.
    const { url } = message.location();
    if (url.endsWith('/.well-known/oauth-authorization-server')) return;
    if (leaves && !(url.startsWith(`${origin}/`) && page.url().startsWith(`${origin}/`))) return;
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (leaves && (request.isNavigationRequest() || !page.url().startsWith(`${origin}/`))) return;
    if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) faults.push(`a foreign request: ${url}`);
  });
  page.on('requestfinished', (request) => {
    void request.response().then(async (response) => {
      const body = await response?.text().catch(() => '');
      bodies.set(`${request.method()} ${request.url()}`, body ?? '');
    });
  });
  atEnd(async () => {
    const cookies = logsIn ? [] : await made.cookies();
    await made.close();
    expect(cookies).toEqual([]);
    expect(faults.filter((fault) => !expected?.test(fault))).toEqual([]);
  });
  await page.goto(`${base}/-/console/${at}`);
  return { page, faults, bodies };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe finds wrong with the page by WCAG 2.2 AA; empty: nothing. */
export async function violations(page: Page): Promise<string[]> {
  // In the utility world of the browser, which the policy of the page does not govern.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = (await session.send('Page.getFrameTree')) as { frameTree: { frame: { id: string } } };
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
    worldName: 'axe',
  });
  const run = async (expression: string): Promise<unknown> => {
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      contextId,
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await run(`${AXE}; undefined`);
  const found = (await run(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) => violations)`,
  )) as Violation[];
  await session.detach();
  return found.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary ?? ''}`).join(' | ')}`,
  );
}
