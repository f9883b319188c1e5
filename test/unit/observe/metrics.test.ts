import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { renderMetrics } from '../../../src/observe/metrics.js';
import { GatewayStats, IssuerStats } from '../../../src/observe/stats.js';
import { parsePrometheus, valueOf } from '../../helpers/prometheus.js';

const info = { version: '0.2.0', git_sha: 'abc', node_version: 'v20.20.2' };

async function text(stats: GatewayStats): Promise<string> {
  let all = '';
  for await (const chunk of renderMetrics(stats, info)) all += chunk;
  return all;
}
const parsed = async (stats: GatewayStats) => parsePrometheus(await text(stats));

/** Names, types and labels that dashboards and alerts rely on. */
const PINNED = `
mcpstead_build_info gauge version,git_sha,node_version
mcpstead_start_time_seconds gauge
mcpstead_uptime_seconds gauge
mcpstead_process_resident_memory_bytes gauge
mcpstead_process_virtual_memory_bytes gauge
mcpstead_process_cpu_seconds_total counter
mcpstead_process_open_fds gauge
mcpstead_process_max_fds gauge
mcpstead_process_threads gauge
mcpstead_upstream_connected gauge server
mcpstead_upstream_tools_count gauge server
mcpstead_upstream_reconnects_total counter server
mcpstead_upstream_last_seen_seconds gauge server
mcpstead_upstream_initialize_total counter server,result
mcpstead_upstream_initialize_duration_seconds histogram server
mcpstead_upstream_health_checks_total counter server,result
mcpstead_upstream_reconnect_attempts_total counter server,result
mcpstead_upstream_backoff_seconds_total counter server
mcpstead_upstream_in_backoff gauge server
mcpstead_upstream_current_backoff_seconds gauge server
mcpstead_upstream_session_resets_total counter server,reason
mcpstead_upstream_tools_refresh_total counter server,result
mcpstead_upstream_tools_refresh_duration_seconds histogram server
mcpstead_upstream_tools_last_refresh_timestamp_seconds gauge server
mcpstead_upstream_bytes_total counter server,direction
mcpstead_requests_in_flight gauge server
mcpstead_upstream_unreadable_messages_total counter server
mcpstead_input_requests_total counter server,method,result
mcpstead_upstream_era gauge server,revision
mcpstead_downstream_sessions_active gauge
mcpstead_downstream_sessions_total counter
mcpstead_downstream_session_duration_seconds histogram
mcpstead_downstream_session_terminations_total counter reason
mcpstead_mcp_requests_total counter method,result
mcpstead_mcp_request_duration_seconds histogram method
mcpstead_mcp_auth_attempts_total counter result
mcpstead_mcp_auth_failures_total counter reason
mcpstead_auth_issuer_up gauge issuer
mcpstead_auth_keys_age_seconds gauge issuer
mcpstead_policy_decisions_total counter decision
mcpstead_pins gauge
mcpstead_tools_tokens gauge
mcpstead_profile_tokens gauge
mcpstead_credentials gauge
mcpstead_oauth_refresh_total counter
mcpstead_oauth_logins_total counter
mcpstead_login_total counter
mcpstead_login_refresh_total counter
mcpstead_login_clients_total counter
mcpstead_login_limited_total counter
mcpstead_login_grants gauge
mcpstead_login_idp_seconds histogram
mcpstead_approvals_open gauge
mcpstead_approvals_waiting gauge
mcpstead_approvals_oldest_seconds gauge
mcpstead_approvals_total counter
mcpstead_approvals_wait_seconds histogram
mcpstead_approvals_webhook_total counter
mcpstead_fleet_replicas gauge
mcpstead_fleet_store_up gauge
mcpstead_fleet_store_seconds histogram
mcpstead_fleet_forwarded_total counter
mcpstead_fleet_held gauge
mcpstead_fleet_adopted_total counter
mcpstead_fleet_handed_over_total counter
mcpstead_fleet_superseded_total counter
mcpstead_fleet_lease gauge
mcpstead_fleet_strangers_total counter
mcpstead_fleet_limits_alone_total counter
mcpstead_fleet_clock_offset_seconds gauge
mcpstead_config_reloads_total counter result
mcpstead_config_last_reload_timestamp_seconds gauge
mcpstead_tls_expiry_timestamp_seconds gauge
mcpstead_events_dropped_total counter reason
mcpstead_buffered_bytes gauge
mcpstead_internal_errors_total counter where
mcpstead_parked_calls gauge
mcpstead_parked_calls_total counter result
mcpstead_rate_limited_total counter rule
mcpstead_audit_dropped_total counter
mcpstead_tool_calls_total counter server,tool
mcpstead_tool_call_duration_seconds histogram server,tool
mcpstead_tool_call_errors_total counter server,tool,reason
`
  .trim()
  .split('\n');

