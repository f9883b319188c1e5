import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  openSession,
  openSse,
  post,
  send,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { parsePrometheus, valueOf, type Family } from '../helpers/prometheus.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const AUTH: Headers = { authorization: 'Bearer metrics-token' };
const DURATIONS = [
  '0.005',
  '0.01',
  '0.025',
  '0.05',
  '0.1',
  '0.25',
  '0.5',
  '1',
  '2.5',
  '5',
  '10',
  '30',
  '+Inf',
];
const SESSIONS = ['1', '5', '10', '30', '60', '300', '900', '1800', '3600', '21600', '+Inf'];
const ping: JsonRpc = { jsonrpc: '2.0', id: 1, method: 'ping' };

/** Every metric of the contract, spelled out: dashboards and alerts stand on these. */
const CONTRACT: [name: string, type: string, labels: string[], buckets?: string[]][] = [
  ['mcpstead_build_info', 'gauge', ['version', 'git_sha', 'node_version']],
  ['mcpstead_start_time_seconds', 'gauge', []],
  ['mcpstead_uptime_seconds', 'gauge', []],
  ['mcpstead_process_resident_memory_bytes', 'gauge', []],
  ['mcpstead_process_virtual_memory_bytes', 'gauge', []],
  ['mcpstead_process_cpu_seconds_total', 'counter', []],
  ['mcpstead_process_open_fds', 'gauge', []],
  ['mcpstead_process_max_fds', 'gauge', []],
  ['mcpstead_process_threads', 'gauge', []],
  ['mcpstead_upstream_connected', 'gauge', ['server']],
  ['mcpstead_upstream_tools_count', 'gauge', ['server']],
  ['mcpstead_upstream_reconnects_total', 'counter', ['server']],
  ['mcpstead_upstream_last_seen_seconds', 'gauge', ['server']],
  ['mcpstead_upstream_initialize_total', 'counter', ['server', 'result']],
  ['mcpstead_upstream_initialize_duration_seconds', 'histogram', ['server'], DURATIONS],
  ['mcpstead_upstream_health_checks_total', 'counter', ['server', 'result']],
  ['mcpstead_upstream_reconnect_attempts_total', 'counter', ['server', 'result']],
  ['mcpstead_upstream_backoff_seconds_total', 'counter', ['server']],
  ['mcpstead_upstream_in_backoff', 'gauge', ['server']],
  ['mcpstead_upstream_current_backoff_seconds', 'gauge', ['server']],
  ['mcpstead_upstream_session_resets_total', 'counter', ['server', 'reason']],
  ['mcpstead_upstream_tools_refresh_total', 'counter', ['server', 'result']],
  ['mcpstead_upstream_tools_refresh_duration_seconds', 'histogram', ['server'], DURATIONS],
  ['mcpstead_upstream_tools_last_refresh_timestamp_seconds', 'gauge', ['server']],
  ['mcpstead_upstream_bytes_total', 'counter', ['server', 'direction']],
  ['mcpstead_downstream_sessions_active', 'gauge', []],
  ['mcpstead_downstream_sessions_total', 'counter', []],
  ['mcpstead_downstream_session_duration_seconds', 'histogram', [], SESSIONS],
  ['mcpstead_downstream_session_terminations_total', 'counter', ['reason']],
  ['mcpstead_mcp_requests_total', 'counter', ['method', 'result']],
  ['mcpstead_mcp_request_duration_seconds', 'histogram', ['method'], DURATIONS],
  ['mcpstead_mcp_auth_attempts_total', 'counter', ['result']],
  ['mcpstead_mcp_auth_failures_total', 'counter', ['reason']],
  ['mcpstead_config_reloads_total', 'counter', ['result']],
  ['mcpstead_config_last_reload_timestamp_seconds', 'gauge', []],
  ['mcpstead_tool_calls_total', 'counter', ['server', 'tool']],
  ['mcpstead_tool_call_duration_seconds', 'histogram', ['server', 'tool'], DURATIONS],
  ['mcpstead_tool_call_errors_total', 'counter', ['server', 'tool', 'reason']],
  ['mcpstead_requests_in_flight', 'gauge', ['server']],
  ['mcpstead_upstream_era', 'gauge', ['server', 'revision']],
];

