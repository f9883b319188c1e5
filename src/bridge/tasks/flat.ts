/** Tasks of 2025-11-25 in the words of the extension io.modelcontextprotocol/tasks: bytes alone. */
import { readMessages, type Message } from '../../protocol/message.js';
import { RELATED_TASK, type Question } from '../../protocol/ports.js';
import { scanObject } from '../../wire/json.js';
import { splice } from '../../wire/splice.js';
import { membersOf } from '../../wire/walk.js';
import { relatedTask } from '../asked.js';
import { without } from '../../wire/without.js';

const RENAMED: Readonly<Record<string, string>> = { ttl: 'ttlMs', pollInterval: 'pollIntervalMs' };
/** What the extension says itself, or has no room for. */
const DROPPED: ReadonlySet<string> = new Set([
  'status',
  'resultType',
  'result',
  'error',
  'inputRequests',
  'requestState',
]);
const RELATED: ReadonlySet<string> = new Set([RELATED_TASK]);

/** The members of a task, with another status: JSON. `task`: JSON of an object. */
export function flatMembers(task: Buffer, status: string): string {
  const members = membersOf(task).filter(({ key }) => !DROPPED.has(key));
  const flat = members.map(({ key, start, end }) => {
    const value =
      key === '_meta' ? withoutRelated(task.subarray(start, end)).toString('utf8') : text(task, start, end);
    return `${JSON.stringify(RENAMED[key] ?? key)}:${value}`;
  });
  flat.splice(1, 0, `"status":${JSON.stringify(status)}`);
  if (!members.some(({ key }) => key === 'ttl' || key === 'ttlMs')) flat.push('"ttlMs":null');
  return flat.join(',');
}

/** The task that a result says was made, and the `_meta` beside it; undefined: it says no such thing. `whole`: maybe no JSON. */
export function createdIn(whole: Buffer): { task: Buffer; meta: Buffer | undefined } | undefined {
  if (!scanObject(whole)) return undefined;
  const result = memberOf(whole, 'result');
  const task = result?.[0] === 0x7b ? memberOf(result, 'task') : undefined;
  if (!result || task?.[0] !== 0x7b || memberOf(task, 'taskId')?.[0] !== 0x22) return undefined;
  return { task, meta: memberOf(result, '_meta') };
}

/** The JSON of an object without what relates it to a task. */
function withoutRelated(meta: Buffer): Buffer {
  if (meta[0] !== 0x7b) return meta;
  return splice(meta, without(meta, 0, membersOf(meta), RELATED));
}

/** A result as the extension has it: nothing in it says which task it comes from. */
export function plainResult(result: Buffer): Buffer {
  const meta = membersOf(result).find(({ key }) => key === '_meta');
  if (!meta || result[meta.start] !== 0x7b) return result;
  return splice(result, without(result, meta.start, membersOf(result, meta.start), RELATED));
}

/** The answer to a question as 2025-11-25 wants it: where the question names its task, the answer does too. */
export function relatedAnswer({ bytes }: Question, answer: Buffer): Buffer {
  const taskId = taskOf(bytes);
  if (taskId === undefined || answer[0] !== 0x7b) return answer;
  const members = membersOf(answer);
  const meta = members.find(({ key }) => key === '_meta');
  const related = `${JSON.stringify(RELATED_TASK)}:${JSON.stringify({ taskId })}`;
  const put = (at: number, added: string, others: number): Buffer =>
    splice(answer, [{ start: at, end: at, bytes: Buffer.from(others > 0 ? `${added},` : added) }]);
  if (!meta) return put(1, `"_meta":{${related}}`, members.length);
  const own = answer[meta.start] === 0x7b ? membersOf(answer, meta.start) : undefined;
  if (!own || own.some(({ key }) => key === RELATED_TASK)) return answer;
  return put(meta.start + 1, related, own.length);
}

/** The task that a question is about. */
function taskOf(question: Buffer): string | undefined {
  const params = memberOf(question, 'params');
  const meta = params?.[0] === 0x7b ? memberOf(params, '_meta') : undefined;
  if (meta?.[0] !== 0x7b) return undefined;
  return relatedTask(
    meta,
    membersOf(meta).find(({ key }) => key === RELATED_TASK),
  )?.taskId;
}

/** tasks/result in the name of a client. `rawId`, `token`: JSON. */
export function resultRequest(rawId: string, taskId: string, token?: string): Message {
  const meta = token === undefined ? '' : `,"_meta":{"progressToken":${token}}`;
  const params = `{"taskId":${JSON.stringify(taskId)}${meta}}`;
  return readMessages(
    Buffer.from(`{"jsonrpc":"2.0","id":${rawId},"method":"tasks/result","params":${params}}`),
  ) as Message;
}

/** The last member of this name of a JSON object, as JSON.parse has it. */
export function memberOf(object: Buffer, key: string): Buffer | undefined {
  const member = membersOf(object).findLast((each) => each.key === key);
  return member && object.subarray(member.start, member.end);
}

function text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}
