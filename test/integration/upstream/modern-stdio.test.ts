import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { atEnd } from '../../helpers/cleanup.js';
import { until } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';

const META = 'io.modelcontextprotocol';
interface Line {
  id?: number;
  method: string;
  params?: Record<string, unknown>;
}

/** A server of 2026-07-28 on a pipe; `tools` is the body of a function of a tools/call and of `out`, which writes a message. */
async function modernStdio(
  tools: string,
  capabilities: object = { tools: { listChanged: true } },
  more: object = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'modern-'));
  atEnd(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const log = join(folder, 'log');
  const file = join(folder, 'server.mjs');
  writeFileSync(log, '');
  writeFileSync(
    file,
    `import { appendFileSync } from 'node:fs';
    import { createInterface } from 'node:readline';
    const out = (m) => console.log(JSON.stringify({ jsonrpc: '2.0', ...m }));
    const result = (m, value) => out({ id: m.id, result: { resultType: 'complete', ...value } });
    const fresh = { ttlMs: 60000, cacheScope: 'public' };
    const listens = [];
    const tell = (id, method, params = {}) => out({ method, params: { ...params, _meta: { '${META}/subscriptionId': id } } });
    const tools = (m) => { ${tools} };
    createInterface({ input: process.stdin }).on('line', (line) => {
      appendFileSync(${JSON.stringify(log)}, line + '\\n');
      const m = JSON.parse(line);
      if (m.id === undefined) return;
      switch (m.method) {
        case 'server/discover': return result(m, { supportedVersions: ['2026-07-28'], capabilities: ${JSON.stringify(capabilities)}, ...fresh });
        case 'tools/list': return result(m, { tools: [], ...fresh });
        case 'resources/list': return result(m, { resources: [], ...fresh });
        case 'resources/templates/list': return result(m, { resourceTemplates: [], ...fresh });
        case 'subscriptions/listen':
          listens.push(m.id);
          return tell(m.id, 'notifications/subscriptions/acknowledged', { notifications: m.params.notifications });
        case 'tools/call': return tools(m);
        default: return out({ id: m.id, error: { code: -32601, message: 'Method not found' } });
      }
    }).on('close', () => process.exit(0));`,
  );
  const opened = openLink({
    name: 's',
    command: process.execPath,
    args: [file],
    reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 },
    ...more,
  });
  await opened.up();
  const lines = (): Line[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  return { ...opened, lines, heard: (method: string) => lines().filter((line) => line.method === method) };
}

