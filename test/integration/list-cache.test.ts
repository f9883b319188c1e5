/** What servers listed in the last run is listed at once in the next, while they start. */
import { chmod, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { tempDir } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, message, post, textOf } from '../helpers/http.js';
import { connect, heard, messagesOf } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { settled, until } from '../helpers/wait.js';

const quick = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 20 } };

const names = async (url: string): Promise<string[]> => {
  const { result } = message(await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }));
  return (result?.['tools'] as { name: string }[]).map(({ name }) => name);
};

const RESOURCES: Readonly<Record<string, object>> = {
  'resources/list': { resources: [{ uri: 'file:///a', name: 'a' }] },
  'resources/templates/list': { resourceTemplates: [{ uriTemplate: 'note:///{name}', name: 'note' }] },
  'resources/read': { contents: [{ uri: 'file:///a', text: 'read' }] },
};

/** A server, and a folder in which what it listed in a first run is kept. */
async function ranOnce(more: object = {}): Promise<{ upstream: Upstream; dir: string; config: ConfigInput }> {
  const dir = join(await tempDir(), 'cache');
  const upstream = await createUpstream({
    tools: [tool('a', { description: 'as kept, 1.0' })],
    getStream: true,
    sessions: true,
    instructions: 'of the first run',
    capabilities: { tools: { listChanged: true }, resources: {} },
    onHttp({ message: { id, method = '' } }, res) {
      const result = RESOURCES[method];
      if (!result) return undefined;
      res.setHeader('content-type', 'application/json');
      res.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      return true;
    },
  });
  const config = {
    cache: { dir },
    startup: { wait_ms: 600_000 },
    servers: [upstream.entry('s', { ...quick, ...more })],
  };
  const first = await startGateway(config);
  await until(async () => (await readdir(dir)).some((name) => name.endsWith('.lists')));
  await first.gateway.close();
  return { upstream, dir, config };
}

/** The second run, its server not there yet. */
async function again(config: ConfigInput): Promise<RunningGateway> {
  return startGateway(config, { wait: [] });
}

const fileIn = async (dir: string): Promise<string> =>
  join(dir, (await readdir(dir)).find((name) => name.endsWith('.lists')) as string);

describe('while its server starts', () => {
  test('a list is that of the run before, and calls wait', async () => {
    const { upstream, config } = await ranOnce();
    await upstream.stop();
    const running = await again(config);
    expect(await names(running.url)).toEqual(['s__a']);
    expect(await names(running.server('s'))).toEqual(['a']);
    const { result } = await answerTo(running.server('s'), 'tools/list');
    expect(JSON.stringify(result)).toContain('as kept, 1.0');
    const client = await connect(running.server('s'));
    expect(client.greeting).toMatchObject({ instructions: 'of the first run' });
    expect((await running.health()).servers[0]).toMatchObject({
      connected: false,
      lists: 'kept',
      lists_age_seconds: expect.any(Number) as number,
      era: null,
    });
    const called = callTool(running.url, 's__a', { n: 1 });
    const read = ['file:///a', 'note:///b'].map((uri) =>
      post(running.url, { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri } }),
    );
    await upstream.start();
    expect(textOf(await called)).toBe('{"n":1}');
    for (const each of read)
      expect(message(await each).result).toMatchObject({ contents: [{ text: 'read' }] });
    await running.up('s');
    expect((await running.health()).servers[0]).not.toHaveProperty('lists');
  });

  test('clients are told of a change only where the server lists another thing now', async () => {
    for (const [tools, changes] of [
      [[tool('a', { description: 'as kept, 1.0' })], 0],
      [[tool('b')], 1],
    ] as const) {
      const { upstream, config } = await ranOnce();
      await upstream.stop();
      const running = await again(config);
      const client = await connect(running.url);
      const stream = await client.listen();
      expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual(['s__a']);
      upstream.options.tools = tools;
      await upstream.start();
      await running.up('s');
      if (changes > 0) await heard(stream, 'notifications/tools/list_changed');
      expect(await settled(() => messagesOf(stream).length)).toBe(changes);
      stream.close();
    }
  });
});

