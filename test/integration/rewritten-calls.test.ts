/**
 * Calls whose name or arguments the gateway rewrites, where a call is more than one request: questions, states that come back, tasks; with
 * clients and servers of both eras. Pages call by the names of their server, and profiles fix arguments.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { recorded, tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { textOf, type JsonRpc } from '../helpers/http.js';
import { ALL_CAPABILITIES, connect, final, heard } from '../helpers/legacy.js';
import {
  answerTo,
  call,
  createModernUpstream,
  EVERYTHING,
  needs,
  only,
  type Modern,
} from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TASKS = 'io.modelcontextprotocol/tasks';
const UI = { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } };
const FORM = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
type Era = 'legacy' | 'modern';
type Json = Record<string, unknown>;

const ofPage = (name: string, more: object = {}): object =>
  tool(name, {
    inputSchema: {
      type: 'object',
      properties: { tenant: { type: 'string' }, note: { type: 'string' } },
      required: ['tenant'],
    },
    _meta: { ui: { resourceUri: 'ui://app/main.html', visibility: ['app', 'model'] } },
    ...more,
  });
const TOOLS = [ofPage('ask'), ofPage('again'), ofPage('work', { execution: { taskSupport: 'required' } })];

const TASK = { taskId: 't1', createdAt: '2026-11-23T00:00:00Z', lastUpdatedAt: '2026-11-23T00:00:00Z' };
/** The result of a call: what it was called with. */
const echo = (args: unknown, more: object = {}): object => ({
  content: [{ type: 'text', text: JSON.stringify(args) }],
  ...more,
});

function legacyServer(): Promise<Upstream> {
  let worked: unknown;
  return createUpstream({
    tools: TOOLS,
    sessions: true,
    capabilities: { tools: {}, tasks: { requests: { tools: { call: {} } }, cancel: {}, list: {} } },
    onRequest: (asked) => {
      const state = { ...TASK, ttl: 60_000 };
      if (asked.message.method === 'tasks/get') asked.result({ ...state, status: 'completed' });
      else if (asked.message.method === 'tasks/result') asked.result(echo(worked));
      else return undefined;
      return true;
    },
    async onCall(asked) {
      if (asked.params.name === 'ask') await asked.ask('elicitation/create', FORM);
      if (asked.params['task'] === undefined) {
        asked.result(echo(asked.args));
        return;
      }
      worked = asked.args;
      asked.result({ task: { ...TASK, status: 'working', ttl: 60_000 } });
    },
  });
}

function modernServer(): Promise<Upstream> {
  let worked: unknown;
  const state = { ...TASK, ttlMs: 60_000, pollIntervalMs: 20 };
  const answerCall = (asked: Call): void => {
    const { name, inputResponses, requestState } = asked.params;
    const inputRequests = { sure: { method: 'elicitation/create', params: { mode: 'form', ...FORM } } };
    if (name === 'ask' && !inputResponses)
      asked.result({ resultType: 'input_required', inputRequests, requestState: 'first' });
    else if (name === 'again' && requestState !== 'second')
      asked.result({
        resultType: 'input_required',
        requestState: requestState === 'first' ? 'second' : 'first',
      });
    else if (name === 'work') {
      worked = asked.args;
      asked.result({ resultType: 'task', ...state, status: 'working' });
    } else asked.result(echo(asked.args, { resultType: 'complete' }));
  };
  return createModernUpstream({
    tools: TOOLS,
    capabilities: { tools: {}, extensions: { [TASKS]: {} } },
    onRequest: (asked) => {
      if (asked.message.method === 'tools/call') answerCall(asked);
      else if (asked.message.method === 'tasks/get')
        asked.result({ resultType: 'complete', ...state, status: 'completed', result: echo(worked) });
      else return undefined;
      return true;
    },
  });
}

const profile = {
  name: 'desk',
  prefix: 'auto',
  overrides: Object.fromEntries(
    ['ask', 'again', 'work'].map((name) => [
      `s__${name}`,
      { name: `${name}_desk`, arguments: { tenant: { value: 'acme' } } },
    ]),
  ),
} as const;