describe('a modern upstream over stdio', () => {
  it('is told of a cancelled call, and what it says of one without a link goes to the sole call', async () => {
    const { link, heard } = await modernStdio(
      `out({ method: 'notifications/message', params: { level: 'info', data: m.params.name } });
       if (m.params.name === 'ends') result(m, { content: [] });`,
    );
    const waiting = call(link, toolCall('waits'), { client: 'a' });
    await until(() => waiting.notices.length === 1);
    // Two are in flight: nobody knows whose it is.
    const ended = await call(link, toolCall('ends'), { client: 'b' }).done;
    expect(ended.notices).toEqual([]);
    expect(waiting.notices.length).toBe(1);
    waiting.exchange.cancel('enough');
    await until(() => heard('notifications/cancelled').length === 1);
    expect(heard('notifications/cancelled')[0]?.params).toMatchObject({
      requestId: heard('tools/call')[0]?.id,
      reason: 'enough',
    });
  });

  it('has its progress told apart by token', async () => {
    const { link } = await modernStdio(
      `out({ method: 'notifications/progress', params: { progressToken: m.params._meta.progressToken, progress: 1 } });
       setTimeout(() => result(m, { content: [] }), 50);`,
    );
    const answers = await Promise.all(
      ['a', 'b'].map(
        (token) => call(link, toolCall('t', {}, { progressToken: token }), { client: token }).done,
      ),
    );
    const tokens = answers.map(({ notices }) =>
      notices.map(({ bytes }) => (JSON.parse(bytes.toString()) as Line).params?.['progressToken']),
    );
    expect(tokens).toEqual([['a'], ['b']]);
  });

  it('asks nothing: its pings are answered, other requests refused', async () => {
    const { link, lines } = await modernStdio(
      `out({ id: 1, method: 'elicitation/create', params: { message: 'x' } });
       out({ id: 2, method: 'ping' });
       setTimeout(() => result(m, { content: [] }), 50);`,
    );
    const answered = await call(link, toolCall('t')).done;
    expect(answered.head?.kind).toBe('result');
    const replies = (): object[] =>
      lines().filter(({ method }) => (method as string | undefined) === undefined);
    await until(() => replies().length === 2);
    expect(replies()).toMatchObject([
      { id: 1, error: { code: -32601 } },
      { id: 2, result: {} },
    ]);
  });

  it('tells what belongs to a listen request under its id, whoever calls meanwhile', async () => {
    const { link, told, heard } = await modernStdio(
      `for (const id of listens) tell(id, 'notifications/resources/updated', { uri: 'test://a' });
       tell(999999, 'notifications/resources/updated', { uri: 'test://of_nobody' });
       tell(listens.at(-1), 'notifications/x/unknown');
       setTimeout(() => result(m, { content: [] }), 50);`,
      { tools: {}, resources: { subscribe: true } },
    );
    expect(heard('subscriptions/listen').length).toBe(0);
    await link.subscribe('test://a');
    const answered = await call(link, toolCall('t')).done;
    expect(answered.notices).toEqual([]);
    expect(told.updated.map(({ uri }) => uri)).toEqual(['test://a']);
    await link.subscribe('test://b');
    // On both streams; the one that was replaced is not listened to any more.
    await call(link, toolCall('t')).done;
    expect(told.updated.map(({ uri }) => uri)).toEqual(['test://a', 'test://a']);
    // The stream that was replaced is cancelled, as nothing else can end it here.
    await until(() => heard('notifications/cancelled').length === 1);
    expect(heard('notifications/cancelled')[0]?.params).toMatchObject({
      requestId: heard('subscriptions/listen')[0]?.id,
    });
  });

  it('that ends its stream by a notification is listened to anew, without a word about the old one', async () => {
    const { heard, link } = await modernStdio(
      `out({ method: 'notifications/cancelled', params: { requestId: listens.at(-1) } }); result(m, { content: [] });`,
    );
    await call(link, toolCall('t')).done;
    await until(() => heard('subscriptions/listen').length === 2);
    expect(heard('notifications/cancelled')).toEqual([]);
    await until(() => heard('tools/list').length === 2);
  });

  it('that exits is started again, probed and listened to; its calls fail', async () => {
    const { link, heard } = await modernStdio('process.exit(1);');
    const answered = await call(link, toolCall('t')).done;
    expect(answered.error?.code).toBe('upstream_disconnected');
    await until(() => link.state === 'up' && heard('server/discover').length === 2);
    expect(heard('subscriptions/listen').length).toBe(2);
    expect(link.stats.reconnects).toBe(1);
  });
});

describe('a call that changes hands', () => {
  it('answers under the id, and tells progress under the token, of who has it then', async () => {
    const { link } = await modernStdio(
      `const progressToken = m.params._meta.progressToken;
       out({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
       setTimeout(() => {
         out({ method: 'notifications/progress', params: { progressToken, progress: 2 } });
         result(m, { content: [] });
       }, 100);`,
    );
    const { exchange, done, notices } = call(link, toolCall('t', {}, { progressToken: 'first' }));
    await until(() => notices.length === 1);
    exchange.readdress(Buffer.from('"second"'), Buffer.from('2'));
    const answered = await done;
    expect(JSON.parse(answered.text)).toMatchObject({ id: 'second' });
    expect(
      answered.notices.map(({ bytes }) => (JSON.parse(bytes.toString()) as Line).params?.['progressToken']),
    ).toEqual(['first', 2]);
  });

  it('has no silence while it is parked, and has it again afterwards', async () => {
    const { link } = await modernStdio(
      'setTimeout(() => result(m, { content: [] }), 700);',
      { tools: {} },
      {
        timeouts: { request_ms: 200 },
      },
    );
    const parked = call(link, toolCall('t'));
    parked.exchange.parked(true);
    expect((await parked.done).head?.kind).toBe('result');
    const resumed = call(link, toolCall('t'));
    resumed.exchange.parked(true);
    resumed.exchange.parked(false);
    expect((await resumed.done).error?.code).toBe('upstream_timeout');
  });
});
