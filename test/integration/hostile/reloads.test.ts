/** What a reload must not lose, mix up or leave behind, whatever is under way when it comes. */
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { call as modernCall } from '../../helpers/modern.js';
import { startGateway } from '../../helpers/gateway.js';
import { connect, heard } from '../../helpers/legacy.js';
import { until } from '../../helpers/wait.js';

const SUBSCRIBES = { tools: {}, resources: { subscribe: true } };
const own = { session: 'per-client' as const };

/** A server with sessions that tells of resources; what it is asked to subscribe to waits for the test. */
async function subscribable() {
  const asked: Call[] = [];
  let holds = true;
  const upstream = await createUpstream({
    tools: [tool('a')],
    sessions: true,
    getStream: true,
    capabilities: SUBSCRIBES,
    onRequest: (call) => {
      const { method } = call.message;
      if (method === 'resources/list') call.result({ resources: [{ uri: 'r://a', name: 'a' }] });
      else if (method === 'resources/templates/list')
        call.result({ resourceTemplates: [{ uriTemplate: 'r://{x}', name: 'x' }] });
      else if (method === 'resources/subscribe' && holds) asked.push(call);
      else if (method?.startsWith('resources/')) call.result({});
      else return false;
      return true;
    },
  });
  return Object.assign(upstream, {
    asked,
    letGo: () => {
      holds = false;
    },
  });
}

describe('a subscription', () => {
  test('that the old link of a server grants after its place was taken is made on the new one', async () => {
    const upstream = await subscribable();
    const config = (round: string): ConfigInput => ({
      servers: [upstream.entry('s', { headers: { 'X-Round': round } })],
    });
    const { gateway, url } = await startGateway(config('1'));
    const client = await connect(url);
    const stream = await client.listen();
    const subscribed = client.request('resources/subscribe', { uri: 'r://a' });
    const first = await until(() => upstream.asked[0]);
    upstream.letGo();
    await gateway.reload(config('2'));
    // The new one is in use as soon as a call goes there.
    await until(async () => {
      await client.tool('s__a');
      return upstream.calls().at(-1)?.headers['x-round'] === '2';
    });
    first.result({});
    expect((await subscribed).result).toEqual({});
    const again = await until(() => upstream.received('resources/subscribe')[1]);
    expect(again.headers['x-round']).toBe('2');
    upstream.announce({ method: 'notifications/resources/updated', params: { uri: 'r://a' } });
    await heard(stream, 'notifications/resources/updated');
    await client.request('resources/unsubscribe', { uri: 'r://a' });
    expect(upstream.received('resources/unsubscribe').at(-1)?.headers['x-round']).toBe('2');
  });

  test('stays, where a client that may have no more asked for the same meanwhile', async () => {
    const upstream = await subscribable();
    const { url } = await startGateway({ servers: [upstream.entry('s')] });
    const full = await connect(url);
    const long = 'x'.repeat(2000);
    const filled = Array.from({ length: 130 }, (_, n) =>
      full.request('resources/subscribe', { uri: `r://${n}${long}` }),
    );
    await until(() => upstream.asked.length === filled.length);
    for (const call of upstream.asked) call.result({});
    await Promise.all(filled);
    const other = await connect(url);
    const stream = await other.listen();
    const wanted = `r://${'y'.repeat(2000)}`;
    const both = [
      other.request('resources/subscribe', { uri: wanted }),
      full.request('resources/subscribe', { uri: wanted }),
    ];
    await until(() => upstream.asked.length === filled.length + 2);
    for (const call of upstream.asked.slice(-2)) call.result({});
    const [granted, refused] = await Promise.all(both);
    expect(granted?.result).toEqual({});
    expect(refused?.error?.code).toBe(-32602);
    upstream.announce({ method: 'notifications/resources/updated', params: { uri: wanted } });
    await heard(stream, 'notifications/resources/updated');
    await other.tool('s__a');
    expect(upstream.received('resources/unsubscribe')).toHaveLength(0);
    // Nobody else wants it: now it is given back.
    await other.end();
    await until(() => upstream.received('resources/unsubscribe').length === 1);
  });
});

