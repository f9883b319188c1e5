import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  message,
  openSession,
  openSse,
  post,
  SSE_ONLY,
  textOf,
  type JsonRpc,
  type SseStream,
} from '../helpers/http.js';
import { firstDifference, pattern } from '../helpers/pattern.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { sleep, until } from '../helpers/wait.js';

/** A call of one tool that reports progress under `token`. */
const withToken = (name: string, token: unknown, args: object = {}, id: string | number = 1): string =>
  JSON.stringify(callBody(name, args, id, { progressToken: token }));

/** The call the upstream is busy with. */
async function arrival(upstream: Upstream, name?: string) {
  return until(() => upstream.calls(name).at(-1), 'the call upstream');
}

describe('order and time', () => {
  test('the first event goes out when the first event comes in', async () => {
    let release: () => void = () => {};
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall: async (call) => {
        call.progress(1, 2, 'half way');
        await new Promise<void>((resolve) => (release = resolve));
        call.text('done');
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await openSse(gateway.url, withToken('s__slow', 'tok'));
    expect(await stream.message()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'tok', progress: 1, total: 2, message: 'half way' },
    });
    expect(stream.headers['content-type']).toBe('text/event-stream');
    expect(stream.headers['cache-control']).toBe('no-cache, no-transform');
    expect(stream.headers['x-accel-buffering']).toBe('no');
    expect(stream.ended).toBe(false);
    release();
    expect(textOf(await stream.message())).toBe('done');
    await stream.done();
    expect(stream.complete).toBe(true);
  });

  test('the first bytes of a long result go out before its last come in', async () => {
    let release: () => void = () => {};
    const upstream = await createUpstream({
      tools: [tool('long')],
      onCall: async (call) => {
        const text = call.envelope('result', `{"content":[{"type":"text","text":"${'a'.repeat(100_000)}"}]}`);
        call.res.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
        call.res.write(text.slice(0, 60_000));
        await new Promise<void>((resolve) => (release = resolve));
        call.res.end(text.slice(60_000));
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await openSse(gateway.url, callBody('s__long'), JSON_ONLY);
    await until(() => stream.text.length > 50_000, 'the first part');
    release();
    await stream.done();
    expect((JSON.parse(stream.text) as JsonRpc).result).toBeDefined();
  });

  const script = async (call: Call): Promise<void> => {
    for (let n = 1; n <= 40; n++) {
      if (n % 3 === 0) call.log(n);
      else call.progress(n);
      if (n % 7 === 0) await sleep(1);
    }
    call.text('last');
  };

  test.each(['streamable', 'sse'] as const)(
    'progress, logs and the result keep their order over %s',
    async (transport) => {
      const upstream = await createUpstream({ transport, tools: [tool('chatty')], onCall: script });
      const gateway = await startGateway({ servers: [upstream.entry('s', { protocol: transport })] });
      const session = await openSession(gateway.url);
      const stream = await openSse(gateway.url, withToken('s__chatty', 7), session);
      await stream.done();
      const messages = stream.events.map((event) => JSON.parse(event.data) as JsonRpc);
      expect(messages.slice(0, -1).map((m) => m.params?.['progress'] ?? m.params?.['data'])).toEqual(
        Array.from({ length: 40 }, (_, n) => n + 1),
      );
      expect(textOf(messages.at(-1) as JsonRpc)).toBe('last');
    },
  );

  test('over stdio they keep it too', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const stream = await openSse(gateway.url, withToken('s__progress', 't', { steps: 20, ms: 1 }));
    await stream.done();
    const messages = stream.events.map((event) => JSON.parse(event.data) as JsonRpc);
    expect(messages.slice(0, -1).map((m) => m.params?.['progress'])).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
    expect(textOf(messages.at(-1) as JsonRpc)).toContain('progress done');
  });
});

describe('JSON or SSE', () => {
  const upstreamFor = (onCall: (call: Call) => unknown): Promise<Upstream> =>
    createUpstream({ tools: [tool('t')], onCall });

  test('an answer alone is JSON to a client that takes both, also when it came as SSE', async () => {
    for (const answer of ['json', 'sse'] as const) {
      const upstream = await createUpstream({ answer, tools: [tool('t')] });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      const got = await post(gateway.url, callBody('s__t', { a: 1 }));
      expect(got.headers['content-type']).toMatch(/^application\/json/);
      expect(textOf(got.json())).toBe('{"a":1}');
    }
  });

  test('a client that takes only SSE gets SSE', async () => {
    for (const answer of ['json', 'sse'] as const) {
      const upstream = await createUpstream({ answer, tools: [tool('t')] });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      const got = await post(gateway.url, callBody('s__t', { a: 1 }), SSE_ONLY);
      expect(got.headers['content-type']).toMatch(/^text\/event-stream/);
      expect(textOf(message(got))).toBe('{"a":1}');
    }
  });

  test.each(['application/json', '*/*', 'application/*', ''])(
    'to Accept %j the answer is JSON, without progress and logs',
    async (accept) => {
      const upstream = await upstreamFor((call) => {
        call.progress(1);
        call.log('hello');
        call.text('done');
      });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      const got = await post(gateway.url, withToken('s__t', 't'), { accept });
      expect(got.headers['content-type']).toMatch(/^application\/json/);
      expect(textOf(got.json())).toBe('done');
    },
  );

  test('after http.stream_after_ms of silence the stream is open, kept alive by comments, and has the answer', async () => {
    let answer: () => void = () => {};
    const upstream = await upstreamFor((call) => {
      answer = () => {
        call.raw(
          `{\n"jsonrpc": "2.0",\r\n"id": ${call.id},\n\n"result": {"content": [\n{"type":"text","text":"late"}]}}`,
        );
      };
    });
    const gateway = await startGateway({
      http: { stream_after_ms: 250, keep_alive_ms: 100 },
      servers: [upstream.entry('s')],
    });
    const stream = await openSse(gateway.url, callBody('s__t', {}, 'x'));
    expect(stream.headers['content-type']).toMatch(/^text\/event-stream/);
    await until(() => (stream.text.match(/^:/gm)?.length ?? 0) >= 2, 'two comments');
    answer();
    expect(await stream.message()).toMatchObject({ id: 'x', result: { content: [{ text: 'late' }] } });
    await stream.done();
    expect(stream.events.length).toBe(1);
  });

  test('a client that takes JSON alone waits for its JSON', async () => {
    const held: Call[] = [];
    const upstream = await upstreamFor((call) => void held.push(call));
    const gateway = await startGateway({ http: { stream_after_ms: 100 }, servers: [upstream.entry('s')] });
    const patient = post(gateway.url, callBody('s__t'), JSON_ONLY);
    await until(() => held.length === 1, 'the call upstream');
    // One that came later, and takes a stream, has got it.
    await openSse(gateway.url, callBody('s__t'));
    for (const call of held) call.text('late');
    const got = await patient;
    expect(got.headers['content-type']).toMatch(/^application\/json/);
    expect(textOf(got.json())).toBe('late');
  });

  test('an error after the first event is an event with the error', async () => {
    let fail: () => void = () => {};
    const upstream = await upstreamFor((call) => {
      call.progress(1);
      fail = () => {
        call.destroy();
      };
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await openSse(gateway.url, withToken('s__t', 't', {}, 'x'));
    expect((await stream.message()).method).toBe('notifications/progress');
    fail();
    expect(await stream.message()).toMatchObject({ jsonrpc: '2.0', id: 'x', error: { code: -32000 } });
    await stream.done();
    expect(stream.complete).toBe(true);
  });
});

describe('tokens and ids', () => {
  test.each(['streamable', 'sse', 'stdio'] as const)(
    'eight clients with the same token and the same id never cross, over %s',
    async (kind) => {
      let gateway: RunningGateway;
      let upstream: Upstream | undefined;
      if (kind === 'stdio') gateway = await startGateway({ servers: [scriptedStdio('s')] });
      else {
        upstream = await createUpstream({
          transport: kind,
          tools: [tool('progress')],
          onCall: async (call) => {
            for (let step = 1; step <= 10; step++) {
              call.progress(step, undefined, String(call.args['mark']));
              await sleep(Math.random() * 10);
            }
            call.text(`progress done ${String(call.args['mark'])}`);
          },
        });
        gateway = await startGateway({ servers: [upstream.entry('s', { protocol: kind })] });
      }
      const client = async (mark: number): Promise<void> => {
        const session = mark % 2 ? await openSession(gateway.url) : {};
        for (let round = 0; round < 4; round++) {
          const body = withToken('s__progress', 1, { mark: `${mark}-${round}`, steps: 10, ms: 3 }, 1);
          const stream = await openSse(gateway.url, body, session);
          await stream.done();
          const messages = stream.events.map((event) => JSON.parse(event.data) as JsonRpc);
          expect(messages.length).toBe(11);
          messages.slice(0, -1).forEach((one, n) => {
            expect(one.params).toMatchObject({ progressToken: 1, progress: n + 1 });
            if (kind !== 'stdio') expect(one.params?.['message']).toBe(`${mark}-${round}`);
          });
          expect(messages.at(-1)?.id).toBe(1);
          expect(textOf(messages.at(-1) as JsonRpc)).toBe(`progress done ${mark}-${round}`);
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, n) => client(n)));
      if (upstream) {
        const calls = upstream.calls().map((call) => call.message);
        expect(new Set(calls.map((call) => call.id)).size).toBe(32);
        expect(new Set(calls.map((call) => call.params?._meta?.progressToken)).size).toBe(32);
      }
    },
  );

  const ids = [
    '1',
    '0',
    '-1',
    '-9007199254740993',
    '9007199254740993',
    '123456789012345678901234567890',
    '"a"',
    '""',
    '"1"',
    '"\\u0041\\n\\"id\\":5"',
    '"é ✓"',
    '"' + 'x'.repeat(300) + '"',
  ];
  test.each(ids)('the id %s comes back exactly as sent', async (id) => {
    for (const idOrder of ['first', 'last'] as const) {
      const upstream = await createUpstream({
        idOrder,
        tools: [tool('t'), tool('fail')],
        onCall: (call) => {
          if (call.params.name === 'fail') call.error(-32050, 'no');
          else call.text('fine');
        },
      });
      const gateway = await startGateway({ servers: [upstream.entry('s'), scriptedStdio('p')] });
      const bodies = [
        ['tools/call', '{"name":"s__t","arguments":{}}'],
        ['tools/call', '{"name":"s__fail","arguments":{}}'],
        ['tools/call', '{"name":"p__echo","arguments":{}}'],
        ['tools/call', '{"name":"nobody","arguments":{}}'],
        ['tools/list', '{}'],
        ['ping', '{}'],
        ['no/such/method', '{}'],
      ];
      for (const [method, params] of bodies) {
        for (const headers of [JSON_ONLY, SSE_ONLY]) {
          const body = `{"params":${params},"id": ${id} ,"method":"${method}","jsonrpc":"2.0"}`;
          const { text } = await post(gateway.url, body, headers);
          expect(text).toMatch(/"id":/);
          expect(text.includes(`"id":${id},`) || text.includes(`"id":${id}}`)).toBe(true);
        }
      }
      for (const call of upstream.calls()) expect(Number.isSafeInteger(call.message.id)).toBe(true);
    }
  });

  test.each(['1', '0', '"tok"', '""', '9007199254740993', '"\\u00e9\\n"', '-5'])(
    'the progress token %s comes back exactly as sent',
    async (token) => {
      const upstream = await createUpstream({
        tools: [tool('t')],
        onCall: (call) => {
          call.progress(0.5, 1.0);
          call.text('fine');
        },
      });
      const gateway = await startGateway({ servers: [upstream.entry('s'), scriptedStdio('p')] });
      for (const name of ['s__t', 'p__progress']) {
        const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}","_meta":{"a":1.0,"progressToken": ${token},"z":[]},"arguments":{}}}`;
        const stream = await openSse(gateway.url, body);
        await stream.done();
        expect(stream.events[0]?.data).toMatch(/notifications\/progress/);
        expect(stream.events[0]?.data).toContain(`"progressToken":${token}`);
      }
      expect(upstream.calls()[0]?.text).toMatch(/"_meta":\{"a":1\.0,"progressToken": ?[^,]+,"z":\[\]\}/);
    },
  );

  test('no token is added where the client gave none, and the rest of _meta goes up as it is', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const meta = '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "n": 1.0}';
    await post(gateway.url, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"s__t"}}');
    await post(
      gateway.url,
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":${meta},"name":"s__t"}}`,
    );
    const [first, second] = upstream.calls();
    expect(first?.text).not.toContain('_meta');
    expect(second?.text).toContain(`"_meta":${meta}`);
  });

  test('two calls of one session in flight under one id: the second is refused', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall: (call) => (held.length < 2 ? void held.push(call) : call.text('slow')),
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const session = await openSession(gateway.url);
    const other = await openSession(gateway.url);
    const first = post(gateway.url, callBody('s__slow', {}, 5), session);
    const elsewhere = post(gateway.url, callBody('s__slow', {}, 5), other);
    await until(() => held.length === 2, 'two calls upstream');
    const second = await post(gateway.url, callBody('s__slow', {}, 5), session);
    for (const call of held) call.text('slow');
    expect(second.status).toBe(400);
    expect(second.json()).toMatchObject({ id: 5, error: { code: -32600 } });
    expect(textOf(message(await first))).toBe('slow');
    expect(textOf(message(await elsewhere))).toBe('slow');
    expect(textOf(message(await post(gateway.url, callBody('s__slow', {}, 5), session)))).toBe('slow');
  });
});

