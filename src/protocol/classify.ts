import type { Message } from './message.js';
import { methodOf } from './methods.js';
import { META } from './modern/meta.js';
import { isModernRevision, type Era } from './revisions.js';

/** Members of `_meta` that make a message modern. A log level alone does not. */
const MODERN_META: ReadonlySet<string> = new Set([
  META.protocolVersion,
  META.clientCapabilities,
  META.clientInfo,
]);

/**
 * Determines the era of a message (2026-07-28, basic/versioning). A message is modern if its `MCP-Protocol-Version` header names a modern
 * revision, if its `_meta` has a member of the modern envelope, or if only the modern era has its method. A session id has no influence.
 */
export function classify(versionHeader: string | undefined, message: Message): Era {
  if (versionHeader !== undefined && isModernRevision(versionHeader)) return 'modern';
  for (const member of message.meta) if (MODERN_META.has(member.key)) return 'modern';
  return methodOf(message.method)?.eras === 'modern' ? 'modern' : 'legacy';
}
