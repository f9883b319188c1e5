/**
 * Every metric of `GET /metrics`, declared once: name, kind, help, labels and source. A new metric is a row here and a field in stats.ts.
 * docs/metrics.md is generated from these rows. Durations are in seconds, timestamps in Unix seconds.
 */
import { NONE, one, tallied, type Family, type Scrape, type Series } from './family.js';
import type { ProcessSample } from './process-sample.js';
import { ACCESS_FAMILIES } from './access-families.js';
import { APPROVAL_FAMILIES } from './approval-families.js';
import { FLEET_FAMILIES } from './fleet-families.js';
import { SIGN_IN_FAMILIES } from './sign-in-families.js';
import type { Histogram, ServerStats, ToolStats } from './stats.js';

const SERVER = { server: undefined };
const OUTCOME = ['success', 'error'] as const;

/** At most one series per server. */
function* perServer(
  { servers }: Scrape,
  value: (server: ServerStats) => number | Histogram | undefined,
): Generator<Series, void, void> {
  for (const server of servers) {
    const found = value(server);
    if (found !== undefined) yield [[server.server], found];
  }
}

/** A series for each label value that was counted. */
function* perServerAnd(
  { servers }: Scrape,
  values: (server: ServerStats) => Iterable<readonly [string, number]>,
): Generator<Series, void, void> {
  for (const server of servers) for (const [key, n] of values(server)) yield [[server.server, key], n];
}

function* perTool(
  { servers }: Scrape,
  value: (tool: ToolStats) => number | Histogram,
): Generator<Series, void, void> {
  for (const { server, tools } of servers)
    for (const tool of tools.values()) yield [[server, tool.tool], value(tool)];
}

/** A histogram without observations has no series. */
const used = (histogram: Histogram): Histogram | undefined => (histogram.count > 0 ? histogram : undefined);

const ofProcess = (key: keyof ProcessSample, kind: 'gauge' | 'counter', help: string): Family => ({
  name: `mcpstead_process_${key}`,
  kind,
  help,
  labels: {},
  linux: true,
  *read({ process }) {
    const value = process?.[key];
    if (value !== undefined) yield [NONE, value];
  },
});

