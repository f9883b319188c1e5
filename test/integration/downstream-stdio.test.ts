/** Clients over stdio: `mcpstead stdio --config`, `mcpstead stdio --url`, and `attach()` of the library. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, test } from 'vitest';
import { createGateway, type ConfigInput } from '../../src/index.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { recorded, tempDir, tempFile } from '../helpers/cli.js';
import { startCutter } from '../helpers/cutter.js';
import { ableClient, exercise, shown } from '../helpers/exercise.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, post, textOf, type JsonRpc } from '../helpers/http.js';
import { envelope } from '../helpers/modern.js';
import { firstDifference } from '../helpers/pattern.js';
import { everythingStdio, scriptedStdio } from '../helpers/upstreams.js';
import { settled, until, within } from '../helpers/wait.js';
import { alive } from '../helpers/process.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const MB = 1_000_000;

/** A pair of streams seen from the client's side. */
class Lines {
  readonly input: Writable;
  readonly output: Readable;
  /** Every line so far that was not given. */
  readonly lines: Buffer[] = [];
  /** What was told of changed lists: also when a server comes up. */
  readonly changes: string[] = [];
  bytes = 0;
  ended = false;
  #parts: Buffer[] = [];

  constructor(input: Writable, output: Readable) {
    this.input = input;
    this.output = output;
    output.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      let from = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
        const line = Buffer.concat([...this.#parts, chunk.subarray(from, end)]);
        const changed = line.length < 200 && /"method":"(.*list_changed)"/.exec(line.toString('utf8'));
        if (changed) this.changes.push(changed[1] as string);
        else this.lines.push(line);
        this.#parts = [];
        from = end + 1;
      }
      if (from < chunk.length) this.#parts.push(chunk.subarray(from));
    });
    output.on('close', () => (this.ended = true));
    output.on('end', () => (this.ended = true));
  }

  say(body: object | string): void {
    const text =
      typeof body === 'string'
        ? body
        : JSON.stringify(Array.isArray(body) ? body : { jsonrpc: '2.0', ...body });
    this.input.write(`${text}\n`);
  }

  async next<T = JsonRpc>(): Promise<T> {
    const line = await until(() => {
      const first = this.lines.shift();
      if (!first && this.ended) throw new Error('the output has ended');
      return first;
    }, 'a line');
    return JSON.parse(line.toString('utf8')) as T;
  }

  async request<T = JsonRpc>(body: object): Promise<T> {
    this.say(body);
    return this.next<T>();
  }

  async initialize(protocolVersion = '2025-11-25', capabilities: object = {}): Promise<JsonRpc> {
    const params = { protocolVersion, capabilities, clientInfo: { name: 'lines', version: '0' } };
    const answer = await this.request({ id: 0, method: 'initialize', params });
    this.say({ method: 'notifications/initialized' });
    return answer;
  }
}

interface Started extends Lines {
  readonly pid: number;
  readonly stderr: string;
  kill(signal: NodeJS.Signals): void;
  exit(): Promise<number | string>;
}

/** Runs `mcpstead stdio`; killed when the test ends. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(process.execPath, [MAIN, 'stdio', ...args], {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'], ...recorded, ...env },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (code, signal) => {
      resolve(code ?? signal ?? 'nothing');
    });
  });
  atEnd(async () => {
    child.kill('SIGKILL');
    child.stdout.resume();
    await ended;
  });
  const lines = new Lines(child.stdin, child.stdout);
  return Object.defineProperty(
    Object.assign(lines, {
      pid: child.pid as number,
      stderr: '',
      kill: (signal: NodeJS.Signals) => void child.kill(signal),
      exit: () => within(ended, 'the end of the process'),
    }),
    'stderr',
    { get: () => stderr },
  );
}

/** Calls wait for their server as long as that takes to start, unless the test says otherwise. */
const configFile = (config: object): Promise<string> =>
  tempFile('config.json', JSON.stringify({ startup: { wait_ms: 600_000 }, ...config }));

async function startConfig(config: object, env: NodeJS.ProcessEnv = {}): Promise<Started> {
  return start(['--config', await configFile(config)], env);
}

