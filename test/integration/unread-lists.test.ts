/** Lists that could not be read over a new connection: the ones before are used, and they are read again soon. */
import { expect, test, vi } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import type { ListCache } from '../../src/upstream/link/list-cache.js';
import { bothEras } from '../helpers/both-eras.js';
import { startGateway } from '../helpers/gateway.js';
import { connect, type LegacyClient } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';
import { openLink } from './upstream/link.js';
import { createModernUpstream, META } from './upstream/modern-server.js';

const QUICK = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 20 } };
const HINTS = { resultType: 'complete', ttlMs: 600_000, cacheScope: 'public' };

const names = async (client: LegacyClient): Promise<unknown[]> =>
  (await client.list('tools/list', 'tools')).map(({ name }) => name);

/** Answers HTTP 500 to tools/list while `fails` says so. */
function failing(fails: (call: Call) => boolean): (call: Call) => boolean {
  return (call) => {
    if (call.message.method !== 'tools/list' || !fails(call)) return false;
    call.raw('busy', 500, { 'content-type': 'text/plain' });
    return true;
  };
}

test('a list for fewer capabilities that could not be read is read again, without a change of the full one', async () => {
  let isDown = true;
  const upstream = await createModernUpstream({
    onRequest: (call) => {
      if (call.message.method !== 'tools/list') return false;
      const meta = call.params._meta as Record<string, object>;
      const isFull = 'elicitation' in (meta[`${META}/clientCapabilities`] ?? {});
      if (isFull) call.result({ tools: [tool('asks'), tool('plain')], ...HINTS });
      else if (isDown) call.raw('busy', 500, { 'content-type': 'text/plain' });
      else call.result({ tools: [tool('plain')], ...HINTS });
      return true;
    },
  });
  const { url } = await startGateway({ servers: [upstream.entry('s', QUICK)] });
  const listed = async (): Promise<string[]> => {
    const { result } = await answerTo(url, 'tools/list', {}, { capabilities: {} });
    return (result?.['tools'] as { name: string }[]).map(({ name }) => name);
  };
  expect(await listed()).toEqual(['s__asks', 's__plain']);
  const before = upstream.received('tools/list').length;
  await until(() => upstream.received('tools/list').length > before + 1, 'further attempts');
  isDown = false;
  await until(async () => (await listed()).join() === 's__plain', 'the list for these capabilities');
});

test('a reload that connects a server anew keeps the lists that it does not answer', async () => {
  let isDown = false;
  const upstream = await createUpstream({
    tools: [tool('a')],
    onRequest: failing(() => isDown),
  });
  const entry = upstream.entry('s', QUICK);
  const { gateway, url } = await startGateway({ servers: [entry] });
  const client = await connect(url);
  expect(await names(client)).toEqual(['s__a']);
  isDown = true;
  await gateway.reload({ servers: [{ ...entry, headers: { 'x-changed': '1' } }] });
  await until(
    () => upstream.received('tools/list').some(({ headers }) => headers['x-changed'] !== undefined),
    'the new connection',
  );
  const seen = upstream.received('tools/list').length;
  await until(() => upstream.received('tools/list').length > seen, 'another attempt');
  expect(await names(client)).toEqual(['s__a']);
  upstream.options.tools = [tool('b')];
  isDown = false;
  await until(async () => (await names(client)).join() === 's__b', 'the new list');
});

test('a legacy connection beside a modern one shows the lists of that until it has its own', async () => {
  let isDown = true;
  const legacy = await createUpstream({
    tools: [tool('old')],
    sessions: true,
    onRequest: failing(() => isDown),
  });
  const modern = await createModernUpstream({ tools: [tool('fresh')] });
  const { url: both } = await bothEras(legacy, modern);
  const { url } = await startGateway({ servers: [{ name: 's', url: both, ...QUICK }] });
  const client = await connect(url);
  await until(() => legacy.received('tools/list').length > 1, 'another attempt of the legacy connection');
  expect(await names(client)).toEqual(['s__fresh']);
  isDown = false;
  await until(async () => (await names(client)).join() === 's__old', 'its own list');
});

test('a list for fewer capabilities is not read again before the server wants that', async () => {
  const upstream = await createModernUpstream({
    tools: [tool('a')],
    onRequest: (call) => {
      const meta = call.params._meta as Record<string, object>;
      if (call.message.method !== 'tools/list' || 'elicitation' in (meta[`${META}/clientCapabilities`] ?? {}))
        return false;
      call.raw('busy', 503, { 'content-type': 'text/plain', 'retry-after': '77' });
      return true;
    },
  });
  const { link, up } = openLink(upstream.entry('s', QUICK));
  await up();
  const timers = vi.spyOn(globalThis, 'setTimeout');
  try {
    await link.listsFor?.fill('[]', {});
    expect(timers.mock.calls.map(([, ms]) => ms)).toContain(77_000);
  } finally {
    timers.mockRestore();
  }
});

test('a reload tells what the new connection said about its server, also if the one before ends while it reads lists', async () => {
  let release: (() => void) | undefined;
  let ended = false;
  const upstream = await createUpstream({
    tools: [tool('a')],
    sessions: true,
    instructions: 'before',
    onHttp: ({ method }) => {
      if (method === 'DELETE') ended = true;
      return false;
    },
    onRequest: async ({ message, received }) => {
      if (message.method === 'tools/list' && received.headers['x-changed'] !== undefined && !release)
        await new Promise<void>((resolve) => (release = resolve));
      return false;
    },
  });
  const entry = upstream.entry('s', { ...QUICK, timeouts: { connect_ms: 100 } });
  const running = await startGateway({ servers: [entry] });
  upstream.options.instructions = 'after';
  await running.gateway.reload({ servers: [{ ...entry, headers: { 'x-changed': '1' } }] });
  await until(() => release, 'the reading of the new connection');
  await until(() => ended, 'the end of the connection before');
  release?.();
  await running.up('s');
  const client = await connect(running.server('s'));
  expect(client.greeting).toMatchObject({ instructions: 'after' });
});

test('lists that are complete only now are kept for the next run, also if they are those of the connection before', async () => {
  let isDown = false;
  const upstream = await createUpstream({ tools: [tool('a')], onRequest: failing(() => isDown) });
  const written: unknown[] = [];
  const cache: Pick<ListCache, 'write'> = {
    write: (_config, _peer, { tools }) => {
      written.push(tools.map(({ key }) => key));
      return Promise.resolve();
    },
  };
  const before = openLink(upstream.entry('s', QUICK));
  await before.up();
  isDown = true;
  const { link, up } = openLink(upstream.entry('s', QUICK), { cache: cache as ListCache });
  await up();
  link.borrowLists(before.link);
  expect(link.lists.tools.map(({ key }) => key)).toEqual(['a']);
  expect(written).toEqual([]);
  isDown = false;
  await until(() => link.staleLists.size === 0, 'the list');
  expect(written).toEqual([['a']]);
});