describe('is thrown away in silence', () => {
  /** What the second run lists at once of a server that is not there. */
  async function listed(config: ConfigInput): Promise<string[]> {
    const running = await again({ ...config, startup: { wait_ms: 0 } });
    return names(running.url);
  }

  test.each<[what: string, spoil: (path: string) => Promise<void>]>([
    ['a file of other bytes', (path) => writeFile(path, 'x'.repeat(200))],
    ['an empty one', (path) => writeFile(path, '')],
    [
      'one with another digest',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace('as kept', 'changed')),
    ],
    ['one cut short', async (path) => writeFile(path, (await readFile(path)).subarray(0, -9))],
    ['one of 31 days', (path) => utimes(path, new Date(), new Date(Date.now() - 31 * 24 * 3_600_000))],
  ])('%s', async (_what, spoil) => {
    const { upstream, dir, config } = await ranOnce();
    await upstream.stop();
    expect(await listed(config)).toEqual(['s__a']);
    await spoil(await fileIn(dir));
    expect(await listed(config)).toEqual([]);
  });

  test.each<[what: string, more: object]>([
    ['of another URL', { url: 'http://127.0.0.1:9/mcp' }],
    ['with another header', { headers: { 'x-tenant': 'b' } }],
    ['of another revision', { revision: 'legacy' }],
    ['with a session for each client', { session: 'per-client' }],
  ])('what is kept of a server %s', async (_what, more) => {
    const { upstream, config } = await ranOnce();
    await upstream.stop();
    const [server] = config.servers ?? [];
    expect(await listed({ ...config, servers: [{ ...server, ...more }] })).toEqual([]);
  });

  test('what a server listed that a reload adds', async () => {
    const { upstream, config } = await ranOnce();
    await upstream.stop();
    const running = await again({ ...config, startup: { wait_ms: 0 }, servers: [] });
    await running.gateway.reload({ ...config, startup: { wait_ms: 0 } });
    expect(await names(running.url)).toEqual([]);
  });

  test('a folder that cannot be used', async () => {
    const upstream = await createUpstream({ tools: [tool('a')] });
    const running = await startGateway({ cache: { dir: '/dev/null/x' }, servers: [upstream.entry('s')] });
    expect(await names(running.url)).toEqual(['s__a']);
  });
});

test('what is kept is for its owner alone, and no file is left half written', async () => {
  const { dir, config } = await ranOnce();
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
  expect((await stat(await fileIn(dir))).mode & 0o777).toBe(0o600);
  // A folder that others may read is closed to them.
  await chmod(dir, 0o755);
  await startGateway(config);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
  await until(async () => (await readdir(dir)).every((name) => name.endsWith('.lists')));
});

test('values of secrets are not in what is kept, nor in its name', async () => {
  const { dir } = await ranOnce({ headers: { authorization: 'Bearer s3cret-s3cret' } });
  expect(await readFile(await fileIn(dir), 'utf8')).not.toContain('s3cret');
});

describe('the route of one server that is down', () => {
  test('says so at initialize and to lists', async () => {
    const upstream = await createUpstream({ tools: [tool('a')] });
    const entry = upstream.entry('s', quick);
    await upstream.stop();
    const running = await startGateway({ servers: [entry] }, { wait: [] });
    await until(async () => (await running.health()).servers[0]?.last_error);
    for (const method of ['initialize', 'tools/list', 'resources/templates/list']) {
      const params = {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'x', version: '1' },
      };
      const answer = await post(running.server('s'), { jsonrpc: '2.0', id: 1, method, params });
      expect([answer.status, answer.json().error?.code]).toEqual([200, -32000]);
      expect(answer.json().error?.message).toMatch(/upstream 's' is disconnected \(.*ECONNREFUSED/);
    }
    expect(await running.metric('mcpstead_downstream_sessions_active')).toBe(0);
    // Of all servers one is missing: that is no error.
    expect(await names(running.url)).toEqual([]);
  });
});
