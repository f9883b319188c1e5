/** What a replica that shuts down does with what passes through it, and what the others still send there. */
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { atEnd } from '../../helpers/cleanup.js';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import type { Fleet } from '../../../src/admin/schemas.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import {
  fleetOf,
  newKey,
  pinged,
  roaming,
  startReplica,
  startReplicaProcess,
  startReplicas,
  together,
} from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { MCP_HEADERS, send, textOf, type JsonRpc } from '../../helpers/http.js';
import {
  call,
  createModernUpstream,
  envelope,
  EVERYTHING,
  nameHeaders,
  needs,
} from '../../helpers/modern.js';
import { scratchFolder } from '../../helpers/state.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const each = { placement: 'each' as const };
const SERVERS = [{ ...scriptedStdio('s'), ...each }];

it('ends the streams of other replicas that pass through it, and is not held by them', async () => {
  const config = {
    servers: SERVERS,
    // No test waits that long.
    mcp: { session: { shutdown_grace_seconds: 3600 } },
  };
  const [a, b, c] = (await startReplicas(3, await startStore(), config)) as [
    RunningGateway,
    RunningGateway,
    RunningGateway,
  ];
  const client = await roaming(a.url);
  const first = await client.at(a).listen();
  const event = await until(() => /^id: (\S+)/m.exec(first.text)?.[1], 'the id of the stream');
  // A stream that is opened again does not take its session along.
  const stream = await client.at(b).listen(event);
  expect(stream.status).toBe(200);
  expect(await a.metric('mcpstead_fleet_handed_over_total')).toBe(0);
  const closed = b.gateway.close();
  await stream.done();
  expect(stream.complete).toBe(true);
  expect(stream.text).toMatch(/(?:^|\n)retry: \d+\n\n$/);
  await closed;
  const again = await client.at(c).listen(event);
  await client.at(a).tool('s__list_changed');
  expect(await again.message()).toMatchObject({ method: 'notifications/tools/list_changed' });
  again.close();
});

it('answers what comes on connections that were idle, and closes them then', async () => {
  const calls: Call[] = [];
  const upstream = await createUpstream({ tools: [tool('hold')], onCall: (each) => void calls.push(each) });
  const config = { servers: [upstream.entry('h')], mcp: { session: { shutdown_grace_seconds: 3600 } } };
  const [a] = (await startReplicas(2, await startStore(), config)) as [RunningGateway];
  const agents = Array.from({ length: 5 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  atEnd(() => {
    for (const agent of agents) agent.destroy();
  });
  const live = (agent: Agent | undefined): Promise<string> =>
    new Promise((resolve) => {
      const req = request(`${a.base}/metrics`, { agent }, (res) => {
        res.resume().on('end', () => {
          resolve(`${res.statusCode} ${res.headers.connection}`);
        });
      });
      req
        .on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code ?? '');
        })
        .end();
    });
  for (const agent of agents) expect(await live(agent)).toBe('200 keep-alive');
  const held = (await roaming(a.url)).here.request('tools/call', { name: 'h__hold', arguments: {} });
  const call = await until(() => calls[0], 'the call');
  const closed = a.gateway.close();
  await until(async () => (await live(undefined)) === 'ECONNREFUSED', 'its port to close');
  call.text('done');
  const first = await Promise.all(agents.slice(0, 3).map((agent) => live(agent)));
  expect(textOf(await held)).toBe('done');
  // The last answer may have gone out meanwhile, but not long ago.
  const second = await Promise.all(agents.slice(3).map((agent) => live(agent)));
  expect([...first, ...second]).toEqual(agents.map(() => '200 close'));
  await closed;
});

it('waits for a client that has just lost the connection of its call, and comes back through another replica', async () => {
  const calls: Call[] = [];
  const upstream = await createUpstream({ tools: [tool('hold')], onCall: (each) => void calls.push(each) });
  const config = { servers: [upstream.entry('h')], mcp: { session: { shutdown_grace_seconds: 3600 } } };
  const [a, b] = (await startReplicas(2, await startStore(), config)) as [RunningGateway, RunningGateway];
  const client = await roaming(a.url);
  const stream = await client.at(a).stream('h__hold', {}, { meta: { progressToken: 1 } });
  const held = await until(() => calls[0], 'the call');
  held.progress(1);
  const { id: last } = await stream.next();
  const closed = a.gateway.close();
  const isOpen = (): Promise<boolean> =>
    send(`${a.base}/metrics`).then(
      () => true,
      () => false,
    );
  await until(async () => !(await isOpen()), 'its port to close');
  stream.close();
  const again = await client.at(b).listen(last);
  expect(again.status).toBe(200);
  held.text('whole');
  expect(textOf(await again.message())).toBe('whole');
  await closed;
  expect((await pinged(client.at(b))).status).toBe(200);
});

