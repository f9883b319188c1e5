// The rows of the dashboard that not every gateway has something in: see rows.mjs.
import {
  OF,
  SERVER,
  W,
  rate,
  increase,
  quantile,
  quantiles,
  graph,
  RED_BELOW_1,
  RED_FROM_1,
  YELLOW_FROM_1,
  rises,
} from './queries.mjs';

export const SECURITY = {
  title: 'Security',
  panels: [
    graph('Refused credentials', 'reqps', 'Failed authentications a second, by reason.', [
      [rate('mcpstead_mcp_auth_failures_total', 'reason'), '{{reason}}'],
    ]),
    graph('Decisions', 'reqps', 'Requests a second that a policy decided about, by decision.', [
      [rate('mcpstead_policy_decisions_total', 'decision'), '{{decision}}'],
    ]),
    graph(
      'Definitions that wait',
      'short',
      'New or changed definitions of servers with pin that nobody has approved.',
      [[`max by (server) (mcpstead_pins{${SERVER}, state="pending"})`, '{{server}}']],
      { thresholds: YELLOW_FROM_1 },
    ),
    graph(
      'Approvals',
      'short',
      'Calls that somebody can vote on, and requests of clients that wait for it.',
      [
        [`max(mcpstead_approvals_open{${OF}})`, 'open'],
        [`sum(mcpstead_approvals_waiting{${OF}})`, 'waiting'],
      ],
    ),
    graph(
      'Oldest approval',
      's',
      'Age of the oldest call that somebody can vote on.',
      [[`max(mcpstead_approvals_oldest_seconds{${OF}})`, 'oldest']],
      { thresholds: rises(300, 900) },
    ),
    graph('Approvals that ended', 'short', 'Calls that waited for a yes, by rule and by how that ended.', [
      [increase('mcpstead_approvals_total', 'rule, result'), '{{rule}} {{result}}'],
    ]),
    graph('Time to answer', 's', 'From the question for a yes to its end.', [
      ...quantiles('mcpstead_approvals_wait_seconds', OF).slice(0, 2),
    ]),
    graph('Webhook of approvals', 'short', 'Messages to the webhook, by result.', [
      [increase('mcpstead_approvals_webhook_total', 'result'), '{{result}}'],
    ]),
    graph('Sign-ins', 'short', 'Sign-ins at the gateway, by result.', [
      [increase('mcpstead_login_total', 'result'), '{{result}}'],
    ]),
    graph(
      'Renewals of sign-ins',
      'short',
      'Renewals of tokens of the gateway, by result, and the sign-ins that last.',
      [
        [increase('mcpstead_login_refresh_total', 'result'), '{{result}}'],
        [`max(mcpstead_login_grants{${OF}})`, 'sign-ins'],
      ],
    ),
    graph(
      'Identity provider',
      's',
      'What 95 of 100 requests to the identity provider take at most, by operation.',
      [[quantile(0.95, 'mcpstead_login_idp_seconds', ['op'], OF), '{{op}}']],
    ),
    graph(
      'Sign-in requests that are refused',
      'short',
      'Requests from addresses that send too many, and clients that were refused.',
      [
        [increase('mcpstead_login_limited_total', 'route'), '{{route}} limited'],
        [
          increase('mcpstead_login_clients_total', 'kind, result', `${OF}, result!="success"`),
          '{{kind}} {{result}}',
        ],
      ],
    ),
    graph(
      'Issuers of access tokens',
      'short',
      'Whether the last answer of an issuer was usable (1).',
      [[`min by (issuer) (mcpstead_auth_issuer_up{${OF}})`, '{{issuer}}']],
      { max: 1, thresholds: RED_BELOW_1 },
    ),
    graph(
      'Lost lines of the audit log',
      'short',
      'Lines that could not be written, with audit.on_full: count.',
      [[increase('mcpstead_audit_dropped_total', 'instance'), '{{instance}}']],
      { thresholds: RED_FROM_1 },
    ),
  ],
};

export const FLEET = {
  title: 'Fleet',
  panels: [
    graph(
      'Store',
      'short',
      'Whether the store answers a replica (1).',
      [[`mcpstead_fleet_store_up{${OF}}`, '{{instance}}']],
      { max: 1, thresholds: RED_BELOW_1 },
    ),
    graph(
      'Commands to the store',
      's',
      'What 95 of 100 commands to the store take at most, by what they do.',
      [[quantile(0.95, 'mcpstead_fleet_store_seconds', ['op'], OF), '{{op}}']],
    ),
    graph('Replicas', 'short', 'Live replicas, as each replica sees them.', [
      [`mcpstead_fleet_replicas{${OF}}`, '{{instance}}'],
    ]),
    graph(
      'Forwarded requests',
      'reqps',
      'Requests a second that went on to another replica, by what became of them.',
      [[rate('mcpstead_fleet_forwarded_total', 'result'), '{{result}}']],
    ),
    graph('Held requests', 'short', 'Requests that wait until it is known where their session is.', [
      [`mcpstead_fleet_held{${OF}}`, '{{instance}}'],
    ]),
    graph(
      'Take-overs',
      'short',
      'Sessions that changed their replica: taken over, handed over, or lost to another one.',
      [
        [`sum(increase(mcpstead_fleet_adopted_total{${OF}}[${W}]))`, 'taken over'],
        [`sum(increase(mcpstead_fleet_handed_over_total{${OF}}[${W}]))`, 'handed over'],
        [`sum(increase(mcpstead_fleet_superseded_total{${OF}}[${W}]))`, 'superseded'],
      ],
    ),
    graph(
      'Leases',
      'short',
      'Which replica runs the only process of a server (1).',
      [[`mcpstead_fleet_lease{${SERVER}}`, '{{server}} {{instance}}']],
      { max: 1 },
    ),
    graph(
      'Strangers, limits judged alone',
      'short',
      'Values and requests that are not of this fleet, and shared limits that a replica judged without the store.',
      [
        [`sum(increase(mcpstead_fleet_strangers_total{${OF}}[${W}]))`, 'strangers'],
        [`sum(increase(mcpstead_fleet_limits_alone_total{${OF}}[${W}]))`, 'judged alone'],
      ],
    ),
    graph('Clock', 's', 'How far the clock of a replica is ahead of that of the store.', [
      [`mcpstead_fleet_clock_offset_seconds{${OF}}`, '{{instance}}'],
    ]),
  ],
};
