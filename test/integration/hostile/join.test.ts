/** `mcpstead stdio --url`, towards a gateway that says what no gateway says. */
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { recordWaits } from '../../helpers/waits.js';
import { joinGateway } from '../../../src/downstream/join.js';
import { createUpstream, type UpstreamOptions } from '../../fixtures/servers/http-upstream.js';
import { atEnd } from '../../helpers/cleanup.js';
import { until } from '../../helpers/wait.js';

interface Answer {
  readonly id?: unknown;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { code: number; message: string };
}

async function joined(options: UpstreamOptions) {
  const upstream = await createUpstream(options);
  const input = new PassThrough();
  const output = new PassThrough();
  const logged: string[] = [];
  const join = joinGateway(
    { url: new URL(upstream.url), token: undefined, log: (text) => logged.push(text) },
    input,
    output,
  );
  atEnd(() => join.close(0));
  let text = '';
  output.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const say = (body: object | string): void => {
    input.write(`${typeof body === 'string' ? body : JSON.stringify({ jsonrpc: '2.0', ...body })}\n`);
  };
  const answers = (): Answer[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Answer);
  const answerTo = (id: unknown) =>
    until(() => answers().find((each) => each.id === id), `an answer to ${String(id)}`);
  return { upstream, say, answers, answerTo, logged };
}

const initialize = {
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '0' } },
};

test.each([
  ['an event id that is no header', 'id: \u4e2d\u0001x\n'],
  ['an event id of 2 KB', `id: ${'x'.repeat(2048)}\n`],
  ['a retry of ages', 'id: 1\nretry: 99999999999999\n'],
  ['a field line of 100 KB', `id: 1\nfoo: ${'y'.repeat(100_000)}\n`],
])('%s and a close end that call at the most', async (_what, fields) => {
  const { say, answerTo, upstream } = await joined({
    sessions: true,
    tools: [],
    onHttp: (received, res) => {
      if (received.method !== 'GET') return false;
      res.writeHead(400).end();
      return true;
    },
    onRequest: (call) => {
      if (call.params.name !== 'bad') return false;
      call.write(`${fields}data:\n\n`);
      setImmediate(() => {
        call.end();
      });
      return true;
    },
  });
  say(initialize);
  await answerTo(0);
  say({ id: 1, method: 'tools/call', params: { name: 'bad', arguments: {} } });
  await until(() => upstream.calls('bad').length === 1);
  say({ id: 2, method: 'tools/list' });
  expect((await answerTo(2)).result).toEqual({ tools: [] });
});

test('a session id that is no header counts as absent', async () => {
  const { say, answerTo, upstream } = await joined({
    onRequest: (call) => {
      if (call.message.method !== 'initialize') return false;
      call.res.setHeader('mcp-session-id', 'caf\u00e9');
      return false;
    },
  });
  say(initialize);
  await answerTo(0);
  say({ id: 1, method: 'tools/list' });
  await answerTo(1);
  expect(upstream.received('tools/list')[0]?.headers['mcp-session-id']).toBeUndefined();
});

test('a method that cannot be named in a header is refused, and the next message goes', async () => {
  const { say, answerTo } = await joined({ tools: [] });
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  say({ id: 1, method: 'a\u4e2d\n', params: { _meta: meta } });
  expect((await answerTo(1)).error?.code).toBe(-32602);
  say({
    id: 2,
    method: 'tools/list',
    params: { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': '\u0001' } },
  });
  expect((await answerTo(2)).error?.code).toBe(-32602);
  say({ id: 3, method: 'tools/list' });
  expect((await answerTo(3)).result).toEqual({ tools: [] });
});

describe('a stream that closes at once, again and again', () => {
  test('is gone on with at a growing pace, and an event with data begins anew', async () => {
    let gets = 0;
    const { say, answerTo } = await joined({
      sessions: true,
      onHttp: (received, res) => {
        if (received.method !== 'GET' || received.headers['last-event-id'] === undefined) return false;
        gets++;
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        // Nothing but a new id each time, in the end the answer.
        res.end(
          gets < 4
            ? `id: e${gets}\nretry: 0\ndata:\n\n`
            : 'id: e\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
        );
        return true;
      },
      onRequest: (call) => {
        if (call.params.name !== 'slow') return false;
        call.write('id: e0\nretry: 0\ndata:\n\n');
        call.end();
        return true;
      },
    });
    say(initialize);
    await answerTo(0);
    const waits = recordWaits([100, 200, 400, 800]);
    say({ id: 1, method: 'tools/call', params: { name: 'slow', arguments: {} } });
    expect((await answerTo(1)).result).toEqual({});
    expect(gets).toBe(4);
    expect(waits).toEqual([100, 200, 400, 800]);
  });
});
