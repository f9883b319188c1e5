/**
 * Clients that people use sign in at the gateway: a person clicks through the consent page and the pages of the identity provider in Chromium.
 * The gateway is a process, which is killed and started again; clients go on without a page.
 */
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { openPage } from '../helpers/browser.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir, type CliRun } from '../helpers/cli.js';
import { Desk } from '../helpers/desk.js';
import { INSPECTOR, installInspector } from '../helpers/inspector.js';
import { application } from '../helpers/login.js';
import { prepareSignIn, startProcess, type SignInParts } from '../helpers/sign-in.js';

let parts: SignInParts;
let gateway: CliRun;
let compiled: string;

beforeAll(async () => {
  compiled = await tempDir();
  parts = await prepareSignIn({
    accounts: {
      ada: { groups: ['dev'], preferred_username: 'Ada' },
      bob: { groups: ['guests'], preferred_username: 'Bob' },
    },
    config: {
      policy: {
        default: 'deny',
        rules: [
          { name: 'all', who: { ids: ['login:*'] }, allow: [{ tools: ['look'] }] },
          { name: 'devs', who: { groups: ['dev'] }, allow: [{ tools: ['write'] }] },
        ],
      },
    },
  });
});

const PEOPLE = [
  ['ada', ['one__look', 'one__write']],
  ['bob', ['one__look']],
] as const;

/** What a person does in a browser of his own, from the page that a client opens to the page of the client. */
async function clickThrough(start: URL, person: string): Promise<string> {
  const { page, faults } = await openPage(start.href);
  expect(await page.locator('h1').innerText()).toBe(new URL(redirectOf(start)).host);
  await page.getByText('The answer goes to a program on your own machine.').waitFor();
  expect(faults).toEqual([]);
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.locator('input[name=login]').fill(person);
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL((url) => url.href.startsWith(redirectOf(start)));
  // The cookie of the sign-in, which Chromium takes over http from this host alone, is gone.
  const cookies = await page.context().cookies(parts.base);
  expect(cookies.filter(({ name }) => name.includes('mcpstead'))).toEqual([]);
  return page.url();
}

const redirectOf = (at: URL): string => at.searchParams.get('redirect_uri') ?? '';

/** Starts the gateway; it ends with the test. */
async function start(): Promise<void> {
  gateway = await startProcess(parts);
}

/** Kills the gateway, and starts it again. */
async function restart(): Promise<void> {
  gateway.kill('SIGKILL');
  await gateway.exit();
  await start();
}

const names = ({ tools }: { tools: { name: string }[] }): string[] => tools.map(({ name }) => name).sort();
const info = { name: 'test', version: '0' };

/** An application with a page that people come back to. */
async function desktopApp(): Promise<ReturnType<typeof application>> {
  const server = createServer((_req, res) => res.end('done')).listen(0, '127.0.0.1');
  atEnd(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
  const app = application(['authorization_code', 'refresh_token']);
  Object.assign(app.provider, { redirectUrl: redirect });
  Object.assign(app.provider.clientMetadata, { redirect_uris: [redirect] });
  return app;
}

type App = Awaited<ReturnType<typeof desktopApp>>;

const SDKS = {
  v1: (app: App) => {
    const client = new ClientV1(info);
    const transport = new HttpV1(new URL(`${parts.base}/mcp`), { authProvider: app.provider as never });
    return { client, transport, connect: () => client.connect(transport) };
  },
  v2: (app: App) => {
    const client = new ClientV2(info, { versionNegotiation: { mode: 'auto' } });
    const transport = new HttpV2(new URL(`${parts.base}/mcp`), { authProvider: app.provider as never });
    return { client, transport, connect: () => client.connect(transport) };
  },
};

describe.each(['v1', 'v2'] as const)('SDK %s', (version) => {
  it.each(PEOPLE)('signs in as %s', async (person, tools) => {
    await start();
    const app = await desktopApp();
    const open = () => {
      const opened = SDKS[version](app);
      atEnd(() => opened.client.close());
      return opened;
    };
    const first = open();
    await expect(first.connect()).rejects.toThrow(/unauthorized/i);
    const back = new URL(await clickThrough(app.kept.at as URL, person));
    delete app.kept.at;
    const [code, iss] = ['code', 'iss'].map((name) => back.searchParams.get(name) as string);
    await first.transport.finishAuth(code as string, iss);
    const second = open();
    await second.connect();
    expect(names(await second.client.listTools())).toEqual(tools);

    await restart();
    const third = open();
    await third.connect();
    expect(names(await third.client.listTools())).toEqual(tools);
    // An access token that does not count any more is renewed.
    const before = app.kept.tokens;
    Object.assign(app.kept.tokens ?? {}, { access_token: `${before?.access_token ?? ''}x` });
    const fourth = open();
    await fourth.connect();
    expect(names(await fourth.client.listTools())).toEqual(tools);
    expect([app.kept.at, app.kept.tokens === before]).toEqual([undefined, false]);
  });
});

describe('mcp-remote', () => {
  function connect(desk: Desk): { client: ClientV1; connected: Promise<void> } {
    const main = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [main, `${parts.base}/mcp`, '--transport', 'http-only', '--auth-timeout', '600'],
      env: { ...desk.env, MCP_REMOTE_CONFIG_DIR: join(desk.home, 'mcp-remote') },
      stderr: 'pipe',
    });
    const client = new ClientV1(info);
    atEnd(() => client.close());
    return { client, connected: client.connect(transport) };
  }

  it.each(PEOPLE)('signs in as %s', async (person, tools) => {
    await start();
    const desk = await Desk.create();
    const { client, connected } = connect(desk);
    await Promise.all([connected, desk.next().then((at) => clickThrough(at, person))]);
    expect(names(await client.listTools())).toEqual(tools);
    await client.close();

    await restart();
    const again = connect(desk);
    await again.connected;
    expect(names(await again.client.listTools())).toEqual(tools);
    expect(await desk.opened()).toHaveLength(1);
  });
});

describe(`inspector ${INSPECTOR} --cli`, () => {
  async function list(desk: Desk): Promise<string[]> {
    const { node, main } = await installInspector();
    const target = [main, '--cli', `${parts.base}/mcp`, '--transport', 'http', '--connect-timeout', '0'];
    const env = {
      ...desk.env,
      MCP_AUTO_OPEN_ENABLED: 'true',
      MCP_INSPECTOR_SECRET_STORE: 'file',
      NODE_COMPILE_CACHE: compiled,
    };
    const more = ['--callback-url', 'http://127.0.0.1:0/oauth/callback', '--method', 'tools/list'];
    const said = await new Promise<string>((resolve, reject) => {
      const child = execFile(node, [...target, ...more], { cwd: desk.home, env }, (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message}: ${stderr}`));
        else resolve(stdout);
      });
      child.stdin?.end('y\n');
    });
    return names(JSON.parse(said) as never);
  }

  it.each(PEOPLE)('signs in as %s', async (person, tools) => {
    await start();
    const desk = await Desk.create();
    const [listed] = await Promise.all([list(desk), desk.next().then((at) => clickThrough(at, person))]);
    expect(listed).toEqual(tools);
    await restart();
    expect(await list(desk)).toEqual(tools);
    expect(await desk.opened()).toHaveLength(1);
  });
});
