/** Which messages may go on: the session they name, the revision they speak, the batches they come in. */
import { GatewayError } from '../errors.js';
import { classify } from '../protocol/classify.js';
import { MessageError, type Message } from '../protocol/message.js';
import {
  DEFAULT_LEGACY,
  isLegacyRevision,
  isModernRevision,
  LEGACY_REVISIONS,
} from '../protocol/revisions.js';
import type { Found } from '../session/ask.js';
import type { Session } from '../session/store.js';
import type { Origin } from './incoming.js';

/** The session that a legacy message belongs to, undefined where it names none, or why it is refused. `found`: what its id led to. */
export function sessionOf(
  origin: Origin,
  found: Found,
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
  // It may have ended since it was found.
  if (!found?.open)
    return new GatewayError(
      'unknown_session',
      'unknown or ended session: initialize again without Mcp-Session-Id',
    );
  if (isInitialize) return new GatewayError('invalid_request', 'this session is initialized already');
  // Another known version than the session's is taken, as SDK servers do: the session's counts.
  return found;
}

/** Whether this array may be handled as a batch (docs/architecture.md, "Batches"). */
export function admitBatch(
  origin: Origin,
  found: Found,
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
