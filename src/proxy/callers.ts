/** Who sent a message: the Caller of a modern request, of a session, and of a legacy request without a session. */
import type { Envelope } from '../protocol/modern/meta.js';
import { PEER_CLIENT, type PeerClient, type PeerClients } from '../protocol/peer-clients.js';
import { find, type Message } from '../protocol/message.js';
import type { Caller, PassedValues, View } from '../protocol/ports.js';
import { DEFAULT_LEGACY, isLegacyRevision } from '../protocol/revisions.js';
import type { SessionCaller, SessionRecord } from '../session/store.js';
import type { Origin } from './incoming.js';
import type { Views } from './views.js';

/** One object for all, since results are cached by the capabilities object. */
const NO_CAPABILITIES = {};

export function modernCaller(
  origin: Origin,
  envelope: Envelope,
  passed: PassedValues | undefined,
  views: Pick<Views, 'of'>,
  peer?: PeerClient,
): Caller {
  const viewer = modernViewer(origin, envelope, passed, peer);
  return { ...viewer, view: views.of(viewer, origin.route) };
}

export function modernViewer(
  { principal }: Pick<Origin, 'principal'>,
  envelope: Envelope,
  passed?: PassedValues,
  peer?: PeerClient,
): Omit<Caller, 'view'> {
  const { version, capabilities, clientInfo, level } = envelope;
  return {
    principal,
    // Only what clients say about themselves tells them apart.
    client: peer?.client ?? `${principal.id}\0${clientInfo ?? ''}`,
    alone: peer?.alone ?? principal.kind === 'local',
    era: 'modern',
    revision: version,
    capabilities,
    clientInfo,
    level,
    passed,
    peerEra: peer?.era,
  };
}

/** The client that another replica names in its request; undefined: the sender speaks for itself, or the name is not from a replica. */
export function peerClientOf(
  { principal, peer }: Origin,
  { body, meta }: Message,
  clients: PeerClients | undefined,
): PeerClient | undefined {
  if (!peer || !clients) return undefined;
  const at = find(meta, PEER_CLIENT);
  if (!at || body[at.start] !== 0x22 || at.end - at.start > MAX_NAME) return undefined;
  return clients.read(body.toString('latin1', at.start + 1, at.end - 1), principal.id);
}

/** Longest name of a client, in bytes. */
const MAX_NAME = 128;

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
