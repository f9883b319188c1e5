/** `initialize`: negotiates a revision and opens a session (2025-11-25, basic/lifecycle). */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { GatewayStats } from '../../observe/stats.js';
import { find, param, type Message } from '../../protocol/message.js';
import { MAX_CAPABILITIES, MAX_CLIENT_INFO } from '../../protocol/modern/meta.js';
import type { PassedValues } from '../../protocol/ports.js';
import { isLegacyRevision, LATEST_LEGACY, type LegacyRevision } from '../../protocol/revisions.js';
import { endSession, openSession, type FoundSession } from '../../session/ask.js';
import type { Kept } from '../../session/kept.js';
import type { Session, SessionStore } from '../../session/store.js';
import { objectOf, present } from '../../wire/json.js';
import { unreachableRoute } from './relay.js';
import { answer, refused, type Handled, type Origin, type Settled } from '../incoming.js';
import type { GatewayState } from '../runtime.js';

export interface InitializeDeps {
  readonly sessions: SessionStore;
  readonly kept: Kept;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly state: () => GatewayState;
  /** Waits for the link of a server's own route, so that the answer can describe the server; undefined: nothing to wait for. */
  readonly describes: (session: Session) => Promise<void> | undefined;
  /** See GateDeps. */
  readonly owned: (session: Session) => void;
}

/** `passed`: what the client passes on to servers, with all requests of the session. */
export function initialize(
  deps: InitializeDeps,
  origin: Origin,
  message: Message,
  passed?: PassedValues,
): Handled {
  const { sessions, stats, log } = deps;
  // Counted as a session that failed to open, as in 0.1.
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
  const { route, principal } = origin;
  for (const [key, max] of KEPT) {
    const { start = 0, end = 0 } = find(message.params, key) ?? {};
    if (end - start <= max) continue;
    failed();
    const why = `params.${key} has ${end - start} bytes: at most ${max} are kept of it`;
    return refused(message, new GatewayError('invalid_params', why));
  }
  const capabilities = present(objectOf(param(message, 'capabilities')) ?? {});
  const info = find(message.params, 'clientInfo');
  const isInfo = info && message.body[info.start] === 0x7b;
  const session = openSession(sessions, log, {
    principal,
    route: route.key,
    server: route.server,
    profile: route.profile,
    opener: origin.remote?.remoteAddress,
    revision,
    capabilities,
    clientInfo: isInfo ? message.body.toString('utf8', info.start, info.end) : undefined,
  });
  const own = (found: FoundSession): void => {
    if (!passed || !found || found instanceof GatewayError) return;
    found.caller.passed = passed;
    deps.owned(found);
  };
  if (!(session instanceof Promise)) {
    own(session);
    const wait = session && !(session instanceof GatewayError) ? deps.describes(session) : undefined;
    return wait ? later(wait.then(() => session)) : opened(deps, origin, message, session);
  }
  return later(
    session.then(async (found) => {
      own(found);
      if (found && !(found instanceof GatewayError)) await deps.describes(found);
      return found;
    }),
  );

  function later(found: Promise<FoundSession>): Handled {
    return { kind: 'opening', opened: found.then(ended) };
  }

  function ended(found: FoundSession): Settled {
    if (deps.state() !== 'draining' || !found || found instanceof GatewayError)
      return opened(deps, origin, message, found);
    void endSession(sessions, log, found, 'init_failed');
    return refused(message, new GatewayError('unavailable', 'gateway shutting down'));
  }
}

/** Members of `initialize` that are kept with the session, and their longest size in bytes. */
const KEPT = [
  ['capabilities', MAX_CAPABILITIES],
  ['clientInfo', MAX_CLIENT_INFO],
] as const;

function opened(
  { sessions, kept, log }: InitializeDeps,
  { route }: Origin,
  message: Message,
  session: FoundSession,
): Settled {
  if (session instanceof GatewayError) return refused(message, session);
  if (!session)
    return refused(
      message,
      new GatewayError('unavailable', 'too many sessions, all of them in use (limits.sessions)'),
    );
  const { id, revision, caller } = session;
  const unreachable = unreachableRoute(caller.view, route.server);
  if (unreachable) {
    void endSession(sessions, log, session, 'init_failed');
    return refused(message, unreachable);
  }
  const bytes = KEPT.reduce((sum, [key]) => {
    const at = find(message.params, key);
    return at ? sum + at.end - at.start : sum;
  }, 0);
  const full = kept.hold(session, bytes, undefined);
  if (full) {
    void endSession(sessions, log, session, 'init_failed');
    return refused(message, full);
  }
  log.debug('session opened', { session: id.slice(0, 8), revision, route: route.key });
  return answer(message, `{"protocolVersion":"${revision}",${caller.view.greeting()}}`, session);
}