/** `path`, the name under which a tool is called there, and what the server gets of `{"tenant":"evil","note":"n"}`. */
const WAYS: Readonly<Record<string, readonly [string, (name: string) => string, Json]>> = {
  'by its own name': ['/mcp', (name) => name, { tenant: 'evil', note: 'n' }],
  'with a fixed argument': ['/profiles/desk/mcp', (name) => `${name}_desk`, { note: 'n', tenant: 'acme' }],
  'with a fixed argument, by its full name': [
    '/profiles/desk/mcp',
    (name) => `s__${name}_desk`,
    { note: 'n', tenant: 'acme' },
  ],
  // What a page has in its code is no way around a profile.
  'with a fixed argument, by its own name': [
    '/profiles/desk/mcp',
    (name) => name,
    { note: 'n', tenant: 'acme' },
  ],
};
const ARGS = { tenant: 'evil', note: 'n' };
const ERAS = ['legacy', 'modern'] as const;
const CASES = ERAS.flatMap((client) =>
  ERAS.flatMap((server) => Object.keys(WAYS).map((way) => [client, server, way] as const)),
);

async function start(server: Era): Promise<{ upstream: Upstream; gateway: RunningGateway }> {
  const upstream = await (server === 'legacy' ? legacyServer() : modernServer());
  const config: ConfigInput = { servers: [upstream.entry('s')], profiles: [profile] };
  return { upstream, gateway: await startGateway(config) };
}

/** What each request of a call had for name and arguments. */
const sentTo = (upstream: Upstream): unknown[] =>
  upstream.received('tools/call').map(({ message: { params } }) => [params?.name, params?.arguments]);

describe.each(CASES)('a %s client, a %s server: a tool of a page, called %s', (client, server, way) => {
  const [path, nameOf, args] = WAYS[way] as (typeof WAYS)[string];
  const able: Modern = { capabilities: { ...EVERYTHING, extensions: { ...UI, [TASKS]: {} } } };
  const capabilities = { ...ALL_CAPABILITIES, extensions: UI };

  it('asks its client', async () => {
    const { upstream, gateway } = await start(server);
    const url = gateway.base + path;
    let answer: JsonRpc;
    if (client === 'legacy') {
      const own = await connect(url, { capabilities });
      const events = await own.stream(nameOf('ask'), ARGS);
      const [question] = await heard(events, 'elicitation/create');
      await own.say({ id: question?.id, result: { action: 'accept', content: {} } });
      answer = await final(events);
    } else {
      const asked = needs(await call(url, nameOf('ask'), ARGS, able));
      const inputResponses = { [only(asked).key]: { action: 'accept', content: {} } };
      const more = { inputResponses, requestState: asked.requestState };
      answer = await call(url, nameOf('ask'), ARGS, { ...able, more });
    }
    expect(JSON.parse(textOf(answer))).toEqual(args);
    // A legacy server keeps its call open while it asks.
    expect(sentTo(upstream)).toEqual(Array(server === 'legacy' ? 1 : 2).fill(['ask', args]));
  });

  it('gets its state back', async () => {
    const { upstream, gateway } = await start(server);
    const url = gateway.base + path;
    let answer: JsonRpc;
    if (client === 'legacy') {
      const own = await connect(url, { capabilities });
      answer = await own.request('tools/call', { name: nameOf('again'), arguments: ARGS });
    } else {
      answer = await call(url, nameOf('again'), ARGS, able);
      while (answer.result?.['resultType'] === 'input_required') {
        const { requestState } = needs(answer);
        answer = await call(url, nameOf('again'), ARGS, { ...able, more: { requestState } });
      }
    }
    expect(JSON.parse(textOf(answer))).toEqual(args);
    expect(sentTo(upstream)).toEqual(Array(server === 'legacy' ? 1 : 3).fill(['again', args]));
  });

  it('works as a task', async () => {
    const { upstream, gateway } = await start(server);
    const url = gateway.base + path;
    let answer: JsonRpc;
    if (client === 'legacy') {
      const own = await connect(url, { capabilities });
      // Tasks of the modern era are no tasks of 2025-11-25: the gateway waits for the result.
      const task = server === 'legacy' ? { task: { ttl: 60_000 } } : {};
      answer = await own.request('tools/call', { name: nameOf('work'), arguments: ARGS, ...task });
      if (server === 'legacy') {
        const { taskId } = answer.result?.['task'] as { taskId: string };
        expect(taskId).toBe('s__t1');
        answer = await own.request('tasks/result', { taskId });
      }
    } else {
      const { result } = await call(url, nameOf('work'), ARGS, able);
      expect(result).toMatchObject({ resultType: 'task', taskId: expect.stringMatching(/^s__/) as string });
      const taskId = result?.['taskId'];
      answer = await until(async () => {
        const state = (await answerTo(url, 'tasks/get', { taskId }, able)).result;
        return state?.['status'] === 'completed' && state;
      }, 'the end of the task');
    }
    expect(JSON.parse(textOf(answer))).toEqual(args);
    expect(sentTo(upstream)).toEqual([['work', args]]);
  });
});