/** In the order of the exposition. */
export const FAMILIES: readonly Family[] = [
  {
    name: 'mcpstead_build_info',
    kind: 'gauge',
    help: 'Version and build of the gateway.',
    labels: { version: undefined, git_sha: undefined, node_version: undefined },
    read: ({ build }) => [[[build.version, build.git_sha, build.node_version], 1]],
  },
  {
    name: 'mcpstead_start_time_seconds',
    kind: 'gauge',
    help: 'Unix time when the gateway started.',
    labels: {},
    read: ({ stats }) => one(stats.startedAt),
  },
  {
    name: 'mcpstead_uptime_seconds',
    kind: 'gauge',
    help: 'Seconds since the gateway started.',
    labels: {},
    read: ({ stats, now }) => one(Math.max(0, now - stats.startedAt)),
  },
  ofProcess('resident_memory_bytes', 'gauge', 'Resident memory.'),
  ofProcess('virtual_memory_bytes', 'gauge', 'Virtual memory.'),
  ofProcess('cpu_seconds_total', 'counter', 'CPU time, user and system.'),
  ofProcess('open_fds', 'gauge', 'Open file descriptors.'),
  ofProcess('max_fds', 'gauge', 'Most file descriptors that may be open.'),
  ofProcess('threads', 'gauge', 'Threads.'),
  {
    name: 'mcpstead_upstream_connected',
    kind: 'gauge',
    help: 'Whether the upstream is connected (1) or not (0).',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => (s.connected ? 1 : 0)),
  },
  {
    name: 'mcpstead_upstream_tools_count',
    kind: 'gauge',
    help: 'Number of tools that the upstream lists.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.toolsCount),
  },
  {
    name: 'mcpstead_upstream_reconnects_total',
    kind: 'counter',
    help: 'Connection failures after which the gateway reconnected to the upstream.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.reconnects),
  },
  {
    name: 'mcpstead_upstream_last_seen_seconds',
    kind: 'gauge',
    help: 'Seconds since the last contact with the upstream; -1 before the first.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => (s.lastSeen < 0 ? -1 : Math.max(0, scrape.now - s.lastSeen))),
  },
  {
    name: 'mcpstead_upstream_initialize_total',
    kind: 'counter',
    help: 'Initializations of the upstream, by result.',
    labels: { ...SERVER, result: OUTCOME },
    read: (scrape) => perServerAnd(scrape, (s) => s.initialize.values),
  },
  {
    name: 'mcpstead_upstream_initialize_duration_seconds',
    kind: 'histogram',
    help: 'Duration of the initialization of the upstream.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => used(s.initializeDuration)),
  },
  {
    name: 'mcpstead_upstream_health_checks_total',
    kind: 'counter',
    help: 'Health checks of the upstream.',
    labels: { ...SERVER, result: ['success', 'failure'] },
    read: (scrape) => perServerAnd(scrape, (s) => s.healthChecks.values),
  },
  {
    name: 'mcpstead_upstream_reconnect_attempts_total',
    kind: 'counter',
    help: 'Attempts to reconnect to the upstream, by result.',
    labels: { ...SERVER, result: OUTCOME },
    read: (scrape) => perServerAnd(scrape, (s) => s.reconnectAttempts.values),
  },
  {
    name: 'mcpstead_upstream_backoff_seconds_total',
    kind: 'counter',
    help: 'Total seconds in backoff between connection attempts.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.backoffSeconds),
  },
  {
    name: 'mcpstead_upstream_in_backoff',
    kind: 'gauge',
    help: 'Whether the upstream is in backoff (1) or not (0).',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => (s.inBackoff ? 1 : 0)),
  },
  {
    name: 'mcpstead_upstream_current_backoff_seconds',
    kind: 'gauge',
    help: 'Length of the current backoff in seconds; 0 if there is none.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.currentBackoffSeconds),
  },
  {
    name: 'mcpstead_upstream_session_resets_total',
    kind: 'counter',
    help: 'Sessions that the upstream had lost or ended.',
    labels: { ...SERVER, reason: ['unknown_session', 'expired', 'terminated'] },
    read: (scrape) => perServerAnd(scrape, (s) => s.sessionResets.values),
  },
  {
    name: 'mcpstead_upstream_tools_refresh_total',
    kind: 'counter',
    help: 'Refreshes of the lists of the upstream.',
    labels: { ...SERVER, result: OUTCOME },
    read: (scrape) => perServerAnd(scrape, (s) => s.toolsRefresh.values),
  },
  {
    name: 'mcpstead_upstream_tools_refresh_duration_seconds',
    kind: 'histogram',
    help: 'Duration of the refreshes of the lists of the upstream.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => used(s.toolsRefreshDuration)),
  },
  {
    name: 'mcpstead_upstream_tools_last_refresh_timestamp_seconds',
    kind: 'gauge',
    help: 'Unix time of the last successful refresh of the lists.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.toolsLastRefresh || undefined),
  },
  {
    name: 'mcpstead_upstream_bytes_total',
    kind: 'counter',
    help: 'Bytes exchanged with the upstream.',
    labels: { ...SERVER, direction: ['sent', 'received'] },
    read: (scrape) =>
      perServerAnd(scrape, (s) => [
        ['sent', s.bytesSent],
        ['received', s.bytesReceived],
      ]),
  },
  {
    name: 'mcpstead_requests_in_flight',
    kind: 'gauge',
    help: 'Requests in flight to the upstream.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.inFlight),
  },
  {
    name: 'mcpstead_upstream_unreadable_messages_total',
    kind: 'counter',
    help: 'Messages from the upstream that were dropped: unreadable, or too large to be buffered.',
    labels: SERVER,
    read: (scrape) => perServer(scrape, (s) => s.unreadable),
  },
  {
    name: 'mcpstead_input_requests_total',
    kind: 'counter',
    help: 'Requests of upstreams to clients during calls, by method and result.',
    labels: { ...SERVER, method: undefined, result: undefined },
    *read({ servers }) {
      for (const { server, inputRequests } of servers)
        for (const [key, n] of inputRequests.values) {
          const [method = '', result = ''] = key.split('\0');
          yield [[server, method, result], n];
        }
    },
  },
  {
    name: 'mcpstead_upstream_era',
    kind: 'gauge',
    help: 'Always 1; the label is the protocol revision in use with the upstream, one series per era.',
    labels: { ...SERVER, revision: undefined },
    *read({ servers }) {
      for (const { server, era, revision, legacyRevision } of servers) {
        if (era !== '') yield [[server, revision], 1];
        if (legacyRevision !== '') yield [[server, legacyRevision], 1];
      }
    },
  },
  {
    name: 'mcpstead_downstream_sessions_active',
    kind: 'gauge',
    help: 'Open client sessions.',
    labels: {},
    read: ({ stats }) => one(stats.sessionsActive),
  },
  {
    name: 'mcpstead_downstream_sessions_total',
    kind: 'counter',
    help: 'Client sessions opened.',
    labels: {},
    read: ({ stats }) => one(stats.sessionsTotal),
  },
  {
    name: 'mcpstead_downstream_session_duration_seconds',
    kind: 'histogram',
    help: 'Duration of ended client sessions.',
    labels: {},
    read: ({ stats }) => one(stats.sessionDuration),
  },
  {
    name: 'mcpstead_downstream_session_terminations_total',
    kind: 'counter',
    help: 'Client sessions ended, by reason.',
    labels: {
      reason: [
        'client_delete',
        'idle_timeout',
        'gateway_shutdown',
        'init_failed',
        'evicted',
        'auth_changed',
        'operator',
        'server_removed',
      ],
    },
    read: ({ stats }) => tallied(stats.terminations.values),
  },
  {
    name: 'mcpstead_mcp_requests_total',
    kind: 'counter',
    help: 'Client requests, by method and result.',
    labels: { method: undefined, result: OUTCOME },
    *read({ stats }) {
      for (const [method, { success, error }] of stats.methods) {
        if (success > 0) yield [[method, 'success'], success];
        if (error > 0) yield [[method, 'error'], error];
      }
    },
  },
  {
    name: 'mcpstead_mcp_request_duration_seconds',
    kind: 'histogram',
    help: 'Duration of client requests.',
    labels: { method: undefined },
    *read({ stats }) {
      for (const [method, { duration }] of stats.methods) if (duration.count > 0) yield [[method], duration];
    },
  },
  ...ACCESS_FAMILIES,
  ...SIGN_IN_FAMILIES,
  ...APPROVAL_FAMILIES,
  ...FLEET_FAMILIES,
  {
    name: 'mcpstead_config_reloads_total',
    kind: 'counter',
    help: 'Reloads of the configuration.',
    labels: { result: OUTCOME },
    read: ({ stats }) => tallied(stats.reloads.values),
  },
  {
    name: 'mcpstead_config_last_reload_timestamp_seconds',
    kind: 'gauge',
    help: 'Unix time of the last successful reload.',
    labels: {},
    read: ({ stats }) => (stats.lastReload > 0 ? one(stats.lastReload) : []),
  },
  {
    name: 'mcpstead_tls_expiry_timestamp_seconds',
    kind: 'gauge',
    help: 'Unix time when the certificate of the port expires (http.tls).',
    labels: {},
    read: ({ stats }) => (stats.tlsExpires === undefined ? [] : one(stats.tlsExpires)),
  },
  {
    name: 'mcpstead_events_dropped_total',
    kind: 'counter',
    help: 'Events that were dropped before they reached a client.',
    labels: { reason: undefined },
    read: ({ stats }) => tallied(stats.eventsDropped.values),
  },
  {
    name: 'mcpstead_buffered_bytes',
    kind: 'gauge',
    help: 'Bytes of limits.buffered_bytes in use.',
    labels: {},
    read: ({ stats }) => one(stats.bufferedBytes),
  },
  {
    name: 'mcpstead_internal_errors_total',
    kind: 'counter',
    help: 'Internal exceptions; each ended one call, message or connection.',
    labels: { where: undefined },
    read: ({ stats }) => tallied(stats.internalErrors.values),
  },
  {
    name: 'mcpstead_parked_calls',
    kind: 'gauge',
    help: 'Parked calls that wait for client input.',
    labels: {},
    read: ({ stats }) => one(stats.parked),
  },
  {
    name: 'mcpstead_parked_calls_total',
    kind: 'counter',
    help: 'Parked calls, by how they ended.',
    labels: { result: ['answered', 'expired', 'refused', 'cancelled'] },
    read: ({ stats }) => tallied(stats.parkedTotal.values),
  },
  {
    name: 'mcpstead_rate_limited_total',
    kind: 'counter',
    help: 'Calls that a rule of `limits.rules` refused.',
    labels: { rule: undefined },
    read: ({ stats }) => tallied(stats.rateLimited.values),
  },
  {
    name: 'mcpstead_audit_dropped_total',
    kind: 'counter',
    help: 'Lines of the audit log that were lost because it could not be written.',
    labels: {},
    read: ({ stats }) => one(stats.auditDropped),
  },
  {
    name: 'mcpstead_tool_calls_total',
    kind: 'counter',
    help: 'Tool calls.',
    labels: { ...SERVER, tool: undefined },
    read: (scrape) => perTool(scrape, (tool) => tool.calls),
  },
  {
    name: 'mcpstead_tool_call_duration_seconds',
    kind: 'histogram',
    help: 'Duration of tool calls.',
    labels: { ...SERVER, tool: undefined },
    read: (scrape) => perTool(scrape, (tool) => tool.duration),
  },
  {
    name: 'mcpstead_tool_call_errors_total',
    kind: 'counter',
    help: 'Failed tool calls, by reason.',
    labels: {
      ...SERVER,
      tool: undefined,
      reason: [
        'upstream_disconnected',
        'upstream_timeout',
        'upstream_auth_failed',
        'login_required',
        'upstream_protocol_error',
        'upstream_returned_error',
        'internal',
        'busy',
        'cancelled',
      ],
    },
    *read({ servers }) {
      for (const { server, tools } of servers)
        for (const { tool, errors } of tools.values())
          for (const [reason, n] of errors.values) yield [[server, tool, reason], n];
    },
  },
];
