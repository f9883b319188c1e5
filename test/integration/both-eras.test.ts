/** A server that speaks both eras is spoken to in the era of its client. */
import { fileURLToPath } from 'node:url';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { describe, expect, test } from 'vitest';
import type { Logger } from '../../src/observe/log.js';
import { createUpstream, tool, type Call, type UpstreamOptions } from '../fixtures/servers/http-upstream.js';
import { bothEras, type BothEras } from '../helpers/both-eras.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, message, openSession, post, textOf } from '../helpers/http.js';
import { connect, final, heard, messagesOf } from '../helpers/legacy.js';
import { answerTo, call } from '../helpers/modern.js';
import { bothStdio, modernStdio } from '../helpers/upstreams.js';
import { settled, until } from '../helpers/wait.js';
import { createModernUpstream, type ModernOptions } from './upstream/modern-server.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Stage {
  gateway: RunningGateway;
  legacy: Awaited<ReturnType<typeof createUpstream>>;
  modern: Awaited<ReturnType<typeof createModernUpstream>>;
  both: BothEras;
  entry: object;
  log: string[];
}

/** What is logged, a line each. */
function recording(): { lines: string[]; logger: Logger } {
  const lines: string[] = [];
  const at = (level: string) => (text: string, fields?: object) => {
    lines.push(`${level} ${text} ${JSON.stringify(fields ?? {})}`);
  };
  return {
    lines,
    logger: {
      debugEnabled: false,
      debug: () => undefined,
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
    },
  };
}

async function stage({
  legacy = {},
  modern = {},
  server = {},
}: { legacy?: UpstreamOptions; modern?: ModernOptions; server?: object } = {}): Promise<Stage> {
  const old = await createUpstream({ tools: [tool('same'), tool('old')], sessions: true, ...legacy });
  const fresh = await createModernUpstream({ tools: [tool('same'), tool('fresh')], ...modern });
  const both = await bothEras(old, fresh);
  const { lines, logger } = recording();
  const entry = {
    name: 's',
    url: both.url,
    reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 },
    ...server,
  };
  const gateway = await startGateway({ servers: [entry] }, { logger });
  return { gateway, legacy: old, modern: fresh, both, entry, log: lines };
}

const hasSecond = async ({ gateway }: Stage): Promise<boolean> => {
  const [server] = (await gateway.health()).servers as unknown as { legacy?: { state: string } }[];
  return server?.legacy?.state === 'up';
};
const namesOf = (answer: { result?: Record<string, unknown> }): string[] =>
  (answer.result?.['tools'] as { name: string }[]).map(({ name }) => name);