it('gets no more requests for a server that is down elsewhere', async () => {
  const store = await startStore();
  const key = newKey();
  // It shuts down as long as the test lasts.
  const a = await startReplicaProcess(
    store,
    { servers: SERVERS, http: { drain_delay_seconds: 3600 } },
    { key },
  );
  const down = { servers: [{ name: 's', command: 'false', ...each }] };
  const b = await startReplica(store, down, { key, wait: [], env: { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } });
  await together(a.base, b.base);
  const pid = textOf(await call(a.url, 's__pid'));
  const asked = async (): Promise<string> => JSON.stringify(await call(b.url, 's__pid'));
  await until(async () => (await asked()).includes(`"${pid}"`), 'b to know where the server is up');
  const { replica } = await fleetOf(a.base);
  a.kill('SIGTERM');
  await until(async () => {
    const headers = { authorization: `Bearer ${CONSOLE_KEY}` };
    const { replicas } = (await send(`${b.base}/-/api/v1/fleet`, undefined, { headers })).json<Fleet>();
    return replicas.find((each) => each.replica === replica)?.draining;
  }, 'b to know that a shuts down');
  expect(await asked()).not.toContain(`"${pid}"`);
});

const able = { capabilities: EVERYTHING };
const FORM = {
  message: 'Name?',
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
};

/** A call whose headers are there before the replica shuts down, and whose body comes after that. */
async function begun(base: string, name: string, params: object) {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  atEnd(() => socket.destroy());
  const message = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name, ...params } };
  const body = JSON.stringify({ ...message, params: { ...message.params, _meta: envelope(able) } });
  const headers = {
    ...MCP_HEADERS,
    ...nameHeaders('tools/call', message.params),
    ...{ host: `${hostname}:${port}`, 'content-length': String(Buffer.byteLength(body)) },
    expect: '100-continue',
  };
  const lines = Object.entries(headers).map(([key, value]) => `${key}: ${String(value)}`);
  let text = '';
  socket.write(`POST /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  await until(() => text.startsWith('HTTP/1.1 100'), 'the request to begin');
  return async (): Promise<JsonRpc> => {
    socket.write(body);
    const json = await until(() => /\{"jsonrpc".*\}/.exec(text)?.[0], 'the answer');
    return JSON.parse(json) as JsonRpc;
  };
}

/** Whether nobody takes connections any more. */
function isClosed(base: string): Promise<boolean> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => {
      resolve(true);
    });
  });
}

it.each(['of the server', 'of the gateway'])(
  'goes on with a call that has got its input, by a state %s',
  async (whose) => {
    const upstream =
      whose === 'of the gateway'
        ? await createUpstream({
            tools: [tool('once')],
            onCall: async (asked) => {
              const answer = await asked.ask('elicitation/create', FORM);
              asked.text(JSON.stringify(answer.result));
            },
          })
        : await createModernUpstream({
            tools: [tool('once')],
            onCall(asked) {
              const given = asked.params['inputResponses'];
              if (given) asked.text(JSON.stringify(given), { resultType: 'complete' });
              else
                asked.result({
                  ...{ resultType: 'input_required', requestState: 'mine' },
                  inputRequests: { who: { method: 'elicitation/create', params: FORM } },
                });
            },
          });
    const config = {
      servers: [{ name: 'u', url: upstream.url }],
      mcp: { session: { shutdown_grace_seconds: 3600 } },
      state: { dir: scratchFolder() },
    };
    const [a] = (await startReplicas(2, await startStore(), config)) as [RunningGateway];
    const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
    const [key = ''] = Object.keys(inputRequests);
    const answers = { [key]: { action: 'accept', content: { name: 'Ada' } } };
    const finished = await begun(a.base, 'u__once', { arguments: {}, requestState, inputResponses: answers });
    const closed = a.gateway.close();
    await until(() => isClosed(a.base), 'the end of the port');
    expect(textOf(await finished())).toContain('Ada');
    await closed;
  },
);
