/** The type of a modern result: only a `complete` one ends its request (2026-07-28, basic, "Responses"). */
import type { MessageScan } from '../../wire/message-scan.js';

export const COMPLETE = 'complete';

/**
 * The result type as far as it is known; undefined: more of the result has to be read. `resultType` counts at any place; until it is read,
 * a first member that only complete results have decides.
 */
export function typeOf(scan: MessageScan): string | undefined {
  if (scan.resultType !== undefined) return scan.resultType;
  // The whole result was read: servers of older revisions name no type.
  if (scan.valueEnd !== -1 || scan.beginsComplete === true) return COMPLETE;
  return undefined;
}
