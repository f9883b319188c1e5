import type { Message } from './message.js';
import { methodOf } from './methods.js';
import { isModernRevision, type Era } from './revisions.js';

const MODERN_META = new Set([
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
]);

/**
 * Determines the era from the request alone (2026-07-28, basic/versioning): a modern envelope in `_meta`, a modern `MCP-Protocol-Version`,
 * or a method that only the modern era has. A session id has no influence.
 */
export function classify(versionHeader: string | undefined, message: Message): Era {
  if (versionHeader !== undefined && isModernRevision(versionHeader)) return 'modern';
  for (const member of message.meta) if (MODERN_META.has(member.key)) return 'modern';
  return methodOf(message.method)?.eras === 'modern' ? 'modern' : 'legacy';
}
