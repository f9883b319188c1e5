/** Apps of real servers in a real host: their pages are shown through the gateway and call the tools of their servers. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { tool } from '../fixtures/servers/http-upstream.js';
import { createLists, type ListsUpstream } from '../fixtures/servers/lists.js';
import { tempDir } from '../helpers/cli.js';
import { appServer, openHost, serveHost, startForHost } from '../helpers/app-host.js';
import type { RunningGateway } from '../helpers/gateway.js';
import { installInspector } from '../helpers/inspector.js';
import { connect } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const exec = promisify(execFile);
const BUDGET = 'ui://budget-allocator/mcp-app.html';
const MIME = 'text/html;profile=mcp-app';
const ERAS = ['legacy', 'modern'] as const;
const UI = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: [MIME] } } };

let origin = '';
beforeEach(async () => {
  origin = await serveHost();
});

const calls = (gateway: RunningGateway, server: string, name: string): Promise<number> =>
  gateway.metric(`mcpstead_tool_calls_total{server="${server}",tool="${name}"}`);

interface Page {
  readonly uri: string;
  readonly text: string;
  readonly listed?: boolean;
  readonly meta?: object;
}

/** A server with pages of apps, and tools. */
async function appFixture(pages: readonly Page[], tools: object[]): Promise<ListsUpstream> {
  return createLists('x', {
    lists: {
      tools,
      resources: pages
        .filter(({ listed = true }) => listed)
        .map(({ uri, meta }) => ({ uri, name: uri, mimeType: MIME, ...(meta && { _meta: meta }) })),
    },
    onRequest: (call) => {
      const { message, params } = call;
      const page = pages.find(({ uri }) => message.method === 'resources/read' && uri === params['uri']);
      if (!page) return undefined;
      const { uri, text, meta } = page;
      call.result({ contents: [{ uri, mimeType: MIME, text, ...(meta && { _meta: meta }) }] });
      return true;
    },
  });
}

const appTool = (name: string, ui: object): object => tool(name, { _meta: { ui } });

describe.each(ERAS)('on the route of a server, for a %s client', (era) => {
  test('the system monitor polls', async () => {
    const gateway = await startForHost(origin, { servers: [appServer('mon', 'system-monitor')] });
    const host = await openHost(origin, gateway.server('mon'), era);
    const app = await host.show('get-system-info');
    expect(app.uri).toBe('ui://system-monitor/mcp-app.html');
    await app.called('poll-system-stats', 2);
  });
});

