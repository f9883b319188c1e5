/** A change of a list is never lost, never put off for ever, and told to who holds another list alone. */
import { describe, expect, test } from 'vitest';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { Tally } from '../../../src/observe/stats.js';
import { createRefresh, type Reading } from '../../../src/upstream/link/refresh.js';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { atEnd } from '../../helpers/cleanup.js';
import { startGateway } from '../../helpers/gateway.js';
import { message, post } from '../../helpers/http.js';
import { connect, heard, messagesOf } from '../../helpers/legacy.js';
import { answerTo, stream as modernStream } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';
import { createModernUpstream, META } from '../upstream/modern-server.js';

const CHANGED = 'notifications/tools/list_changed';
const told = (stream: Parameters<typeof messagesOf>[0]) =>
  messagesOf(stream).filter(({ method }) => method === CHANGED).length;

/** Reads that the test ends itself. */
function reads() {
  const readings: { reading: Reading; end: () => void }[] = [];
  const refresh = createRefresh({
    boundary: new Boundary(silent, new Tally()),
    ttlMs: () => 3_600_000,
    hintMs: () => undefined,
    read: (reading) =>
      new Promise((end) => {
        readings.push({ reading, end });
      }),
    done: () => undefined,
  });
  atEnd(() => {
    refresh.stop();
  });
  return { refresh, readings };
}

describe('a notification', () => {
  test('that comes while the lists are read has them read again', async () => {
    const { refresh, readings } = reads();
    refresh.now();
    refresh.soon();
    expect(readings).toHaveLength(1);
    readings[0]?.end();
    await until(() => readings.length === 2);
    expect(readings[1]?.reading.notified).toBe(true);
  });

  test('does not put off the reading that one before it asked for', async () => {
    const { refresh, readings } = reads();
    // A flood: one in each turn of the loop, until it has been heeded.
    for (let n = 0; readings.length === 0 && n < 1_000_000; n++) {
      refresh.soon();
      await new Promise(setImmediate);
    }
    expect(readings).toHaveLength(1);
  });

  test('makes no other reading late that is due', () => {
    const { refresh } = reads();
    refresh.schedule(false);
    const { due } = refresh;
    refresh.soon();
    expect(refresh.due).toBe(due);
  });
});

test('a change that is told while the list is being read is found', async () => {
  let held: Call | undefined;
  const upstream = await createUpstream({
    tools: [tool('a')],
    getStream: true,
    sessions: true,
    onRequest: (call) => {
      if (
        call.message.method !== 'tools/list' ||
        held !== undefined ||
        upstream.received('tools/list').length < 2
      )
        return false;
      held = call;
      return true;
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  await until(() => upstream.streams.size === 1);
  upstream.announce({ method: CHANGED });
  const first = await until(() => held);
  // Read before the change, answered after it was told.
  const received = () => gateway.metric('mcpstead_upstream_bytes_total{server="s",direction="received"}');
  const before = await received();
  upstream.setTools([tool('b')]);
  await until(async () => (await received()) > before);
  first.result({ tools: [tool('a')] });
  await until(async () => {
    const { result } = message(await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }));
    return (result?.['tools'] as { name: string }[])[0]?.name === 's__b';
  });
});

describe('who is told', () => {
  test('a session that was given the very list is not, one that never listed is', async () => {
    const upstream = await createUpstream({ tools: [tool('a')], getStream: true, sessions: true });
    const late = await createUpstream({ tools: [tool('late')] });
    await late.stop();
    const quick = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } };
    const gateway = await startGateway(
      { servers: [upstream.entry('s'), late.entry('t', quick)] },
      { wait: ['s'] },
    );
    const idle = await connect(gateway.url);
    const idleStream = await idle.listen();
    const holder = await connect(gateway.url);
    const holderStream = await holder.listen();
    await late.start();
    await gateway.up('t');
    // It is up, and nobody has been told yet: it comes a moment later.
    const names = await until(async () => {
      const found = (await holder.list('tools/list', 'tools')).map(({ name }) => name);
      return found.length === 2 && found;
    });
    expect(names).toEqual(['s__a', 't__late']);
    await heard(idleStream, CHANGED);
    // Its own stream is in order: what is told next shows what was not told before.
    const before = told(holderStream);
    upstream.setTools([tool('a'), tool('b')]);
    await heard(idleStream, CHANGED, 2);
    await heard(holderStream, CHANGED, before + 1);
    await holder.list('tools/list', 'tools');
    // Told once more, the list is the same again.
    upstream.setTools([tool('a')]);
    await heard(holderStream, CHANGED, before + 2);
    expect(before).toBeLessThanOrEqual(1);
  });

  test('nobody, where a link fell and came back with the same lists', async () => {
    const upstream = await createUpstream({ tools: [tool('a')], getStream: true, sessions: true });
    const quick = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } };
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] });
    const client = await connect(gateway.url);
    const listener = await modernStream(gateway.url, 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await heard(listener, 'notifications/subscriptions/acknowledged');
    await client.list('tools/list', 'tools');
    const stream = await client.listen();
    await upstream.stop();
    await until(async () => !(await gateway.health()).servers[0]?.connected);
    await upstream.start();
    await gateway.up('s');
    await until(() => upstream.streams.size === 1);
    upstream.setTools([tool('b')]);
    await heard(stream, CHANGED);
    await heard(listener, CHANGED);
    expect([told(stream), told(listener)]).toEqual([1, 1]);
  });

  test('clients that can do less, of a change in their own lists alone', async () => {
    let extra = false;
    const upstream = await createModernUpstream({
      capabilities: { tools: { listChanged: true } },
      onRequest: (call) => {
        if (call.message.method !== 'tools/list') return false;
        const able = call.params._meta?.[`${META}/clientCapabilities`] as { sampling?: object };
        // For all it is the same list before and after.
        const tools = able.sampling || !extra ? [tool('a')] : [tool('a'), tool('b')];
        call.result({ resultType: 'complete', tools, ttlMs: 60_000, cacheScope: 'public' });
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const listener = await modernStream(gateway.url, 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await heard(listener, 'notifications/subscriptions/acknowledged');
    const names = async () =>
      ((await answerTo(gateway.url, 'tools/list')).result?.['tools'] as { name: string }[]).map(
        ({ name }) => name,
      );
    expect(await names()).toEqual(['s__a']);
    const changes = await until(() => upstream.listening[0]);
    extra = true;
    changes.tell(CHANGED);
    await heard(listener, CHANGED);
    expect(await names()).toEqual(['s__a', 's__b']);
  });
});
