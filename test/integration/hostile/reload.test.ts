/** A server that is replaced, or gone, while clients use it: what they hold goes on, what they leave is let go of. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { textOf, type JsonRpc } from '../../helpers/http.js';
import { connect, heard, type LegacyClient } from '../../helpers/legacy.js';
import { call, createModernUpstream, stream, type Modern } from '../../helpers/modern.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';
import { openLink } from '../upstream/link.js';
import { alive } from '../../helpers/process.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const own = { session: 'per-client' as const };

const inFlight = (gateway: RunningGateway): Promise<number> =>
  gateway.metric('mcpstead_requests_in_flight{server="s"}');
const isInFlight = (gateway: RunningGateway, count: number) =>
  until(async () => (await inFlight(gateway)) === count, `${count} calls in flight`);

describe('a server that a reload replaces', () => {
  const entry = (round: number) => ({ ...scriptedStdio('s'), ...own, env: { ROUND: String(round) } });
  const roundOf = async (client: LegacyClient): Promise<string> =>
    (JSON.parse(await client.tool('s__env')) as { ROUND: string }).ROUND;

  test('with a child for each session: the sessions go on with new children, calls under way end on the old ones', async () => {
    const gateway = await startGateway({ servers: [entry(0)] });
    const clients = [await connect(gateway.url), await connect(gateway.server('s'))] as const;
    const [merged, single] = clients;
    const ears = await merged.listen();
    const before = [Number(await merged.tool('s__pid')), Number(await single.tool('pid'))] as const;
    const slow = merged.tool('s__slow', { ms: 1500 });
    await isInFlight(gateway, 1);
    await gateway.gateway.reload({ servers: [entry(1)] });
    expect(await slow).toBe('slow');
    await until(async () => (await roundOf(merged)) === '1', 'the new child');
    await until(
      async () => (JSON.parse(await single.tool('env')) as { ROUND: string }).ROUND === '1',
      'the other new child',
    );
    await until(() => !before.some(alive), 'the end of the old children');
    const after = [Number(await merged.tool('s__pid')), Number(await single.tool('pid'))];
    expect(new Set([...before, ...after]).size).toBe(4);
    expect(ears.ended).toBe(false);
    expect(await gateway.metric('mcpstead_downstream_sessions_active')).toBe(2);
    for (const client of clients) await client.end();
    await until(() => !after.some(alive), 'the end of the new children');
  });

  test.each([
    ['that sessions share', {}],
    ['with a link for each session', own],
  ])(
    '%s: calls under way are counted on the old link and the new one, until they end',
    async (_what, more) => {
      const held: Call[] = [];
      let release = (): void => undefined;
      const opened = new Promise<void>((resolve) => (release = resolve));
      let reloaded = false;
      const upstream = await createUpstream({
        sessions: true,
        tools: [tool('held')],
        onCall: (made) => void held.push(made),
        onRequest: async ({ message }) => {
          if (reloaded && message.method === 'initialize') await opened;
          return false;
        },
      });
      const gateway = await startGateway({ servers: [upstream.entry('s', more)] });
      const client = await connect(gateway.url);
      const calls: Promise<JsonRpc>[] = [];
      const begin = async (): Promise<void> => {
        calls.push(client.request('tools/call', { name: 's__held', arguments: {} }));
        await until(() => held.length === calls.length, 'the call at the server');
      };
      await begin();
      await isInFlight(gateway, 1);
      reloaded = true;
      const headers = { 'x-round': '1' };
      await gateway.gateway.reload({ servers: [upstream.entry('s', { ...more, headers })] });
      // The new one is on its way: the old one serves.
      await begin();
      expect(held[1]?.received.headers['x-round']).toBeUndefined();
      await isInFlight(gateway, 2);
      release();
      const opens = 'session' in more ? 2 : 1;
      await until(
        () =>
          upstream.received('tools/list').filter((each) => each.headers['x-round'] === '1').length === opens,
        'the new link',
      );
      await until(async () => {
        await begin();
        return held.at(-1)?.received.headers['x-round'] === '1';
      }, 'a call on the new link');
      await isInFlight(gateway, held.length);
      for (const made of held) made.text('done');
      for (const answer of await Promise.all(calls)) expect(textOf(answer)).toBe('done');
      await isInFlight(gateway, 0);
    },
  );

  const TASKS = 'io.modelcontextprotocol/tasks';
  const able: Modern = { capabilities: { extensions: { [TASKS]: {} } } };

  test('whose tasks are watched: the new link asks for them, and for none once nobody listens', async () => {
    const open = new Map<Call, readonly string[]>();
    let made = 0;
    const upstream = await createModernUpstream({
      tools: [tool('work')],
      capabilities: { tools: { listChanged: true }, extensions: { [TASKS]: {} } },
      onRequest: (asked) => {
        const { method } = asked.message;
        if (method === 'tools/call') {
          const taskId = `t${++made}`;
          const at = '2026-11-23T00:00:00Z';
          const task = { taskId, status: 'working', createdAt: at, lastUpdatedAt: at, ttlMs: 600_000 };
          asked.result({ resultType: 'task', ...task, pollIntervalMs: 60_000 });
          return true;
        }
        if (method !== 'subscriptions/listen') return undefined;
        const { notifications } = asked.params as { notifications: { taskIds?: string[] } };
        open.set(asked, notifications.taskIds ?? []);
        asked.res.on('close', () => open.delete(asked));
        return undefined;
      },
    });
    const entry = (round: number) => upstream.entry('s', { headers: { 'x-round': String(round) } });
    const gateway = await startGateway({ servers: [entry(0)] });
    /** What the open streams of each round ask for. */
    const watched = (): string =>
      JSON.stringify(
        [...open].map(([{ received }, ids]) => [received.headers['x-round'], [...ids].sort()]).sort(),
      );
    const isWatched = (...expected: [string, string[]][]) =>
      until(() => watched() === JSON.stringify(expected), JSON.stringify(expected)).catch(
        (error: unknown) => {
          throw new Error(`${String(error)}; open: ${watched()}`);
        },
      );
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) {
      const { result } = await call(gateway.url, 's__work', {}, able);
      ids.push(result?.['taskId'] as string);
    }
    await isWatched(['0', []]);
    const listen = async (taskId: string) => {
      const ears = await stream(
        gateway.url,
        'subscriptions/listen',
        { notifications: { taskIds: [taskId] } },
        able,
      );
      expect((await ears.message()).params).toMatchObject({ notifications: { taskIds: [taskId] } });
      return ears;
    };
    const [one, two] = [await listen(ids[0] as string), await listen(ids[1] as string)];
    await isWatched(['0', ['t1', 't2']]);
    for (const round of [1, 2]) {
      await gateway.gateway.reload({ servers: [entry(round)] });
      await isWatched([String(round), ['t1', 't2']]);
    }
    one.close();
    await isWatched(['2', ['t2']]);
    // Nobody waits for it any more when the next one takes its place.
    two.close();
    await gateway.gateway.reload({ servers: [entry(3)] });
    await isWatched(['3', []]);
    expect(await inFlight(gateway)).toBe(0);
  });
});

