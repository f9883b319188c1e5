/** The members of a message, and of its result, that the gateway reads or replaces. */
import { namesOf } from './names.js';

const ENVELOPE_NAMES = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'] as const;
export const ENVELOPE = namesOf(ENVELOPE_NAMES);
/** Members of a result that may appear only once. */
const RESULT_NAMES = ['isError', 'resultType', '_meta', 'ttlMs', 'cacheScope'] as const;
export const RESULT = namesOf(RESULT_NAMES);
export const STRUCTURED = namesOf(['structuredContent']);

/** Members that only a complete result has: a result that begins with one of them needs no further reading. */
export const FIRST = namesOf([
  'content',
  'structuredContent',
  'isError',
  'messages',
  'description',
  'contents',
  'completion',
  'tools',
  'prompts',
  'resources',
  'resourceTemplates',
  'nextCursor',
]);

/** One bit for each name, to notice a second member of that name. */
export const BITS = bitsOf(ENVELOPE_NAMES);
export const RESULT_BITS = bitsOf(RESULT_NAMES);

function bitsOf(names: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(names.map((name, i) => [name, 1 << i]));
}
