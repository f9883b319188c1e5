import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { tempDir } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callTool,
  callBody,
  JSON_ONLY,
  message,
  openSse,
  post,
  rawPost,
  SSE_ONLY,
  tcp,
  textOf,
  beat,
} from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const HIDDEN = '{"jsonrpc":"2.0","id":666,"method":"tools/call","params":{"name":"hidden","arguments":{}}}';

let gateway: RunningGateway;
let http: Upstream;
let lines: () => Promise<string[]>;

beforeAll(async () => {
  const record = join(await tempDir(), 'lines');
  http = await createUpstream({ tools: [tool('echo'), tool('hidden')] });
  gateway = await startGateway({ servers: [http.entry('http'), scriptedStdio('stdio', { record })] });
  lines = async () => (await readFile(record, 'utf8')).split('\n').slice(0, -1);
});

/** The gateway reads the list of a server again now and then: that came from nobody. */
const OWN_LIST = /^\{"jsonrpc":"2\.0","id":\d+,"method":"tools\/list"\}$/;

/** Marks what the test itself says last. */
const LAST = 'nothing-after-this';

/** Everything both upstreams were told since `mark`. */
async function told(mark: { http: number; stdio: number }) {
  await beat(gateway.base);
  // The child reads in order: what was written before this has been recorded before it.
  await callTool(gateway.url, 'stdio__echo', { [LAST]: true });
  const others = (text: string): boolean => !OWN_LIST.test(text) && !text.includes(LAST);
  return {
    http: http.requests
      .slice(mark.http)
      .map((request) => request.text)
      .filter(others),
    stdio: (await lines()).slice(mark.stdio).filter(others),
  };
}
const now = async () => ({ http: http.requests.length, stdio: (await lines()).length });

describe('a message on a line of its own inside a valid body', () => {
  const breaks: [string, string][] = [
    ['LF', '\n'],
    ['CR', '\r'],
    ['CRLF', '\r\n'],
    ['CR CR LF', '\r\r\n'],
    ['many', '\n\r\n\n\r'],
  ];
  const places: [string, (brk: string) => string][] = [
    [
      'in arguments',
      (b) =>
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"NAME","arguments":{"a":${b}${HIDDEN}${b}}}}`,
    ],
    [
      'in _meta',
      (b) =>
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"NAME","_meta":{"a":${b}${HIDDEN}${b}},"arguments":{}}}`,
    ],
    [
      'beside params',
      (b) =>
        `{"jsonrpc":"2.0","id":1,"extra":${b}${HIDDEN}${b},"method":"tools/call","params":{"name":"NAME"}}`,
    ],
    [
      'in an array',
      (b) =>
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"NAME","x":[${b}${HIDDEN}${b},${b}${HIDDEN}${b}]}}`,
    ],
    [
      'around every token',
      (b) =>
        `${b}{${b}"jsonrpc"${b}:${b}"2.0"${b},${b}"id"${b}:${b}1${b},${b}"method":"tools/call"${b},${b}"params"${b}:${b}{${b}"name"${b}:${b}"NAME"${b},${b}"arguments":${b}{"a"${b}:${b}${HIDDEN}${b}}${b}}${b}}${b}`,
    ],
  ];

  test.each(places.flatMap(([place, body]) => breaks.map(([kind, b]) => [place, kind, body(b)] as const)))(
    '%s, by %s, stays inside: one line to stdio, one message to HTTP',
    async (_place, _kind, body) => {
      for (const server of ['http', 'stdio'] as const) {
        const mark = await now();
        const answer = await post(gateway.url, body.replace('NAME', `${server}__echo`), JSON_ONLY);
        expect(answer.status).toBe(200);
        expect(answer.json().result).toBeDefined();
        const all = await told(mark);
        expect(all[server].length).toBe(1);
        expect(all[server === 'http' ? 'stdio' : 'http']).toEqual([]);
        const [sent = ''] = all[server];
        expect(JSON.parse(sent)).toMatchObject({ method: 'tools/call', params: { name: 'echo' } });
        const own = JSON.parse(body.replace('NAME', 'echo')) as object;
        expect({ ...(JSON.parse(sent) as object), id: 1 }).toEqual(own);
      }
    },
  );

  test('in a notification of the client, nothing gets to a line', async () => {
    const mark = await now();
    const body = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\n${HIDDEN}\n}}`;
    await post(gateway.url, body);
    await post(gateway.url, `{"jsonrpc":"2.0","method":"notifications/\\n","params":\n${HIDDEN}\n}`);
    const all = await told(mark);
    for (const line of [...all.http, ...all.stdio])
      expect((JSON.parse(line) as { id?: unknown }).id).not.toBe(666);
  });

  test('escaped line breaks and U+2028 in strings stay as they are', async () => {
    const args = '{"a":"one\\n{\\"jsonrpc\\":\\"2.0\\"}\\r\\ntwo","b":"\u2028\u2029\u0085"}';
    for (const server of ['http', 'stdio'] as const) {
      const mark = await now();
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${server}__echo","arguments":${args}}}`;
      const answer = await post(gateway.url, body, JSON_ONLY);
      expect(textOf(answer.json())).toBe(JSON.stringify(JSON.parse(args)));
      expect((await told(mark))[server].join('')).toContain(args);
    }
  });

  test('in a batch, every element is one line', async () => {
    const mark = await now();
    const one = (id: number): string =>
      `{"jsonrpc":"2.0","id":${id},\n"method":"tools/call","params":{"name":"stdio__echo",\n"arguments":{"a":\n${HIDDEN}\n}}}`;
    const answer = await post(gateway.url, `[\n${one(1)}\n,\r\n${one(2)}\n]`, JSON_ONLY);
    expect(
      answer
        .json<{ id: number }[]>()
        .map((each) => each.id)
        .sort(),
    ).toEqual([1, 2]);
    expect((await told(mark)).stdio.length).toBe(2);
  });
});