describe('a server that stays away', () => {
  const KEPT_MS = 30_000;

  test.each([
    ['that clients share', undefined],
    ['of one client', { id: 'c', capabilities: {} }],
  ])('is listed for as long as keepListsMs says, on a link %s', async (_what, client) => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { link, told, up } = openLink(upstream.entry('s'), { keepListsMs: 10, ...(client && { client }) });
    await up();
    await upstream.stop();
    await expect(link.request('tools/call', '{"name":"t","arguments":{}}')).rejects.toThrow();
    link.doubt();
    await link.refresh().catch(() => undefined);
    await until(() => link.lists.tools.length === 0, 'the end of the lists');
    expect(told.changed).toEqual([['tools']]);
    expect(link.peer).toBeUndefined();
  });

  test.each([
    ['that sessions share', {}],
    ['with a link for each session', own],
  ])('%s is listed for 30 s, and its sessions hear when it is not any more', async (_what, more) => {
    const upstream = await createUpstream({ sessions: true, tools: [tool('t')] });
    const reconnect = { backoff_base_ms: 60_000, backoff_max_ms: 60_000 };
    vi.spyOn(Math, 'random').mockReturnValue(0.9);
    const gateway = await startGateway({ servers: [upstream.entry('s', { ...more, reconnect })] });
    const client = await connect(gateway.url);
    const listed = async () => (await client.list('tools/list', 'tools')).map(({ name }) => name);
    // What came with its link it holds by now, and need not hear of.
    expect(await listed()).toEqual(['s__t']);
    const ears = await client.listen();
    const lapses: (() => void)[] = [];
    const real = globalThis.setTimeout;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation((run: () => void, ms?: number) => {
      if (ms === KEPT_MS) lapses.push(run);
      return real(run, ms);
    });
    await upstream.stop();
    expect((await client.request('tools/call', { name: 's__t', arguments: {} })).error).toBeDefined();
    await until(() => lapses.length > 0, 'the clock of its lists');
    expect(await listed()).toEqual(['s__t']);
    expect(ears.events).toEqual([]);
    for (const lapse of lapses) lapse();
    await heard(ears, 'notifications/tools/list_changed');
    expect(await listed()).toEqual([]);
  });
});
