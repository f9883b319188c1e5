import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  openSse,
  rawPost,
  SSE_ONLY,
  tcp,
  textOf,
  type JsonRpc,
} from '../helpers/http.js';
import { firstDifference, pattern } from '../helpers/pattern.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { settled, sleep, until } from '../helpers/wait.js';

/** A server whose tool `pour` gives as many patterned bytes as asked for and counts what it wrote. */
async function pouring() {
  const counts = { open: 0, written: 0 };
  const upstream = await createUpstream({
    tools: [tool('pour'), tool('echo')],
    onCall: async (call) => {
      if (call.params.name === 'echo') {
        call.text('echo');
        return;
      }
      counts.open++;
      call.stream.on('close', () => counts.open--);
      const write = call.stream.write.bind(call.stream) as (chunk: Buffer) => boolean;
      call.stream.write = ((chunk: Buffer) => {
        counts.written += chunk.length;
        return write(chunk);
      }) as typeof call.stream.write;
      await call.big(Number(call.args['bytes']), { sse: call.args['sse'] === true });
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  await callTool(gateway.url, 's__echo');
  const idle = async (): Promise<void> => {
    await until(() => counts.open === 0, 'the end of every answer upstream');
    await until(
      async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 0,
      'no call left',
    );
  };
  return { upstream, gateway, counts, idle };
}

/** A client that sends requests and is in no hurry to read the answers. */
function slowClient(base: string): Socket {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  atEnd(() => socket.destroy());
  return socket;
}

describe('readers that pause', () => {
  const MB = 1_000_000;

  test.each([false, true])(
    'stop the upstream, and get every byte once they read on (SSE upstream: %s)',
    async (sse) => {
      const { upstream, gateway, counts, idle } = await pouring();
      const size = 40 * MB;
      const streams = await Promise.all(
        [JSON_ONLY, JSON_ONLY, SSE_ONLY, SSE_ONLY].map((headers) =>
          openSse(gateway.url, callBody('s__pour', { bytes: size, sse }, 'mine'), headers),
        ),
      );
      for (const stream of streams) stream.pause();
      expect(await settled(() => counts.written)).toBeLessThan(4 * size * 0.75);
      // Nobody else waits for them.
      expect(textOf(await callTool(gateway.url, 's__echo'))).toBe('echo');
      expect(counts.written).toBeLessThan(4 * size * 0.75);
      for (const stream of streams) stream.resume();
      for (const stream of streams) {
        await stream.done();
        expect(stream.complete).toBe(true);
        const begin = stream.text.indexOf('"text":"') + 8;
        expect(firstDifference(Buffer.from(stream.text.slice(begin, begin + size), 'latin1'))).toBe(-1);
      }
      await idle();
      expect(upstream.abandoned).toBe(0);
    },
  );

  test('that disconnect while paused leave no call and no socket behind', async () => {
    const { upstream, gateway, counts, idle } = await pouring();
    for (let round = 0; round < 6; round++) {
      const streams = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          openSse(gateway.url, callBody('s__pour', { bytes: 20 * MB }), n % 2 ? JSON_ONLY : SSE_ONLY),
        ),
      );
      for (const stream of streams) stream.pause();
      await settled(() => counts.written);
      for (const stream of streams) stream.close();
      await idle();
    }
    // Of 60 calls and 60 cancellations no more stays than idle connections of one round, kept for the next calls.
    expect(upstream.sockets.size).toBeLessThan(30);
  });

  test('that pause for longer than request_ms are not taken for a silent upstream', async () => {
    const upstream = await createUpstream({
      tools: [tool('pour'), tool('silent')],
      onCall: (call) => (call.params.name === 'pour' ? call.big(30 * MB) : undefined),
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', { timeouts: { request_ms: 400 } })] });
    const stream = await openSse(gateway.url, callBody('s__pour'), JSON_ONLY);
    stream.pause();
    // Silences that begin later end by request_ms.
    for (let n = 0; n < 2; n++)
      expect((await callTool(gateway.url, 's__silent')).error?.message).toMatch(/request_ms/);
    stream.resume();
    await stream.done();
    expect(stream.complete).toBe(true);
    expect((JSON.parse(stream.text) as JsonRpc).result).toBeDefined();
  });

  test('get 10,000 answers without additional upstream sockets', async () => {
    const { upstream, gateway, counts, idle } = await pouring();
    // More than the recorder of messages looks into.
    const bytes = 70_000;
    const request = rawPost(gateway.url, callBody('s__pour', { bytes }), JSON_ONLY);
    const sseRequest = rawPost(gateway.url, callBody('s__pour', { bytes, sse: true }), SSE_ONLY);

    const STATUS = 'HTTP/1.1 200';
    /** Asks for `count` answers at once on one connection and reads them with pauses. */
    const client = async (count: number, leave: boolean): Promise<number> => {
      const socket = slowClient(gateway.base);
      let answers = 0;
      let chunks = 0;
      let rest = '';
      const done = new Promise<void>((resolve) => {
        socket.on('close', () => {
          resolve();
        });
        socket.on('data', (chunk: Buffer) => {
          const seen = rest + chunk.toString('latin1');
          answers += seen.split(STATUS).length - 1;
          rest = seen.slice(1 - STATUS.length);
          if (answers >= count || (leave && answers > count / 2)) {
            setTimeout(() => socket.destroy(), 20);
          } else if (++chunks % 16 === 0) {
            socket.pause();
            setTimeout(() => socket.resume(), 1);
          }
        });
      });
      for (let n = 0; n < count; n++) socket.write(n % 4 === 3 ? sseRequest : request);
      socket.pause();
      setTimeout(() => socket.resume(), 50);
      await done;
      return answers;
    };

    const CLIENTS = 34;
    const wave = async (): Promise<void> => {
      // No more than 64 requests may wait on a connection.
      await Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(60, n % 5 === 0)));
      await idle();
    };
    for (let n = 0; n < 5; n++) await wave();
    expect(counts.open).toBe(0);
    // One request of each connection is under way at a time; those of clients that left may have gone beside the next ones.
    await until(() => upstream.sockets.size <= 2 * CLIENTS, `${2 * CLIENTS} sockets or fewer`);
    expect(textOf(await callTool(gateway.url, 's__echo'))).toBe('echo');
    // 700 MB, through both sides of the gateway, in this one process.
  }, 300_000);
});

describe('one slow client of a stdio server', () => {
  test('does not delay the others', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('p')] });
    const slow = await openSse(gateway.url, callBody('p__big', { bytes: 30_000_000 }), JSON_ONLY);
    slow.pause();
    for (let n = 0; n < 20; n++) {
      expect(textOf(await callTool(gateway.url, 'p__echo', { n }))).toBe(`{"n":${n}}`);
    }
    expect(slow.text.length).toBeLessThan(30_000_000);
    slow.resume();
    await slow.done();
    expect(slow.complete).toBe(true);
    expect(slow.text.length).toBeGreaterThan(30_000_000);
  });
});