describe.each(ERAS)('on the endpoint of all servers, for a %s client', (era) => {
  test('the system monitor polls, beside another app', async () => {
    const servers = [appServer('budget', 'budget-allocator'), appServer('mon', 'system-monitor')];
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const app = await host.show('mon__get-system-info');
    expect(app.uri).toBe('ui://mon+/system-monitor/mcp-app.html');
    await app.called('poll-system-stats', 2);
    expect(await calls(gateway, 'mon', 'poll-system-stats')).toBeGreaterThanOrEqual(2);
    await until(async () => /\d%/.test((await app.frame.textContent('#memory-percent')) ?? ''), 'the memory');
  });

  test('the debug app logs, refreshes and calls its own tool', async () => {
    const log = join(await tempDir(), 'log.txt');
    const debug = appServer('dbg', 'debug');
    const servers = [
      appServer('mon', 'system-monitor'),
      { ...debug, args: [...debug.args, `--log-file=${log}`] },
    ];
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const app = await host.show('dbg__debug-tool');
    await app.called('debug-log');
    await app.frame.click('#call-debug-refresh-btn');
    await app.called('debug-refresh');
    await app.frame.click('#call-debug-tool-btn');
    await app.called('debug-tool');
    await until(
      async () => (await readFile(log, 'utf8').catch(() => '')).includes('"type"'),
      'a line of the log',
    );
  });

  test('a page that another server claims is that of its own server', async () => {
    const claims = await appFixture(
      [{ uri: BUDGET, text: 'claimed' }],
      [appTool('take', { resourceUri: BUDGET })],
    );
    const servers = [claims.upstream.entry('a'), appServer('budget', 'budget-allocator')];
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const app = await host.show('budget__get-budget-data');
    expect(await app.frame.$$('#budget-chart')).toHaveLength(1);
    expect((await host.read('ui://a+/budget-allocator/mcp-app.html')).contents?.[0]?.text).toBe('claimed');
    // Both list it: without a server it belongs to neither, as long as no page was read.
    const other = await openHost(origin, gateway.url, era);
    expect((await other.read(BUDGET)).failed?.data).toMatchObject({
      candidates: ['ui://a+/budget-allocator/mcp-app.html', 'ui://budget+/budget-allocator/mcp-app.html'],
    });
  });

  test('a page that its server does not list is shown', async () => {
    const uri = 'ui://hidden/page';
    const page = { uri, text: '<p>unlisted</p>', listed: false };
    const { upstream } = await appFixture([page], [appTool('open', { resourceUri: uri })]);
    const servers = [upstream.entry('a'), appServer('mon', 'system-monitor')];
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const [open] = (await host.tools()).filter(({ name }) => name === 'a__open');
    const shown = String(open?._meta?.ui?.resourceUri);
    expect(shown).toBe('ui://a+/hidden/page');
    expect((await host.read(shown)).contents?.[0]?.text).toBe('<p>unlisted</p>');
    expect((await host.read(uri)).contents?.[0]?.text).toBe('<p>unlisted</p>');
  });

  test('the page that a tool names is listed and read by that name, with its policy unchanged', async () => {
    const meta = { ui: { csp: { connectDomains: ['https://api.example.com'] }, domain: 'x.example.com' } };
    const { upstream } = await appFixture(
      [{ uri: 'ui://app/page', text: '<p>a</p>', meta }],
      [appTool('open', { resourceUri: 'ui://app/page' })],
    );
    const servers = [upstream.entry('a'), ...['mon', 'two'].map((name) => appServer(name, 'system-monitor'))];
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const listed = new Map((await host.resources()).map((each) => [each.uri, each]));
    const pages = (await host.tools()).flatMap(({ _meta }) => _meta?.ui?.resourceUri ?? []);
    expect(pages).toHaveLength(3);
    expect([...listed.keys()].sort()).toEqual(pages.sort());
    for (const page of pages) expect((await host.read(page)).contents?.[0]?.uri).toBe(page);
    expect(listed.get('ui://a+/app/page')?._meta).toEqual(meta);
    expect((await host.read('ui://a+/app/page')).contents?.[0]?._meta).toEqual(meta);
  });

  test('tools of pages are listed for hosts that show apps, and unknown to others', async () => {
    const gateway = await startForHost(origin, { servers: [appServer('mon', 'system-monitor')] });
    const names = async (declares: boolean): Promise<string[]> =>
      (await (await openHost(origin, gateway.url, era, declares)).tools()).map(({ name }) => name);
    expect(await names(true)).toEqual(['mon__get-system-info', 'mon__poll-system-stats']);
    expect(await names(false)).toEqual(['mon__get-system-info']);
    const host = await openHost(origin, gateway.url, era, false);
    const { failed } = await host.call('mon__poll-system-stats');
    // As a name of no server; unlisted names go to their server, which hidden ones do not.
    const unknown = await host.call('xyz__poll-system-stats');
    expect(failed?.code).toBe(-32602);
    expect(failed?.message).toBe(unknown.failed?.message.replace('xyz__', 'mon__'));
    expect(await calls(gateway, 'mon', 'poll-system-stats')).toBe(0);
  });

  test('a page cannot call a tool for models alone by its bare name', async () => {
    const { upstream } = await appFixture(
      [{ uri: 'ui://app/page', text: '' }],
      [
        appTool('open', { resourceUri: 'ui://app/page' }),
        appTool('model-alone', { visibility: ['model'] }),
        appTool('both', { visibility: ['model', 'app'] }),
      ],
    );
    const gateway = await startForHost(origin, {
      servers: [upstream.entry('a'), appServer('mon', 'system-monitor')],
    });
    const host = await openHost(origin, gateway.url, era);
    expect((await host.call('both')).failed).toBeUndefined();
    expect((await host.call('model-alone')).failed?.code).toBe(-32602);
    expect((await host.call('a__model-alone')).failed).toBeUndefined();
    expect(upstream.calls('model-alone')).toHaveLength(1);
  });

  test('a bare name that two servers have is refused with both names, and full names work', async () => {
    const servers = ['one', 'two'].map((name) => appServer(name, 'system-monitor'));
    const gateway = await startForHost(origin, { servers });
    const host = await openHost(origin, gateway.url, era);
    const tie = {
      code: -32602,
      data: { candidates: ['one__poll-system-stats', 'two__poll-system-stats'] },
    };
    expect((await host.call('poll-system-stats')).failed).toMatchObject(tie);
    // Also once a session has read the pages of both.
    for (const name of ['one', 'two']) await host.read(`ui://${name}+/system-monitor/mcp-app.html`);
    expect((await host.call('poll-system-stats')).failed).toMatchObject(tie);
    expect((await host.call('two__poll-system-stats'))['structuredContent']).toBeDefined();
    expect(await calls(gateway, 'one', 'poll-system-stats')).toBe(0);
    expect(await calls(gateway, 'two', 'poll-system-stats')).toBe(1);
  });
});

