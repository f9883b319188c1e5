/** Who sent a message: the Caller of a modern request, of a session, and of a legacy request without a session. */
import type { Envelope } from '../protocol/modern/meta.js';
import type { Caller, PassedValues, View } from '../protocol/ports.js';
import { DEFAULT_LEGACY, isLegacyRevision } from '../protocol/revisions.js';
import type { SessionCaller, SessionRecord } from '../session/store.js';
import type { Origin } from './incoming.js';
import type { Views } from './views.js';

/** One object for all, since results are cached by the capabilities object. */
const NO_CAPABILITIES = {};

export function modernCaller(
  { principal, route }: Origin,
  envelope: Envelope,
  passed: PassedValues | undefined,
  views: Pick<Views, 'of'>,
): Caller {
  const { version, capabilities, clientInfo, level } = envelope;
  const viewer = {
    principal,
    // Only what clients say about themselves tells them apart.
    client: `${principal.id}\0${clientInfo ?? ''}`,
    alone: principal.kind === 'local',
    era: 'modern' as const,
    revision: version,
    capabilities,
    clientInfo,
    level,
    passed,
  };
  return { ...viewer, view: views.of(viewer, route) };
}

/** The caller of all requests of a session. */
export function sessionCaller(
  { id, principal, revision, capabilities, clientInfo }: SessionRecord,
  view: View,
): SessionCaller {
  return {
    principal,
    client: id,
    alone: true,
    era: 'legacy',
    revision,
    capabilities,
    clientInfo,
    // A client that sets no level gets what its servers send.
    level: 'debug',
    view,
  };
}

/** A legacy client without a session: it cannot be asked, and gets no log messages. */
export function sessionlessCaller(
  { principal, version }: Origin,
  passed: PassedValues | undefined,
  view: View,
): Caller {
  return {
    principal,
    client: principal.id,
    alone: principal.kind === 'local',
    era: 'legacy',
    revision: version !== undefined && isLegacyRevision(version) ? version : DEFAULT_LEGACY,
    capabilities: NO_CAPABILITIES,
    clientInfo: undefined,
    level: undefined,
    passed,
    view,
  };
}
