import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, JSON_ONLY, message, openSse, post, SSE_ONLY } from '../helpers/http.js';

const RESULT =
  '{"content":[{"type":"text","text":"data: not a field, é \\u2028 \\n event: neither"}],"n":1.0}';
const answer = (call: Call): string => call.envelope('result', RESULT);
const SSE = { 'content-type': 'text/event-stream' };

/** What one upstream writes; the result must arrive all the same. */
const dialects: Record<string, (call: Call) => string> = {
  'LF, as most servers write': (call) => `event: message\ndata: ${answer(call)}\n\n`,
  'CRLF, as Python servers write': (call) => `event: message\r\ndata: ${answer(call)}\r\n\r\n`,
  'CR alone': (call) => `event: message\rdata: ${answer(call)}\r\r`,
  'mixed line ends': (call) => `: hi\r\n\nevent: message\rdata: ${answer(call)}\n\r\n`,
  'a byte order mark': (call) => `\uFEFFevent: message\ndata: ${answer(call)}\n\n`,
  'a byte order mark before data': (call) => `\uFEFFdata: ${answer(call)}\n\n`,
  'no space after the colon': (call) => `event:message\ndata:${answer(call)}\n\n`,
  'no event line': (call) => `data: ${answer(call)}\n\n`,
  'the event line last': (call) => `data: ${answer(call)}\nevent: message\n\n`,
  'several data lines': (call) => {
    const [head = '', tail = ''] = answer(call).split(',"n"');
    return `event: message\ndata: ${head}\ndata: ,"n"${tail}\n\n`;
  },
  'several data lines with CRLF and no space': (call) => {
    const text = answer(call);
    return `data:{\r\ndata:${text.slice(1, -1)}\r\ndata:}\r\n\r\n`;
  },
  'ids and retry': (call) => `id: 7\nretry: 3000\nevent: message\ndata: ${answer(call)}\nid: 8\n\n`,
  'an empty priming event': (call) => `id: 0\nretry: 1000\ndata:\n\nid: 1\ndata: ${answer(call)}\n\n`,
  'comments before, inside and after': (call) =>
    `: one\n\n: two\nevent: message\n: three\ndata: ${answer(call)}\n: four\n\n: five\n\n`,
  'ping, keepalive and heartbeat events': (call) =>
    `event: ping\ndata: {}\n\nevent: keepalive\ndata: now\n\nevent: heartbeat\ndata: {"t":1}\n\n` +
    `event: message\ndata: ${answer(call)}\n\n`,
  'empty data': (call) => `data:\n\ndata: \n\nevent: message\ndata: ${answer(call)}\n\n`,
  '[DONE] at the end': (call) => `event: message\ndata: ${answer(call)}\n\ndata: [DONE]\n\n`,
  '[DONE] before the answer': (call) => `data: [DONE]\n\nevent: message\ndata: ${answer(call)}\n\n`,
  'another event instead of message': (call) =>
    `event: ping\ndata: {}\n\nevent: response\ndata: ${answer(call)}\n\n`,
  'unknown fields': (call) => `foo: bar\nevent: message\nnonsense\ndata: ${answer(call)}\n\n`,
};

