/** What happens between the gateway and a server stays there: streams that break, sessions that are lost, replies nobody takes. */
import { describe, expect, test } from 'vitest';
import type { Wheel } from '../../../src/lib/wheel.js';
import { silent, type Logger } from '../../../src/observe/log.js';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callTool, textOf } from '../../helpers/http.js';
import { settled, until } from '../../helpers/wait.js';
import { recordWaits } from '../../helpers/waits.js';
import { call, openLink, toolCall } from '../upstream/link.js';

const GROWING = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000];

/** A server whose answer to a call is a stream that ends again and again. `next`: what the n-th GET for it gets. */
async function ending(first: string, next: (n: number, id: string, cut: () => void) => string | number) {
  let gets = 0;
  let asked: Call | undefined;
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('t')],
    onCall: (made) => {
      asked = made;
      made.write(first);
      made.end();
    },
    onHttp: (received, res) => {
      if (received.method !== 'GET' || received.headers['last-event-id'] === undefined) return false;
      const told = next(++gets, asked?.id ?? '', () => res.destroy());
      if (typeof told === 'number') res.writeHead(told).end();
      else {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.end(told);
      }
      return true;
    },
  });
  const opened = openLink(upstream.entry('s', { revision: 'legacy', timeouts: { request_ms: 0 } }));
  await opened.up();
  return { upstream, link: opened.link, gets: () => gets };
}

describe('a stream of an answer that ends before it', () => {
  test.each([
    ['closes', () => 'id: other\nretry: 0\ndata:\n\n'],
    ['is refused with 503', () => 503],
  ])('%s, ten times without anything new: the call fails', async (_what, next) => {
    let n = 0;
    const { link, gets } = await ending('id: e0\nretry: 0\ndata:\n\n', () => {
      n++;
      const told = next();
      return typeof told === 'number' ? told : told.replace('other', `e${n}`);
    });
    const waits = recordWaits([...GROWING, 1000, 2000, 4000, 8000, 16_000]);
    const { error } = await call(link, toolCall('t')).done;
    expect(error?.code).toBe('upstream_protocol_error');
    expect(error?.message).toContain('10 attempts brought nothing new');
    expect(gets()).toBe(10);
    expect(waits).toHaveLength(10);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(100);
  });

  test('with an event that has data the attempts begin anew', async () => {
    const progress =
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"x","progress":1}}';
    const { link, gets } = await ending('id: e0\nretry: 0\ndata:\n\n', (n, id) =>
      n === 25
        ? `id: end\ndata: {"jsonrpc":"2.0","id":${id},"result":{"content":[]}}\n\n`
        : `id: e${n}\nretry: 0\ndata: ${n % 3 === 0 ? progress : ''}\n\n`,
    );
    const waits = recordWaits(GROWING);
    const { error, text } = await call(link, toolCall('t')).done;
    expect(error).toBeUndefined();
    expect(text).toContain('"content":[]');
    expect(gets()).toBe(25);
    expect(waits.slice(0, 7)).toEqual([100, 200, 400, 100, 200, 400, 100]);
  });

  test('in good order, with a wait of a second or more, is polled as asked', async () => {
    const { link, gets } = await ending('id: e0\nretry: 1500\ndata:\n\n', (n, id) =>
      n === 20
        ? `id: end\ndata: {"jsonrpc":"2.0","id":${id},"result":{"content":[]}}\n\n`
        : 'id: e0\nretry: 1500\ndata:\n\n',
    );
    const waits = recordWaits([1500]);
    expect((await call(link, toolCall('t')).done).error).toBeUndefined();
    expect(gets()).toBe(20);
    expect(waits).toEqual(new Array(20).fill(1500));
  });

  test('has an event id that is no header: it counts as absent', async () => {
    const { link, gets } = await ending('id: \u4e2d\u0001x\ndata:\n\n', () => 500);
    const { error } = await call(link, toolCall('t')).done;
    expect(error?.message).toContain('ended its event stream without an answer');
    expect(gets()).toBe(0);
    expect(link.state).toBe('up');
  });
});

describe('a session that the server loses', () => {
  test.each([
    [
      '404 with -32001',
      (made: Call) => made.raw(made.envelope('error', '{"code":-32001,"message":"Session not found"}'), 404),
    ],
    ['404 with text', (made: Call) => made.raw('the session of tenant 7', 404)],
    ['200 with -32001', (made: Call) => made.error(-32001, 'Session not found')],
    ['401 with text', (made: Call) => made.raw('session expired', 401)],
  ])('twice in a row (%s) is no business of the client', async (_what, lose) => {
    const upstream = await createUpstream({ sessions: true, tools: [tool('t')], onCall: lose });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { error } = await callTool(gateway.url, 's__t');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toBe("upstream 's' lost the session of the call");
    expect(error?.data).toBeUndefined();
    expect(upstream.received('initialize')).toHaveLength(2);
    expect(upstream.calls('t')).toHaveLength(2);
  });

  test('and does not open again, is no business of the client either', async () => {
    let refusing = false;
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('t')],
      onCall: (made) => {
        refusing = true;
        made.raw(made.envelope('error', '{"code":-32001,"message":"Session not found"}'), 404);
      },
      onRequest: (made) => {
        if (!refusing || made.message.method !== 'initialize') return false;
        made.raw(made.envelope('error', '{"code":-32001,"message":"Session not found"}'), 404);
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { error } = await callTool(gateway.url, 's__t');
    expect(error?.code).toBe(-32000);
    expect(error?.data).toBeUndefined();
  });
});

