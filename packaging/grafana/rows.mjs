// The rows of the dashboard, in the order in which an operator asks: build.mjs makes mcpstead.json of them.
import {
  OF,
  SERVER,
  W,
  rate,
  increase,
  quantile,
  quantiles,
  share,
  stat,
  graph,
  RED_BELOW_1,
  RED_FROM_1,
  YELLOW_FROM_1,
  rises,
} from './queries.mjs';
import { FLEET, SECURITY } from './more-rows.mjs';

const FAULTS = 'reason!~"upstream_returned_error|cancelled"';

export const ROWS = [
  {
    title: 'Is it up and ready?',
    panels: [
      stat('Gateways up', 'short', 'Gateways that answer Prometheus.', [[`sum(up{${OF}})`, 'up']], {
        thresholds: RED_BELOW_1,
      }),
      stat(
        'Servers connected',
        'short',
        'Servers to which every gateway is connected.',
        [[`sum(min by (job, server) (mcpstead_upstream_connected{${SERVER}}))`, 'connected']],
        { thresholds: RED_BELOW_1 },
      ),
      stat(
        'Servers not connected',
        'short',
        'Servers that a gateway is not connected to: down, not logged in to, or of single users.',
        [
          [
            `count(min by (job, server) (mcpstead_upstream_connected{${SERVER}}) == 0) or vector(0)`,
            'not connected',
          ],
        ],
        { thresholds: YELLOW_FROM_1 },
      ),
      stat('Open sessions', 'short', 'Client sessions that are open at all gateways together.', [
        [`sum(mcpstead_downstream_sessions_active{${OF}})`, 'sessions'],
      ]),
      stat(
        'Live replicas',
        'short',
        'Replicas of the fleet, as the one sees them that sees the fewest; empty without a fleet.',
        [[`min(mcpstead_fleet_replicas{${OF}})`, 'replicas']],
        { thresholds: RED_BELOW_1 },
      ),
      stat('Youngest gateway', 's', 'Time since the last start of any of the gateways.', [
        [`min(mcpstead_uptime_seconds{${OF}})`, 'uptime'],
      ]),
      stat(
        'Versions',
        'short',
        'Gateways of each version and build: more than one during an update only.',
        [
          [
            `count by (version, git_sha, node_version) (mcpstead_build_info{${OF}})`,
            '{{version}} {{git_sha}}, Node.js {{node_version}}',
          ],
        ],
        { width: 12, text: 'value_and_name' },
      ),
      stat(
        'Refused reloads, last hour',
        'short',
        'Reloads that failed in the last hour; the configuration before them stays active.',
        [[`sum(increase(mcpstead_config_reloads_total{${OF}, result="error"}[1h])) or vector(0)`, 'refused']],
        { width: 6, thresholds: YELLOW_FROM_1 },
      ),
      stat(
        'Certificate expires in',
        's',
        'Time until the first certificate of a port expires; empty without http.tls.',
        [[`min(mcpstead_tls_expiry_timestamp_seconds{${OF}}) - time()`, 'left']],
        {
          width: 6,
          thresholds: [
            ['red', null],
            ['yellow', 1_209_600],
            ['green', 2_592_000],
          ],
        },
      ),
    ],
  },
  {
    title: 'What do clients see?',
    panels: [
      graph('Requests', 'reqps', 'Requests of clients a second, by method.', [
        [rate('mcpstead_mcp_requests_total', 'method'), '{{method}}'],
      ]),
      graph(
        'Requests that fail',
        'percentunit',
        'Share of the requests of clients that end with an error of the protocol, by method.',
        [
          [
            share(
              rate('mcpstead_mcp_requests_total', 'method', `${OF}, result="error"`),
              rate('mcpstead_mcp_requests_total', 'method'),
            ),
            '{{method}}',
          ],
        ],
        { max: 1, thresholds: rises(0.05, 0.2) },
      ),
      graph(
        'Duration of requests',
        's',
        'How long the requests of clients take, without streams, which last as long as their clients want.',
        quantiles('mcpstead_mcp_request_duration_seconds', `${OF}, method!~"listen|subscriptions/listen"`),
      ),
      graph('Calls of tools', 'reqps', 'Tool calls a second, by server.', [
        [rate('mcpstead_tool_calls_total', 'server', SERVER), '{{server}}'],
      ]),
      graph(
        'Calls that fail',
        'percentunit',
        'Share of the tool calls that fail, by server, without those that were cancelled or whose tool says itself that it failed.',
        [
          [
            share(
              rate('mcpstead_tool_call_errors_total', 'server', `${SERVER}, ${FAULTS}`),
              rate('mcpstead_tool_calls_total', 'server', SERVER),
            ),
            '{{server}}',
          ],
        ],
        { max: 1, thresholds: rises(0.01, 0.05) },
      ),
      graph(
        'Failed calls by reason',
        'reqps',
        'Failed tool calls a second, by reason: a code of mcpstead explain.',
        [[rate('mcpstead_tool_call_errors_total', 'reason', SERVER), '{{reason}}']],
      ),
      graph(
        'Duration of calls',
        's',
        'How long tool calls of the chosen servers take.',
        quantiles('mcpstead_tool_call_duration_seconds', SERVER),
      ),
      graph('Duration of calls by server', 's', 'What 95 of 100 tool calls of each server take at most.', [
        [quantile(0.95, 'mcpstead_tool_call_duration_seconds', ['server'], SERVER), '{{server}}'],
      ]),
      graph('Slowest tools', 's', 'The ten tools of which 95 of 100 calls take longest.', [
        [
          `topk(10, ${quantile(0.95, 'mcpstead_tool_call_duration_seconds', ['server', 'tool'], SERVER)})`,
          '{{server}} {{tool}}',
        ],
      ]),
      graph('Sessions', 'short', 'Open client sessions, by gateway.', [
        [`sum by (instance) (mcpstead_downstream_sessions_active{${OF}})`, '{{instance}}'],
      ]),
      graph('Sessions that end', 'short', 'Client sessions that ended, by reason.', [
        [increase('mcpstead_downstream_session_terminations_total', 'reason'), '{{reason}}'],
      ]),
      graph('Calls that wait for input', 'short', 'Parked calls now, and those that ended, by how.', [
        [`sum(mcpstead_parked_calls{${OF}})`, 'waiting now'],
        [increase('mcpstead_parked_calls_total', 'result'), '{{result}}'],
      ]),
    ],
  },
  {
    title: 'Servers',
    panels: [
      {
        kind: 'state-timeline',
        title: 'State of servers',
        unit: 'short',
        description: 'Whether every gateway is connected to a server.',
        queries: [[`min by (server) (mcpstead_upstream_connected{${SERVER}})`, '{{server}}']],
        states: { 0: ['not connected', 'red'], 1: ['connected', 'green'] },
        width: 12,
      },
      graph(
        'Reconnects',
        'short',
        'Lost connections and ended processes after which the gateway connects, or starts the server, again.',
        [[increase('mcpstead_upstream_reconnects_total', 'server', SERVER), '{{server}}']],
        { width: 12 },
      ),
      graph('Attempts to connect', 'short', 'Initializations of servers, by result.', [
        [increase('mcpstead_upstream_initialize_total', 'server, result', SERVER), '{{server}} {{result}}'],
      ]),
      graph('Time to connect', 's', 'What 95 of 100 initializations take at most: starts of programs, too.', [
        [quantile(0.95, 'mcpstead_upstream_initialize_duration_seconds', ['server'], SERVER), '{{server}}'],
      ]),
      graph('Wait before the next attempt', 's', 'Length of the pause that a server is in; 0: in none.', [
        [`max by (server) (mcpstead_upstream_current_backoff_seconds{${SERVER}})`, '{{server}}'],
      ]),
      graph(
        'Logins needed',
        'short',
        'Servers that need a login, or whose token cannot be renewed; 1 as long as somebody has to act.',
        [
          [
            `max by (server, state) (mcpstead_credentials{${SERVER}, state=~"login_required|failing"})`,
            '{{server}} {{state}}',
          ],
        ],
        { max: 1, thresholds: RED_FROM_1 },
      ),
      graph('Token refreshes', 'short', 'Renewals of tokens for servers, by result.', [
        [increase('mcpstead_oauth_refresh_total', 'server, result', SERVER), '{{server}} {{result}}'],
      ]),
      graph('Last contact', 's', 'Time since a server said anything; large for a server that nobody uses.', [
        [`max by (server) (mcpstead_upstream_last_seen_seconds{${SERVER}} >= 0)`, '{{server}}'],
      ]),
      graph('Lost sessions', 'short', 'Sessions that servers had lost or ended, by reason.', [
        [
          increase('mcpstead_upstream_session_resets_total', 'server, reason', SERVER),
          '{{server}} {{reason}}',
        ],
      ]),
      graph(
        'Failed checks and lists',
        'short',
        'Pings without an answer, and lists that could not be read.',
        [
          [
            increase('mcpstead_upstream_health_checks_total', 'server', `${SERVER}, result="failure"`),
            '{{server}} ping',
          ],
          [
            increase('mcpstead_upstream_tools_refresh_total', 'server', `${SERVER}, result="error"`),
            '{{server}} lists',
          ],
        ],
      ),
      graph('Traffic', 'Bps', 'Bytes a second to and from servers.', [
        [rate('mcpstead_upstream_bytes_total', 'server, direction', SERVER), '{{server}} {{direction}}'],
      ]),
    ],
  },
  {
    title: 'Load and bounds',
    panels: [
      graph(
        'Buffered bytes',
        'bytes',
        'Bytes of limits.buffered_bytes in use, and the limit of the variable.',
        [
          [`mcpstead_buffered_bytes{${OF}}`, '{{instance}}'],
          ['vector($buffered_limit)', 'limit'],
        ],
      ),
      graph(
        'Memory',
        'bytes',
        'Resident memory of gateways, without their child processes, and the limit of the variable.',
        [
          [`mcpstead_process_resident_memory_bytes{${OF}}`, '{{instance}}'],
          ['vector($memory_limit)', 'limit'],
        ],
      ),
      graph(
        'CPU',
        'percentunit',
        'CPU time of a gateway: at 100% of one core its event loop is full and everything waits.',
        [[`rate(mcpstead_process_cpu_seconds_total{${OF}}[${W}])`, '{{instance}}']],
        { thresholds: rises(0.7, 0.9) },
      ),
      graph(
        'Answer time of /metrics',
        's',
        'How long a gateway takes for a scrape: it rises with the delay of the event loop, and with the number of tools.',
        [[`scrape_duration_seconds{${OF}}`, '{{instance}}']],
        { thresholds: rises(0.5, 1) },
      ),
      graph(
        'Open files and sockets',
        'percentunit',
        'Share of the file descriptors that are open; from 80% on connections are refused.',
        [[`mcpstead_process_open_fds{${OF}} / mcpstead_process_max_fds{${OF}}`, '{{instance}}']],
        { max: 1, thresholds: rises(0.6, 0.8) },
      ),
      graph('Threads', 'short', 'Threads of gateways.', [
        [`mcpstead_process_threads{${OF}}`, '{{instance}}'],
      ]),
      graph(
        'Requests in flight',
        'short',
        'Requests that servers have not answered yet; see limits.in_flight.',
        [[`sum by (server) (mcpstead_requests_in_flight{${SERVER}})`, '{{server}}']],
      ),
      graph(
        'Refused as busy',
        'reqps',
        'Tool calls a second for which a server, or limits.share, had no room.',
        [[rate('mcpstead_tool_call_errors_total', 'server', `${SERVER}, reason="busy"`), '{{server}}']],
      ),
      graph('Rate limited', 'reqps', 'Calls a second that a rule of limits.rules refused.', [
        [rate('mcpstead_rate_limited_total', 'rule'), '{{rule}}'],
      ]),
      graph(
        'Dropped events',
        'short',
        'Events that did not reach a client, and messages of servers that could not be read.',
        [
          [increase('mcpstead_events_dropped_total', 'reason'), '{{reason}}'],
          [
            increase('mcpstead_upstream_unreadable_messages_total', 'server', SERVER),
            '{{server}} unreadable',
          ],
        ],
      ),
      graph(
        'Internal errors',
        'short',
        'Bugs of the gateway, by place; each ended one call, message or connection.',
        [[increase('mcpstead_internal_errors_total', 'where'), '{{where}}']],
        { thresholds: RED_FROM_1 },
      ),
      graph(
        'Tokens of definitions',
        'short',
        'Estimated tokens that the tools of a server, or a profile, take of a context.',
        [
          [`max by (server) (mcpstead_tools_tokens{${SERVER}})`, '{{server}}'],
          [`max by (profile) (mcpstead_profile_tokens{${OF}})`, 'profile {{profile}}'],
        ],
      ),
    ],
  },
  SECURITY,
  FLEET,
];
