/** Several messages in one array (JSON-RPC 2.0, "Batch"): allowed before revision 2025-06-18, and still sent by some servers. */
import { SMALL_MESSAGE } from './json.js';
import { skipSpace } from './scan.js';
import { elementsAt, UnprovenError } from './walk-unproven.js';

/** Maximum size of a batch in bytes. */
export const MAX_BATCH_BYTES = SMALL_MESSAGE;
/** Maximum number of elements of a batch. */
const MAX_ELEMENTS = 100;

/** The elements of a JSON array; undefined: `whole` is not an array, or too large. The elements are not validated. */
export function batchOf(whole: Buffer): Buffer[] | undefined {
  const at = skipSpace(whole, 0);
  if (whole[at] !== 0x5b || whole.length > MAX_BATCH_BYTES) return undefined;
  const found: Buffer[] = [];
  let last = at + 1;
  try {
    const steps = elementsAt(whole, at, ({ start, end }) => {
      if (found.length === MAX_ELEMENTS) throw new UnprovenError('too many elements');
      found.push(whole.subarray(start, end));
      last = end;
    });
    while (!steps.next().done);
  } catch (error) {
    if (error instanceof UnprovenError) return undefined;
    throw error;
  }
  const close = skipSpace(whole, last);
  return whole[close] === 0x5d && skipSpace(whole, close + 1) === whole.length ? found : undefined;
}

/**
 * The elements that may be messages, which are the objects. Nested arrays are not batches, because their depth would be unlimited.
 */
export function messagesOf(whole: Buffer): Buffer[] | undefined {
  return batchOf(whole)?.filter((each) => each[0] === 0x7b);
}
