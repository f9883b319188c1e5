/** The metrics of replicas add up: whichever replica a request reaches, the fleet counts it once. */
import { beforeEach, expect, it } from 'vitest';
import { newKey, roaming, startReplicas } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { post } from '../../helpers/http.js';
import { final } from '../../helpers/legacy.js';
import { call } from '../../helpers/modern.js';
import { parsePrometheus } from '../../helpers/prometheus.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const TOKEN = 'the-token-of-clients';
const headers = { authorization: `Bearer ${TOKEN}` };
let replicas: RunningGateway[];

beforeEach(async () => {
  const config = {
    servers: [{ ...scriptedStdio('s'), placement: 'each' as const }],
    // A session with a stream to resume would stay where it is.
    http: { resume_seconds: 0 },
    mcp: { auth: { mode: 'bearer' as const } },
  };
  const env = { ...process.env, MCPSTEAD_BEARER_TOKEN: TOKEN };
  replicas = await startReplicas(3, await startStore(), config, { key: newKey(), env });
});

type Counts = Record<string, number>;

const COUNTED = [
  'mcpstead_mcp_requests_total',
  'mcpstead_mcp_request_duration_seconds_count',
  'mcpstead_tool_calls_total',
  'mcpstead_tool_call_duration_seconds_count',
  'mcpstead_tool_call_errors_total',
  'mcpstead_policy_decisions_total',
  'mcpstead_mcp_auth_attempts_total',
  'mcpstead_mcp_auth_failures_total',
  'mcpstead_downstream_sessions_total',
  'mcpstead_downstream_sessions_active',
  'mcpstead_fleet_forwarded_total',
  'mcpstead_fleet_handed_over_total',
];

/** What one replica has counted, as `name label label`; without what is 0. */
async function countsOf(replica: RunningGateway): Promise<Counts> {
  const counts: Counts = {};
  for (const { samples } of parsePrometheus(await replica.metrics()).values())
    for (const { name, labels, value } of samples)
      if (COUNTED.includes(name) && value !== 0)
        counts[[name.slice('mcpstead_'.length), ...Object.values(labels)].join(' ')] = value;
  return counts;
}

const totalOf = (counts: Counts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

async function countsOfAll(): Promise<Counts> {
  const sums: Counts = {};
  for (const counts of await Promise.all(replicas.map(countsOf)))
    for (const [series, value] of Object.entries(counts)) sums[series] = (sums[series] ?? 0) + value;
  return sums;
}

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };

it('metrics add up: each request is counted once, whichever replica it reaches', async () => {
  const [a, b] = replicas as [RunningGateway, RunningGateway];
  const client = await roaming(a.url, { headers });
  const useEach = async (): Promise<void> => {
    for (const replica of replicas) {
      const there = client.at(replica, headers);
      expect(await there.tool('s__echo', { text: 'x' })).toContain('x');
      await final(await there.stream('s__progress', { mark: 'm' }, { meta: { progressToken: 'p' } }));
      expect((await there.request('tools/call', { name: 'none__x', arguments: {} })).error).toBeDefined();
      expect((await there.request('ping')).error).toBeUndefined();
      const stranger = { ...there.headers, authorization: 'Bearer wrong' };
      expect((await post(there.url, PING, stranger)).status).toBe(401);
      // Without a session, and answered where it arrives.
      expect((await call(replica.url, 's__echo', { text: 'y' }, { headers })).error).toBeUndefined();
    }
  };

  await useEach();
  // The session moves to b, where its client opens the stream: requests at c are sent to a first, which no longer has it.
  const stream = await client.at(b, headers).listen();
  await until(async () => (await a.metric('mcpstead_fleet_handed_over_total')) === 1, 'the hand-over');
  await useEach();
  stream.close();
  const listens = 'mcpstead_mcp_requests_total{method="listen",result="success"}';
  await until(async () => (await b.metric(listens)) === 1, 'the end of the stream');

  const rounds = 2 * replicas.length;
  const requests = {
    initialize: 1,
    'notifications/initialized': 1,
    'tools/call': 4 * rounds,
    ping: rounds,
    listen: 1,
    // Refused before it is read.
    unknown: rounds,
  };
  const seconds = Object.entries(requests).map(([method, count]) => [
    `mcp_request_duration_seconds_count ${method}`,
    count,
  ]);
  const authentications = totalOf(requests);
  const expected: Counts = {
    'mcp_requests_total initialize success': 1,
    'mcp_requests_total notifications/initialized success': 1,
    'mcp_requests_total tools/call success': 3 * rounds,
    'mcp_requests_total tools/call error': rounds,
    'mcp_requests_total ping success': rounds,
    'mcp_requests_total unknown error': rounds,
    'mcp_requests_total listen success': 1,
    ...(Object.fromEntries(seconds) as Counts),
    'tool_calls_total s echo': 2 * rounds,
    'tool_call_duration_seconds_count s echo': 2 * rounds,
    'tool_calls_total s progress': rounds,
    'tool_call_duration_seconds_count s progress': rounds,
    'mcp_auth_attempts_total success': authentications - rounds,
    'mcp_auth_attempts_total failure': rounds,
    'mcp_auth_failures_total wrong_token': rounds,
    downstream_sessions_total: 1,
    downstream_sessions_active: 1,
    fleet_handed_over_total: 1,
    // Two of three replicas send their four requests of each round on. The stream moves the session; c learns of that once.
    'fleet_forwarded_total answered': 4 * (rounds - 2),
    'fleet_forwarded_total moved': 2,
  };
  // A replica may count a request after its client has the answer.
  await until(async () => totalOf(await countsOfAll()) >= totalOf(expected), 'the counts');
  expect(await countsOfAll()).toEqual(expected);
});
