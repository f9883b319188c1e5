import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { Listener } from '../../src/proxy/listeners.js';
import type { Caller, Sink } from '../../src/protocol/ports.js';
import { startGateway } from '../helpers/gateway.js';
import { beat } from '../helpers/http.js';
import { connect, heard, messagesOf } from '../helpers/legacy.js';
import { call, createModernUpstream, stream } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';
import { routeTo } from '../../src/proxy/route.js';

const UPDATED = 'notifications/resources/updated';
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';

/** What is waited for until `open` is called. */
function gate(): { pass: () => Promise<void>; open: () => void } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { pass: () => opened, open };
}

/** A legacy server that takes its time to grant a subscription. */
function slow(grant: () => Promise<unknown>, more: object = {}): Promise<Upstream> {
  return createUpstream({
    getStream: true,
    capabilities: { tools: {}, resources: { subscribe: true } },
    tools: [tool('t')],
    async onRequest(asked: Call) {
      switch (asked.message.method) {
        case 'resources/list':
          asked.result({ resources: [{ uri: 'x:one', name: 'one' }] });
          return true;
        case 'resources/templates/list':
          asked.result({ resourceTemplates: [] });
          return true;
        case 'resources/subscribe':
          await grant();
          asked.result({});
          return true;
        case 'resources/unsubscribe':
        case 'logging/setLevel':
          asked.result({});
          return true;
        default:
          return false;
      }
    },
    ...more,
  });
}

const listen = (url: string, uri = 'x:one') =>
  stream(url, 'subscriptions/listen', { notifications: { resourceSubscriptions: [uri] } });

const acknowledged = async (told: Awaited<ReturnType<typeof listen>>): Promise<unknown> =>
  (await heard(told, ACKNOWLEDGED))[0]?.params?.['notifications'];