it('a tool with another name in a profile is a candidate for its own name, beside one that is called so', async () => {
  const [a, b] = await Promise.all([legacyServer(), legacyServer()]);
  const overrides = {
    a__ask: { name: 'again' },
    a__again: { name: 'ask' },
    b__again: { name: 'retry' },
  };
  const gateway = await startGateway({
    servers: [a.entry('a'), b.entry('b')],
    profiles: [{ name: 'desk', overrides }],
  });
  const client = await connect(`${gateway.base}/profiles/desk/mcp`, { capabilities: { extensions: UI } });
  const called = (name: string): Promise<JsonRpc> => client.request('tools/call', { name, arguments: ARGS });
  expect((await called('again')).error?.data).toEqual({ candidates: ['a__ask', 'b__retry'] });
  expect((await called('retry')).error).toBeUndefined();
  expect(sentTo(b)).toEqual([['again', ARGS]]);
  expect(sentTo(a)).toEqual([]);
});

describe('a fixed argument in a question, with a client of SDK v1', () => {
  async function asks(open: (servers: object[]) => Promise<Client>, server: Era): Promise<void> {
    const upstream = await (server === 'legacy' ? legacyServer() : modernServer());
    const client = await open([upstream.entry('s')]);
    const tools = await until(async () => {
      const listed = await client.listTools();
      return listed.tools.length > 0 && listed.tools;
    }, 'the tools');
    expect(Object.keys(tools.find(({ name }) => name === 'ask_desk')?.inputSchema.properties ?? {})).toEqual([
      'note',
    ]);
    const result = (await client.callTool({ name: 'ask_desk', arguments: ARGS })) as Json;
    const args = { note: 'n', tenant: 'acme' };
    expect(JSON.parse(textOf({ result }))).toEqual(args);
    for (const sent of sentTo(upstream)) expect(sent).toEqual(['ask', args]);
  }

  function createClient(): Client {
    const client = new Client({ name: 'test', version: '0' }, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
    atEnd(() => client.close());
    return client;
  }

  it.each(ERAS)('over stdio, with a profile: a %s server', (server) =>
    asks(async (servers) => {
      const config = await tempFile('config.json', JSON.stringify({ servers, profiles: [profile] }));
      const client = createClient();
      const args = [MAIN, 'stdio', '--config', config, '--profile', 'desk'];
      const env = { PATH: process.env['PATH'] ?? '', ...recorded };
      await client.connect(new StdioClientTransport({ command: process.execPath, args, env }));
      return client;
    }, server),
  );

  it.each(ERAS)('over HTTP+SSE: a %s server', (server) =>
    asks(async (servers) => {
      const gateway = await startGateway({ servers, profiles: [profile] });
      const client = createClient();
      await client.connect(new SSEClientTransport(new URL(`${gateway.base}/profiles/desk/sse`)));
      return client;
    }, server),
  );
});
