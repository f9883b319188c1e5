/** `initialize`: negotiates a revision and opens a session (2025-11-25, basic/lifecycle). */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { GatewayStats } from '../../observe/stats.js';
import { find, param, type Message } from '../../protocol/message.js';
import { isLegacyRevision, LATEST_LEGACY, type LegacyRevision } from '../../protocol/revisions.js';
import { endSession, openSession, type Found } from '../../session/ask.js';
import type { SessionStore } from '../../session/store.js';
import { answer, refused, type Handled, type Settled, type Source } from '../handled.js';

/** What a client says of itself is kept as long as its session: up to this many bytes. */
const MAX_INFO = 4096;

export interface InitializeDeps {
  readonly sessions: SessionStore;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly state: () => 'starting' | 'serving' | 'draining';
}

export function initialize(deps: InitializeDeps, source: Source, message: Message): Handled {
  const { sessions, stats, log } = deps;
  // As 0.1 counts: a session that ended before it began.
  const failed = (): void => {
    stats.sessionsTotal++;
    stats.terminations.add('init_failed');
  };
  if (message.kind === 'notification') {
    failed();
    return { kind: 'accepted' };
  }
  if (deps.state() === 'draining')
    return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
  const asked = param(message, 'protocolVersion');
  if (asked !== undefined && typeof asked !== 'string') {
    failed();
    return refused(message, new GatewayError('invalid_params', 'params.protocolVersion must be a string'));
  }
  const revision: LegacyRevision = asked !== undefined && isLegacyRevision(asked) ? asked : LATEST_LEGACY;
  const { route, principal } = source;
  const declared = param(message, 'capabilities');
  const capabilities = typeof declared === 'object' && declared !== null ? { ...declared } : {};
  const info = find(message.params, 'clientInfo');
  const clientInfo =
    info && message.body.toString('utf8', info.start, Math.min(info.end, info.start + MAX_INFO));
  const session = openSession(sessions, log, {
    principal,
    route: route.key,
    server: route.server,
    revision,
    capabilities,
    // Half of it would be no JSON.
    clientInfo: info && info.end - info.start <= MAX_INFO ? clientInfo : undefined,
  });
  if (!(session instanceof Promise)) return opened(deps, source, message, session);
  return {
    kind: 'opening',
    opened: session.then((found) => {
      if (deps.state() !== 'draining' || !found || found instanceof GatewayError)
        return opened(deps, source, message, found);
      void endSession(sessions, log, found, 'init_failed');
      return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
    }),
  };
}

function opened({ log }: InitializeDeps, { route }: Source, message: Message, session: Found): Settled {
  if (session instanceof GatewayError) return refused(message, session);
  if (!session)
    return refused(
      message,
      new GatewayError('unavailable', 'too many sessions, all of them in use (limits.sessions)'),
    );
  const { id, revision, view } = session;
  log.debug('session opened', { session: id.slice(0, 8), revision, route: route.key });
  return answer(message, `{"protocolVersion":"${revision}",${(view ?? route.view).greeting()}}`, session);
}