describe('over HTTP', () => {
  test('it is reached in its modern era alone while no legacy client has come', async () => {
    const on = await stage();
    expect(namesOf(await answerTo(on.gateway.url, 'tools/list'))).toEqual(['s__same', 's__fresh']);
    expect(on.legacy.received('initialize')).toHaveLength(0);
    expect((await on.gateway.health()).servers[0]).not.toHaveProperty('legacy');
  });

  test('each client gets the list of its own era, and its calls go there', async () => {
    const on = await stage();
    const client = await connect(on.gateway.server('s'));
    expect(on.legacy.received('initialize')).toHaveLength(1);
    // The greeting of one server is that of the era it is spoken to in.
    expect(client.greeting['serverInfo']).not.toMatchObject({ name: 'scripted-modern' });
    expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual(['same', 'old']);
    expect(namesOf(await answerTo(on.gateway.server('s'), 'tools/list'))).toEqual(['same', 'fresh']);
    await client.tool('same', { from: 'old' });
    await call(on.gateway.server('s'), 'same', { from: 'new' });
    expect(on.legacy.calls('same').map(({ message }) => message.params?.arguments)).toEqual([
      { from: 'old' },
    ]);
    expect(on.modern.calls('same').map(({ message }) => message.params?.arguments)).toEqual([
      { from: 'new' },
    ]);
    expect(await on.gateway.metric('mcpstead_upstream_era{server="s",revision="2026-07-28"}')).toBe(1);
    expect(await on.gateway.metric('mcpstead_upstream_era{server="s",revision="2025-11-25"}')).toBe(1);
    expect((await on.gateway.health()).servers[0]).toMatchObject({
      era: 'modern',
      revision: '2026-07-28',
      legacy: { state: 'up', revision: '2025-11-25', error: null },
    });
  });

  test('a client without a session counts as one of its era', async () => {
    const on = await stage();
    expect(textOf(await callTool(on.gateway.url, 's__old', { a: 1 }))).toBe('{"a":1}');
    expect(on.modern.calls('old')).toHaveLength(0);
  });

  test('one connection an era serves all', async () => {
    const on = await stage();
    const clients = await Promise.all([1, 2, 3, 4].map(() => connect(on.gateway.url)));
    await Promise.all(clients.map((client) => client.tool('s__same')));
    await Promise.all([1, 2, 3].map(() => call(on.gateway.url, 's__same')));
    expect(on.legacy.received('initialize')).toHaveLength(1);
    expect(on.modern.received('server/discover')).toHaveLength(1);
  });

  test('a question that a tool asks in the old way reaches the client of the call alone', async () => {
    const on = await stage({
      legacy: {
        onCall: async (given) => {
          if (given.params.name !== 'old') return given.text('{}');
          const answer = await given.ask('elicitation/create', {
            message: 'who?',
            requestedSchema: { type: 'object', properties: {} },
          });
          given.text(JSON.stringify(answer.result ?? answer.error));
        },
      },
    });
    const client = await connect(on.gateway.url);
    const other = await connect(on.gateway.url);
    const idle = await other.listen();
    const stream = await client.stream('s__old');
    const [question] = await heard(stream, 'elicitation/create');
    await client.say({ id: question?.id, result: { action: 'accept', content: { name: 'x' } } });
    expect(textOf(await final(stream))).toBe('{"action":"accept","content":{"name":"x"}}');
    expect(messagesOf(idle).filter(({ method }) => method === 'elicitation/create')).toEqual([]);
  });

  test('a list that is another one in the other era is told, an equal one is not', async () => {
    const differs = await stage();
    const told = await connect(differs.gateway.url);
    const stream = await told.listen();
    await told.list('tools/list', 'tools');
    await until(() => hasSecond(differs));
    await until(async () => (await told.list('tools/list', 'tools')).some(({ name }) => name === 's__old'));
    const equal = await stage({ legacy: { tools: [tool('same')] }, modern: { tools: [tool('same')] } });
    const quiet = await connect(equal.gateway.url);
    // A session that never listed may be told that its server came up.
    await quiet.list('tools/list', 'tools');
    const silent = await quiet.listen();
    await until(() => hasSecond(equal));
    await quiet.tool('s__same');
    expect(await settled(() => messagesOf(silent).length)).toBe(0);
    stream.close();
    silent.close();
  });
});

describe('a subscription', () => {
  const uri = 'x:one';
  const resources = (call: Call): boolean => {
    const { method } = call.message;
    if (method === 'resources/list') call.result({ resources: [{ uri, name: 'one' }] });
    else if (method === 'resources/subscribe' || method === 'resources/unsubscribe') call.result({});
    else return false;
    return true;
  };
  const watched = (): Promise<Stage> =>
    stage({
      legacy: {
        capabilities: { tools: {}, resources: { subscribe: true } },
        getStream: true,
        onRequest: resources,
      },
      modern: {
        capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
        hints: { ttlMs: 60_000, cacheScope: 'public' },
        onRequest: (call) => call.message.method === 'resources/list' && resources(call),
      },
    });
  const update = { method: 'notifications/resources/updated', params: { uri } };

  test('goes to the link of its client, also as its first request, and ends there', async () => {
    const on = await watched();
    const client = await connect(on.gateway.url);
    expect((await client.request('resources/subscribe', { uri })).result).toEqual({});
    expect(on.legacy.received('resources/subscribe')).toHaveLength(1);
    const stream = await client.listen();
    await until(() => on.legacy.streams.size > 0);
    on.legacy.announce(update);
    expect((await heard(stream, update.method))[0]?.params).toEqual({ uri });
    expect((await client.request('resources/unsubscribe', { uri })).result).toEqual({});
    expect(on.legacy.received('resources/unsubscribe')).toHaveLength(1);
    stream.close();
  });

  test('goes on over the other link where a server stops speaking the legacy era', async () => {
    const on = await watched();
    const client = await connect(on.gateway.url);
    await client.request('resources/subscribe', { uri });
    const stream = await client.listen();
    on.both.speaks.legacy = false;
    on.legacy.dropSessions();
    await until(async () => {
      await client.request('tools/call', { name: 's__same' });
      return !(await hasSecond(on));
    });
    const listens = () =>
      on.modern.listening.filter(({ filter }) => filter.resourceSubscriptions?.includes(uri));
    await until(() => listens().length > 0);
    await until(() => {
      listens().at(-1)?.tell(update.method, update.params);
      return messagesOf(stream).some(({ method }) => method === update.method);
    });
    expect((await client.request('resources/unsubscribe', { uri })).result).toEqual({});
    await until(() => on.modern.listening.at(-1)?.filter.resourceSubscriptions === undefined);
    stream.close();
  });
});

