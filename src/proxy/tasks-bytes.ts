/** Finds and replaces task ids in whole messages of both task protocols. */
import { relatedTask } from '../bridge/asked.js';
import { readMarked } from '../bridge/input.js';
import { RELATED_TASK } from '../protocol/tasks.js';
import { readJson, scanObject, textOf } from '../wire/json.js';
import type { Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { elementsOf, membersOf } from '../wire/walk.js';

export interface FoundTask {
  readonly start: number;
  readonly end: number;
  readonly taskId: string;
  /** Its ttl in ms as sent: any JSON value. */
  readonly ttl?: unknown;
}

/** The task in an answer: `result.task` of the legacy protocol, or the result itself. */
export function taskIn(whole: Buffer): FoundTask | undefined {
  const result = objectAt(whole, 0, 'result');
  return result === undefined ? undefined : taskAt(whole, objectAt(whole, result, 'task') ?? result);
}

/** The task that is a modern result, or the parameters of a notification. */
export function flatTaskIn(whole: Buffer, member: 'result' | 'params'): FoundTask | undefined {
  const at = objectAt(whole, 0, member);
  return at === undefined ? undefined : taskAt(whole, at);
}

/** The task that a result refers to in its `_meta`. */
export function relatedIn(whole: Buffer): FoundTask | undefined {
  const result = objectAt(whole, 0, 'result');
  const meta = result === undefined ? undefined : objectAt(whole, result, '_meta');
  if (meta === undefined) return undefined;
  return relatedTask(
    whole,
    membersOf(whole, meta).find(({ key }) => key === RELATED_TASK),
  );
}

export function withId(whole: Buffer, { start, end }: Span, id: string): Buffer {
  const patch: Patch = { start, end, bytes: Buffer.from(JSON.stringify(id)) };
  return splice(whole, [patch]);
}

/** Replaces the id in a modern message about a task and marks its input requests with the server's name; or says what is invalid. */
export function shownAs(
  whole: Buffer,
  member: 'result' | 'params',
  id: string,
  server: string,
): Buffer | string {
  const at = objectAt(whole, 0, member);
  if (at === undefined) return whole;
  const marked = readMarked(whole, at, server);
  if (typeof marked === 'string') return marked;
  const own = flatTaskIn(marked, member);
  return own ? withId(marked, own, id) : marked;
}

/** The tasks of one page of tasks/list, and the cursor of the next page. `result`: bytes of the result. */
export function listedTasks(
  result: Buffer,
  maxBytes: number,
): {
  tasks: { readonly bytes: Buffer; readonly at: FoundTask }[];
  next: string | undefined;
} {
  const members = scanObject(result, maxBytes) ? membersOf(result) : [];
  const list = members.find(({ key }) => key === 'tasks');
  const tasks = [];
  for (const span of list && result[list.start] === 0x5b ? elementsOf(result, list.start) : []) {
    const bytes = result.subarray(span.start, span.end);
    const at = bytes[0] === 0x7b ? taskAt(bytes, 0) : undefined;
    if (at) tasks.push({ bytes, at });
  }
  const cursor = members.find(({ key }) => key === 'nextCursor');
  return { tasks, next: cursor && textOf(readJson(result.subarray(cursor.start, cursor.end))) };
}

function taskAt(whole: Buffer, at: number): FoundTask | undefined {
  const members = membersOf(whole, at);
  const id = members.find(({ key }) => key === 'taskId');
  if (!id || whole[id.start] !== 0x22) return undefined;
  const ttl = members.find(({ key }) => key === 'ttl' || key === 'ttlMs');
  const read = ({ start, end }: Span): unknown => readJson(whole.subarray(start, end));
  const taskId = textOf(read(id));
  return taskId === undefined ? undefined : { start: id.start, end: id.end, taskId, ttl: ttl && read(ttl) };
}

/** Start of the object in member `key` of the object at `at`. */
function objectAt(whole: Buffer, at: number, key: string): number | undefined {
  const member = membersOf(whole, at).find((each) => each.key === key);
  return member && whole[member.start] === 0x7b ? member.start : undefined;
}
