/**
 * The real servers behind the gateway, the real clients in front of it: those that the tests have installed. Many more are
 * run by `npm run compat`, which writes docs/compatibility.md.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { beforeAll, expect, test } from 'vitest';
import { tempDir } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { INSPECTOR, installInspector } from '../helpers/inspector.js';
import {
  everythingStdio,
  filesystemStdio,
  memoryStdio,
  startEverything,
  thinkingStdio,
} from '../helpers/upstreams.js';

const exec = promisify(execFile);

interface Connected {
  list(): Promise<string[]>;
  call(name: string, args: Record<string, unknown>): Promise<string>;
  close(): Promise<unknown>;
}

const text = (result: object): string => (result as { content: { text?: string }[] }).content[0]?.text ?? '';

function version(name: string): string {
  const require = createRequire(import.meta.url);
  const path = require.resolve.paths(name)?.map((folder) => join(folder, name, 'package.json')) ?? [];
  for (const file of path) {
    try {
      return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
    } catch {
      continue;
    }
  }
  throw new Error(`${name} is not installed`);
}

const info = { name: 'compatibility', version: '0' };

async function sdkV1(transport: Transport): Promise<Connected> {
  const client = new ClientV1(info);
  await client.connect(transport);
  return {
    list: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: async (name, args) => text(await client.callTool({ name, arguments: args })),
    close: () => client.close(),
  };
}

async function sdkV2(url: string, mode: 'legacy' | 'auto'): Promise<Connected> {
  const client = new ClientV2(info, { versionNegotiation: { mode } });
  await client.connect(new HttpV2(new URL(url)));
  return {
    list: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: async (name, args) => text(await client.callTool({ name, arguments: args })),
    close: () => client.close(),
  };
}

async function inspector(url: string, era: 'legacy' | 'modern'): Promise<Connected> {
  const folder = await tempDir();
  const { node, main } = await installInspector();
  const run = async (...args: string[]): Promise<Record<string, unknown>> => {
    const target = [main, '--cli', url, '--transport', 'http', '--protocol-era', era];
    const { stdout } = await exec(node, [...target, ...args], {
      cwd: folder,
      env: {
        ...process.env,
        // Each command compiles the inspector anew otherwise, which is most of its work.
        NODE_COMPILE_CACHE: compiled,
        MCP_CATALOG_PATH: join(folder, 'mcp.json'),
        MCP_CLIENT_CONFIG_PATH: join(folder, 'client.json'),
      },
      maxBuffer: 1 << 26,
    });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  return {
    list: async () =>
      ((await run('--method', 'tools/list'))['tools'] as { name: string }[]).map((tool) => tool.name),
    call: async (name, args) =>
      text(
        await run('--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)),
      ),
    close: () => Promise.resolve(),
  };
}

async function mcpRemote(url: string): Promise<Connected> {
  const main = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
  return sdkV1(
    new StdioClientTransport({
      command: process.execPath,
      args: [main, url, '--transport', 'http-only'],
      env: { PATH: process.env['PATH'] ?? '', MCP_REMOTE_CONFIG_DIR: await tempDir() },
      stderr: 'ignore',
    }),
  );
}

const clients: { name: string; connect: (url: string) => Promise<Connected> }[] = [
  {
    name: `SDK v1 ${version('@modelcontextprotocol/sdk')}`,
    connect: (url) => sdkV1(new HttpV1(new URL(url))),
  },
  {
    name: `SDK v2 ${version('@modelcontextprotocol/client')}, legacy`,
    connect: (url) => sdkV2(url, 'legacy'),
  },
  { name: `SDK v2 ${version('@modelcontextprotocol/client')}, auto`, connect: (url) => sdkV2(url, 'auto') },
  { name: `inspector ${INSPECTOR} --cli`, connect: (url) => inspector(url, 'legacy') },
  { name: `inspector ${INSPECTOR} --cli, modern`, connect: (url) => inspector(url, 'modern') },
  { name: `mcp-remote ${version('mcp-remote')}`, connect: mcpRemote },
];

interface ServerUnderTest {
  readonly name: string;
  /** A tool, its arguments, and what its text must have. */
  readonly call: [string, Record<string, unknown>, string];
}

const echo: ServerUnderTest['call'] = [
  'echo',
  { message: 'through the gateway' },
  'Echo: through the gateway',
];
const servers: ServerUnderTest[] = [
  { name: 'everything', call: echo },
  { name: 'everything-sse', call: echo },
  { name: 'everything-http', call: echo },
  {
    name: 'files',
    call: ['list_allowed_directories', {}, 'Allowed directories'],
  },
  {
    name: 'memory',
    call: ['read_graph', {}, '"entities"'],
  },
  {
    name: 'thinking',
    call: [
      'sequentialthinking',
      { thought: 'pass it on', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 },
      '"thoughtNumber": 1',
    ],
  },
];

let gateway: RunningGateway;
let compiled: string;
/** How many tools were seen: by server, by client. */
const seen = new Map<string, Map<string, number>>(
  servers.map(({ name }) => [name, new Map<string, number>()]),
);

beforeAll(async () => {
  compiled = await tempDir();
  const [sse, http, folder] = await Promise.all([
    startEverything('sse'),
    startEverything('streamableHttp'),
    tempDir(),
  ]);
  gateway = await startGateway({
    servers: [
      everythingStdio(),
      // `protocol: auto` finds the transport of both.
      { name: 'everything-sse', url: sse.url },
      { name: 'everything-http', url: http.url },
      filesystemStdio(folder),
      memoryStdio(join(folder, 'memory.json')),
      thinkingStdio(),
    ],
  });
});

test.each(clients)(
  '$name lists and calls the tools of every server',
  async ({ name, connect }) => {
    const merged = await connect(gateway.url);
    const names = await merged.list();
    for (const server of servers) {
      const [tool, args, expected] = server.call;
      const own = await connect(gateway.server(server.name));
      const [ownNames, ...answers] = await Promise.all([
        own.list(),
        merged.call(`${server.name}__${tool}`, args),
        own.call(tool, args),
      ]);
      expect(names.filter((one) => one.startsWith(`${server.name}__`))).toEqual(
        ownNames.map((one) => `${server.name}__${one}`),
      );
      for (const answer of answers) expect(answer).toContain(expected);
      await own.close();
      seen.get(server.name)?.set(name, ownNames.length);
    }
    expect(names.length).toBe(
      names.filter((one) => servers.some((s) => one.startsWith(`${s.name}__`))).length,
    );
    await merged.close();
  },
  300_000,
);

test('every client sees the same number of tools of every server', () => {
  for (const { name } of servers) {
    const counts = [...(seen.get(name) ?? [])];
    expect(counts).toHaveLength(clients.length);
    expect(new Set(counts.map(([, count]) => count)).size).toBe(1);
  }
});