describe('where one era cannot be had', () => {
  test('a server that refuses initialize serves legacy clients over the bridge, and is not asked again', async () => {
    const on = await stage();
    on.both.speaks.legacy = false;
    const client = await connect(on.gateway.server('s'));
    expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual(['same', 'fresh']);
    expect(await client.tool('fresh', { b: 2 })).toBe('{"b":2}');
    await connect(on.gateway.server('s'));
    expect(on.legacy.received('initialize')).toHaveLength(0);
    expect((await on.gateway.health()).servers[0]).not.toHaveProperty('legacy');
    expect(on.log.filter((line) => line.startsWith('error') || line.includes('no legacy revision'))).toEqual(
      [],
    );
  });

  test('one that stops speaking the legacy era falls back to the bridge, with one warning', async () => {
    const on = await stage();
    const client = await connect(on.gateway.server('s'));
    expect(await client.tool('old', { a: 1 })).toBe('{"a":1}');
    on.both.speaks.legacy = false;
    on.legacy.dropSessions();
    await until(async () => {
      await client.request('tools/call', { name: 'old' });
      return (await client.list('tools/list', 'tools')).some(({ name }) => name === 'fresh');
    });
    expect(await client.tool('fresh', { b: 1 })).toBe('{"b":1}');
    expect(on.log.filter((line) => line.includes('speaks no legacy revision'))).toHaveLength(1);
    expect(on.log.find((line) => line.includes('speaks no legacy revision'))).toMatch(/^warn/);
  });

  test('one that stops speaking the modern era is one of the legacy era, with one link', async () => {
    const on = await stage();
    const client = await connect(on.gateway.server('s'));
    expect(await client.tool('old', { a: 1 })).toBe('{"a":1}');
    on.both.speaks.modern = false;
    const shown = async (): Promise<string[]> =>
      namesOf(await answerTo(on.gateway.server('s'), 'tools/list'));
    await until(async () => {
      await call(on.gateway.server('s'), 'same');
      return (await shown()).includes('old');
    });
    expect((await on.gateway.health()).servers[0]).toMatchObject({ era: 'legacy' });
    expect((await on.gateway.health()).servers[0]).not.toHaveProperty('legacy');
    expect(await client.tool('old', { a: 2 })).toBe('{"a":2}');
  });

  test('a revision that is pinned stays the only one', async () => {
    const on = await stage({ server: { revision: 'modern' } });
    const client = await connect(on.gateway.url);
    expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual([
      's__same',
      's__fresh',
    ]);
    expect(await client.tool('s__fresh', { a: 1 })).toBe('{"a":1}');
    expect(on.legacy.received('initialize')).toHaveLength(0);
  });
});

