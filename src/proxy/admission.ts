/** Admission of messages: their session, their revision, and batches. */
import { GatewayError } from '../errors.js';
import { classify } from '../protocol/classify.js';
import { MessageError, type Message } from '../protocol/message.js';
import {
  DEFAULT_LEGACY,
  isLegacyRevision,
  isModernRevision,
  LEGACY_REVISIONS,
} from '../protocol/revisions.js';
import type { FoundSession } from '../session/ask.js';
import type { Session } from '../session/store.js';
import type { Origin } from './incoming.js';

/** The session of a legacy message; undefined if it names none; or why the message is refused. `found`: the result of the lookup. */
export function sessionOf(
  origin: Origin,
  found: FoundSession,
  isInitialize: boolean,
): Session | undefined | GatewayError {
  const { sessionId, version } = origin;
  if (version !== undefined && !isLegacyRevision(version))
    return new GatewayError(
      'bad_version_header',
      `unsupported MCP-Protocol-Version '${version.slice(0, 32)}' (supported: ${LEGACY_REVISIONS.join(', ')})`,
    );
  if (sessionId === undefined) return undefined;
  if (found instanceof GatewayError) return found;
  // It may have ended since the lookup.
  if (!found?.open)
    return new GatewayError(
      'unknown_session',
      'unknown or ended session: initialize again without Mcp-Session-Id',
    );
  if (isInitialize) return new GatewayError('invalid_request', 'this session is initialized already');
  // A known version other than the session's is accepted, as SDK servers do; the session's version applies.
  return found;
}

/** Why an array cannot be handled as a batch (2025-03-26, basic, "Batching"); undefined: it can. */
export function admitBatch(
  origin: Origin,
  found: FoundSession,
  messages: readonly (Message | MessageError)[],
): GatewayError | undefined {
  const refuse = (why: string): GatewayError => new GatewayError('invalid_request', why);
  if (messages.length === 0) return refuse('an empty batch');
  if (origin.version !== undefined && isModernRevision(origin.version))
    return refuse('the revision of MCP-Protocol-Version has no batches');
  const session = sessionOf(origin, found, false);
  if (session instanceof GatewayError) return session;
  const revision = session?.revision ?? origin.version ?? DEFAULT_LEGACY;
  if (revision > DEFAULT_LEGACY) return refuse(`revision ${revision} has no batches`);
  for (const message of messages) {
    if (message instanceof MessageError) continue;
    if (message.method === 'initialize') return refuse('initialize must not be part of a batch');
    if (classify(origin.version, message) === 'modern')
      return refuse('a message of a revision without batches');
  }
  return undefined;
}
