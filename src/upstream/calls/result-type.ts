/** Is a result of the modern era the end of its request (2026-07-28, basic, "Responses")? */
import type { MessageScan } from '../../wire/message-scan.js';

export const COMPLETE = 'complete';

/**
 * The result type as far as the bytes tell it. undefined: not yet, the result has to be read on, or as a whole.
 * `resultType` counts wherever it stands; before it comes, a first member that only a complete result has is taken for one.
 */
export function typeOf(scan: MessageScan): string | undefined {
  if (scan.resultType !== undefined) return scan.resultType;
  // The whole result is here: servers of older revisions name no type.
  if (scan.valueEnd !== -1 || scan.beginsComplete === true) return COMPLETE;
  return undefined;
}
