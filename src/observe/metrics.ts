import { readdir, readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { GatewayStats, Histogram, ServerStats, ToolStats } from './stats.js';

export interface BuildInfo {
  readonly version: string;
  readonly git_sha: string;
  readonly node_version: string;
}

/** The event loop is held no longer than this: other work comes in between. */
const SLICE_MS = 4;
const CHUNK_CHARS = 64 * 1024;

/**
 * The counters in Prometheus text format 0.0.4, in pieces of some 64 KB. Ten thousand tools make 20 MB of
 * text: it is rendered as fast as it is asked for and never stands in memory as a whole.
 */
export async function* renderMetrics(
  stats: GatewayStats,
  info: BuildInfo,
): AsyncGenerator<string, void, void> {
  const processLines = await processMetrics();
  let chunk = '';
  let since = performance.now();
  for (const text of families(stats, info, processLines)) {
    chunk += text;
    if (chunk.length >= CHUNK_CHARS) {
      const full = chunk;
      chunk = '';
      yield full;
    }
    // Also for one who asks for the next piece at once.
    if (performance.now() - since > SLICE_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
  }
  if (chunk !== '') yield chunk;
}

type Labels = string;

/** One small text after the other: a header, or the lines of one series. */
function* families(
  stats: GatewayStats,
  info: BuildInfo,
  processLines: string,
): Generator<string, void, void> {
  const now = Date.now() / 1000;
  const servers = [...stats.servers.values()].sort((a, b) => (a.server < b.server ? -1 : 1));

  yield header('mcpstead_build_info', 'gauge', 'Version and build of the gateway.');
  yield sample(
    'mcpstead_build_info',
    labels('version', info.version, 'git_sha', info.git_sha, 'node_version', info.node_version),
    1,
  );
  yield header('mcpstead_start_time_seconds', 'gauge', 'Unix time of the start.');
  yield sample('mcpstead_start_time_seconds', '', stats.startedAt);
  yield header('mcpstead_uptime_seconds', 'gauge', 'Seconds since the start.');
  yield sample('mcpstead_uptime_seconds', '', Math.max(0, now - stats.startedAt));
  yield processLines;

  /** One family with at most one series a server. */
  function* each(
    name: string,
    type: 'gauge' | 'counter',
    help: string,
    value: (server: ServerStats) => number | undefined,
  ): Generator<string, void, void> {
    yield header(name, type, help);
    for (const server of servers) {
      const n = value(server);
      if (n !== undefined) yield sample(name, labels('server', server.server), n);
    }
  }
  /** One family with a series for each value of a label that was counted. */
  function* tallies(
    name: string,
    help: string,
    label: string,
    values: (server: ServerStats) => Iterable<[string, number]>,
  ): Generator<string, void, void> {
    yield header(name, 'counter', help);
    for (const server of servers) {
      for (const [key, n] of values(server))
        yield sample(name, labels('server', server.server, label, key), n);
    }
  }
  function* histograms(
    name: string,
    help: string,
    value: (server: ServerStats) => Histogram,
  ): Generator<string, void, void> {
    yield header(name, 'histogram', help);
    for (const server of servers) {
      const found = value(server);
      if (found.count > 0) yield histogram(name, labels('server', server.server), found);
    }
  }

  yield* each('mcpstead_upstream_connected', 'gauge', 'Whether the upstream is connected.', (s) =>
    s.connected ? 1 : 0,
  );
  yield* each('mcpstead_upstream_tools_count', 'gauge', 'Tools of the upstream.', (s) => s.toolsCount);
  yield* each(
    'mcpstead_upstream_reconnects_total',
    'counter',
    'Failures after which the upstream was connected anew.',
    (s) => s.reconnects,
  );
  yield* each(
    'mcpstead_upstream_last_seen_seconds',
    'gauge',
    'Seconds since the last contact with the upstream; -1 before the first.',
    (s) => (s.lastSeen < 0 ? -1 : Math.max(0, now - s.lastSeen)),
  );
  yield* tallies(
    'mcpstead_upstream_initialize_total',
    'Initializations of the upstream.',
    'result',
    (s) => s.initialize.values,
  );
  yield* histograms(
    'mcpstead_upstream_initialize_duration_seconds',
    'Duration of the initialization of the upstream.',
    (s) => s.initializeDuration,
  );
  yield* tallies(
    'mcpstead_upstream_health_checks_total',
    'Health checks of the upstream.',
    'result',
    (s) => s.healthChecks.values,
  );
  yield* tallies(
    'mcpstead_upstream_reconnect_attempts_total',
    'Attempts to connect the upstream anew.',
    'result',
    (s) => s.reconnectAttempts.values,
  );
  yield* each(
    'mcpstead_upstream_backoff_seconds_total',
    'counter',
    'Seconds waited between attempts to connect the upstream.',
    (s) => s.backoffSeconds,
  );
  yield* each(
    'mcpstead_upstream_in_backoff',
    'gauge',
    'Whether the next attempt to connect the upstream is being waited for.',
    (s) => (s.inBackoff ? 1 : 0),
  );
  yield* each(
    'mcpstead_upstream_current_backoff_seconds',
    'gauge',
    'Length of the wait that goes on.',
    (s) => s.currentBackoffSeconds,
  );
  yield* tallies(
    'mcpstead_upstream_session_resets_total',
    'Sessions that the upstream no longer knew.',
    'reason',
    (s) => s.sessionResets.values,
  );
  yield* tallies(
    'mcpstead_upstream_tools_refresh_total',
    'Refreshes of the lists of the upstream.',
    'result',
    (s) => s.toolsRefresh.values,
  );
  yield* histograms(
    'mcpstead_upstream_tools_refresh_duration_seconds',
    'Duration of the refreshes of the lists of the upstream.',
    (s) => s.toolsRefreshDuration,
  );
  yield* each(
    'mcpstead_upstream_tools_last_refresh_timestamp_seconds',
    'gauge',
    'Unix time of the last successful refresh of the lists.',
    (s) => s.toolsLastRefresh || undefined,
  );
  yield* tallies('mcpstead_upstream_bytes_total', 'Bytes exchanged with the upstream.', 'direction', (s) => [
    ['sent', s.bytesSent],
    ['received', s.bytesReceived],
  ]);
  yield* each(
    'mcpstead_requests_in_flight',
    'gauge',
    'Requests the upstream has not answered.',
    (s) => s.inFlight,
  );
  yield* each(
    'mcpstead_upstream_unreadable_messages_total',
    'counter',
    'Messages of the upstream that were left out: unreadable, or too large to be held.',
    (s) => s.unreadable,
  );
  yield header('mcpstead_input_requests_total', 'counter', 'What upstreams asked of clients during calls.');
  for (const { server, inputRequests } of servers) {
    for (const [key, n] of inputRequests.values) {
      const [method = '', result = ''] = key.split('\0');
      const own = labels('server', server, 'method', method, 'result', result);
      yield sample('mcpstead_input_requests_total', own, n);
    }
  }
  yield header(
    'mcpstead_upstream_era',
    'gauge',
    'Always 1; the label is a protocol revision spoken with the upstream: one an era.',
  );
  for (const { server, era, revision, legacyRevision } of servers) {
    if (era !== '') yield sample('mcpstead_upstream_era', labels('server', server, 'revision', revision), 1);
    if (legacyRevision !== '')
      yield sample('mcpstead_upstream_era', labels('server', server, 'revision', legacyRevision), 1);
  }

  yield header('mcpstead_downstream_sessions_active', 'gauge', 'Open sessions of clients.');
  yield sample('mcpstead_downstream_sessions_active', '', stats.sessionsActive);
  yield header('mcpstead_downstream_sessions_total', 'counter', 'Sessions that clients opened.');
  yield sample('mcpstead_downstream_sessions_total', '', stats.sessionsTotal);
  yield header('mcpstead_downstream_session_duration_seconds', 'histogram', 'Duration of ended sessions.');
  yield histogram('mcpstead_downstream_session_duration_seconds', '', stats.sessionDuration);
  yield* counts(
    'mcpstead_downstream_session_terminations_total',
    'Ended sessions.',
    'reason',
    stats.terminations.values,
  );

  yield header('mcpstead_mcp_requests_total', 'counter', 'Requests of clients.');
  for (const [method, { success, error }] of stats.methods) {
    if (success > 0) {
      yield sample('mcpstead_mcp_requests_total', labels('method', method, 'result', 'success'), success);
    }
    if (error > 0)
      yield sample('mcpstead_mcp_requests_total', labels('method', method, 'result', 'error'), error);
  }
  yield header('mcpstead_mcp_request_duration_seconds', 'histogram', 'Duration of requests of clients.');
  for (const [method, { duration }] of stats.methods) {
    if (duration.count > 0) {
      yield histogram('mcpstead_mcp_request_duration_seconds', labels('method', method), duration);
    }
  }
  yield* counts(
    'mcpstead_mcp_auth_attempts_total',
    'Requests whose token was checked.',
    'result',
    stats.authAttempts.values,
  );
  yield* counts('mcpstead_mcp_auth_failures_total', 'Refused tokens.', 'reason', stats.authFailures.values);

  yield* counts(
    'mcpstead_config_reloads_total',
    'Reloads of the configuration.',
    'result',
    stats.reloads.values,
  );
  yield header(
    'mcpstead_config_last_reload_timestamp_seconds',
    'gauge',
    'Unix time of the last successful reload.',
  );
  if (stats.lastReload > 0) {
    yield sample('mcpstead_config_last_reload_timestamp_seconds', '', stats.lastReload);
  }
  yield* counts(
    'mcpstead_events_dropped_total',
    'Events that reached no client.',
    'reason',
    stats.eventsDropped.values,
  );
  yield header('mcpstead_buffered_bytes', 'gauge', 'Bytes of limits.buffered_bytes in use.');
  yield sample('mcpstead_buffered_bytes', '', stats.bufferedBytes);
  yield* counts(
    'mcpstead_internal_errors_total',
    'Exceptions caught within the gateway: each ended one call, message or connection.',
    'where',
    stats.internalErrors.values,
  );
  yield header('mcpstead_parked_calls', 'gauge', 'Calls that wait for input of their clients.');
  yield sample('mcpstead_parked_calls', '', stats.parked);
  yield* counts(
    'mcpstead_parked_calls_total',
    'Calls that waited for input of their clients.',
    'result',
    stats.parkedTotal.values,
  );

  function* tools(): Generator<[Labels, ToolStats], void, void> {
    for (const server of servers) {
      for (const tool of server.tools.values())
        yield [labels('server', server.server, 'tool', tool.tool), tool];
    }
  }
  yield header('mcpstead_tool_calls_total', 'counter', 'Calls of the tool.');
  for (const [own, tool] of tools()) yield sample('mcpstead_tool_calls_total', own, tool.calls);
  yield header('mcpstead_tool_call_duration_seconds', 'histogram', 'Duration of the calls of the tool.');
  for (const [own, tool] of tools())
    yield histogram('mcpstead_tool_call_duration_seconds', own, tool.duration);
  yield header('mcpstead_tool_call_errors_total', 'counter', 'Calls of the tool that failed.');
  for (const [own, tool] of tools()) {
    for (const [reason, n] of tool.errors.values) {
      yield sample('mcpstead_tool_call_errors_total', `${own},${labels('reason', reason)}`, n);
    }
  }
}

function* counts(
  name: string,
  help: string,
  label: string,
  values: Iterable<[string, number]>,
): Generator<string, void, void> {
  yield header(name, 'counter', help);
  for (const [key, n] of values) yield sample(name, labels(label, key), n);
}

function header(name: string, type: 'gauge' | 'counter' | 'histogram', help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function sample(name: string, own: Labels, value: number): string {
  return own === '' ? `${name} ${format(value)}\n` : `${name}{${own}} ${format(value)}\n`;
}

/** The `le` labels of a list of bounds, made once. */
const edges = new WeakMap<readonly number[], string[]>();

function histogram(name: string, own: Labels, { counts, bounds, sum, count }: Histogram): string {
  let les = edges.get(bounds);
  if (les === undefined) edges.set(bounds, (les = [...bounds.map(String), '+Inf']));
  const before = own === '' ? `${name}_bucket{le="` : `${name}_bucket{${own},le="`;
  let text = '';
  let total = 0;
  for (let i = 0; i < les.length; i++) {
    total += counts[i] as number;
    text += `${before}${les[i]}"} ${total}\n`;
  }
  return text + sample(`${name}_sum`, own, sum) + sample(`${name}_count`, own, count);
}

function labels(...pairs: string[]): Labels {
  let text = '';
  for (let i = 0; i < pairs.length; i += 2) {
    text += `${i === 0 ? '' : ','}${pairs[i]}="${escape(pairs[i + 1] as string)}"`;
  }
  return text;
}

/** Names come from servers: of control characters none is left. Two names never become one: that would be two equal series. */
function escape(value: string): string {
  if (!/[\\"\u0000-\u001f\u007f-\u009f\ufffd]/.test(value)) return value;
  return value
    .replace(
      /[\u0000-\u001f\u007f-\u009f\ufffd]/g,
      (c) => `\ufffd${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"');
}

/** Microseconds are as fine as the clocks are. */
function format(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(6);
}

/** What the system knows of this process; nothing where it has no /proc. */
async function processMetrics(): Promise<string> {
  let status: string;
  let limits: string;
  let descriptors: string[];
  try {
    [status, limits, descriptors] = await Promise.all([
      readFile('/proc/self/status', 'utf8'),
      readFile('/proc/self/limits', 'utf8'),
      readdir('/proc/self/fd'),
    ]);
  } catch {
    return '';
  }
  const kilobytes = (key: string) => number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status), 1024);
  const { user, system } = process.cpuUsage();
  const rows: [name: string, type: 'gauge' | 'counter', help: string, value: number | undefined][] = [
    ['resident_memory_bytes', 'gauge', 'Resident memory.', kilobytes('VmRSS')],
    ['virtual_memory_bytes', 'gauge', 'Virtual memory.', kilobytes('VmSize')],
    ['cpu_seconds_total', 'counter', 'CPU time, user and system.', (user + system) / 1e6],
    ['open_fds', 'gauge', 'Open file descriptors.', descriptors.length],
    [
      'max_fds',
      'gauge',
      'Most file descriptors that may be open.',
      number(/^Max open files\s+(\d+)/m.exec(limits)),
    ],
    ['threads', 'gauge', 'Threads.', number(/^Threads:\s+(\d+)/m.exec(status))],
  ];
  let text = '';
  for (const [name, type, help, value] of rows) {
    if (value === undefined) continue;
    text += header(`mcpstead_process_${name}`, type, help) + sample(`mcpstead_process_${name}`, '', value);
  }
  return text;
}

function number(match: RegExpExecArray | null, factor = 1): number | undefined {
  return match ? Number(match[1]) * factor : undefined;
}