describe('a server that gives each client a session of its own from now on', () => {
  const sessions = (calls: readonly { headers: Record<string, unknown> }[]) =>
    calls.map(({ headers }) => headers['mcp-session-id']);

  test('gives one to clients that were there before, too', async () => {
    const upstream = await createUpstream({ tools: [tool('a')], sessions: true });
    const added = await createUpstream({ tools: [tool('a')], sessions: true });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const { gateway, url } = running;
    const clients = [await connect(url), await connect(url), await connect(running.server('s'))];
    await gateway.reload({ servers: [upstream.entry('s', own), added.entry('t', own)] });
    const [a, b, alone] = clients;
    for (const client of [a, b]) for (const name of ['s__a', 't__a']) await client?.tool(name);
    await alone?.tool('a');
    expect(new Set(sessions(upstream.calls())).size).toBe(3);
    expect(new Set(sessions(added.calls())).size).toBe(2);
    // The session that the gateway has for itself is nobody's.
    expect(added.sessions.size).toBe(3);
  });

  test('gives none where there is no room, and never that of the gateway', async () => {
    const upstream = await createUpstream({ tools: [tool('a')], sessions: true });
    const added = await createUpstream({ tools: [tool('a')], sessions: true });
    const one = { limits: { per_client: 1 } };
    const running = await startGateway({ servers: [upstream.entry('s', own)], ...one });
    const { gateway, url } = running;
    const clients = [await connect(url), await connect(url)];
    await modernCall(url, 's__a');
    await gateway.reload({ servers: [upstream.entry('s', own), added.entry('t', own)], ...one });
    await running.up('t');
    for (const client of clients) await client.request('tools/call', { name: 't__a', arguments: {} });
    await modernCall(url, 't__a');
    expect(new Set(sessions(added.calls())).size).toBe(1);
    // That of the gateway and one more.
    expect(added.sessions.size).toBe(2);
  });

  test('with restart: serial begins anew when the old session has ended', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({
      tools: [tool('a')],
      sessions: true,
      onCall: (call) => held.push(call),
    });
    const config = (round: string): ConfigInput => ({
      servers: [upstream.entry('s', { ...own, restart: 'serial', headers: { 'X-Round': round } })],
    });
    const { gateway, url } = await startGateway(config('1'));
    const client = await connect(url);
    const running = client.tool('s__a');
    const call = await until(() => held[0]);
    await gateway.reload(config('2'));
    const begun = () =>
      upstream.received('initialize').filter(({ headers }) => headers['x-round'] === '2').length;
    // That of the gateway itself has no call to wait for.
    await until(() => begun() === 1);
    call.text('done');
    expect(await running).toBe('done');
    const later = client.tool('s__a');
    (await until(() => held[1])).text('again');
    expect(await later).toBe('again');
    const order = upstream.requests.map(({ method, message, headers }) =>
      method === 'DELETE'
        ? `left ${String(headers['x-round'])}`
        : `${message.method ?? ''} ${String(headers['x-round'])}`,
    );
    expect(order.lastIndexOf('initialize 2')).toBeGreaterThan(order.lastIndexOf('left 1'));
  });
});

test('a connection that a second reload drops before it is in use ends its session', async () => {
  const listed: Call[] = [];
  const upstream = await createUpstream({
    tools: [tool('a')],
    sessions: true,
    onRequest: (call) => {
      if (call.message.method !== 'tools/list' || call.received.headers['x-round'] !== '2') return false;
      listed.push(call);
      return true;
    },
  });
  const config = (round: string): ConfigInput => ({
    servers: [upstream.entry('s', { headers: { 'X-Round': round } })],
  });
  const { gateway, url } = await startGateway(config('1'));
  await gateway.reload(config('2'));
  const call = await until(() => listed[0]);
  await gateway.reload(config('3'));
  const left = await until(() =>
    upstream.requests.find(({ method, headers }) => method === 'DELETE' && headers['x-round'] === '2'),
  );
  expect(left.headers['mcp-session-id']).toBe(call.received.headers['mcp-session-id']);
  const client = await connect(url);
  expect(await client.tool('s__a', { n: 1 })).toBe('{"n":1}');
});