describe.each(['first', 'last'] as const)('a server that puts the id %s', (idOrder) => {
  test.each(Object.keys(dialects))('is understood when its stream has %s', async (name) => {
    const dialect = dialects[name];
    let piecewise = false;
    const upstream = await createUpstream({
      idOrder,
      tools: [tool('say')],
      onCall: async (call) => {
        const bytes = Buffer.from(dialect?.(call) ?? '');
        call.res.writeHead(200, SSE);
        if (piecewise) {
          for (const byte of bytes) {
            call.res.write(Uint8Array.of(byte));
            await new Promise(setImmediate);
          }
        } else call.res.write(bytes);
        call.res.end();
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    for (piecewise of [false, true]) {
      for (const accept of [JSON_ONLY, SSE_ONLY]) {
        const got = await post(gateway.url, callBody('s__say', {}, 'x'), accept);
        expect(message(got)).toEqual({ jsonrpc: '2.0', id: 'x', result: JSON.parse(RESULT) as object });
        expect(got.text).toContain(name.startsWith('several') ? '"n":1.0' : RESULT);
      }
    }
  });

  test.each(['application/json', 'text/plain', 'application/octet-stream', ''])(
    'is understood when its events come as %j',
    async (type) => {
      const beginnings = ['event: message\ndata: ', 'data: ', 'data:', 'event:message\r\ndata:'];
      const upstream = await createUpstream({
        idOrder,
        tools: [tool('say')],
        onCall: (call) => {
          const begin = beginnings[Number(call.args['n'])] ?? '';
          call.res.writeHead(200, type ? { 'content-type': type } : {});
          call.res.end(`${begin}${answer(call)}\n\n`);
        },
      });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      for (let n = 0; n < beginnings.length; n++) {
        const got = await post(gateway.url, callBody('s__say', { n }, 'x'), JSON_ONLY);
        expect(message(got)).toEqual({ jsonrpc: '2.0', id: 'x', result: JSON.parse(RESULT) as object });
      }
    },
  );
});

test('an error event is an error that has its text', async () => {
  const upstream = await createUpstream({
    tools: [tool('say')],
    onCall: (call) => {
      call.event('the disk is full', 'error');
      call.event(answer(call), 'message');
      call.end();
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const { error } = message(await post(gateway.url, callBody('s__say'), JSON_ONLY));
  expect(error?.code).toBe(-32000);
  expect(error?.message).toContain('the disk is full');
});

test('an initialize and a list that come in a dialect are understood', async () => {
  const upstream = await createUpstream({
    onRequest: (call) => {
      const text = JSON.stringify(
        call.message.method === 'initialize'
          ? {
              protocolVersion: '2025-06-18',
              capabilities: { tools: {} },
              serverInfo: { name: 'x', version: '1' },
            }
          : { tools: [tool('odd')] },
      );
      call.raw(`\uFEFFevent:ping\r\ndata:{}\r\n\r\ndata:${call.envelope('result', text)}\r\n\r\n`, 200, SSE);
      return true;
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  expect((await gateway.health()).servers[0]).toMatchObject({ connected: true, tools_count: 1 });
});

describe('normalize_sse_events', () => {
  /** A server whose event names lie. */
  const lying = (event: string) =>
    createUpstream({
      tools: [tool('say')],
      onCall: (call) => {
        call.event(answer(call), event);
        call.end();
      },
    });

  test.each(['ping', 'keepalive', 'heartbeat', 'error', 'result'])(
    'set: an event named %s is taken for a message',
    async (event) => {
      const upstream = await lying(event);
      const gateway = await startGateway({
        servers: [upstream.entry('s', { quirks: { normalize_sse_events: true } })],
      });
      const got = message(await post(gateway.url, callBody('s__say', {}, 'x'), JSON_ONLY));
      expect(got).toEqual({ jsonrpc: '2.0', id: 'x', result: JSON.parse(RESULT) as object });
    },
  );

  test.each(['ping', 'error'])('not set: an event named %s is none', async (event) => {
    const upstream = await lying(event);
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const got = message(await post(gateway.url, callBody('s__say'), JSON_ONLY));
    expect(got.error?.code).toBe(-32000);
  });
});

test('inject_accept_header replaces the Accept header', async () => {
  const upstream = await createUpstream({ tools: [tool('say')] });
  const other = await createUpstream({ tools: [tool('say')] });
  const gateway = await startGateway({
    servers: [
      upstream.entry('s', { quirks: { inject_accept_header: 'application/x-odd' } }),
      other.entry('o'),
    ],
  });
  await post(gateway.url, callBody('s__say'));
  await post(gateway.url, callBody('o__say'), { accept: 'text/event-stream' });
  const posts = (from: typeof upstream) => from.requests.filter((request) => request.method === 'POST');
  expect(new Set(posts(upstream).map((request) => request.headers.accept))).toEqual(
    new Set(['application/x-odd']),
  );
  for (const request of posts(other)) {
    expect(request.headers.accept).toContain('application/json');
    expect(request.headers.accept).toContain('text/event-stream');
  }
});

test('what the gateway writes is one line of data an event, whatever the upstream wrote', async () => {
  const upstream = await createUpstream({
    tools: [tool('say')],
    onCall: (call) => {
      const progress = JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: call.token, progress: 1 },
      });
      call.write(`event: message\r\ndata: {\r\ndata: ${progress.slice(1)}\r\n\r\n`);
      call.write(`: a comment\r\n\r\nid: 5\r\ndata: {\r\ndata: ${answer(call).slice(1)}\r\n\r\n`);
      call.end();
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const stream = await openSse(gateway.url, callBody('s__say', {}, 'x', { progressToken: 'tok' }));
  await stream.done();
  expect(stream.text).not.toContain('\r');
  expect(stream.events.map((event) => event.data.includes('\n'))).toEqual([false, false]);
  expect(JSON.parse(stream.events[0]?.data ?? '')).toMatchObject({
    params: { progressToken: 'tok', progress: 1 },
  });
  expect(JSON.parse(stream.events[1]?.data ?? '')).toMatchObject({ id: 'x' });
});
