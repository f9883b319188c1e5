/** Several messages of a server in one array (JSON-RPC 2.0, "Batch"): revisions before 2025-06-18 have it, and some servers still send it. */
import { SMALL_MESSAGE } from './json.js';
import { skipSpace } from './scan.js';
import { elementsAt, UnprovenError } from './walk-unproven.js';

/** Bytes of a batch, at the most. */
export const MAX_BATCH_BYTES = SMALL_MESSAGE;
/** Elements of a batch, at the most. */
const MAX_ELEMENTS = 100;

/** The elements of the array that `whole` is; undefined: it is none, or too large. They are not proven to be JSON. */
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
 * Those of its elements that may be messages: the objects. An array within is not a batch of its own, as there is no end to how deep they
 * nest.
 */
export function messagesOf(whole: Buffer): Buffer[] | undefined {
  return batchOf(whole)?.filter((each) => each[0] === 0x7b);
}
