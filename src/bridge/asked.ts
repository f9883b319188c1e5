/**
 * Questions of upstreams to the client of a call, in either era: which clients can be asked what, and how a question is marked
 * with the server that asks.
 */
import { qualifyId } from '../catalog/naming.js';
import type { Question, Refusal } from '../protocol/ports.js';
import { RELATED_TASK } from '../protocol/tasks.js';
import { KnownNames } from '../wire/fold.js';
import {
  objectOf,
  readObject,
  scanObject,
  SMALL_MESSAGE,
  type JsonObject,
  type ObjectScan,
} from '../wire/json.js';
import type { Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';

const TOP = new KnownNames('jsonrpc', 'id', 'method', 'params');
const PARAMS = new KnownNames(
  'message',
  'mode',
  'url',
  'elicitationId',
  'requestedSchema',
  'includeContext',
  'messages',
  'tools',
  'task',
  '_meta',
);
const META = new KnownNames('progressToken', RELATED_TASK);
const RELATED = new KnownNames('taskId');

/** A parsed question: its params, and the offsets of its members. */
export interface ReadQuestion {
  readonly params: JsonObject;
  readonly at: ObjectScan;
}

/**
 * Reads a question, or says why it cannot be asked. Members that the gateway marks or checks must be unique, so that the client reads the
 * same member. `bodyBytes`: limits.body_bytes, the bound for sampling, which carries images.
 */
export function readQuestion(
  { method, bytes }: Pick<Question, 'method' | 'bytes'>,
  bodyBytes: number,
): ReadQuestion | Refusal {
  const max = maxOf(method, bodyBytes);
  const at = scanObject(bytes, max);
  const whole = at && readObject(bytes, max);
  if (!whole) return { code: -32602, message: `${method} of over ${max} bytes, or that is not valid JSON` };
  const doubt =
    TOP.doubt(at.top) ??
    doubtIn(
      bytes,
      at.top.find(({ key }) => key === 'params'),
    );
  if (doubt !== undefined) return { code: -32602, message: `${method} with ${doubt}` };
  return { params: objectOf(whole['params']) ?? {}, at };
}

function maxOf(method: string, bodyBytes: number): number {
  return method === 'sampling/createMessage' ? Math.max(bodyBytes, SMALL_MESSAGE) : SMALL_MESSAGE;
}

/** Why the params of a question are ambiguous; undefined: they are not. `params`: their offset in validated bytes. */
export function doubtIn(bytes: Buffer, params: { readonly start: number } | undefined): string | undefined {
  if (!params || bytes[params.start] !== 0x7b) return undefined;
  const members = membersOf(bytes, params.start);
  const doubt = PARAMS.doubt(members);
  const meta = members.find(({ key }) => key === '_meta');
  if (doubt !== undefined || !meta || bytes[meta.start] !== 0x7b) return doubt;
  const inMeta = membersOf(bytes, meta.start);
  const related = inMeta.find(({ key }) => key === RELATED_TASK);
  return (
    META.doubt(inMeta) ??
    (related && bytes[related.start] === 0x7b ? RELATED.doubt(membersOf(bytes, related.start)) : undefined)
  );
}

/** Why a client with these capabilities cannot be asked this (2025-11-25, basic/lifecycle, "Capability Negotiation"); undefined: it can. */
export function refusalOf(
  method: string,
  params: Readonly<Record<string, unknown>>,
  capabilities: Readonly<Record<string, unknown>>,
): Refusal | undefined {
  switch (method) {
    case 'roots/list':
      return (capabilities['roots'] ?? undefined) === undefined ? notHere(method) : undefined;
    case 'sampling/createMessage':
      return (capabilities['sampling'] ?? undefined) === undefined ? notHere(method) : undefined;
    case 'elicitation/create': {
      const own = objectOf(capabilities['elicitation']);
      if (!own) return notHere(method);
      const mode = params['mode'] === 'url' ? 'url' : 'form';
      const [form, url] = [own['form'] ?? undefined, own['url'] ?? undefined];
      // `elicitation: {}` means forms only, as before there were modes.
      const has = mode === 'url' ? url !== undefined : form !== undefined || url === undefined;
      return has
        ? undefined
        : { code: -32602, message: `the client does not support elicitation of mode ${mode}` };
    }
    default:
      return undefined;
  }
}

/** Input requests that a modern client accepts, in an `input_required` answer (2026-07-28, basic/patterns/mrtr) or in a task. */
export const ASKABLE: ReadonlySet<string> = new Set([
  'elicitation/create',
  'sampling/createMessage',
  'roots/list',
]);

/** Why a question of a legacy upstream cannot become an input request for a client with these capabilities. */
export function inputRefusal(
  question: Question,
  capabilities: Readonly<Record<string, unknown>>,
  bodyBytes: number,
): Refusal | undefined {
  const { method } = question;
  if (!ASKABLE.has(method)) return notHere(method);
  const read = readQuestion(question, bodyBytes);
  return 'code' in read ? read : refusalOf(method, read.params, capabilities);
}

export function notHere(method: string): Refusal {
  return {
    code: method === 'roots/list' ? -32601 : -32603,
    message: `${method} is not available: the client of this call cannot be asked`,
  };
}

/** Patches that mark a question with the server that asks, for the merged endpoint. `params`: unambiguous. */
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

/** The answer to a question of `server`, with the server's own task id. */
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

/** The task id in the related-task member of `_meta`, and its offsets. */
export function relatedTask(
  bytes: Buffer,
  member: { readonly start: number } | undefined,
): { start: number; end: number; taskId: string } | undefined {
  if (!member || bytes[member.start] !== 0x7b) return undefined;
  const id = membersOf(bytes, member.start).find(({ key }) => key === 'taskId');
  if (!id || bytes[id.start] !== 0x22) return undefined;
  return { ...id, taskId: JSON.parse(bytes.toString('utf8', id.start, id.end)) as string };
}
