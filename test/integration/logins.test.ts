/** Clients that people use log in at a real issuer by themselves: they open a browser, and listen for its way back. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Oidc } from '../fixtures/servers/oidc.mjs';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir } from '../helpers/cli.js';
import { Desk } from '../helpers/desk.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { INSPECTOR, installInspector } from '../helpers/inspector.js';
import { register, startBehindIssuer } from '../helpers/login.js';
import { freePort } from '../helpers/port.js';
import { until } from '../helpers/wait.js';

let upstream: Upstream;
let oidc: Oidc;
let running: RunningGateway;
/** A gateway with a key alone. */
let without: RunningGateway;

/** What Node compiled; shared, since the inspector compiles for seconds otherwise. */
let compiled: string;

beforeAll(async () => {
  compiled = await tempDir();
  upstream = await createUpstream({ tools: [tool('look'), tool('write')] });
  ({ oidc, running } = await startBehindIssuer(upstream, [
    { name: 'all', allow: [{ tools: ['look'] }] },
    { name: 'writers', needs: ['files:write'], allow: [{ tools: ['write'] }] },
  ]));
  without = await startGateway({
    servers: [upstream.entry('one')],
    mcp: { auth: { keys: [{ name: 'ci', sha256: ['A'.repeat(43)] }] } },
  });
});

/** The scopes that a login is for, without the one for a refresh token, which clients add. */
const scopesOf = (at: URL): string[] =>
  (at.searchParams.get('scope') ?? '')
    .split(' ')
    .filter((scope) => scope !== 'offline_access')
    .sort();
const PASSED = [{ type: 'text', text: '{}' }];

const OFF = 'OAuth is off here: send Authorization: Bearer <key>';
const names = (result: { tools: { name: string }[] }): string[] => result.tools.map(({ name }) => name);

describe('mcp-remote', () => {
  interface Started {
    readonly client: Client;
    readonly transport: StdioClientTransport;
    /** What it wrote to stderr so far. */
    readonly said: () => string;
  }

  function start(desk: Desk, url: string): Started {
    const main = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [main, url, '--transport', 'http-only', '--auth-timeout', '600'],
      env: { ...desk.env, MCP_REMOTE_CONFIG_DIR: join(desk.home, 'mcp-remote') },
      stderr: 'pipe',
    });
    let said = '';
    transport.stderr?.on('data', (data: Buffer) => (said += data.toString()));
    const client = new Client({ name: 'test', version: '0' });
    atEnd(() => client.close());
    return { client, transport, said: () => said };
  }

  it('logs in, calls a tool, and steps up for another', async () => {
    const desk = await Desk.create();
    const { client, transport } = start(desk, running.url);
    const [at] = await Promise.all([desk.login(), client.connect(transport)]);
    expect(at.origin).toBe(oidc.issuer);
    expect(at.searchParams.get('resource')).toBe(running.url);
    expect(scopesOf(at)).toEqual(['read']);
    expect(names(await client.listTools())).toEqual(['one__look', 'one__write']);
    expect((await client.callTool({ name: 'one__look', arguments: {} })).content).toEqual(PASSED);
    const call = client.callTool({ name: 'one__write', arguments: {} });
    const [more, answer] = await Promise.all([desk.login(), call]);
    expect(scopesOf(more)).toEqual(['files:write', 'read']);
    expect(answer.content).toEqual(PASSED);
  });

  it('shows that OAuth is off where it is', async () => {
    const desk = await Desk.create();
    const { client, transport, said } = start(desk, without.url);
    await expect(client.connect(transport)).rejects.toThrow('Connection closed');
    await until(() => said().includes(`Fatal error`), 'its last words');
    expect(said()).toContain(OFF);
    expect(await desk.opened()).toEqual([]);
  });
});

describe.each(['legacy', 'modern'])(`inspector ${INSPECTOR} --cli, %s`, (era) => {
  interface Ran {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }

  /** Runs one method, and answers yes if it asks. */
  async function run(desk: Desk, url: string, ...args: string[]): Promise<Ran> {
    const { node, main } = await installInspector();
    const target = [
      main,
      '--cli',
      url,
      '--transport',
      'http',
      '--protocol-era',
      era,
      '--connect-timeout',
      '0',
    ];
    const env = {
      ...desk.env,
      MCP_AUTO_OPEN_ENABLED: 'true',
      MCP_INSPECTOR_SECRET_STORE: 'file',
      NODE_COMPILE_CACHE: compiled,
    };
    return new Promise((resolve) => {
      const child = execFile(node, [...target, ...args], { cwd: desk.home, env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
      child.stdin?.end('y\n');
    });
  }
  /** Where it listens for the way back. */
  const callback = (port: number): string[] => ['--callback-url', `http://127.0.0.1:${port}/oauth/callback`];
  const call = (desk: Desk, name: string, ...args: string[]): Promise<Ran> =>
    run(desk, running.url, '--method', 'tools/call', '--tool-name', name, ...args);

  it('logs in and calls a tool', async () => {
    const desk = await Desk.create();
    const listing = run(desk, running.url, ...callback(0), '--method', 'tools/list');
    const [at, list] = await Promise.all([desk.login(), listing]);
    expect(at.origin).toBe(oidc.issuer);
    expect(at.searchParams.get('resource')).toBe(running.url);
    expect(scopesOf(at)).toEqual(['read']);
    expect(names(JSON.parse(list.stdout) as never)).toEqual(['one__look', 'one__write']);
    // It kept the token.
    const { stdout } = await call(desk, 'one__look');
    expect(JSON.parse(stdout)).toMatchObject({ content: PASSED });
    expect(await desk.opened()).toHaveLength(1);
  });

  // As a client that it registered itself it refreshes its token instead, and fails.
  it('steps up with a client id that it was given', async () => {
    const desk = await Desk.create();
    const id = [
      '--client-id',
      await register(oidc.issuer, 'http://127.0.0.1/oauth/callback'),
      ...callback(await freePort()),
    ];
    const [first, look] = await Promise.all([desk.login(), call(desk, 'one__look', ...id)]);
    expect(scopesOf(first)).toEqual(['read']);
    expect(JSON.parse(look.stdout)).toMatchObject({ content: PASSED });
    const [more, write] = await Promise.all([desk.login(), call(desk, 'one__write', ...id)]);
    expect(scopesOf(more)).toEqual(['files:write', 'read']);
    expect(JSON.parse(write.stdout)).toMatchObject({ content: PASSED });
  });

  it('shows that OAuth is off where it is', async () => {
    const desk = await Desk.create();
    const list = await run(desk, without.url, '--method', 'tools/list');
    expect(list.code).toBe(1);
    expect(list.stderr).toContain(OFF);
    expect(await desk.opened()).toEqual([]);
  });
});