describe('an upstream that dies during an answer never looks like a complete one', () => {
  const SIZE = 300_000;
  const cuts: Record<string, (call: Call) => Promise<void>> = {
    'with Content-Length': async (call) => {
      const head = call.envelope('result', `{"content":[{"type":"text","text":"`).slice(0, -1);
      call.res.writeHead(200, { 'content-type': 'application/json', 'content-length': SIZE + 500 });
      call.res.write(head);
      call.res.write(pattern(0, SIZE));
      await sleep(50);
      call.destroy();
    },
    chunked: async (call) => {
      call.res.writeHead(200, { 'content-type': 'application/json' });
      call.res.write(`{"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
      call.res.write(pattern(0, SIZE));
      await sleep(50);
      call.destroy();
    },
    'chunked, looking whole': async (call) => {
      call.res.writeHead(200, { 'content-type': 'application/json' });
      call.res.write(`{"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
      call.res.write(pattern(0, SIZE));
      call.res.write('"}]}}');
      await sleep(50);
      call.destroy();
    },
    'ended cleanly in mid-JSON': async (call) => {
      call.res.writeHead(200, { 'content-type': 'application/json' });
      call.res.write(`{"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
      call.res.write(pattern(0, SIZE));
      await sleep(50);
      call.res.end();
    },
    'as SSE': async (call) => {
      call.write(`data: {"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
      call.write(pattern(0, SIZE));
      await sleep(50);
      call.destroy();
    },
    'as SSE, ended cleanly': async (call) => {
      call.write(`data: {"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
      call.write(pattern(0, SIZE));
      await sleep(50);
      call.end();
    },
  };

  test.each(Object.keys(cuts))('%s', async (name) => {
    const upstream = await createUpstream({
      tools: [tool('die'), tool('echo')],
      onCall: (call) => {
        if (call.params.name === 'echo') call.text('echo');
        else return cuts[name]?.(call);
        return undefined;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    await callTool(gateway.url, 's__echo');

    const connection = await tcp(gateway.base);
    connection.write(rawPost(gateway.url, callBody('s__die', {}, 'mine'), { ...JSON_ONLY }));
    await until(() => connection.closed || /"error"/.test(connection.text), 'the end');
    if (connection.text.includes('"result"')) {
      expect(connection.closed).toBe(true);
      expect(connection.text).not.toContain('\r\n0\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(connection.text)?.[1];
      const body = connection.text.slice(connection.text.indexOf('\r\n\r\n') + 4);
      if (length) expect(body.length).toBeLessThan(Number(length));
    } else {
      expect(connection.text).toContain('"id":"mine"');
    }

    const stream = await openSse(gateway.url, callBody('s__die', {}, 'mine'), SSE_ONLY);
    await stream.done();
    // What clients read as messages: the half answer is an event of another type, or none at all.
    const messages = stream.events.filter(({ type }) => type === '' || type === 'message');
    expect(messages.some(({ data }) => 'result' in (JSON.parse(data) as object))).toBe(false);
    const last = JSON.parse(stream.events.at(-1)?.data ?? '{}') as JsonRpc;
    expect(last).toMatchObject({ id: 'mine', error: { code: -32000 } });

    expect(textOf(await callTool(gateway.url, 's__echo'))).toBe('echo');
  });
});