describe('a subscription', () => {
  it('whose client left while it was being granted is taken back', async () => {
    const grant = gate();
    const upstream = await slow(grant.pass);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const told = await listen(running.server('s'));
    await until(() => upstream.received('resources/subscribe').length > 0, 'the request');
    told.close();
    await beat(running.base);
    grant.open();
    await until(() => upstream.received('resources/unsubscribe').length > 0, 'the end of it');
  });

  it('stays for another who waited for it as well', async () => {
    const grant = gate();
    const upstream = await slow(grant.pass);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const left = await listen(running.server('s'));
    await until(() => upstream.received('resources/subscribe').length > 0, 'the request');
    const stays = await listen(running.server('s'));
    await until(() => upstream.received('resources/subscribe').length > 1, 'the other request');
    left.close();
    await beat(running.base);
    grant.open();
    expect(await acknowledged(stays)).toEqual({ resourceSubscriptions: ['x:one'] });
    await beat(running.base);
    expect(upstream.received('resources/unsubscribe')).toEqual([]);
    stays.close();
    await until(() => upstream.received('resources/unsubscribe').length === 1, 'the end of it');
  });

  it('that comes after the acknowledgement is not told of, and taken back', async () => {
    const grant = gate();
    const upstream = await slow(grant.pass);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const told = await listen(running.server('s'));
    expect(await acknowledged(told)).toEqual({});
    grant.open();
    await until(() => upstream.received('resources/unsubscribe').length > 0, 'the end of it');
    upstream.announce({ method: UPDATED, params: { uri: 'x:one' } });
    await beat(running.base);
    expect(messagesOf(told).filter(({ method }) => method === UPDATED)).toEqual([]);
  });

  it('is told of an update that came before it was granted, right after the acknowledgement', async () => {
    const grant = gate();
    const upstream = await slow(grant.pass);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const [told, deaf] = [await listen(running.server('s')), await listen(running.server('s'), 'x:two')];
    await until(() => upstream.received('resources/subscribe').length > 0, 'the request');
    upstream.announce({ method: UPDATED, params: { uri: 'x:one' } });
    upstream.announce({ id: 'later', method: 'ping' });
    await until(() => upstream.requests.some(({ message }) => message.id === 'later'), 'its being read');
    grant.open();
    expect(await acknowledged(told)).toEqual({ resourceSubscriptions: ['x:one'] });
    await heard(told, UPDATED);
    expect(messagesOf(told).map(({ method }) => method)).toEqual([ACKNOWLEDGED, UPDATED]);
    await acknowledged(deaf);
    expect(deaf.text).not.toContain(UPDATED);
  });

  it.each(['legacy', 'modern'])(
    'of a legacy client (%s server) is told of such an update as well',
    async (era) => {
      const grant = gate();
      let early: Call | undefined;
      const modern = (): Promise<Upstream> =>
        createModernUpstream({
          capabilities: { resources: { subscribe: true } },
          onRequest(asked) {
            const fresh = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
            const { method, params } = asked.message;
            if (method === 'resources/list')
              asked.result({ ...fresh, resources: [{ uri: 'x:one', name: 'one' }] });
            else if (method === 'resources/templates/list') asked.result({ ...fresh, resourceTemplates: [] });
            else if (method === 'subscriptions/listen' && JSON.stringify(params).includes('x:one'))
              early = asked.open();
            else return false;
            return true;
          },
        });
      const upstream = era === 'modern' ? await modern() : await slow(grant.pass);
      const running = await startGateway({ servers: [upstream.entry('s')] });
      const client = await connect(running.url);
      const stream = await client.listen();
      const granted = client.request('resources/subscribe', { uri: 'x:one' });
      const tell = { method: UPDATED, params: { uri: 'x:one' } };
      if (era === 'modern') {
        const call = await until(() => early, 'the stream');
        const _meta = { 'io.modelcontextprotocol/subscriptionId': call.message.id };
        call.notify(UPDATED, { uri: 'x:one', _meta });
        call.notify('notifications/subscriptions/acknowledged', {
          _meta,
          notifications: call.params['notifications'],
        });
      } else {
        await until(() => upstream.received('resources/subscribe').length > 0, 'the request');
        upstream.announce(tell);
        upstream.announce({ id: 'later', method: 'ping' });
        await until(() => upstream.requests.some(({ message }) => message.id === 'later'), 'its being read');
        grant.open();
      }
      expect((await granted).result).toEqual({});
      expect(await heard(stream, UPDATED)).toMatchObject([tell]);
    },
  );

  it('of a legacy session that ends while a modern upstream grants it is taken back', async () => {
    const filters = (): unknown[] =>
      upstream
        .received('subscriptions/listen')
        .map(
          ({ message }) =>
            (message.params?.['notifications'] as Record<string, unknown>)['resourceSubscriptions'],
        );
    let waiting: Call | undefined;
    const upstream: Upstream = await createModernUpstream({
      capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
      tools: [tool('t')],
      onRequest(asked) {
        const { method } = asked.message;
        const fresh = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
        if (method === 'resources/list')
          asked.result({ ...fresh, resources: [{ uri: 'x:one', name: 'one' }] });
        else if (method === 'resources/templates/list') asked.result({ ...fresh, resourceTemplates: [] });
        else if (method === 'subscriptions/listen' && asked.message.params?.['notifications']) {
          const wanted = asked.message.params['notifications'] as Record<string, unknown>;
          if (wanted['resourceSubscriptions'] === undefined) return false;
          waiting = asked.open();
        } else return false;
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.server('s'));
    void client.request('resources/subscribe', { uri: 'x:one' }).catch(() => undefined);
    await until(() => waiting !== undefined, 'the request');
    await client.end();
    waiting?.notify('notifications/subscriptions/acknowledged', {
      _meta: { 'io.modelcontextprotocol/subscriptionId': waiting.message.id },
      notifications: waiting.params['notifications'],
    });
    await until(() => filters().length > 2 && filters().at(-1) === undefined, 'a stream without it');
  });

  it('of a modern client outlives a reload that restarts a server with a link of its own for it', async () => {
    const upstream = await slow(() => Promise.resolve());
    const entry = { ...upstream.entry('s'), session: 'per-client' as const };
    const running = await startGateway({ servers: [entry] });
    const told = await listen(running.server('s'));
    expect(await acknowledged(told)).toEqual({ resourceSubscriptions: ['x:one'] });
    await running.gateway.reload({ servers: [{ ...entry, headers: { 'x-new': '1' } }] });
    await until(
      () => upstream.received('resources/subscribe').some(({ headers }) => headers['x-new'] === '1'),
      'the subscription on the new link',
    );
  });
});

describe('the level of log messages that a request raised', () => {
  it('is lowered again on the link that a reload put in its place', async () => {
    const levels = (): unknown[] =>
      upstream.received('logging/setLevel').map(({ message }) => message.params?.['level']);
    let end: (() => void) | undefined;
    const upstream: Upstream = await slow(() => Promise.resolve(), {
      capabilities: { tools: {}, logging: {} },
      onCall(asked: Call) {
        end = () => {
          asked.text('done');
        };
      },
    });
    const entry = upstream.entry('s');
    const running = await startGateway({ servers: [entry] });
    const client = await connect(running.server('s'));
    await client.request('logging/setLevel', { level: 'error' });
    const answer = call(running.server('s'), 't', {}, { logLevel: 'debug' });
    await until(() => end !== undefined && levels().at(-1) === 'debug', 'the call');
    await running.gateway.reload({ servers: [{ ...entry, headers: { 'x-new': '1' } }] });
    await until(
      () => upstream.received('logging/setLevel').some(({ headers }) => headers['x-new'] === '1'),
      'the level on the new link',
    );
    end?.();
    await answer;
    await until(() => levels().at(-1) === 'error', 'the level that the session wants');
  });
});

describe('a stream of changes whose client does not read', () => {
  it('keeps a bounded number of what it has to tell, and ends where there is more', () => {
    let left = 0;
    let ended = 0;
    const told: string[] = [];
    const sink: Sink = {
      notify(notice) {
        told.push(notice.method);
        return false;
      },
      ask: () => undefined,
      start: () => undefined,
      write: () => true,
      end: () => {
        ended++;
      },
      cancelled: () => undefined,
      fail: () => undefined,
    };
    const listener = new Listener({
      caller: {} as Caller,
      route: routeTo({}),
      rawId: '1',
      sink,
      changes: new Set(),
      left: () => {
        left++;
      },
    });
    listener.acknowledge('{}');
    for (let i = 0; i < 100_000 && !listener.over; i++)
      listener.tell(`${UPDATED} x:folder/${i}`, {
        method: UPDATED,
        bytes: Buffer.from(`{"jsonrpc":"2.0","method":"${UPDATED}","params":{"uri":"x:folder/${i}"}}`),
      });
    expect([listener.over, left, ended]).toEqual([true, 1, 1]);
    expect(told).toHaveLength(1);
  });
});

describe('links of modern clients of their own', () => {
  it('are made once there is room, where there was none', async () => {
    const [full, other] = [await slow(() => Promise.resolve()), await slow(() => Promise.resolve())];
    const own = { session: 'per-client' as const };
    const running = await startGateway({
      limits: { per_client: 1 },
      mcp: { session: { idle_ttl_seconds: 2, gc_interval_seconds: 1 } },
      servers: [full.entry('full', own), other.entry('other', own)],
    });
    const one = { clientInfo: { name: 'one', version: '1' } };
    const two = { clientInfo: { name: 'two', version: '1' } };
    expect((await call(running.server('full'), 't', {}, one)).result).toBeDefined();
    expect((await call(running.url, 'full__t', {}, two)).error?.message).toContain('limits.per_client');
    await until(async () => {
      // Busy all the time, on the server that has room.
      expect((await call(running.url, 'other__t', {}, two)).result).toBeDefined();
      return (await call(running.url, 'full__t', {}, two)).result;
    }, 'room');
  });
});
