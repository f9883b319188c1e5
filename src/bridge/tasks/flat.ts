/** Converts tasks of 2025-11-25 to the extension io.modelcontextprotocol/tasks, as bytes. */
import { readMessages, type Message } from '../../protocol/message.js';
import type { Question } from '../../protocol/ports.js';
import { RELATED_TASK } from '../../protocol/tasks.js';
import { scanObject } from '../../wire/json.js';
import { splice } from '../../wire/splice.js';
import { membersOf } from '../../wire/walk.js';
import { relatedTask } from '../asked.js';
import { without } from '../../wire/without.js';

const RENAMED: Readonly<Record<string, string>> = { ttl: 'ttlMs', pollInterval: 'pollIntervalMs' };
/** Members that the extension sets itself, or does not have. */
const DROPPED: ReadonlySet<string> = new Set([
  'status',
  'resultType',
  'result',
  'error',
  'inputRequests',
  'requestState',
]);
const RELATED: ReadonlySet<string> = new Set([RELATED_TASK]);

/** The JSON members of a task, with another status. `task`: a JSON object. */
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

/** The task in a CreateTaskResult, and its `_meta`; undefined: it is another result. `whole`: an answer, possibly invalid. */
export function createdIn(whole: Buffer): { task: Buffer; meta: Buffer | undefined } | undefined {
  if (!scanObject(whole)) return undefined;
  const result = memberOf(whole, 'result');
  const task = result?.[0] === 0x7b ? memberOf(result, 'task') : undefined;
  if (!result || task?.[0] !== 0x7b || memberOf(task, 'taskId')?.[0] !== 0x22) return undefined;
  return { task, meta: memberOf(result, '_meta') };
}

/** `_meta` without its related-task member. */
function withoutRelated(meta: Buffer): Buffer {
  if (meta[0] !== 0x7b) return meta;
  return splice(meta, without(meta, 0, membersOf(meta), RELATED));
}

/** A result without its related-task member, as in the extension. */
export function plainResult(result: Buffer): Buffer {
  const meta = membersOf(result).find(({ key }) => key === '_meta');
  if (!meta || result[meta.start] !== 0x7b) return result;
  return splice(result, without(result, meta.start, membersOf(result, meta.start), RELATED));
}

/** The answer to a question. If the question names its task, the answer does too, as 2025-11-25 requires. */
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

/** The id of the task that a question belongs to. */
function taskOf(question: Buffer): string | undefined {
  const params = memberOf(question, 'params');
  const meta = params?.[0] === 0x7b ? memberOf(params, '_meta') : undefined;
  if (meta?.[0] !== 0x7b) return undefined;
  return relatedTask(
    meta,
    membersOf(meta).find(({ key }) => key === RELATED_TASK),
  )?.taskId;
}

/** A tasks/result request on behalf of a client. `rawId`, `token`: JSON. */
export function resultRequest(rawId: string, taskId: string, token?: string): Message {
  const meta = token === undefined ? '' : `,"_meta":{"progressToken":${token}}`;
  const params = `{"taskId":${JSON.stringify(taskId)}${meta}}`;
  return readMessages(
    Buffer.from(`{"jsonrpc":"2.0","id":${rawId},"method":"tasks/result","params":${params}}`),
  ) as Message;
}

/** The value of the last member with this name, as in JSON.parse. */
export function memberOf(object: Buffer, key: string): Buffer | undefined {
  const member = membersOf(object).findLast((each) => each.key === key);
  return member && object.subarray(member.start, member.end);
}

function text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}
