/** The client of the console and the command line, in both eras, through a gateway to servers of both eras. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  McpClient,
  rawJson,
  type Era,
  type JsonObject,
  type Outcome,
  type Question,
  type Reply,
} from '../../src/client/index.js';
import type { ClientOptions, WireMessage } from '../../src/client/types.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import { everythingStdio, modernStdio, scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const TOKEN = 'x'.repeat(32);
const ERAS: readonly Era[] = ['legacy', 'modern'];

function client(
  url: string,
  era: Era,
  more: Partial<ClientOptions> = {},
): { client: McpClient; wire: WireMessage[] } {
  const wire: WireMessage[] = [];
  const made = new McpClient({
    url,
    era,
    clientInfo: { name: 'client-test', version: '1' },
    observe: (message) => wire.push(message),
    ...more,
  });
  atEnd(() => made.close());
  return { client: made, wire };
}

const answers: Readonly<Record<string, JsonObject>> = {
  'elicitation/create': { action: 'accept', content: { name: 'Ada', ok: true } },
  'sampling/createMessage': {
    role: 'assistant',
    content: { type: 'text', text: 'Paris' },
    model: 'a person',
    stopReason: 'endTurn',
  },
  'roots/list': { roots: [{ uri: 'file:///tmp', name: 'tmp' }] },
};
const answer = ({ method }: Question): Reply => ({ result: answers[method] ?? {} });

function textOf(outcome: Outcome<JsonObject>): string {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.error));
  return (outcome.value['content'] as { text: string }[])[0]?.text ?? '';
}

/** A server that answers POSTs as the test wants. */
async function scripted(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

describe.each(ERAS)('a %s client', (era) => {
  it('greets, lists, calls, gets and reads', async () => {
    const { url } = await startGateway({ servers: [everythingStdio(), modernStdio('modern')] });
    const { client: mcp } = client(url, era);
    const greeting = await mcp.open();
    expect(greeting.ok && greeting.value['capabilities']).toMatchObject({ tools: {} });
    const tools = await mcp.listAll('tools');
    expect(tools.ok && tools.value.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['everything__echo', 'modern__greet']),
    );
    expect(textOf(await mcp.call('everything__echo', { message: 'hi' }))).toBe('Echo: hi');
    expect(textOf(await mcp.call('modern__greet', { name: 'Ada' }))).toBe('Hello, Ada!');
    const prompt = await mcp.get('everything__simple-prompt', {});
    expect(prompt.ok && prompt.value['messages']).toHaveLength(1);
    const resources = await mcp.list('resources');
    const [first] = resources.ok ? resources.value.items : [];
    const resource = await mcp.read(String(first?.['uri']));
    expect(resource.ok && resource.value['contents']).toHaveLength(1);
  });

  it('sends raw arguments byte for byte, and shows every message as it went', async () => {
    const { url } = await startGateway({ servers: [scriptedStdio('s')] });
    const { client: mcp, wire } = client(url, era);
    const raw = '{ "n": 1.0,  "big": 12345678901234567890, "e":"\\u00e9", "n": 2e0 }';
    const outcome = await mcp.call('s__received', rawJson(raw));
    const lines = JSON.parse(textOf(outcome)) as string[];
    expect(lines.at(-1)).toContain(`"arguments":${raw}`);
    const sent = wire.filter(({ direction }) => direction === 'sent');
    expect(sent.at(-1)?.text).toContain(`"arguments":${raw}`);
    expect(wire.at(-1)).toMatchObject({ direction: 'received', text: outcome.ok && outcome.raw });
    expect(sent[0]?.text).toContain(era === 'legacy' ? '"initialize"' : '2026-07-28');
  });

  it('reports progress and log messages before the result', async () => {
    const { url } = await startGateway({ servers: [scriptedStdio('s'), modernStdio('m')] });
    const { client: mcp } = client(url, era, { answer });
    const heard: string[] = [];
    const outcome = await mcp.call(
      's__progress',
      { ms: 1 },
      { progress: ({ progress }) => heard.push(`p${progress}`) },
    );
    expect(outcome.ok).toBe(true);
    expect(heard).toEqual(['p1', 'p2', 'p3']);
    const logs: unknown[] = [];
    const logged = await mcp.call(
      'm__report_and_ask',
      {},
      { logLevel: 'debug', log: ({ data }) => logs.push(data) },
    );
    expect(logged.ok).toBe(true);
    expect(logs).toEqual([{ round: 1 }, { round: 2 }]);
  });

  it('answers questions of servers of both eras', async () => {
    const { url } = await startGateway({ servers: [scriptedStdio('s'), modernStdio('m')] });
    const asked: string[] = [];
    const { client: mcp } = client(url, era, {
      answer: (question) => {
        asked.push(question.method);
        return answer(question);
      },
    });
    expect(textOf(await mcp.call('s__ask', {}))).toContain('"accept"');
    expect(JSON.parse(textOf(await mcp.call('m__ask_everything', {})))).toEqual({
      user: answers['elicitation/create'],
      model: answers['sampling/createMessage'],
      roots: answers['roots/list'],
    });
    expect(textOf(await mcp.call('m__ask_nothing', {}))).toBe('answered in round 3');
    expect(textOf(await mcp.call('m__ask_url', {}))).toContain('"accept"');
    expect(asked.filter((method) => method === 'elicitation/create')).toHaveLength(3);
    expect(asked).toContain('roots/list');
  });

  it('cancels at the server, also while a question is open', async () => {
    const { url } = await startGateway({ servers: [scriptedStdio('s')] });
    const { client: mcp } = client(url, era, { answer: () => new Promise(() => {}) });
    const cancelled = async (count: number): Promise<void> => {
      await until(
        async () => (JSON.parse(textOf(await mcp.call('s__cancelled', {}))) as unknown[]).length >= count,
        `${count} cancelled calls`,
      );
    };
    const lines = async (): Promise<string> => textOf(await mcp.call('s__received', {}));
    const first = new AbortController();
    const hanging = mcp.call('s__hang', {}, { signal: first.signal });
    await until(async () => (await lines()).includes('"hang'), 'the call');
    first.abort();
    expect(await hanging).toMatchObject({ ok: false, error: { kind: 'network', code: 'cancelled' } });
    await cancelled(1);
    const second = new AbortController();
    let open = (): void => {};
    const questioned = new Promise<void>((resolve) => (open = resolve));
    const asking = mcp.call(
      's__ask',
      {},
      {
        signal: second.signal,
        answer: (_question, signal) => {
          open();
          return new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(new Error('closed'))),
          );
        },
      },
    );
    await questioned;
    second.abort();
    expect(await asking).toMatchObject({ ok: false, error: { code: 'cancelled' } });
    if (era === 'legacy') await cancelled(2);
    else await until(async () => (await lines()).includes('action\\":\\"cancel'), 'the dismissal');
  });

  it('gives errors as values', async () => {
    const { url, base } = await startGateway({ servers: [scriptedStdio('s')] });
    const { client: mcp } = client(url, era);
    expect(await mcp.call('s__error', {})).toMatchObject({
      ok: false,
      error:
        era === 'legacy'
          ? { kind: 'jsonrpc', code: -32055, message: 'of my own', data: { n: 1 } }
          : { kind: 'jsonrpc', code: -32603, message: 'of my own' },
    });
    expect(await mcp.call('nobody', {})).toMatchObject({
      ok: false,
      error: { kind: 'jsonrpc', code: -32602 },
    });
    expect(await client(`${base}/nothing`, era).client.open()).toMatchObject({
      ok: false,
      error: { status: 404 },
    });
    expect(await client('http://127.0.0.1:9/mcp', era).client.open()).toMatchObject({
      ok: false,
      error: { kind: 'network', status: null, code: 'unreachable' },
    });
  });

  it('reads no answer over 16 MB, waits no longer than told, and keeps a refused credential apart', async () => {
    const piece = 'x'.repeat(1024 * 1024);
    const { client: large } = client(
      await scripted((_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        const more = (): void => {
          while (!res.destroyed && res.write(`: ${piece}\n`));
          res.once('drain', more);
        };
        more();
      }),
      era,
    );
    expect(await large.open()).toMatchObject({ ok: false, error: { kind: 'network', code: 'too_large' } });
    const { client: mute } = client(await scripted(() => {}), era);
    expect(await mute.open({ idleMs: 50 })).toMatchObject({ ok: false, error: { code: 'timeout' } });
    const { url } = await startGateway(
      { mcp: { auth: { mode: 'bearer' } } },
      { env: { MCPSTEAD_BEARER_TOKEN: TOKEN } },
    );
    expect(await client(url, era).client.open()).toMatchObject({ ok: false, error: { status: 401 } });
    const headers = () => ({ authorization: `Bearer ${TOKEN}` });
    expect(await client(url, era, { headers }).client.open()).toMatchObject({ ok: true });
  });
});