const TOOLS = ['fine', 'is_error', 'fails', 'hangs', 'forbidden', 'garbage', 'cut'];

async function busyServer() {
  const lost = ['Unknown MCP session', 'Session expired', 'session terminated'];
  let loses = 0;
  const held: Call[] = [];
  const upstream = await createUpstream({
    sessions: true,
    tools: [...TOOLS, 'loses'].map((name) => tool(name)),
    onCall: (call) => {
      switch (call.params.name) {
        case 'is_error':
          return call.text('did not work', { isError: true });
        case 'fails':
          return call.error(-32050, 'no');
        case 'hangs':
          return void held.push(call);
        case 'forbidden':
          return call.raw('forbidden', 403);
        case 'garbage':
          return call.raw('<html>');
        case 'cut':
          return call.destroy();
        case 'loses': {
          // Every other time: it is found again when the call is sent again.
          const text = loses++ % 2 === 0 ? lost.shift() : undefined;
          return text === undefined ? call.text('found') : call.error(-32000, text);
        }
        default:
          return call.text('ok');
      }
    },
  });
  return Object.assign(upstream, { held });
}

describe('after traffic of every kind', () => {
  let running: RunningGateway;
  let families: Map<string, Family>;
  const value = (name: string, labels: Record<string, string> = {}): number =>
    valueOf(families, name, labels) ?? 0;

  beforeAll(async () => {
    const upstream = await busyServer();
    const gone = await createUpstream();
    await gone.stop();
    const servers = [
      upstream.entry('busy', { timeouts: { request_ms: 400 } }),
      gone.entry('gone', { reconnect: { backoff_base_ms: 20, backoff_max_ms: 20 } }),
      scriptedStdio('child'),
    ];
    const mcp = { auth: { mode: 'bearer' as const } };
    running = await startGateway(
      { servers, mcp },
      { env: { MCPSTEAD_BEARER_TOKEN: 'metrics-token' }, wait: ['busy', 'child'] },
    );
    const { url } = running;
    const call = (name: string, times = 1): Promise<unknown> =>
      Promise.all(Array.from({ length: times }, () => callTool(url, name, {}, AUTH)));

    for (const headers of [{}, { authorization: 'x' }, { authorization: 'Bearer wrong' }])
      await post(url, ping, headers);
    const session = await openSession(url, { headers: AUTH });
    const ended = await openSession(url, { headers: AUTH });
    await send(url, undefined, { method: 'DELETE', headers: ended });
    await post(url, { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: 1 } }, AUTH);
    await openSse(url, undefined, session);
    await send(url, undefined, { headers: AUTH });
    await post(url, 'no json', AUTH);
    await post(url, '{"jsonrpc":"2.0","id":1}', AUTH);
    for (let i = 0; i < 20; i++) await post(url, { jsonrpc: '2.0', id: i, method: `made/up/${i}` }, AUTH);
    await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, AUTH);
    await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { cursor: 'x' } }, AUTH);

    await call('busy__fine', 5);
    await call('busy__is_error', 2);
    await call('busy__fails', 3);
    await call('busy__forbidden');
    await call('busy__garbage');
    await call('busy__cut');
    await running.up('busy');
    await call('busy__hangs');
    await call('gone__anything');
    await call('who__anything');
    for (let i = 0; i < 10; i++) await call(`busy__made_up_${i}`);
    for (let i = 0; i < 3; i++) await call('busy__loses');
    await call('child__echo');

    const cancelled = post(url, callBody('busy__hangs', {}, 'c'), session);
    await until(() => upstream.held.length === 2);
    await post(
      url,
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'c' } },
      session,
    );
    await cancelled;

    await running.gateway.reload({ servers, mcp });
    await expect(running.gateway.reload({ servers: 5 } as never)).rejects.toThrow();
    await until(
      async () => (await running.metric('mcpstead_upstream_backoff_seconds_total{server="gone"}')) > 0,
    );
    families = parsePrometheus(await running.metrics());
  });

  it.each(CONTRACT)('%s is a %s with the labels %j', (name, type, labels, buckets) => {
    const family = families.get(name);
    expect(family?.type).toBe(type);
    expect(family?.samples.length).toBeGreaterThan(0);
    const own = new Set<string>();
    for (const sample of family?.samples ?? [])
      for (const label of Object.keys(sample.labels)) if (label !== 'le') own.add(label);
    expect([...own].sort()).toEqual([...labels].sort());
    if (!buckets) return;
    const first = family?.samples.find((sample) => sample.name === `${name}_bucket`);
    const { le: _le, ...series } = first?.labels ?? {};
    const edges = family?.samples
      .filter(
        ({ name: own, labels }) =>
          own === `${name}_bucket` && Object.entries(series).every(([k, v]) => labels[k] === v),
      )
      .map(({ labels }) => labels['le']);
    expect(edges).toEqual(buckets);
  });

  it('has no other metric than those, and these few', () => {
    const known = new Set([
      ...CONTRACT.map(([name]) => name),
      'mcpstead_events_dropped_total',
      'mcpstead_buffered_bytes',
      'mcpstead_upstream_unreadable_messages_total',
      'mcpstead_input_requests_total',
      'mcpstead_internal_errors_total',
      'mcpstead_parked_calls',
      'mcpstead_parked_calls_total',
      'mcpstead_audit_dropped_total',
      'mcpstead_auth_issuer_up',
      'mcpstead_auth_keys_age_seconds',
      'mcpstead_policy_decisions_total',
      'mcpstead_pins',
      'mcpstead_tools_tokens',
      'mcpstead_profile_tokens',
      'mcpstead_tls_expiry_timestamp_seconds',
      'mcpstead_rate_limited_total',
      'mcpstead_credentials',
      'mcpstead_oauth_refresh_total',
      'mcpstead_oauth_logins_total',
      'mcpstead_login_total',
      'mcpstead_login_refresh_total',
      'mcpstead_login_clients_total',
      'mcpstead_login_limited_total',
      'mcpstead_login_grants',
      'mcpstead_login_idp_seconds',
      'mcpstead_fleet_replicas',
      'mcpstead_fleet_store_up',
      'mcpstead_fleet_store_seconds',
      'mcpstead_fleet_forwarded_total',
      'mcpstead_fleet_held',
      'mcpstead_fleet_adopted_total',
      'mcpstead_fleet_handed_over_total',
      'mcpstead_fleet_superseded_total',
      'mcpstead_fleet_lease',
      'mcpstead_fleet_strangers_total',
      'mcpstead_fleet_limits_alone_total',
      'mcpstead_fleet_clock_offset_seconds',
      'mcpstead_approvals_open',
      'mcpstead_approvals_waiting',
      'mcpstead_approvals_oldest_seconds',
      'mcpstead_approvals_total',
      'mcpstead_approvals_wait_seconds',
      'mcpstead_approvals_webhook_total',
    ]);
    expect([...families.keys()].filter((name) => !known.has(name))).toEqual([]);
  });

  it('counts calls by tool, isError and JSON-RPC errors as errors of the tool', () => {
    const calls = (toolName: string): number =>
      value('mcpstead_tool_calls_total', { server: 'busy', tool: toolName });
    const errors = (toolName: string, reason: string): number =>
      value('mcpstead_tool_call_errors_total', { server: 'busy', tool: toolName, reason });
    expect(calls('fine')).toBe(5);
    expect(calls('is_error')).toBe(2);
    expect(errors('is_error', 'upstream_returned_error')).toBe(2);
    expect(calls('fails')).toBe(3);
    expect(errors('fails', 'upstream_returned_error')).toBe(3);
    expect(errors('forbidden', 'upstream_auth_failed')).toBe(1);
    expect(errors('garbage', 'upstream_protocol_error')).toBe(1);
    expect(errors('cut', 'upstream_protocol_error') + errors('cut', 'upstream_disconnected')).toBe(1);
    expect(errors('hangs', 'upstream_timeout')).toBe(1);
    expect(errors('hangs', 'cancelled')).toBe(1);
    expect(calls('hangs')).toBe(2);
    expect(
      value('mcpstead_tool_call_errors_total', {
        server: 'gone',
        tool: 'unknown',
        reason: 'upstream_disconnected',
      }),
    ).toBe(1);
    const fine = families
      .get('mcpstead_tool_call_errors_total')
      ?.samples.filter(({ labels }) => labels['tool'] === 'fine');
    expect(fine).toEqual([]);
    expect(value('mcpstead_tool_call_duration_seconds_count', { server: 'busy', tool: 'fine' })).toBe(5);
  });

  it('counts isError as a success of the request and everything else that fails as an error', () => {
    const requests = (method: string, result: string): number =>
      value('mcpstead_mcp_requests_total', { method, result });
    // fine 5, is_error 2, made up 10, loses 3, child 1
    expect(requests('tools/call', 'success')).toBe(21);
    // fails 3, forbidden, garbage, cut, hangs 2, gone, who
    expect(requests('tools/call', 'error')).toBe(10);
    expect(requests('tools/list', 'success')).toBe(1);
    expect(requests('tools/list', 'error')).toBe(1);
    expect(requests('initialize', 'success')).toBe(2);
    expect(requests('initialize', 'error')).toBe(1);
    expect(requests('listen', 'success')).toBe(1);
    expect(requests('listen', 'error')).toBe(1);
    expect(requests('terminate', 'success')).toBe(1);
    expect(requests('invalid', 'error')).toBe(2);
    expect(value('mcpstead_mcp_request_duration_seconds_count', { method: 'tools/call' })).toBe(31);
  });

  it('has labels from bounded sets alone', () => {
    const values = (name: string, label: string): Set<string> =>
      new Set(families.get(name)?.samples.map(({ labels }) => labels[label] ?? ''));
    const methods = [
      'initialize',
      'invalid',
      'listen',
      'notifications/cancelled',
      'notifications/initialized',
      'terminate',
      'tools/call',
      'tools/list',
      'unknown',
    ];
    expect([...values('mcpstead_mcp_requests_total', 'method')].sort()).toEqual(methods);
    expect([...values('mcpstead_tool_calls_total', 'tool')].sort()).toEqual(
      [...TOOLS, 'loses', 'echo', 'unknown'].sort(),
    );
    expect(value('mcpstead_tool_calls_total', { server: 'busy', tool: 'unknown' })).toBe(10);
    expect([...values('mcpstead_tool_calls_total', 'server')].sort()).toEqual(['busy', 'child', 'gone']);
    expect(
      value('mcpstead_mcp_requests_total', { method: 'unknown', result: 'error' }),
    ).toBeGreaterThanOrEqual(20);
  });

  it('counts sessions', () => {
    expect(value('mcpstead_downstream_sessions_active')).toBe(1);
    expect(value('mcpstead_downstream_session_terminations_total', { reason: 'client_delete' })).toBe(1);
    expect(value('mcpstead_downstream_session_terminations_total', { reason: 'init_failed' })).toBe(1);
    expect(value('mcpstead_downstream_session_duration_seconds_count')).toBe(1);
  });

  it('counts authentication', () => {
    for (const reason of ['missing_header', 'bad_format', 'wrong_token'])
      expect(value('mcpstead_mcp_auth_failures_total', { reason })).toBe(1);
    expect(value('mcpstead_mcp_auth_attempts_total', { result: 'failure' })).toBe(3);
    expect(value('mcpstead_mcp_auth_attempts_total', { result: 'success' })).toBeGreaterThan(50);
  });

  it('counts what happens upstream', () => {
    for (const reason of ['unknown_session', 'expired', 'terminated'])
      expect(value('mcpstead_upstream_session_resets_total', { server: 'busy', reason })).toBe(1);
    const busy = { server: 'busy' };
    expect(value('mcpstead_upstream_connected', busy)).toBe(1);
    expect(value('mcpstead_upstream_tools_count', busy)).toBe(TOOLS.length + 1);
    expect(
      value('mcpstead_upstream_initialize_total', { ...busy, result: 'success' }),
    ).toBeGreaterThanOrEqual(4);
    expect(value('mcpstead_upstream_bytes_total', { ...busy, direction: 'sent' })).toBeGreaterThan(2000);
    expect(value('mcpstead_upstream_bytes_total', { ...busy, direction: 'received' })).toBeGreaterThan(2000);
    expect(
      value('mcpstead_upstream_bytes_total', { server: 'child', direction: 'received' }),
    ).toBeGreaterThan(500);
    expect(value('mcpstead_upstream_bytes_total', { server: 'child', direction: 'sent' })).toBeGreaterThan(
      200,
    );
    expect(value('mcpstead_upstream_last_seen_seconds', busy)).toBeLessThan(30);
    expect(value('mcpstead_upstream_last_seen_seconds', { server: 'gone' })).toBe(-1);
    expect(value('mcpstead_upstream_era', { ...busy, revision: '2025-11-25' })).toBe(1);
    expect(value('mcpstead_requests_in_flight', busy)).toBe(0);
    expect(value('mcpstead_upstream_connected', { server: 'gone' })).toBe(0);
    expect(value('mcpstead_upstream_initialize_total', { server: 'gone', result: 'success' })).toBe(0);
  });

  it('counts reloads, refused ones too', () => {
    expect(value('mcpstead_config_reloads_total', { result: 'success' })).toBe(1);
    expect(value('mcpstead_config_reloads_total', { result: 'error' })).toBe(1);
    expect(value('mcpstead_config_last_reload_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000 - 60);
  });

  it('knows its build and its process', () => {
    const [build] = families.get('mcpstead_build_info')?.samples ?? [];
    expect(build?.labels).toMatchObject({ node_version: process.version });
    expect(build?.value).toBe(1);
    expect(value('mcpstead_start_time_seconds')).toBeLessThanOrEqual(Date.now() / 1000);
    expect(value('mcpstead_process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(value('mcpstead_process_open_fds')).toBeGreaterThan(3);
  });
});

describe('metrics', () => {
  it('of a quiet gateway have no tool series and no authentication under mode none', async () => {
    const upstream = await createUpstream({ tools: [tool('a'), tool('b')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const text = await running.metrics();
    const families = parsePrometheus(text);
    expect(families.get('mcpstead_tool_calls_total')?.samples).toEqual([]);
    expect(text).not.toMatch(/^mcpstead_mcp_auth_\w+[{ ]/m);
    expect(valueOf(families, 'mcpstead_upstream_tools_count', { server: 's' })).toBe(2);
  });

  it('show a call while it is in flight', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('held')], onCall: (call) => void held.push(call) });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const calls = [callTool(running.url, 's__held'), callTool(running.url, 's__held')];
    await until(() => held.length === 2);
    expect(await running.metric('mcpstead_requests_in_flight{server="s"}')).toBe(2);
    for (const call of held) call.text('done');
    await Promise.all(calls);
    expect(await running.metric('mcpstead_requests_in_flight{server="s"}')).toBe(0);
    expect(await running.metric('mcpstead_tool_calls_total{server="s",tool="held"}')).toBe(2);
  });

  it.each(['first', 'last'] as const)('see isError wherever it stands, with the id %s', async (idOrder) => {
    const shapes = [
      '{"isError":true,"content":[]}',
      '{"content":[{"type":"text","text":"x"}],"isError":true}',
      '{"content":[],"isError" : true , "structured":1}',
      `{"content":[{"type":"text","text":"${'x'.repeat(5000)}"}],"isError":true}`,
    ];
    const not = [
      '{"content":[],"isError":false}',
      '{"content":[{"type":"text","text":"\\"isError\\":true"}]}',
    ];
    const all = [...shapes, ...not];
    const upstream = await createUpstream({
      idOrder,
      tools: [tool('t')],
      onCall: (call) => call.result(all[Number(call.args['n'])] as string),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    for (const n of all.keys()) await callTool(running.url, 's__t', { n });
    expect(
      await running.metric(
        'mcpstead_tool_call_errors_total{server="s",tool="t",reason="upstream_returned_error"}',
      ),
    ).toBe(shapes.length);
    expect(await running.metric('mcpstead_mcp_requests_total{method="tools/call",result="success"}')).toBe(
      all.length,
    );
  });

  it('of a batch count each element', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await post(running.url, [ping, callBody('s__t', {}, 2), { jsonrpc: '2.0', id: 3, method: 'no/such' }, 5]);
    const families = parsePrometheus(await running.metrics());
    const requests = (method: string, result: string): number | undefined =>
      valueOf(families, 'mcpstead_mcp_requests_total', { method, result });
    expect(requests('ping', 'success')).toBe(1);
    expect(requests('tools/call', 'success')).toBe(1);
    expect(requests('unknown', 'error')).toBe(1);
    expect(requests('invalid', 'error')).toBe(1);
  });
});