/** The process ids of what a gateway has started. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

describe('mcpstead stdio --config', () => {
  test('speaks on stdout, logs on stderr, opens no port, and ends with its input and its children', async () => {
    // Somebody else has the port of the config.
    const other = createServer().listen(0, '127.0.0.1');
    atEnd(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const client = await startConfig({ host: '127.0.0.1', port, servers: [scriptedStdio('s')] });
    expect((await client.initialize()).result).toMatchObject({
      protocolVersion: '2025-11-25',
      serverInfo: { name: 'mcpstead' },
    });
    const answer = await client.request(callBody('s__pid', {}, 'mine'));
    expect(answer.id).toBe('mine');
    const pid = Number(textOf(answer));
    expect(alive(pid)).toBe(true);
    const children = childrenOf(client.pid);
    expect(children).toContain(pid);
    client.input.end();
    expect(await client.exit()).toBe(0);
    await until(() => !children.some(alive), 'the end of all children');
    expect(client.lines).toEqual([]);
    expect(client.stderr).toContain('upstream up');
  });

  test('starts no server for a client that only connects', async () => {
    const record = join(await tempDir(), 'record');
    const client = await startConfig({
      servers: [
        scriptedStdio('s', { record }),
        { ...scriptedStdio('own', { record }), session: 'per-client' },
      ],
    });
    const { result } = await client.request({ id: 1, method: 'ping' });
    expect(result).toEqual({});
    const discovered = await client.request({
      id: 2,
      method: 'server/discover',
      params: { _meta: envelope() },
    });
    expect(discovered.result?.['supportedVersions']).toEqual(['2026-07-28']);
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'x', version: '0' },
    };
    const greeting = await client.request({ id: 3, method: 'initialize', params });
    // What they may turn out to have.
    expect(greeting.result?.['capabilities']).toEqual({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      completions: {},
      logging: {},
    });
    expect(await client.request({ id: 'p', method: 'ping' })).toMatchObject({ id: 'p' });
    expect(existsSync(record)).toBe(false);
    expect(childrenOf(client.pid)).toEqual([]);
    const { result: list } = await client.request({ id: 4, method: 'tools/list' });
    const names = (list?.['tools'] as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['s__echo', 'own__echo']));
    client.input.end();
    expect(await client.exit()).toBe(0);
  });

  test('delays requests that need a required server until it is up', async () => {
    const client = await startConfig({
      startup: { wait_ms: 1 },
      servers: [{ ...scriptedStdio('s', { delay: 700 }), required: true }],
    });
    client.say({ id: 1, method: 'tools/list' });
    client.say({ id: 2, method: 'ping' });
    expect((await client.next()).id).toBe(2);
    const { result } = await client.next();
    expect((result?.['tools'] as object[]).length).toBeGreaterThan(3);
  });

  test('exits if a required server cannot be reached', async () => {
    const client = await startConfig({
      servers: [
        {
          name: 's',
          command: 'no-such-program',
          required: true,
          reconnect: { max_attempts: 1, backoff_base_ms: 1 },
        },
      ],
    });
    client.say({ id: 1, method: 'tools/list' });
    expect(await client.exit()).toBe(1);
    expect(client.stderr).toContain("required upstream 's' cannot be reached");
  });

  test('reports a config error at once', async () => {
    const client = start(['--config', '/no/such/file']);
    expect(await client.exit()).toBe(1);
    expect(client.stderr).toContain('cannot read config');
    expect(client.bytes).toBe(0);
    const none = start([]);
    expect(await none.exit()).toBe(1);
    expect(none.stderr).toContain('mcpstead requires --config <path>');
  });

  test('needs no token, whatever the config requires for HTTP', async () => {
    const client = await startConfig({ mcp: { auth: { mode: 'bearer' } }, servers: [scriptedStdio('s')] });
    await client.initialize();
    expect(textOf(await client.request(callBody('s__echo')))).toBe('{}');
  });

  test('accepts lines in pieces, several at once, with CR, and empty lines', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    const ping = (id: number): string => JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' });
    client.input.write(`\n\r\n  \n${ping(1)}\r\n${ping(2)}\n${ping(3).slice(0, 9)}`);
    for (const id of [1, 2]) expect(await client.next()).toMatchObject({ id, result: {} });
    client.input.write(`${ping(3).slice(9)}\n`);
    expect(await client.next()).toMatchObject({ id: 3, result: {} });
  });

  test('answers invalid lines with an error and continues', async () => {
    const client = await startConfig({ limits: { body_bytes: 1000 }, servers: [scriptedStdio('s')] });
    await client.initialize('2025-06-18');
    const refused = async (line: string): Promise<unknown> => {
      client.say(line);
      const { id, error } = await client.next();
      return [id, error?.code];
    };
    expect(await refused('no JSON')).toEqual([null, -32700]);
    expect(await refused('{"jsonrpc":"2.0","id":7}')).toEqual([7, -32600]);
    expect(await refused('[]')).toEqual([null, -32600]);
    expect(await refused(`[${JSON.stringify(callBody('s__echo'))}]`)).toEqual([null, -32600]);
    expect(
      await refused(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${'x'.repeat(1000)}"}}`),
    ).toEqual([null, -32000]);
    client.input.write(Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));
    expect((await client.next()).error?.code).toBe(-32700);
    // An answer that nobody asked for is no reason to say something.
    client.say({ id: 99, result: {} });
    expect(await client.request({ id: 8, method: 'ping' })).toMatchObject({ id: 8 });
  });

  test('accepts batches if the revision has them, and answers with one array', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    await client.initialize('2025-03-26');
    const answers = await client.request<JsonRpc[]>([
      callBody('s__echo', { n: 1 }, 1),
      { jsonrpc: '2.0', id: 2, method: 'ping' },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
    ]);
    expect(answers.map(({ id }) => id)).toEqual([1, 2]);
  });

  test('never breaks a line within a message', async () => {
    const upstream = await createUpstream({
      tools: [tool('pretty')],
      onCall: (call) => {
        call.raw(
          `\n{\r\n "jsonrpc": "2.0",\n "id": ${call.id},\r "result": {\n"content": [\r\n{"type": "text", "text": "${'x'.repeat(200_000)}"}]\n}}\n`,
        );
      },
    });
    const client = await startConfig({ servers: [upstream.entry('s')] });
    await client.initialize();
    expect(textOf(await client.request(callBody('s__pretty'))).length).toBe(200_000);
    expect(client.lines).toEqual([]);
  });

  test('forwards progress, questions, answers and list changes', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    await client.initialize('2025-11-25', { elicitation: {} });
    const progress = await client.request(callBody('s__progress', { steps: 1 }, 'p', { progressToken: 5 }));
    expect(progress).toMatchObject({ method: 'notifications/progress', params: { progressToken: 5 } });
    expect((await client.next()).id).toBe('p');
    const question = await client.request(callBody('s__ask', {}, 'q'));
    expect(question).toMatchObject({ method: 'elicitation/create', params: { message: '[s] Sure?' } });
    const answer = await client.request({ id: question.id, result: { action: 'decline' } });
    expect(answer.id).toBe('q');
    expect(textOf(answer)).toContain('"decline"');
    const before = client.changes.length;
    expect((await client.request(callBody('s__list_changed', {}, 'l'))).id).toBe('l');
    await until(() => client.changes.length > before, 'the change');
  });

  test('cancels a call, and sends nothing more for it', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    await client.initialize();
    await client.request(callBody('s__echo'));
    client.say(callBody('s__hang', {}, 'x'));
    client.say({ method: 'notifications/cancelled', params: { requestId: 'x', reason: 'enough' } });
    const answer = await client.request(callBody('s__cancelled', {}, 'next'));
    expect(answer.id).toBe('next');
    expect(JSON.parse(textOf(answer))).toMatchObject([{ reason: 'enough' }]);
  });

  test('answers the calls in progress when the input ends', async () => {
    const config = { mcp: { session: { shutdown_grace_seconds: 600 } }, servers: [scriptedStdio('s')] };
    const client = await startConfig(config);
    await client.initialize();
    await client.request(callBody('s__echo'));
    client.say(callBody('s__slow', { ms: 300 }, 'slow'));
    client.input.end();
    expect(textOf(await client.next())).toBe('slow');
    expect(await client.exit()).toBe(0);
    expect(client.lines).toEqual([]);
  });

  test('ends after the grace although a call is never answered', async () => {
    const config = { mcp: { session: { shutdown_grace_seconds: 0.3 } }, servers: [scriptedStdio('s')] };
    const client = await startConfig(config);
    await client.initialize();
    await client.request(callBody('s__echo'));
    client.say(callBody('s__hang', {}, 'never'));
    client.input.end();
    expect(await client.exit()).toBe(0);
    expect(client.lines).toEqual([]);
  });

  test('answers everything in a pipe that ends immediately', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '0' },
    };
    client.say({ id: 1, method: 'initialize', params });
    client.say({ method: 'notifications/initialized' });
    client.say(callBody('s__echo', { a: 1 }, 2));
    client.input.end();
    expect(await client.exit()).toBe(0);
    expect([await client.next(), await client.next()].map(({ id }) => id)).toEqual([1, 2]);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'ends on %s with status 0, and its children with it',
    async (signal) => {
      const client = await startConfig({ servers: [scriptedStdio('s')] });
      await client.initialize();
      await client.request(callBody('s__echo'));
      const children = childrenOf(client.pid);
      expect(children.length).toBeGreaterThan(0);
      client.kill(signal);
      expect(await client.exit()).toBe(0);
      await until(() => !children.some(alive), 'the end of all children');
    },
  );

  test('leaves no child process behind when it is killed', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s'), everythingStdio()] });
    await client.initialize();
    await client.request(callBody('s__echo'));
    await until(() => childrenOf(client.pid).length >= 3, 'both servers and the watcher');
    const children = childrenOf(client.pid);
    client.kill('SIGKILL');
    expect(await client.exit()).toBe('SIGKILL');
    await until(() => !children.some(alive), 'the end of all children');
  });

  test('exits when its output is closed', async () => {
    const client = await startConfig({ servers: [scriptedStdio('s')] });
    await client.initialize();
    await client.request(callBody('s__echo'));
    client.output.destroy();
    client.say({ id: 1, method: 'ping' });
    client.say({ id: 2, method: 'ping' });
    expect(await client.exit()).toBe(0);
  });

  test('pauses its servers while the client does not read, and loses nothing', async () => {
    let written = 0;
    const size = 60 * MB;
    const upstream = await createUpstream({
      tools: [tool('pour')],
      onCall: async (call) => {
        const write = call.stream.write.bind(call.stream) as (chunk: Buffer) => boolean;
        call.stream.write = ((chunk: Buffer) => {
          written += chunk.length;
          return write(chunk);
        }) as typeof call.stream.write;
        await call.big(size);
      },
    });
    const client = await startConfig({ servers: [upstream.entry('s')] });
    await client.initialize();
    await client.request({ id: 1, method: 'ping' });
    client.output.pause();
    client.say(callBody('s__pour', {}, 'a'));
    client.say(callBody('s__pour', {}, 'b'));
    await until(() => written > 0, 'the first bytes');
    expect(await settled(() => written)).toBeLessThan(80 * MB);
    // Nor is the client read, once too many answers wait for it.
    const pings = 20_000;
    const ping = `${JSON.stringify({ jsonrpc: '2.0', id: 'ping'.repeat(100), method: 'ping' })}\n`;
    client.input.write(ping.repeat(pings));
    expect(await settled(() => client.input.writableLength)).toBeGreaterThan(MB);
    expect(written).toBeLessThan(80 * MB);
    client.output.resume();
    await until(() => client.lines.length === pings + 2, 'every line');
    const large = client.lines
      .filter((line) => !line.includes('pingping'))
      .map((line) => JSON.parse(line.toString('latin1')) as JsonRpc);
    expect(large.map(({ id, error }) => [id, error]).sort()).toEqual([
      ['a', undefined],
      ['b', undefined],
    ]);
    for (const answer of large) expect(firstDifference(Buffer.from(textOf(answer), 'latin1'))).toBe(-1);
  });

  const stdioOf = async (config: object) => ({
    command: process.execPath,
    env: recorded,
    args: [MAIN, 'stdio', '--config', await configFile(config)],
  });

  test('supports everything that SDK v1 does with server-everything', async () => {
    const transport = new StdioClientTransport({
      ...(await stdioOf({ servers: [everythingStdio()] })),
      stderr: 'ignore',
    });
    const client = await ableClient(transport);
    const pid = transport.pid as number;
    await exercise(client);
    const children = childrenOf(pid);
    await client.close();
    await until(() => ![pid, ...children].some(alive), 'the end of all');
  });

  test.each(['legacy', 'auto'] as const)('works with SDK v2, mode %s', async (mode) => {
    const starts = join(await tempDir(), 'starts');
    const servers = [everythingStdio(), scriptedStdio('counted', { failStarts: [starts, 0] })];
    const client = new ClientV2({ name: 'v2', version: '0' }, { versionNegotiation: { mode } });
    await client.connect(new StdioV2({ ...(await stdioOf({ servers })), stderr: 'ignore' }));
    const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'v2' } });
    expect(JSON.stringify(result)).toContain('v2');
    await client.listTools();
    await client.close();
    // The process that was started only to look has started no server.
    expect(readFileSync(starts, 'utf8')).toBe('1');
  });
});

describe('mcpstead stdio --url', () => {
  async function joined(config: ConfigInput, options: { path?: string; env?: NodeJS.ProcessEnv } = {}) {
    const gateway = await startGateway(config);
    const client = start(['--url', `${gateway.base}${options.path ?? '/mcp'}`], options.env);
    return { gateway, client };
  }

  test('joins a gateway, and ends its session with the input', async () => {
    const { gateway, client } = await joined({ servers: [scriptedStdio('s')] });
    expect((await client.initialize()).result).toMatchObject({ protocolVersion: '2025-11-25' });
    expect(textOf(await client.request(callBody('s__echo', { n: 1 }, 'mine')))).toBe('{"n":1}');
    expect(await gateway.metric('mcpstead_downstream_sessions_active')).toBe(1);
    client.input.end();
    expect(await client.exit()).toBe(0);
    expect(await gateway.metric('mcpstead_downstream_sessions_active')).toBe(0);
    expect(client.stderr).toBe('');
  });

  test('finds the endpoint of a bare URL, and that of one server', async () => {
    const { client } = await joined({ servers: [scriptedStdio('s')] }, { path: '/' });
    await client.initialize();
    expect(textOf(await client.request(callBody('s__echo')))).toBe('{}');
    const one = await joined({ servers: [scriptedStdio('s')] }, { path: '/servers/s/mcp' });
    await one.client.initialize();
    expect(textOf(await one.client.request(callBody('echo')))).toBe('{}');
  });

  test('forwards progress, questions, cancellation and list changes', async () => {
    const { client } = await joined({ servers: [scriptedStdio('s')] });
    await client.initialize('2025-11-25', { elicitation: {} });
    const progress = await client.request(callBody('s__progress', { steps: 1 }, 'p', { progressToken: 5 }));
    expect(progress).toMatchObject({ method: 'notifications/progress', params: { progressToken: 5 } });
    expect((await client.next()).id).toBe('p');
    const question = await client.request(callBody('s__ask', {}, 'q'));
    expect(question).toMatchObject({ method: 'elicitation/create' });
    expect(textOf(await client.request({ id: question.id, result: { action: 'decline' } }))).toContain(
      'decline',
    );
    client.say(callBody('s__hang', {}, 'x'));
    client.say({ method: 'notifications/cancelled', params: { requestId: 'x', reason: 'enough' } });
    const cancelled = await until(async () => {
      const all = JSON.parse(textOf(await client.request(callBody('s__cancelled', {}, 'next')))) as object[];
      return all.length > 0 && all;
    }, 'the cancellation');
    expect(cancelled).toMatchObject([{ reason: 'enough' }]);
    const before = client.changes.length;
    expect((await client.request(callBody('s__list_changed', {}, 'l'))).id).toBe('l');
    await until(() => client.changes.length > before, 'the change');
  });

  test('forwards 2026-07-28 requests: headers, required input, cancellation, streams of changes', async () => {
    const upstream = await createUpstream({
      tools: [
        tool('where', {
          inputSchema: {
            type: 'object',
            properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
          },
        }),
        tool('ask'),
        tool('hang'),
      ],
      answer: 'sse',
      async onCall(call) {
        if (call.params.name === 'where') return call.text(String(call.args['region']));
        if (call.params.name === 'hang') return;
        const form = { message: 'Name?', requestedSchema: { type: 'object', properties: {} } };
        call.text(JSON.stringify((await call.ask('elicitation/create', form)).result));
      },
    });
    const { client, gateway } = await joined({ servers: [upstream.entry('s')] });
    const _meta = envelope({ capabilities: { elicitation: {} } });
    const call = (id: string, name: string, more: object = {}): object => ({
      id,
      method: 'tools/call',
      params: { name: `s__${name}`, arguments: {}, ...more, _meta },
    });
    const found = await client.request({ id: 'd', method: 'server/discover', params: { _meta } });
    expect(found.result?.['supportedVersions']).toEqual(['2026-07-28']);
    // Refused without a header, then made again with it; the client sees neither.
    expect(textOf(await client.request(call('w', 'where', { arguments: { region: 'Zürich' } })))).toBe(
      'Zürich',
    );
    expect(upstream.calls('where')).toHaveLength(1);
    expect(textOf(await client.request(call('w2', 'where', { arguments: { region: 'b' } })))).toBe('b');

    const needed = await client.request(call('n', 'ask'));
    const { inputRequests, requestState } = needed.result as {
      inputRequests: object;
      requestState: string;
    };
    const [key] = Object.keys(inputRequests) as [string];
    const inputResponses = { [key]: { action: 'decline' } };
    const answer = await client.request(call('n2', 'ask', { requestState, inputResponses }));
    expect(textOf(answer)).toBe('{"action":"decline"}');

    client.say(call('h', 'hang'));
    await until(() => upstream.calls('hang').length === 1);
    client.say({ method: 'notifications/cancelled', params: { requestId: 'h' } });
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel');

    const notifications = { toolsListChanged: true };
    const acknowledged = await client.request({
      id: 'l',
      method: 'subscriptions/listen',
      params: { _meta, notifications },
    });
    expect(acknowledged).toMatchObject({ method: 'notifications/subscriptions/acknowledged' });
    void gateway.gateway.close();
    expect(await client.next()).toMatchObject({ id: 'l', result: { resultType: 'complete' } });
    expect(await client.next()).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: 'l' },
    });
    expect(client.stderr).toBe('');
  });

  test('forwards large answers completely, one per line', async () => {
    const size = 20 * MB;
    const upstream = await createUpstream({ tools: [tool('pour')], onCall: (call) => call.big(size) });
    const { client } = await joined({ servers: [upstream.entry('s')] });
    await client.initialize();
    for (const id of ['a', 'b', 'c']) client.say(callBody('s__pour', {}, id));
    const answers = [await client.next(), await client.next(), await client.next()];
    expect(answers.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c']);
    for (const answer of answers) {
      expect(textOf(answer).length).toBe(size);
      expect(firstDifference(Buffer.from(textOf(answer), 'latin1'))).toBe(-1);
    }
  });

  test('reports a lost session, and starts a new one when the client initializes again', async () => {
    const first = createGateway({ host: '127.0.0.1', port: 0, servers: [scriptedStdio('s')] });
    const { port, url } = await first.listen();
    const client = start(['--url', url]);
    await client.initialize();
    expect(textOf(await client.request(callBody('s__echo')))).toBe('{}');
    first.destroy();
    const second = createGateway({ host: '127.0.0.1', port, servers: [scriptedStdio('s')] });
    atEnd(() => {
      second.destroy();
    });
    await second.listen();
    // On a busy machine the end of the first one's socket may not have been seen yet.
    const gone = (): Promise<JsonRpc> => client.request(callBody('s__echo', {}, 'gone'));
    expect(
      await until(async () => {
        const answer = await gone();
        return answer.error?.code === -32000 ? undefined : answer;
      }),
    ).toMatchObject({ id: 'gone', error: { code: -32001 } });
    await client.initialize();
    expect(textOf(await client.request(callBody('s__echo', { n: 2 })))).toBe('{"n":2}');
  });

  test('answers when the gateway cannot be reached', async () => {
    const client = start(['--url', 'http://127.0.0.1:9/mcp']);
    const { id, error } = await client.request({ id: 'a', method: 'ping' });
    expect([id, error?.code]).toEqual(['a', -32000]);
    expect(error?.message).toContain('cannot reach http://127.0.0.1:9/mcp');
    client.input.end();
    expect(await client.exit()).toBe(0);
  });

  test('sends its token, from the variable or the file', async () => {
    const config = { mcp: { auth: { mode: 'bearer' as const } }, servers: [scriptedStdio('s')] };
    const gateway = await startGateway(config, { env: { MCPSTEAD_BEARER_TOKEN: 'right' } });
    const file = await tempFile('token', 'right\nolder\n');
    for (const env of [{ MCPSTEAD_BEARER_TOKEN: 'right' }, { MCPSTEAD_BEARER_TOKEN_FILE: file }]) {
      const client = start(['--url', gateway.url], env);
      await client.initialize();
      expect(textOf(await client.request(callBody('s__echo')))).toBe('{}');
    }
    const wrong = start(['--url', gateway.url], { MCPSTEAD_BEARER_TOKEN: 'wrong' });
    const { id, error } = await wrong.request({ id: 1, method: 'ping' });
    expect(id).toBe(1);
    expect(error?.message).toContain('401');
    const missing = start(['--url', gateway.url], { MCPSTEAD_BEARER_TOKEN_FILE: '/no/such/file' });
    expect(await missing.exit()).toBe(1);
    expect(missing.stderr).toContain('MCPSTEAD_BEARER_TOKEN_FILE');
  });

  test('resumes a broken stream', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const cutter = await startCutter(gateway.url);
    const client = start(['--url', cutter.through(gateway.url)]);
    await client.initialize();
    client.say(callBody('s__progress', { steps: 3, ms: 600 }, 'p', { progressToken: 5 }));
    await client.next();
    cutter.cut();
    const seen: unknown[] = [];
    for (;;) {
      const message = await client.next();
      if (message.id === 'p') break;
      if (message.method === 'notifications/progress') seen.push(message.params?.['progress']);
    }
    expect(seen).toEqual([2, 3]);
  });

  test('refuses an invalid URL', async () => {
    const client = start(['--url', 'nowhere']);
    expect(await client.exit()).toBe(2);
    expect(client.stderr).toContain('--url must be an http or https URL');
  });

  test('supports everything that SDK v1 does with server-everything', async () => {
    const gateway = await startGateway({ servers: [everythingStdio()] });
    const args = [MAIN, 'stdio', '--url', gateway.url];
    const client = await ableClient(
      new StdioClientTransport({ command: process.execPath, args, env: recorded, stderr: 'ignore' }),
    );
    let changed = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      changed++;
    });
    await exercise(client);
    await client.close();
    await until(async () => (await gateway.metric('mcpstead_downstream_sessions_active')) === 0, 'its end');
    expect(changed).toBe(0);
  });

  test.each(['legacy', 'auto'] as const)('works with SDK v2, mode %s', async (mode) => {
    const gateway = await startGateway({ servers: [everythingStdio()] });
    const client = new ClientV2({ name: 'v2', version: '0' }, { versionNegotiation: { mode } });
    const args = [MAIN, 'stdio', '--url', gateway.url];
    await client.connect(new StdioV2({ command: process.execPath, args, env: recorded, stderr: 'ignore' }));
    const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'v2' } });
    expect(JSON.stringify(result)).toContain('v2');
    await client.close();
  });
});

describe('attach()', () => {
  function attached(config: ConfigInput) {
    const gateway = createGateway(config);
    atEnd(() => {
      gateway.destroy();
    });
    const pair = (): { client: Lines; left: Promise<void>; output: PassThrough } => {
      const input = new PassThrough();
      const output = new PassThrough();
      const left = gateway.attach(input, output);
      return { client: new Lines(input, output), left, output };
    };
    return { gateway, pair };
  }

  test('sends progress before an answer that arrived in the same chunk', async () => {
    const upstream = await createUpstream({
      tools: [tool('quick')],
      onCall(call) {
        const params = { progressToken: call.token, progress: 1 };
        const told = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params });
        const size = Number(call.args['size'] ?? 4);
        const result = JSON.stringify({ content: [{ type: 'text', text: 'x'.repeat(size) }] });
        call.open();
        call.res.end(`data: ${told}\n\ndata: ${call.envelope('result', result)}\n\n`);
      },
    });
    const { pair } = attached({ startup: { wait_ms: 600_000 }, servers: [upstream.entry('s')] });
    const { client, output } = pair();
    await client.initialize();
    // Who holds the lists is told of nothing else.
    await client.request({ id: 'lists', method: 'tools/list' });
    let turn = 0;
    const seen: [text: string, turn: number][] = [];
    output.on('data', (chunk: Buffer) => {
      seen.push([chunk.toString('latin1', 0, 100), turn]);
      setImmediate(() => turn++);
    });
    for (const size of [4, 3_000_000]) {
      seen.length = 0;
      client.say(callBody('s__quick', { size }, size, { progressToken: 'p' }));
      expect((await client.next()).method).toBe('notifications/progress');
      expect(textOf(await client.next())).toHaveLength(size);
      const turnOf = (word: string): number | undefined => seen.find(([text]) => text.includes(word))?.[1];
      expect(turnOf('"result"')).toBeGreaterThan(turnOf('notifications/progress') as number);
    }
  });

  test('serves any number of stream pairs, each with its own session', async () => {
    const { gateway, pair } = attached({ servers: [scriptedStdio('s')] });
    const [one, two] = [pair(), pair()];
    await one.client.initialize();
    await two.client.initialize();
    expect(textOf(await one.client.request(callBody('s__echo', { n: 1 }, 1)))).toBe('{"n":1}');
    expect(textOf(await two.client.request(callBody('s__echo', { n: 2 }, 1)))).toBe('{"n":2}');
    one.client.input.end();
    await within(one.left, 'its end');
    await until(() => one.client.ended, 'the end of its output');
    expect(textOf(await two.client.request(callBody('s__echo', { n: 3 }, 2)))).toBe('{"n":3}');
    two.client.say(callBody('s__slow', { ms: 300 }, 'slow'));
    const closing = gateway.close();
    expect(textOf(await two.client.next())).toBe('slow');
    await until(() => two.client.ended, 'the end of its output');
    await closing;
  });

  test('works together with a port, and shares its servers', async () => {
    const { gateway, pair } = attached({ host: '127.0.0.1', port: 0, servers: [scriptedStdio('s')] });
    const { url } = await gateway.listen();
    const { client } = pair();
    await client.initialize();
    const mine = textOf(await client.request(callBody('s__pid')));
    const theirs = textOf((await post(url, callBody('s__pid'))).json());
    expect(mine).toBe(theirs);
  });

  test('opens a session that a reload of the credentials does not end', async () => {
    const { gateway, pair } = attached({ servers: [scriptedStdio('s')] });
    const { client } = pair();
    await client.initialize();
    await client.request(callBody('s__echo'));
    process.env['MCPSTEAD_BEARER_TOKEN'] = 'new';
    atEnd(() => delete process.env['MCPSTEAD_BEARER_TOKEN']);
    await gateway.reload({ mcp: { auth: { mode: 'bearer' } }, servers: [scriptedStdio('s')] });
    expect(shown((await client.request(callBody('s__echo', { n: 4 }))).result as never)).toBe('{"n":4}');
  });
});
