/** What /health tells of the servers. */
import type { ServerStatus } from '../admin/schemas.js';
import { statusOf } from '../admin/status.js';
import { redactUrl } from '../config/index.js';
import type { ServerHealth } from '../downstream/http/admin.js';
import type { Connection } from '../upstream/link/connection.js';
import type { Upstream } from '../upstream/link/pool.js';

/**
 * The status of a server. `pending`: definitions that wait for an approval; `users`: how many are connected, where each has a login of his
 * own; `started`: of the gateway, in Unix milliseconds.
 */
export function serverStatus(
  { link }: Upstream,
  pending: number,
  users: number | undefined,
  started: number,
): ServerStatus {
  const { config } = link;
  return statusOf({
    name: config.name,
    kind: config.kind,
    state: link.state,
    firstConnect: link.firstConnect,
    lastError: link.lastError,
    lastCode: link.lastCode,
    history: link.history,
    off: config.off === true,
    hasProblem: config.problem !== undefined,
    pending,
    users,
    started,
  });
}

/** `second`: the link of legacy clients, where a server speaks both eras. `users`: see serverStatus. */
export function healthOf(
  { config: written, link, next }: Upstream,
  second: Connection | undefined,
  users: number | undefined,
  { word, cause, action }: ServerStatus,
): ServerHealth {
  // The link to a process that runs the server has a configuration of its own.
  const shown = link.peerLink ? written : link.config;
  const { config, stats, peer, staleLists, keptSince } = link;
  return {
    name: config.name,
    url: shown.kind === 'stdio' ? `stdio:${shown.command}` : redactUrl(shown.url),
    protocol: shown.kind === 'stdio' ? 'stdio' : shown.protocol,
    required: written.required,
    connected: link.state === 'up',
    tools_count: link.lists.tools.length,
    last_seen_seconds_ago: stats.lastSeen < 0 ? null : Math.max(0, Date.now() / 1000 - stats.lastSeen),
    reconnects: stats.reconnects,
    last_error: link.lastError ?? null,
    state: link.state,
    ...(link.peerLink &&
      shown.kind === 'stdio' && {
        via: written.placement === 'fleet' ? ('fleet' as const) : ('host' as const),
      }),
    ...loginOf(link.login, users),
    ...(config.kind === 'http' &&
      config.headers_from_client && {
        headers_from_client: config.headers_from_client.map(({ from }) => from),
      }),
    era: peer && keptSince === undefined ? link.era : null,
    revision: keptSince === undefined ? (peer?.revision ?? null) : null,
    ...(keptSince !== undefined && {
      lists: 'kept',
      lists_age_seconds: Math.max(0, Math.round((Date.now() - keptSince) / 1000)),
    }),
    ...(staleLists.size > 0 && {
      lists: Object.fromEntries([...staleLists].map(([kind, error]) => [kind, { stale: true, error }])),
    }),
    ...(second && {
      legacy: {
        state: second.state,
        revision: second.peer?.revision ?? null,
        error: second.lastError ?? null,
      },
    }),
    ...(next && { next: { state: next.state, error: next.lastError ?? null } }),
    word,
    cause,
    action,
  };
}

/** `reason`: why a login is missing; undefined: none is. */
function loginOf(reason: string | undefined, users: number | undefined): Pick<ServerHealth, 'login'> {
  if (users !== undefined) return { login: { per: 'user', connected: users } };
  return reason === undefined ? {} : { login: { per: 'gateway', reason } };
}
