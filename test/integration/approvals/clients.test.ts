/** Held calls of clients that nobody here wrote, in front of the example server: they get to a yes and to a no, each in its own way. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import { createConsoleKey } from '../../../src/lib/console-key.js';
import { atEnd } from '../../helpers/cleanup.js';
import { tempDir, tempFile } from '../../helpers/cli.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { send } from '../../helpers/http.js';
import { installInspector } from '../../helpers/inspector.js';
import { scratchFolder } from '../../helpers/state.js';
import { everythingStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const KEY = createConsoleKey();
const ECHO = { name: 'everything__echo', arguments: { message: 'hello' } };
const info = { name: 'test', version: '0' };
const textIn = (result: unknown): string =>
  (result as { content: { text: string }[] }).content.map(({ text }) => text).join();

function config(hold: object = {}, more: Partial<ConfigInput> = {}): ConfigInput {
  return {
    servers: [everythingStdio()],
    policy: {
      default: 'allow',
      rules: [{ name: 'ask', hold: [{ tools: ['echo'], by: 'caller', ...hold }] }],
    },
    state: { dir: scratchFolder() },
    ...more,
  };
}

const start = (hold?: object, more?: Partial<ConfigInput>): Promise<RunningGateway> =>
  startGateway(config(hold, more), { wait: [], env: { ...process.env, MCPSTEAD_CONSOLE_KEY: KEY } });

/** Connects a client to a gateway of its own, which has no port. */
async function overStdio(client: ClientV1): Promise<void> {
  const path = await tempFile('config.json', JSON.stringify(config()));
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [MAIN, 'stdio', '--config', path],
    env: { PATH: process.env['PATH'] ?? '', HOME: await tempDir() },
    stderr: 'ignore',
  });
  await client.connect(transport);
  atEnd(() => client.close());
}

interface Row {
  readonly id: string;
  readonly state: string;
  readonly digest: string;
  readonly waiting: boolean;
}

async function listed(base: string): Promise<Row[]> {
  const headers = { authorization: `Bearer ${KEY}` };
  return (await send(`${base}/-/api/v1/approvals`, undefined, { headers })).json<{ approvals: Row[] }>()
    .approvals;
}

/** The holder of the console key decides about the call that waits. */
async function decide(base: string, decision: 'approve' | 'deny'): Promise<void> {
  const { id, digest } = await until(
    async () => (await listed(base)).find(({ state }) => state === 'open'),
    'a call that waits',
  );
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
  const answer = await send(`${base}/-/api/v1/approvals/${id}`, { decision, digest }, { headers });
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
}

describe('SDK v1, whose user answers a form', () => {
  async function connected(url: string, answer: () => Promise<object>): Promise<ClientV1> {
    const client = new ClientV1(info, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, async () => (await answer()) as { action: 'cancel' });
    await client.connect(new HttpV1(new URL(url)));
    atEnd(() => client.close());
    return client;
  }

  it('gets to a yes and to a no', async () => {
    const { url } = await start();
    const said = [true, false];
    const client = await connected(url, () =>
      Promise.resolve({ action: 'accept', content: { send: said.shift() } }),
    );
    expect(textIn(await client.callTool(ECHO))).toBe('Echo: hello');
    await expect(client.callTool(ECHO)).rejects.toThrow('not sent');
  });

  it('gives a call up, and gets its answer with the next one: the late yes counts', async () => {
    const { url, base } = await start();
    let answer: (said: object) => void = () => undefined;
    const client = await connected(url, () => new Promise((resolve) => (answer = resolve)));
    const first = new AbortController();
    const given = client.callTool(ECHO, undefined, { signal: first.signal });
    await until(async () => (await listed(base)).some(({ waiting }) => waiting), 'the call to wait');
    first.abort('no answer for too long');
    await expect(given).rejects.toThrow();
    answer({ action: 'accept', content: { send: true } });
    await until(async () => (await listed(base)).some(({ state }) => state === 'approved'), 'the late yes');
    expect(textIn(await client.callTool(ECHO))).toBe('Echo: hello');
  });

  it('hears for whom its call waits, below any progress of the server', async () => {
    const { url, base } = await start({ confirm: 'page' });
    const client = new ClientV1(info);
    await client.connect(new HttpV1(new URL(url)));
    atEnd(() => client.close());
    const told: { progress: number; message?: string | undefined }[] = [];
    const answered = client.callTool(ECHO, undefined, {
      onprogress: (each) => told.push(each),
      resetTimeoutOnProgress: true,
    });
    await until(() => told.length > 0, 'progress');
    await decide(base, 'approve');
    expect(textIn(await answered)).toBe('Echo: hello');
    expect(told[0]?.progress).toBeLessThan(0);
    expect(told[0]?.message).toContain('/-/approvals/');
    expect(told[0]?.message).not.toContain('repeat');
  });
});

describe('SDK v2 of revision 2026-07-28', () => {
  it.each([
    [true, 'Echo: hello'],
    [false, 'not sent'],
  ])('asks its user, who says %s', async (isYes, text) => {
    const { url } = await start();
    const client = new ClientV2(info, {
      versionNegotiation: { mode: { pin: '2026-07-28' } },
      capabilities: { elicitation: { form: {} } },
    });
    client.setRequestHandler('elicitation/create', () => ({
      action: 'accept' as const,
      content: { send: isYes },
    }));
    await client.connect(new HttpV2(new URL(url)));
    atEnd(() => client.close());
    const answer = await client.callTool(ECHO).then(textIn, (error: unknown) => String(error));
    expect(answer).toContain(text);
  });
});

describe('a program of a client', () => {
  it.each([
    [true, 'Echo: hello'],
    [false, 'not sent'],
  ])('answers a form over stdio: %s', async (isYes, text) => {
    const client = new ClientV1(info, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { send: isYes } }));
    await overStdio(client);
    const answer = await client.callTool(ECHO).then(textIn, (error: unknown) => String(error));
    expect(answer).toContain(text);
  });
});

describe('a program of a client that takes no forms', () => {
  it('is told that nobody can say yes: the gateway has no port', async () => {
    const client = new ClientV1(info);
    await overStdio(client);
    await expect(client.callTool(ECHO)).rejects.toThrow('or a gateway with a port');
  });
});

describe('a client that declares nothing', () => {
  it('waits as the Inspector, and gets its answer after the vote', async () => {
    const { url, base } = await start();
    const { node, main } = await installInspector();
    const folder = await tempDir();
    const args = [main, '--cli', url, '--transport', 'http', '--method', 'tools/call'];
    const ran = promisify(execFile)(
      node,
      [...args, '--tool-name', ECHO.name, '--tool-args-json', JSON.stringify(ECHO.arguments)],
      {
        cwd: folder,
        env: {
          ...process.env,
          MCP_CATALOG_PATH: join(folder, 'mcp.json'),
          MCP_CLIENT_CONFIG_PATH: join(folder, 'client.json'),
        },
      },
    );
    await decide(base, 'approve');
    expect((await ran).stdout).toContain('Echo: hello');
  });
});