test('of two servers with the same app each has its own page and its own calls', async () => {
  const servers = ['one', 'two'].map((name) => appServer(name, 'system-monitor'));
  const gateway = await startForHost(origin, { servers });
  for (const name of ['two', 'one']) {
    const host = await openHost(origin, gateway.url, 'legacy');
    const app = await host.show(`${name}__get-system-info`);
    expect(app.uri).toBe(`ui://${name}+/system-monitor/mcp-app.html`);
    await app.called('poll-system-stats');
    if (name === 'two') expect(await calls(gateway, 'one', 'poll-system-stats')).toBe(0);
  }
  expect(await calls(gateway, 'one', 'poll-system-stats')).toBeGreaterThan(0);
});

test('a host that does not declare apps shows them once it has read a page', async () => {
  const servers = [appServer('budget', 'budget-allocator'), appServer('mon', 'system-monitor')];
  const gateway = await startForHost(origin, { servers });
  const host = await openHost(origin, gateway.url, 'legacy', false);
  expect((await host.call('poll-system-stats')).failed?.code).toBe(-32602);
  const app = await host.show('mon__get-system-info');
  await app.called('poll-system-stats', 2);
  expect((await host.tools()).map(({ name }) => name)).toContain('mon__poll-system-stats');
});

test('clients without a browser do not see tools of pages either', async () => {
  const gateway = await startForHost(origin, { servers: [appServer('mon', 'system-monitor')] });
  const legacy = await connect(gateway.url, { capabilities: {} });
  const hosting = await connect(gateway.url, { capabilities: UI });
  const names = async (client: typeof legacy): Promise<unknown[]> =>
    (await client.list('tools/list', 'tools')).map(({ name }) => name);
  expect(await names(legacy)).toEqual(['mon__get-system-info']);
  expect(await names(hosting)).toEqual(['mon__get-system-info', 'mon__poll-system-stats']);
  const { error } = await legacy.request('tools/call', { name: 'mon__poll-system-stats' });
  expect(error?.code).toBe(-32602);
  const { result } = await answerTo(gateway.url, 'tools/list');
  expect((result?.['tools'] as { name: string }[]).map(({ name }) => name)).toEqual(['mon__get-system-info']);
});

test.each(ERAS)('the inspector finds the page of each app, as a %s client', async (era) => {
  const apps = { budget: 'budget-allocator', dbg: 'debug', mon: 'system-monitor' };
  const servers = Object.entries(apps).map(([name, app]) => appServer(name, app));
  const gateway = await startForHost(origin, { servers });
  const folder = await tempDir();
  const { node, main } = await installInspector();
  for (const [name, page] of [
    ['budget__get-budget-data', 'ui://budget+/budget-allocator/mcp-app.html'],
    ['dbg__debug-tool', 'ui://dbg+/debug-tool/mcp-app.html'],
    ['mon__get-system-info', 'ui://mon+/system-monitor/mcp-app.html'],
  ] as const) {
    const target = [main, '--cli', gateway.url, '--transport', 'http', '--protocol-era', era];
    const { stdout } = await exec(
      node,
      [...target, '--method', 'tools/call', '--app-info', '--tool-name', name],
      {
        cwd: folder,
        env: {
          ...process.env,
          MCP_CATALOG_PATH: join(folder, 'mcp.json'),
          MCP_CLIENT_CONFIG_PATH: join(folder, 'client.json'),
        },
        maxBuffer: 1 << 26,
      },
    );
    expect(JSON.parse(stdout)).toEqual({
      hasApp: true,
      toolName: name,
      resourceUri: page,
      resourceMimeType: MIME,
    });
  }
});
