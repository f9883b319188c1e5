/**
 * What an upstream asks the client of a call, whichever era carries it: who can be asked what, and how the question reads to
 * somebody who does not know where it comes from.
 */
import { qualifyId } from '../catalog/naming.js';
import { RELATED_TASK, type Question, type Refusal } from '../protocol/ports.js';
import type { Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';

/** Why a client with these capabilities cannot be asked (2025-11-25, basic/lifecycle, "Capability Negotiation"); undefined: it can. */
export function refusalOf(
  method: string,
  params: Readonly<Record<string, unknown>>,
  capabilities: Readonly<Record<string, unknown>>,
): Refusal | undefined {
  switch (method) {
    case 'roots/list':
      return capabilities['roots'] === undefined ? notHere(method) : undefined;
    case 'sampling/createMessage':
      return capabilities['sampling'] === undefined ? notHere(method) : undefined;
    case 'elicitation/create': {
      const own = capabilities['elicitation'] as { form?: unknown; url?: unknown } | null | undefined;
      if (own === undefined || own === null) return notHere(method);
      const mode = params['mode'] === 'url' ? 'url' : 'form';
      // `elicitation: {}` stands for forms alone, as it did before there were modes.
      const has = mode === 'url' ? own.url !== undefined : own.form !== undefined || own.url === undefined;
      return has ? undefined : { code: -32602, message: `the client takes no elicitation of mode ${mode}` };
    }
    default:
      return undefined;
  }
}

/** What may be asked of a modern client: in an answer that says what is required (2026-07-28, basic/patterns/mrtr), or of a task. */
export const ASKABLE: ReadonlySet<string> = new Set([
  'elicitation/create',
  'sampling/createMessage',
  'roots/list',
]);

/** Why a question of a legacy upstream cannot become an input request for a client with these capabilities. */
export function inputRefusal(
  { method, bytes }: Question,
  capabilities: Readonly<Record<string, unknown>>,
): Refusal | undefined {
  if (!ASKABLE.has(method)) return notHere(method);
  const params = membersOf(bytes).find(({ key }) => key === 'params');
  const read: unknown = params && JSON.parse(bytes.toString('utf8', params.start, params.end));
  const values = typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : {};
  return refusalOf(method, values, capabilities);
}

export function notHere(method: string): Refusal {
  return {
    code: method === 'roots/list' ? -32601 : -32603,
    message: `${method} is not available: the client of this call cannot be asked`,
  };
}

/** On the merged endpoint an upstream must not ask in another's name. `params`: where they stand in `bytes`. */
export function marked(bytes: Buffer, method: string, params: Span | undefined, server: string): Patch[] {
  if (!params || bytes[params.start] !== 0x7b) return [];
  const patches: Patch[] = [];
  const members = membersOf(bytes, params.start);
  const message = members.find(({ key }) => key === 'message');
  if (method === 'elicitation/create' && message && bytes[message.start] === 0x22) {
    const at = message.start + 1;
    patches.push({ start: at, end: at, bytes: Buffer.from(JSON.stringify(`[${server}] `).slice(1, -1)) });
  }
  const context = members.find(({ key }) => key === 'includeContext');
  if (method === 'sampling/createMessage' && context)
    patches.push({ start: context.start, end: context.end, bytes: Buffer.from('"none"') });
  const meta = members.find(({ key }) => key === '_meta');
  const related =
    meta && bytes[meta.start] === 0x7b ? relatedTask(bytes, memberOf(bytes, meta, RELATED_TASK)) : undefined;
  if (related)
    patches.push({
      start: related.start,
      end: related.end,
      bytes: Buffer.from(JSON.stringify(qualifyId(server, related.taskId))),
    });
  return patches;
}

/** The result that answers a question of `server`, with the task under the id that the server knows. */
export function unmarked(result: Buffer, server: string): Buffer {
  if (result[0] !== 0x7b || !result.includes(RELATED_TASK)) return result;
  const meta = memberOf(result, { start: 0, end: 0 }, '_meta');
  if (!meta || result[meta.start] !== 0x7b) return result;
  const related = relatedTask(result, memberOf(result, meta, RELATED_TASK));
  const prefix = qualifyId(server, '');
  if (!related?.taskId.startsWith(prefix)) return result;
  const own = Buffer.from(JSON.stringify(related.taskId.slice(prefix.length)));
  return splice(result, [{ start: related.start, end: related.end, bytes: own }]);
}

function memberOf(bytes: Buffer, { start }: Span, key: string): Span | undefined {
  return membersOf(bytes, start).find((member) => member.key === key);
}

/** The id in a related-task member of `_meta`, and where it stands. */
export function relatedTask(
  bytes: Buffer,
  member: { readonly start: number } | undefined,
): { start: number; end: number; taskId: string } | undefined {
  if (!member || bytes[member.start] !== 0x7b) return undefined;
  const id = membersOf(bytes, member.start).find(({ key }) => key === 'taskId');
  if (!id || bytes[id.start] !== 0x22) return undefined;
  return { ...id, taskId: JSON.parse(bytes.toString('utf8', id.start, id.end)) as string };
}
