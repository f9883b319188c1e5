/** Who gives way where all places are taken: whoever holds most, of that what is idle longest. */
import { Agent } from 'node:http';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, openSse, post, textOf, type JsonRpc, type SseStream } from '../../helpers/http.js';
import { connect, type LegacyClient } from '../../helpers/legacy.js';
import { call, type Modern } from '../../helpers/modern.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';
import { alive } from '../../helpers/process.js';

const OTHER = '127.0.0.2';
/** Where there is one loopback address alone, all clients are one. */
const hasOther = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.on('error', () => {
    resolve(false);
  });
  server.listen(0, OTHER, () => server.close(() => resolve(true)));
});
const other = (): Agent => new Agent({ localAddress: OTHER });

const BUSY = { message: expect.stringMatching(/busy.*limits\.per_client/) as string };

const own = (more: object = {}) => ({ ...scriptedStdio('up'), session: 'per-client' as const, ...more });
const pidOf = async (client: LegacyClient): Promise<number> => Number(await client.tool('up__pid'));
const statusOf = async (client: LegacyClient): Promise<number> =>
  (await client.say({ id: 1, method: 'ping' })).status;

/** A client of HTTP+SSE. */
async function openOld(base: string, agent?: Agent) {
  const stream: SseStream = await openSse(`${base}/sse`, undefined, {}, agent ? { agent } : {});
  const endpoint = new URL((await stream.next()).data, `${base}/sse`).href;
  const answered = (id: unknown): Promise<JsonRpc> =>
    until(
      () =>
        stream.events
          .slice(1)
          .map(({ data }) => JSON.parse(data) as JsonRpc)
          .find((each) => each.id === id && each.method === undefined),
      `an answer to ${String(id)}`,
    );
  let ids = 0;
  const request = async (method: string, params: object): Promise<JsonRpc> => {
    const id = ++ids;
    await post(endpoint, { jsonrpc: '2.0', id, method, params });
    return answered(id);
  };
  const clientInfo = { name: 'old', version: '0' };
  await request('initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo });
  const say = (body: object) => post(endpoint, body);
  return { stream, request, say, answered };
}

const modern = (name: string, capabilities: object = {}): Modern => ({
  capabilities,
  clientInfo: { name, version: '0' },
});

describe('a link of a client of its own, with limits.per_client taken', () => {
  test('the address with most gives up the session that is idle longest, its child with it', async () => {
    const gateway = await startGateway({ servers: [own()], limits: { per_client: 2 } });
    const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
    const pids = [await pidOf(a), await pidOf(b)] as const;
    // The one opened first is the one used last.
    await pidOf(a);
    const pid = Number(textOf(await call(gateway.url, 'up__pid', {}, modern('new'))));
    expect(pids).not.toContain(pid);
    await until(() => !alive(pids[1]), 'the end of the child');
    expect(await statusOf(b)).toBe(404);
    expect(await pidOf(a)).toBe(pids[0]);
    expect(await gateway.metric('mcpstead_downstream_session_terminations_total{reason="evicted"}')).toBe(1);
  });

  test('one with a call under way is not idle; with none idle the newcomer is told that it is busy', async () => {
    const gateway = await startGateway({ servers: [own()], limits: { per_client: 2 } });
    const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
    const first = await pidOf(a);
    const hanging = a.stream('up__hang');
    await until(
      async () => (await gateway.metric('mcpstead_requests_in_flight{server="up"}')) === 1,
      'the call',
    );
    const second = await pidOf(b);
    const pid = Number(textOf(await call(gateway.url, 'up__pid', {}, modern('new'))));
    await until(() => !alive(second), 'the end of the idle one');
    expect(await statusOf(b)).toBe(404);
    expect(alive(first)).toBe(true);
    // One each by now: nobody has more than the next one would have.
    expect((await call(gateway.url, 'up__pid', {}, modern('newer'))).error).toMatchObject(BUSY);
    expect(Number(textOf(await call(gateway.url, 'up__pid', {}, modern('new'))))).toBe(pid);
    await a.end();
    await (await hanging).done();
  });

  test('a session of the same address does not make room for itself', async () => {
    const gateway = await startGateway({ servers: [own()], limits: { per_client: 2 } });
    const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
    const pids = [await pidOf(a), await pidOf(b)];
    const third = await connect(gateway.url);
    expect((await third.request('tools/call', { name: 'up__pid', arguments: {} })).error).toMatchObject(BUSY);
    expect([await pidOf(a), await pidOf(b)]).toEqual(pids);
  });

  test('a modern client is one, whatever capabilities it declares', async () => {
    const gateway = await startGateway({ servers: [own()], limits: { per_client: 2 } });
    const pid = async (client: Modern): Promise<number> =>
      Number(textOf(await call(gateway.url, 'up__pid', {}, client)));
    const [plain, rooted] = [modern('one'), modern('one', { roots: {} })];
    const pids = [await pid(plain), await pid(rooted)] as const;
    expect(await pid(plain)).toBe(pids[0]);
    const two = await pid(modern('two'));
    await until(() => !alive(pids[1]), 'the end of the child used longest ago');
    expect(await pid(plain)).toBe(pids[0]);
    expect(await pid(modern('two'))).toBe(two);
    // It has as many as the other.
    expect((await call(gateway.url, 'up__pid', {}, rooted)).error).toMatchObject(BUSY);
  });

  test('of sessions over HTTP+SSE the one used last stays, though it was opened first', async () => {
    const gateway = await startGateway({ servers: [own()], limits: { per_client: 2 } });
    const [a, b] = [await openOld(gateway.base), await openOld(gateway.base)];
    const pid = async (client: typeof a): Promise<number> =>
      Number(textOf(await client.request('tools/call', { name: 'up__pid', arguments: {} })));
    const pids = [await pid(a), await pid(b)] as const;
    await pid(a);
    expect(Number(textOf(await call(gateway.url, 'up__pid', {}, modern('new'))))).toBeGreaterThan(0);
    await b.stream.done();
    expect(b.stream.complete).toBe(true);
    await until(() => !alive(pids[1]), 'the end of the child');
    expect(await pid(a)).toBe(pids[0]);
    expect(a.stream.ended).toBe(false);
  });
});

describe.skipIf(!hasOther)('a session, with limits.sessions taken and a client of another address', () => {
  test('the address with most gives up the one that is idle longest', async () => {
    const gateway = await startGateway({ servers: [], limits: { sessions: 2 } });
    const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
    expect(await statusOf(a)).toBe(200);
    const c = await connect(gateway.url, { agent: other() });
    expect([await statusOf(a), await statusOf(b), await statusOf(c)]).toEqual([200, 404, 200]);
  });

  test('a stream of HTTP+SSE that is idle goes before one with a call, of the idle ones the one used longest ago', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({
      tools: [tool('held')],
      onCall: (made) => void held.push(made),
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')], limits: { sessions: 3 } });
    const [a, b, c] = [await openOld(gateway.base), await openOld(gateway.base), await openOld(gateway.base)];
    await a.say(callBody('s__held', {}, 'mine'));
    await until(() => held.length === 1, 'the call');
    await c.request('ping', {});
    await b.request('ping', {});
    const d = await openOld(gateway.base, other());
    await c.stream.done();
    expect(c.stream.complete).toBe(true);
    expect(a.stream.ended || b.stream.ended).toBe(false);
    held[0]?.text('done');
    expect(textOf(await a.answered('mine'))).toBe('done');
    expect((await b.request('ping', {})).result).toEqual({});
    expect((await d.request('ping', {})).result).toEqual({});
  });

  test('a session over HTTP+SSE is in use for as long as its stream is: the one used longest ago goes', async () => {
    const gateway = await startGateway({ servers: [], limits: { sessions: 2 } });
    const [a, b] = [await openOld(gateway.base), await openOld(gateway.base)];
    await a.request('ping', {});
    const c = await connect(gateway.url, { agent: other() });
    await b.stream.done();
    expect((await a.request('ping', {})).result).toEqual({});
    expect(await statusOf(c)).toBe(200);
    expect(a.stream.ended).toBe(false);
  });
});

describe('calls at one server, with limits.in_flight taken', () => {
  test('a client without a call there is let in, up to a tenth above', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('held')],
      onCall: (made) => void held.push(made),
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')], limits: { in_flight: 20 } });
    const clients: LegacyClient[] = [];
    for (let i = 0; i < 4; i++) clients.push(await connect(gateway.url));
    const [a, b, c, d] = clients as [LegacyClient, LegacyClient, LegacyClient, LegacyClient];
    const body = { name: 's__held', arguments: {} };
    const begun: Promise<JsonRpc>[] = [];
    const begin = async (client: LegacyClient): Promise<void> => {
      begun.push(client.request('tools/call', body));
      await until(() => held.length === begun.length, 'the call at the server');
    };
    const refused = async (client: LegacyClient): Promise<unknown> =>
      (await client.request('tools/call', body)).error;
    const busy = {
      code: -32000,
      message: expect.stringMatching(/20 calls in flight \(limits\.in_flight\)/) as string,
    };
    for (let i = 0; i < 20; i++) await begin(a);
    expect(await refused(a)).toMatchObject(busy);
    await begin(b);
    expect(await refused(b)).toMatchObject(busy);
    await begin(c);
    expect(await refused(d)).toMatchObject(busy);
    expect(held).toHaveLength(22);
    // Below the limit again there is room for everybody.
    for (const made of held.splice(0, 3)) made.text('done');
    await Promise.all(begun.splice(0, 3));
    await begin(a);
    for (const made of held) made.text('done');
    for (const { error } of await Promise.all(begun)) expect(error).toBeUndefined();
  });
});