/** Every counter has counted something. */
function busy(): GatewayStats {
  const stats = new GatewayStats();
  stats.sessionsActive = 2;
  stats.sessionsTotal = 5;
  stats.sessionDuration.observe(12);
  stats.terminations.add('client_delete', 3);
  stats.method('tools/call').success = 7;
  stats.method('tools/call').error = 2;
  stats.method('tools/call').duration.observe(0.02);
  stats.authAttempts.add('failure');
  stats.authFailures.add('wrong_token');
  stats.policyDecisions.add('hide');
  stats.rateLimited.add('slow', 4);
  stats.auditDropped = 6;
  const issuer = new IssuerStats();
  issuer.up = true;
  issuer.keysRead = Date.now() / 1000 - 5;
  stats.issuers.set('corp', issuer);
  stats.reloads.add('success');
  stats.lastReload = 1_700_000_000.25;
  stats.eventsDropped.add('slow_client', 4);
  stats.internalErrors.add('timer');
  stats.parked = 2;
  stats.parkedTotal.add('expired', 3);
  const server = stats.server('local');
  server.connected = true;
  server.toolsCount = 9;
  server.reconnects = 1;
  server.lastSeen = Date.now() / 1000 - 3;
  server.initialize.add('success');
  server.initializeDuration.observe(0.3);
  server.healthChecks.add('failure');
  server.reconnectAttempts.add('error');
  server.backoffSeconds = 1.5;
  server.inBackoff = true;
  server.currentBackoffSeconds = 2;
  server.sessionResets.add('expired');
  server.toolsRefresh.add('success');
  server.toolsRefreshDuration.observe(0.01);
  server.toolsLastRefresh = 1_700_000_001;
  server.bytesSent = 10;
  server.bytesReceived = 20;
  server.inFlight = 3;
  server.inputRequests.add('sampling/createMessage\0refused', 5);
  server.inputRequests.add('other\0answered');
  server.era = 'legacy';
  server.revision = '2025-11-25';
  const tool = server.tool('echo');
  tool.calls = 2;
  tool.duration.observe(0.004);
  tool.duration.observe(40);
  tool.errors.add('upstream_timeout');
  return stats;
}