describe('byte for byte', () => {
  const odd =
    '{ "big":12345678901234567890,"one":1.0,"e":1E+2,"neg":-0,"__proto__":{"x":1},"constructor":1, "dup":1,"dup":2,' +
    '"esc":"\\u0041\\/\\ud83d\\ude00","utf":"é😀\u2028","id":7,"name":"other__name","nested":{"jsonrpc":"2.0","id":9,"method":"x"},\t"last":[ ] }';

  test('arguments go up exactly as sent', async () => {
    const upstream = await createUpstream({ tools: [tool('t')], onCall: (call) => call.text('fine') });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    for (const place of ['first', 'last']) {
      const params =
        place === 'first'
          ? `{"arguments":${odd},"name":"s__t","future":[1.0]}`
          : `{"future":[1.0],"name":"s__t","arguments":${odd}}`;
      const body = `{"jsonrpc":"2.0","method":"tools/call","id":1,"params":${params},"extra":{"e":1.0}}`;
      expect(textOf(message(await post(gateway.url, body)))).toBe('fine');
      const sent = upstream.calls().at(-1)?.text ?? '';
      const id = String(upstream.calls().at(-1)?.message.id);
      expect(sent).toBe(body.replace('s__t', 't').replace('"id":1,"params"', `"id":${id},"params"`));
    }
  });

  test('arguments of many megabytes go up exactly as sent', async () => {
    const upstream = await createUpstream({ tools: [tool('t')], onCall: (call) => call.text('fine') });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const text = pattern(0, 8_000_000).toString('latin1');
    expect(textOf(await callTool(gateway.url, 's__t', { text }))).toBe('fine');
    expect(upstream.calls()[0]?.message.params?.arguments).toEqual({ text });
  });

  test.each(['first', 'last'] as const)('results come back exactly as sent, the id %s', async (idOrder) => {
    for (const answer of ['json', 'sse'] as const) {
      const upstream = await createUpstream({
        idOrder,
        answer,
        tools: [tool('t')],
        onCall: (call) => call.result(odd),
      });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      for (const headers of [JSON_ONLY, SSE_ONLY]) {
        for (let n = 0; n < 3; n++) {
          const got = await post(gateway.url, callBody('s__t', {}, 'mine'), headers);
          expect(got.text).toContain(`"result":${odd}`);
          expect(message(got).id).toBe('mine');
        }
      }
    }
  });

  test.each(['first', 'last'] as const)('a result of 20 MB loses no byte, the id %s', async (idOrder) => {
    const size = 20_000_000;
    const upstream = await createUpstream({
      idOrder,
      tools: [tool('json'), tool('chunked'), tool('sse'), tool('small')],
      onCall: (call) => {
        if (call.params.name === 'small') call.text('small');
        else return call.big(size, { sse: call.params.name === 'sse', length: call.params.name === 'json' });
        return undefined;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    await callTool(gateway.url, 's__small');
    for (const name of ['json', 'chunked', 'sse']) {
      for (const headers of [JSON_ONLY, SSE_ONLY]) {
        const got = await post(gateway.url, callBody(`s__${name}`, {}, 'mine'), headers);
        expect(got.complete).toBe(true);
        const begin = got.bytes.indexOf('"text":"') + 8;
        expect(firstDifference(got.bytes.subarray(begin, begin + size))).toBe(-1);
        const head = got.bytes.subarray(0, begin).toString();
        const tail = got.bytes.subarray(begin + size).toString();
        expect(head + tail).toContain('"id":"mine"');
        if (name === 'json' && headers === JSON_ONLY) {
          expect(got.headers['content-length']).toBe(String(got.bytes.length));
        }
      }
    }
  });

  test('tool definitions keep their bytes, apart from name and description', async () => {
    const definition =
      '{"title":"T","name":"t","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","properties":{"n":{"maximum":12345678901234567890,"default":1.0,"name":"x","description":"y"}}},"x-unknown":{"e":1E2,"u":"\\u00e9"},"description":"what \\u0041 does"}';
    const upstream = await createUpstream({
      tools: [definition, '{"name":"bare","inputSchema":{"type":"object"}}'],
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { text } = await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, JSON_ONLY);
    expect(text).toContain(
      '"inputSchema":{"type":"object","properties":{"n":{"maximum":12345678901234567890,"default":1.0,"name":"x","description":"y"}}},"x-unknown":{"e":1E2,"u":"\\u00e9"}',
    );
    const tools = (JSON.parse(text) as JsonRpc).result?.['tools'] as { name: string; description: string }[];
    expect(tools).toMatchObject([
      { name: 's__t', description: '[s] what A does', title: 'T' },
      { name: 's__bare', description: 'Tool from s' },
    ]);
    const own = await post(gateway.server('s'), { jsonrpc: '2.0', id: 1, method: 'tools/list' }, JSON_ONLY);
    expect(own.text).toContain(definition);
  });
});

describe('who left, and cancel', () => {
  /** A server whose calls never end by themselves. */
  async function endless(kind: 'streamable' | 'sse' | 'stdio', onCall: (call: Call) => unknown = () => {}) {
    if (kind === 'stdio') {
      const gateway = await startGateway({ servers: [scriptedStdio('s')] });
      const cancelled = async (): Promise<{ requestId: unknown; reason?: string }[]> =>
        JSON.parse(textOf(await callTool(gateway.url, 's__cancelled'))) as {
          requestId: unknown;
          reason?: string;
        }[];
      const arrived = async (): Promise<void> => {
        await until(
          async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) > 0,
          'the call',
        );
        await callTool(gateway.url, 's__echo');
      };
      return { gateway, cancelled, arrived, last: () => undefined, upstream: undefined };
    }
    const upstream = await createUpstream({
      transport: kind,
      tools: [tool('hang'), tool('echo')],
      onCall: (call) => (call.params.name === 'echo' ? call.text('echo') : onCall(call)),
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', { protocol: kind })] });
    const cancelled = (): { requestId: unknown; reason?: string }[] =>
      upstream.received('notifications/cancelled').map((r) => r.message.params as { requestId: unknown });
    return {
      gateway,
      cancelled,
      arrived: () => arrival(upstream),
      last: () => upstream.calls('hang').at(-1)?.message.id,
      upstream,
    };
  }

  test.each(['streamable', 'sse', 'stdio'] as const)(
    'a client without a session that leaves cancels its call, over %s',
    async (kind) => {
      const { gateway, cancelled, arrived, last } = await endless(kind);
      const leaving = new AbortController();
      const answer = post(gateway.url, callBody('s__hang', {}, 'mine'), JSON_ONLY);
      answer.catch(() => {});
      const stream = openSse(gateway.url, callBody('s__hang', {}, 'mine'), JSON_ONLY, {
        signal: leaving.signal,
      });
      stream.catch(() => {});
      await arrived();
      await until(
        async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 2,
        'two calls',
      );
      leaving.abort();
      const params = await until(async () => (await cancelled())[0], 'the cancellation upstream');
      expect((await cancelled()).length).toBe(1);
      if (last() !== undefined) expect(typeof params.requestId).toBe('number');
      await until(
        async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 1,
        'one call left',
      );
    },
  );

  test.each(['streamable', 'sse', 'stdio'] as const)(
    'notifications/cancelled of a session reaches %s with the id used there',
    async (kind) => {
      const { gateway, cancelled, arrived, last } = await endless(kind);
      const session = await openSession(gateway.url);
      const other = await openSession(gateway.url);
      const stream = openSse(gateway.url, callBody('s__hang', {}, 'mine'), session);
      stream.catch(() => {});
      await arrived();
      const cancel = {
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: 'mine', reason: 'changed my mind' },
      };
      expect((await post(gateway.url, cancel, other)).status).toBe(202);
      expect((await post(gateway.url, cancel)).status).toBe(202);
      // What went upstream for them would be there before this.
      await callTool(gateway.url, 's__echo');
      expect(await cancelled()).toEqual([]);
      expect((await post(gateway.url, cancel, session)).status).toBe(202);
      const params = await until(async () => (await cancelled())[0], 'the cancellation upstream');
      expect(params.reason).toBe('changed my mind');
      expect(params.requestId).not.toBe('mine');
      if (last() !== undefined) expect(params.requestId).toBe(last());
      await until(
        async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 0,
        'no call left',
      );
    },
  );

  test('what comes for a cancelled call is dropped', async () => {
    const held: Call[] = [];
    const { gateway, arrived, upstream } = await endless('sse', (call) => {
      if (call.args['next'] === true) call.text('next');
      else held.push(call);
    });
    const session = await openSession(gateway.url);
    const stream = openSse(gateway.url, withToken('s__hang', 't', {}, 3), session);
    stream.catch(() => {});
    await arrived();
    await post(
      gateway.url,
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 3 } },
      session,
    );
    await until(() => upstream?.received('notifications/cancelled').length === 1, 'the cancellation');
    held[0]?.progress(1);
    held[0]?.text('too late');
    // All answers come on one stream of the upstream, in order.
    expect(textOf(await callTool(gateway.url, 's__hang', { next: true }))).toBe('next');
    expect((await gateway.health()).servers[0]?.connected).toBe(true);
    expect(upstream?.calls().length).toBe(2);
  });

  test('DELETE of the session cancels its calls', async () => {
    const { gateway, cancelled, arrived } = await endless('streamable');
    const session = await openSession(gateway.url);
    const stream = openSse(gateway.url, callBody('s__hang', {}, 1), session);
    stream.catch(() => {});
    await arrived();
    const gone = await fetch(gateway.url, { method: 'DELETE', headers: session });
    expect(gone.status).toBe(200);
    await until(async () => (await cancelled()).length === 1, 'the cancellation upstream');
  });
});

describe('the GET stream', () => {
  test('tells every session of a changed list, and the new list is the one then given', async () => {
    const upstream = await createUpstream({ tools: [tool('old')], getStream: true, sessions: true });
    const gateway = await startGateway({ servers: [upstream.entry('s'), scriptedStdio('p')] });
    // With the list, a client does not hear of the start of a server any more.
    const listening = async (url: string): Promise<SseStream> => {
      const session = await openSession(url);
      await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, session);
      return openSse(url, undefined, session);
    };
    const streams = await Promise.all([gateway.url, gateway.url].map(listening));
    const own = await listening(gateway.server('s'));
    await until(() => upstream.streams.size === 1, "the gateway's GET stream");
    const all = [...streams, own];
    const told = (of: typeof all, before: readonly number[]): Promise<true> =>
      until(() => of.every(({ events }, n) => events.length > (before[n] ?? 0)), 'the notification');
    const counts = (of: typeof all): number[] => of.map(({ events }) => events.length);
    upstream.setTools([tool('old'), tool('new')]);
    await told(all, []);
    const list = message(await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }));
    expect(JSON.stringify(list.result)).toContain('s__new');
    expect(await own.message()).toEqual({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    const before = counts(streams);
    await callTool(gateway.url, 'p__list_changed');
    await told(streams, before);
    const then = counts(all);
    upstream.setTools([tool('third')]);
    await told(all, then);
    // It is not told what is another server's.
    expect(own.events).toHaveLength(2);
  });

  test('a new GET stream takes over from the old one, which ends cleanly', async () => {
    const upstream = await createUpstream({ tools: [tool('old')], getStream: true });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const session = await openSession(gateway.url);
    // What it holds it need not hear of.
    await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, session);
    const first = await openSse(gateway.url, undefined, session);
    const second = await openSse(gateway.url, undefined, session);
    await first.done();
    expect(first.complete).toBe(true);
    await until(() => upstream.streams.size === 1, "the gateway's GET stream");
    upstream.setTools([tool('new')]);
    expect((await second.message()).method).toBe('notifications/tools/list_changed');
    expect(first.events).toEqual([]);
  });
});