describe('a legacy client', () => {
  it('opens a new session when its session is gone, and ends it when it closes', async () => {
    const { url } = await startGateway({ servers: [scriptedStdio('s')] });
    const { client: mcp, wire } = client(url, 'legacy', { headers: () => ({ 'x-test': 'session' }) });
    expect(textOf(await mcp.call('s__echo', { a: 1 }))).toBe('{"a":1}');
    const sessions = new Set<string>();
    const { fetch } = globalThis;
    atEnd(() => {
      globalThis.fetch = fetch;
    });
    globalThis.fetch = (input, init) => {
      const id = new Headers(init?.headers).get('mcp-session-id');
      if (id !== null) sessions.add(id);
      return fetch(input, init);
    };
    expect(textOf(await mcp.call('s__echo', { a: 2 }))).toBe('{"a":2}');
    const [id = ''] = sessions;
    expect((await fetch(url, { method: 'DELETE', headers: { 'mcp-session-id': id } })).ok).toBe(true);
    expect(textOf(await mcp.call('s__echo', { a: 3 }))).toBe('{"a":3}');
    expect(wire.filter(({ text }) => text.includes('"initialize"'))).toHaveLength(2);
    expect(sessions.size).toBe(2);
    await mcp.close();
    const last = [...sessions].at(-1) ?? '';
    expect((await fetch(url, { method: 'DELETE', headers: { 'mcp-session-id': last } })).status).toBe(404);
  });
});

describe('a modern client', () => {
  it('sends the parameters that belong into headers', async () => {
    const { url } = await startGateway({ servers: [modernStdio('m')] });
    const { client: mcp } = client(url, 'modern');
    const tools = await mcp.listAll('tools');
    const tool = tools.ok ? tools.value.find(({ name }) => name === 'm__test_x_mcp_header') : undefined;
    const outcome = await mcp.call(
      'm__test_x_mcp_header',
      { region: 'Zürich' },
      { schema: tool?.['inputSchema'] },
    );
    expect(textOf(outcome)).toBe('region=Zürich');
  });
});