describe('two readers would disagree: refused, and nothing goes upstream', () => {
  const call = (members: string): string => `{"jsonrpc":"2.0","id":1,${members}}`;
  const params = '"params":{"name":"stdio__echo","arguments":{}}';
  const cases: [string, string, number][] = [
    ['method twice', call(`"method":"ping","method":"tools/call",${params}`), -32600],
    ['method twice, once escaped', call(`"method":"ping","\\u006dethod":"tools/call",${params}`), -32600],
    ['Method beside method', call(`"method":"ping","Method":"tools/call",${params}`), -32600],
    ['METHOD beside method', call(`"METHOD":"ping","method":"tools/call",${params}`), -32600],
    ['a case variant by escape', call(`"method":"tools/call","\\u004dethod":"ping",${params}`), -32600],
    ['id twice', `{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call",${params}}`, -32600],
    ['ID beside id', `{"jsonrpc":"2.0","id":1,"ID":2,"method":"tools/call",${params}}`, -32600],
    ['jsonrpc twice', `{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"tools/call",${params}}`, -32600],
    ['params twice', call(`"method":"tools/call",${params},"params":{"name":"stdio__hang"}`), -32600],
    ['Params beside params', call(`"method":"tools/call",${params},"Params":{"name":"stdio__hang"}`), -32600],
    [
      'name twice',
      call('"method":"tools/call","params":{"name":"stdio__echo","name":"stdio__hang"}'),
      -32600,
    ],
    [
      'name twice, once escaped',
      call('"method":"tools/call","params":{"name":"stdio__echo","na\\u006de":"stdio__hang"}'),
      -32600,
    ],
    [
      'Name beside name',
      call('"method":"tools/call","params":{"name":"stdio__echo","Name":"stdio__hang"}'),
      -32600,
    ],
    [
      'arguments twice',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{},"arguments":{}}'),
      -32600,
    ],
    [
      'ARGUMENTS beside arguments',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{},"ARGUMENTS":{}}'),
      -32600,
    ],
    [
      '_meta twice',
      call('"method":"tools/call","params":{"name":"stdio__echo","_meta":{},"_meta":{"progressToken":1}}'),
      -32600,
    ],
    [
      '_Meta beside _meta',
      call('"method":"tools/call","params":{"name":"stdio__echo","_meta":{},"_Meta":{}}'),
      -32600,
    ],
    [
      'bad UTF-8',
      call(`"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":"BAD"}}`),
      -32700,
    ],
    ['something after the message', `${call(`"method":"tools/call",${params}`)}x`, -32700],
    ['a second message after the first', `${call(`"method":"tools/call",${params}`)}\n${HIDDEN}`, -32700],
    ['a comma too many', call(`"method":"tools/call",${params},`), -32700],
    ['a missing comma', call(`"method":"tools/call" ${params}`), -32700],
    ['a comment', call(`/* hi */"method":"tools/call",${params}`), -32700],
    ['single quotes', call(`'method':'tools/call',${params}`), -32700],
    [
      'a raw line break in a string',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":"x\ny"}}'),
      -32700,
    ],
    [
      'a NUL in a string',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":"x\u0000y"}}'),
      -32700,
    ],
    [
      'a bad escape',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":"\\x"}}'),
      -32700,
    ],
    [
      'a bad unicode escape',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":"\\u12G4"}}'),
      -32700,
    ],
    [
      'a bad number',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":01}}'),
      -32700,
    ],
    [
      'a bad literal',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":True}}'),
      -32700,
    ],
    [
      'brackets that do not match',
      call('"method":"tools/call","params":{"name":"stdio__echo","arguments":{"a":[1}}}'),
      -32700,
    ],
    ['half a message', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stdio__ec', -32700],
    ['nothing', '', -32700],
    ['white space alone', ' \n ', -32700],
  ];
  const large = `"filler":"${'f'.repeat(100_000)}"`;

  test.each(cases)('%s', async (_kind, body, code) => {
    for (const server of ['http', 'stdio']) {
      for (const filled of [false, true]) {
        const mark = await now();
        const text = body.replaceAll('stdio__', `${server}__`);
        // The same in a message so long that arguments are not read by JSON.parse.
        const long = filled
          ? text.replace('"arguments":{', `"arguments":{${large},`).replace(',}', '}')
          : text;
        if (filled && long === text) continue;
        const bytes = Buffer.from(long);
        const at = bytes.indexOf('BAD');
        if (at >= 0) Buffer.from([0xc3, 0x28, 0xff]).copy(bytes, at);
        const answer = await post(gateway.url, bytes, JSON_ONLY);
        expect(answer.status).toBe(400);
        expect(answer.json().error?.code).toBe(code);
        expect(await told(mark)).toEqual({ http: [], stdio: [] });
      }
    }
  });

  test('nesting deeper than 128, a million values and more, a body beyond limits.body_bytes', async () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const body = (a: string): string =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"http__echo","arguments":{"a":${a}}}}`;
    const mark = await now();
    const deep = await post(gateway.url, body(nested(200)), JSON_ONLY);
    expect(deep.status).toBe(400);
    const deeper = await post(gateway.url, body('['.repeat(9_000_000)), JSON_ONLY);
    expect(deeper.status).toBe(400);
    const many = await post(gateway.url, body(`[${'1,'.repeat(1_100_000)}1]`), JSON_ONLY);
    expect(many.status).toBe(400);
    const long = await post(gateway.url, body(`"${'x'.repeat(11_000_000)}"`), JSON_ONLY).catch(
      () => undefined,
    );
    if (long) expect(long.status).toBe(413);
    expect(await told(mark)).toEqual({ http: [], stdio: [] });
    const fine = await post(gateway.url, body(nested(100)), JSON_ONLY);
    expect(fine.json().result).toBeDefined();
  });

  test('what looks like a message in a string, or deeper down, is an argument like any other', async () => {
    const args = {
      a: HIDDEN,
      b: { jsonrpc: '2.0', id: 2, method: 'x', params: { name: 'http__hidden' } },
      Method: 1,
      id: 5,
    };
    for (const server of ['http', 'stdio'] as const) {
      const mark = await now();
      const answer = await post(gateway.url, callBody(`${server}__echo`, args), JSON_ONLY);
      expect(JSON.parse(textOf(answer.json()))).toEqual(args);
      expect((await told(mark))[server].length).toBe(1);
    }
  });
});

describe('HTTP framing', () => {
  const body = JSON.stringify(callBody('http__echo', { a: 1 }));

  test.each([
    ['two Content-Lengths', { 'Content-Length': String(body.length), 'content-length': '5' }],
    ['Content-Length and Transfer-Encoding', { 'transfer-encoding': 'chunked' }],
    ['an unknown Transfer-Encoding', { 'transfer-encoding': 'chunked, identity' }],
    ['a Content-Length that is no number', { 'content-length': '+5' }],
    ['a header with a bare line break', { 'x-odd': 'a\nTransfer-Encoding: chunked' }],
    ['a coded body', { 'content-encoding': 'gzip' }],
  ])('%s: refused, and nothing goes upstream', async (_kind, headers) => {
    const mark = await now();
    const connection = await tcp(gateway.base);
    connection.write(rawPost(gateway.url, body, headers));
    const text = await connection.receive(/HTTP\/1\.1 (\d+)/);
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
    connection.destroy();
    expect(await told(mark)).toEqual({ http: [], stdio: [] });
  });

  test('two requests in one packet are two requests with two answers, in order', async () => {
    const connection = await tcp(gateway.base);
    const one = (n: number): Buffer => rawPost(gateway.url, callBody('http__echo', { n }, n), JSON_ONLY);
    connection.write(Buffer.concat([one(1), one(2), one(3)]));
    const text = await connection.receive('"id":3');
    expect([...text.matchAll(/"id":(\d)/g)].map((match) => match[1])).toEqual(['1', '2', '3']);
  });

  test('a client that sends half a request and leaves reaches nobody', async () => {
    const mark = await now();
    const connection = await tcp(gateway.base);
    connection.write(rawPost(gateway.url, body).subarray(0, -5));
    await beat(gateway.base);
    connection.destroy();
    expect(await told(mark)).toEqual({ http: [], stdio: [] });
  });
});

describe('answers of an upstream', () => {
  const FAKE = '{"jsonrpc":"2.0","id":"mine","result":{"content":[{"type":"text","text":"forged"}]}}';
  const NOTICE =
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"forged"}}';

  test.each(['\n', '\r', '\r\n', '\n\n', '\r\n\r\n'])(
    'a pretty-printed answer with %j and an event of its own inside goes out as one event',
    async (brk) => {
      const upstream = await createUpstream({
        tools: [tool('forge')],
        onCall: (call) => {
          const inner = `${brk}${brk}data: 1`.slice(0, brk.length * 2);
          call.raw(
            `{${brk}"jsonrpc":"2.0",${brk}"id":${call.id},"result":{"content":[],${inner}"x":${brk}${FAKE}${brk},"y":[${brk}${NOTICE}${brk}]}${brk}}${brk}`,
          );
        },
      });
      const g = await startGateway({ servers: [upstream.entry('s')] });
      const stream = await openSse(g.url, callBody('s__forge', {}, 'mine'), SSE_ONLY);
      await stream.done();
      expect(stream.events.length).toBe(1);
      expect(stream.text).not.toContain('\r');
      const got = JSON.parse(stream.events[0]?.data ?? '') as { result: unknown };
      expect(got).toMatchObject({ id: 'mine', result: { content: [], y: [JSON.parse(NOTICE)] } });
      const json = await post(g.url, callBody('s__forge', {}, 'mine'), JSON_ONLY);
      expect(json.json()).toMatchObject({ id: 'mine', result: { content: [] } });
    },
  );

  test('an event whose data has several lines goes out as one line', async () => {
    const upstream = await createUpstream({
      tools: [tool('forge')],
      onCall: (call) => {
        const text = `{"jsonrpc":"2.0","id":${call.id},"result":{"content":[],"x":\n${FAKE}\n}}`;
        call.write(`data: ${text.replaceAll('\n', '\ndata: ')}\n\n`);
        call.end();
      },
    });
    const g = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await openSse(g.url, callBody('s__forge', {}, 'mine'), SSE_ONLY);
    await stream.done();
    expect(stream.events.length).toBe(1);
    expect(JSON.parse(stream.events[0]?.data ?? '')).toMatchObject({ id: 'mine', result: { content: [] } });
  });

  test('an answer cannot carry headers, ids of others or a second answer', async () => {
    let held: Call | undefined;
    const upstream = await createUpstream({
      tools: [tool('two'), tool('slow')],
      onCall: (call) => {
        if (call.params.name === 'slow') {
          held = call;
          return;
        }
        const victim = Number(call.message.id) - 1;
        call.event(call.envelope('result', '{"content":[{"type":"text","text":"stolen"}]}', String(victim)));
        call.event(call.envelope('result', '{"content":[{"type":"text","text":"own"}]}'));
        call.event(call.envelope('result', '{"content":[{"type":"text","text":"again"}]}'));
        call.end();
      },
    });
    const g = await startGateway({ servers: [upstream.entry('s')] });
    const slow = post(g.url, callBody('s__slow', {}, 'slow'), JSON_ONLY);
    const waiting = await until(() => held, 'the slow call');
    const two = await post(g.url, callBody('s__two', {}, 'two'), JSON_ONLY);
    expect(two.text).not.toContain('stolen');
    expect(two.text).not.toContain('again');
    expect(message(two).id).toBe('two');
    waiting.text('slow');
    expect(textOf((await slow).json())).toBe('slow');
  });
});
