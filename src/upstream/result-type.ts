/** Is a result of the modern era the end of its request (2026-07-28, basic, "Responses")? Told by how it begins. */
import type { Lead } from '../wire/edges.js';

export const COMPLETE = 'complete';

/** Members that only a complete result of some method has: what begins with one of them needs no more reading. */
const OF_COMPLETE = new Set([
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

/**
 * The result type by the first members of a result: `complete`, another one, `unknown` (it has to be read whole), or `more`
 * (the bytes end too early to tell).
 */
export function typeOfLead(lead: Lead, buf: Buffer): { readonly type: string } | 'unknown' | 'more' {
  const { members, complete } = lead;
  for (const { key, value } of members)
    if (key === 'resultType' && value) return asType(buf.toString('utf8', value.start, value.end));
  const first = members[0];
  if (first && OF_COMPLETE.has(first.key)) return { type: COMPLETE };
  if (!complete) return 'more';
  // Servers of older revisions send none: then it is complete.
  return first ? 'unknown' : { type: COMPLETE };
}

/** The result type of a whole answer. Throws where it is no JSON. */
export function typeOfWhole(whole: Buffer): string {
  const { result } = JSON.parse(whole.toString('utf8')) as { result?: { resultType?: unknown } | null };
  const type = result?.resultType;
  return typeof type === 'string' ? type : COMPLETE;
}

function asType(json: string): { readonly type: string } {
  try {
    const type: unknown = JSON.parse(json);
    return { type: typeof type === 'string' ? type : COMPLETE };
  } catch {
    return { type: COMPLETE };
  }
}