describe.each(['streamable', 'sse'] as const)('replies that a server over %s does not take', (transport) => {
  const ping = (n: number): string => `data: {"jsonrpc":"2.0","id":"p${n}","method":"ping"}\n\n`;

  test('at most 16 are under way, and the rest comes when there is room', async () => {
    let open = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const upstream = await createUpstream({
      transport,
      sessions: true,
      getStream: true,
      tools: [tool('t')],
      onHttp: (received, res) => {
        if (received.message.id === undefined || received.message.method !== undefined) return false;
        most = Math.max(most, ++open);
        waiting.push(() => {
          open--;
          res.writeHead(202).end();
        });
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await until(() => [...upstream.streams][0]);
    stream.write(Array.from({ length: 200 }, (_, n) => ping(n)).join(''));
    await until(() => open === 16);
    // Calls have a way of their own.
    expect(textOf(await callTool(gateway.url, 's__t', { a: 1 }))).toBe('{"a":1}');
    for (let taken = 0; taken < 200; taken++) (await until(() => waiting.shift()))();
    expect(most).toBe(16);
  });

  test('with 1 MB waiting the stream is not read, and it is again once they are taken', async () => {
    let holding = true;
    const held: (() => void)[] = [];
    const upstream = await createUpstream({
      transport,
      sessions: true,
      getStream: true,
      tools: [tool('t')],
      onHttp: (received, res) => {
        if (received.message.id === undefined || received.message.method !== undefined) return false;
        const take = (): void => void res.writeHead(202).end();
        if (holding) held.push(take);
        else take();
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const stream = await until(() => [...upstream.streams][0]);
    const id = 'x'.repeat(900);
    const total = 40_000;
    // Written as fast as it is taken: 36 MB, of which no reply is.
    let sent = 0;
    let blocked = false;
    const write = (): void => {
      while (sent < total) {
        blocked = !stream.write(`data: {"jsonrpc":"2.0","id":"${id}${sent++}","method":"ping"}\n\n`);
        if (blocked) return;
      }
    };
    stream.on('drain', write);
    write();
    await until(() => held.length === 16);
    const received = () => gateway.metric('mcpstead_upstream_bytes_total{server="s",direction="received"}');
    // It stands still: nothing is read for many looks, though there is more.
    let before = -1;
    for (let same = 0; same < 20;) {
      const now = await received();
      same = now === before ? same + 1 : 0;
      before = now;
    }
    expect(sent).toBeLessThan(total);
    expect(before).toBeLessThan(8_000_000);
    const call = callTool(gateway.url, 's__t', { a: 1 });
    // Over HTTP+SSE its answer comes on the stream that is not read.
    if (transport === 'streamable') expect(textOf(await call)).toBe('{"a":1}');
    holding = false;
    for (const take of held) take();
    await until(async () => (await received()) > before + 1_000_000);
    expect(textOf(await call)).toBe('{"a":1}');
  });
});

describe('replies that a child does not read', () => {
  /** Answers until it has asked; then it writes pings as fast as they are taken, and reads only once SIGUSR2 has come. */
  const CHILD = `
    const say = (text) => process.stdout.write(text + '\\n');
    const answer = (line) => {
      const { id, method, params } = JSON.parse(line);
      if (method === 'initialize') say(JSON.stringify({ jsonrpc: '2.0', id, result: {
        protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'c', version: '0' } } }));
      else if (method === 'notifications/initialized') flood();
      else if (method !== undefined && id !== undefined) say(JSON.stringify({ jsonrpc: '2.0', id,
        error: { code: -32601, message: 'no' } }));
    };
    let replies = 0;
    const lines = require('node:readline').createInterface({ input: process.stdin });
    lines.on('line', (line) => (JSON.parse(line).id?.length > 900 ? replies++ : answer(line)));
    let sent = 0;
    const flood = () => {
      process.stdin.pause();
      const id = 'x'.repeat(900);
      const more = () => {
        while (sent < 20000) if (!say(JSON.stringify({ jsonrpc: '2.0', id: id + sent++, method: 'ping' }))) return;
      };
      process.stdout.on('drain', more);
      more();
    };
    process.on('SIGUSR2', () => process.stdin.resume());
    process.stdin.on('end', () => process.exit(0));
    process.stderr.write('pid ' + process.pid + '\\n');`;

  test('with 1 MB waiting its output is not read, and it is again once they are read', async () => {
    // No reply grows old.
    const wheel: Wheel = { after: () => ({ cancel() {}, move() {}, pause() {}, resume() {} }), close() {} };
    let pid = 0;
    const logger: Logger = {
      ...silent,
      debugEnabled: true,
      debug: (_text, fields) => {
        const found = /^pid (\d+)$/.exec(String(fields?.['line']))?.[1];
        if (found !== undefined) pid = Number(found);
      },
    };
    const entry = { name: 's', command: process.execPath, args: ['-e', CHILD], revision: 'legacy' };
    const { link } = openLink(entry, { wheel, log: logger });
    link.start();
    await until(() => pid !== 0 && link.stats.bytesReceived > 1_000_000, 'the pings');
    const still = await settled(() => link.stats.bytesReceived);
    // What fits into the pipes of both directions comes on top.
    expect(still).toBeLessThan(8_000_000);
    process.kill(pid, 'SIGUSR2');
    await until(() => link.stats.bytesReceived > 20_000 * 900, 'all of them');
  });
});