describe('the metrics', () => {
  it('have exactly the names, types, labels and order that were promised', async () => {
    const families = await parsed(busy());
    const seen = [...families.values()].map(({ name, type, samples }) => {
      const names = Object.keys(samples[0]?.labels ?? {}).filter((label) => label !== 'le');
      return [name, type, names.join(',')].filter((part) => part !== '').join(' ');
    });
    const linux = existsSync('/proc/self/status');
    expect(seen).toEqual(linux ? PINNED : PINNED.filter((line) => !line.includes('_process_')));
  });

  it('tell what was counted', async () => {
    const families = await parsed(busy());
    const at = (name: string, labels = {}) => valueOf(families, name, labels);
    expect(at('mcpstead_build_info', info)).toBe(1);
    expect(at('mcpstead_upstream_connected', { server: 'local' })).toBe(1);
    expect(at('mcpstead_upstream_last_seen_seconds', { server: 'local' })).toBeCloseTo(3, 0);
    expect(at('mcpstead_upstream_bytes_total', { server: 'local', direction: 'received' })).toBe(20);
    expect(at('mcpstead_upstream_era', { server: 'local', revision: '2025-11-25' })).toBe(1);
    const asked = { server: 'local', method: 'sampling/createMessage', result: 'refused' };
    expect(at('mcpstead_input_requests_total', asked)).toBe(5);
    expect(
      at('mcpstead_input_requests_total', { server: 'local', method: 'other', result: 'answered' }),
    ).toBe(1);
    expect(at('mcpstead_parked_calls')).toBe(2);
    expect(at('mcpstead_rate_limited_total', { rule: 'slow' })).toBe(4);
    expect(at('mcpstead_audit_dropped_total')).toBe(6);
    expect(at('mcpstead_parked_calls_total', { result: 'expired' })).toBe(3);
    expect(at('mcpstead_mcp_requests_total', { method: 'tools/call', result: 'error' })).toBe(2);
    expect(at('mcpstead_config_last_reload_timestamp_seconds')).toBe(1_700_000_000.25);
    const tool = { server: 'local', tool: 'echo' };
    expect(at('mcpstead_tool_call_duration_seconds_bucket', { ...tool, le: '0.005' })).toBe(1);
    expect(at('mcpstead_tool_call_duration_seconds_bucket', { ...tool, le: '30' })).toBe(1);
    expect(at('mcpstead_tool_call_duration_seconds_bucket', { ...tool, le: '+Inf' })).toBe(2);
    expect(at('mcpstead_tool_call_duration_seconds_sum', tool)).toBe(40.004);
    expect(at('mcpstead_tool_call_errors_total', { ...tool, reason: 'upstream_timeout' })).toBe(1);
  });

  it('name the revision that a modern upstream speaks', async () => {
    const stats = new GatewayStats();
    const server = stats.server('new');
    server.era = 'modern';
    server.revision = '2026-07-28';
    const families = await parsed(stats);
    expect(families.get('mcpstead_upstream_era')?.samples.map(({ labels }) => labels)).toEqual([
      { server: 'new', revision: '2026-07-28' },
    ]);
  });

  it('of a fresh gateway hold no series of what has not happened', async () => {
    const stats = new GatewayStats();
    stats.server('b');
    stats.server('a');
    const families = await parsed(stats);
    const series = (name: string) => families.get(name)?.samples.map(({ labels, value }) => [labels, value]);
    expect(series('mcpstead_upstream_last_seen_seconds')).toEqual([
      [{ server: 'a' }, -1],
      [{ server: 'b' }, -1],
    ]);
    expect(series('mcpstead_upstream_initialize_total')).toEqual([]);
    expect(series('mcpstead_upstream_initialize_duration_seconds')).toEqual([]);
    expect(series('mcpstead_upstream_tools_last_refresh_timestamp_seconds')).toEqual([]);
    expect(series('mcpstead_config_last_reload_timestamp_seconds')).toEqual([]);
    expect(series('mcpstead_upstream_era')).toEqual([]);
    expect(series('mcpstead_mcp_auth_attempts_total')).toEqual([]);
    expect(series('mcpstead_parked_calls')).toEqual([[{}, 0]]);
    expect(series('mcpstead_parked_calls_total')).toEqual([]);
    expect(series('mcpstead_input_requests_total')).toEqual([]);
    expect(valueOf(families, 'mcpstead_downstream_session_duration_seconds_count')).toBe(0);
  });

  it('show what the system knows of the process', async () => {
    if (!existsSync('/proc/self/status')) return;
    const families = await parsed(new GatewayStats());
    const at = (name: string) => valueOf(families, `mcpstead_process_${name}`) as number;
    expect(at('resident_memory_bytes')).toBeGreaterThan(10e6);
    expect(at('virtual_memory_bytes')).toBeGreaterThan(at('resident_memory_bytes'));
    expect(at('cpu_seconds_total')).toBeGreaterThan(0.01);
    expect(at('open_fds')).toBeGreaterThan(3);
    expect(at('max_fds')).toBeGreaterThan(at('open_fds'));
    expect(at('threads')).toBeGreaterThan(1);
  });

  it('carry any label value and any observation', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', '}', ',', '=', '\u6c34', ' ') }),
        fc.array(fc.double({ min: 0, max: 1e6, noNaN: true })),
        async (name, seconds) => {
          const stats = new GatewayStats();
          const tool = stats.server('s').tool(name);
          for (const each of seconds) tool.duration.observe(each);
          const families = await parsed(stats);
          // No control character is left of it.
          const labels = { server: 's', tool: name.replaceAll('\n', '\ufffd0a') };
          expect(valueOf(families, 'mcpstead_tool_call_duration_seconds_count', labels)).toBe(seconds.length);
          const below = seconds.filter((each) => each <= 0.25).length;
          expect(
            valueOf(families, 'mcpstead_tool_call_duration_seconds_bucket', { ...labels, le: '0.25' }),
          ).toBe(below);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('of 10,000 tools come in slices that leave the event loop to others', async () => {
    const stats = new GatewayStats();
    for (let i = 0; i < 10_000; i++) {
      const tool = stats.server(`server-${i % 10}`).tool(`some_tool_with_a_name_${i}`);
      tool.calls = i;
      tool.duration.observe(i / 1000);
      tool.errors.add('internal');
    }
    await text(stats); // warm
    let turns = 0;
    let going = true;
    const turn = () => {
      turns++;
      if (going) setImmediate(turn);
    };
    turn();
    let longest = 0;
    let size = 0;
    for await (const chunk of renderMetrics(stats, info)) {
      longest = Math.max(longest, chunk.length);
      size += chunk.length;
    }
    going = false;
    expect(size).toBeGreaterThan(10e6);
    expect(longest).toBeLessThan(100_000);
    // One between two slices.
    expect(turns).toBeGreaterThan(5);
  });
});