describe('over stdio', () => {
  const tools = (server: string) => [`${server}__era`, `${server}__ask`];

  test('with a session of its own each legacy client has a child of its era, a modern one the shared child', async () => {
    const gateway = await startGateway({ servers: [{ ...bothStdio('own'), session: 'per-client' }] });
    const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
    expect(await client.tool('own__era')).toBe('legacy');
    const idle = await other.listen();
    const stream = await client.stream('own__ask');
    const [question] = await heard(stream, 'elicitation/create');
    await client.say({ id: question?.id, result: { action: 'decline' } });
    expect(textOf(await final(stream))).toBe('{"action":"decline"}');
    expect(messagesOf(idle).filter(({ method }) => method === 'elicitation/create')).toEqual([]);
    expect(textOf(await call(gateway.url, 'own__era'))).toBe('modern');
    idle.close();
  });

  test('a child that refuses initialize is spoken to in its modern era', async () => {
    const gateway = await startGateway({ servers: [{ ...modernStdio('own'), session: 'per-client' }] });
    const client = await connect(gateway.server('own'));
    expect(client.greeting['capabilities']).toMatchObject({ tools: {} });
    expect(await client.tool('test_simple_text')).toContain('simple text');
  });

  test('a shared child is spoken to in its modern era', async () => {
    const gateway = await startGateway({ servers: [bothStdio('s')] });
    const client = await connect(gateway.url);
    expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual(tools('s'));
    expect(await client.tool('s__era')).toBe('modern');
  });

  test.each(['legacy', 'modern'] as const)(
    'mcpstead stdio --config speaks to its children in the era of its one client: %s',
    async (era) => {
      const config = { startup: { wait_ms: 600_000 }, servers: [bothStdio('s')] };
      const path = await tempFile('config.json', JSON.stringify(config));
      const client = new ClientV2(
        { name: 'one', version: '1' },
        {
          capabilities: { elicitation: { form: {} } },
          versionNegotiation: { mode: era === 'modern' ? { pin: '2026-07-28' } : 'legacy' },
        },
      );
      client.setRequestHandler('elicitation/create', () => ({ action: 'decline' as const }));
      const args = [MAIN, 'stdio', '--config', path];
      await client.connect(new StdioV2({ command: process.execPath, args, stderr: 'ignore' }));
      atEnd(() => client.close());
      const tool = async (name: string): Promise<string> =>
        textOf({ result: await client.callTool({ name }) });
      expect(await tool('s__era')).toBe(era);
      if (era === 'legacy') expect(await tool('s__ask')).toBe('{"action":"decline"}');
    },
  );
});

test.each([1, 3])(
  'while a changed server is dialled anew (%i times), legacy clients go on over their own link to it',
  async (times) => {
    let handshakes = 0;
    let held: Call | undefined;
    const initialized = {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 'x', version: '1' },
    };
    const on = await stage({
      legacy: {
        onRequest(asked) {
          if (asked.message.method !== 'initialize' || handshakes++ === 0) return false;
          held = asked;
          return true;
        },
        sessions: false,
      },
    });
    const client = await connect(on.gateway.url);
    await until(() => hasSecond(on));
    expect(await client.tool('s__old', { a: 1 })).toBe('{"a":1}');
    for (let time = 1; time <= times; time++) {
      await on.gateway.gateway.reload({ servers: [{ ...on.entry, headers: { 'x-more': String(time) } }] });
      expect(await client.tool('s__old', { a: 2 })).toBe('{"a":2}');
      await until(
        () => on.legacy.received('initialize').at(-1)?.headers['x-more'] === String(time),
        'the handshake',
      );
      expect(await client.tool('s__old', { a: 2 })).toBe('{"a":2}');
      expect(on.legacy.calls('old').at(-1)?.headers).not.toHaveProperty('x-more');
    }
    const handshake = held as unknown as Call;
    handshake.result(initialized);
    await until(async () => {
      await client.tool('s__old', { a: 3 });
      return on.legacy.calls('old').at(-1)?.headers['x-more'] === String(times);
    }, 'a call over the new link');
    expect(on.modern.calls('old')).toEqual([]);
  },
);

test('a reload that changes the server ends both links, and makes both anew', async () => {
  const on = await stage();
  const client = await connect(on.gateway.url);
  expect(await client.tool('s__old', { a: 1 })).toBe('{"a":1}');
  await on.gateway.gateway.reload({ servers: [{ ...on.entry, headers: { 'x-more': '1' } }] });
  await until(() => hasSecond(on));
  await until(() => on.legacy.received('initialize').length === 2);
  expect(await client.tool('s__old', { a: 2 })).toBe('{"a":2}');
  await until(() => on.legacy.requests.some(({ method }) => method === 'DELETE'));
  await on.gateway.gateway.reload({ servers: [] });
  expect(await on.gateway.metrics()).not.toContain('server="s"');
  expect((await post(on.gateway.server('s'), { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(404);
  expect(
    message(
      await post(
        on.gateway.url,
        { jsonrpc: '2.0', id: 1, method: 'tools/list' },
        await openSession(on.gateway.url),
      ),
    ).result,
  ).toEqual({ tools: [] });
});
