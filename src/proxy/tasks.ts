/**
 * Tasks (2025-11-25, basic/utilities/tasks, experimental): their ids are made routable on the merged endpoint, and belong to the
 * principal that made them.
 */
import { GatewayError } from '../errors.js';
import type { MethodStats } from '../observe/stats.js';
import type { Message } from '../protocol/message.js';
import { RELATED_TASK, type Link, type Notice, type Sink } from '../protocol/ports.js';
import { parse, qualifyId } from '../catalog/naming.js';
import type { Session } from '../session/store.js';
import { splice, type Patch } from '../wire/splice.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { held } from './held.js';
import { answer, counter, refused, type Handled, type Source } from './handled.js';
import { deferred, type Named, type Wrap } from './methods/relay.js';

/** Tasks that are remembered, at the most; the oldest goes. */
const MAX_TASKS = 10_000;
/** A task without a ttl of its own is remembered for so long. */
const DEFAULT_TTL_MS = 24 * 3600 * 1000;
const MAX_PAGES = 100;

interface Task {
  readonly principal: string;
  readonly session: Session | undefined;
  readonly merged: boolean;
  readonly expires: number;
}

export interface TasksDeps {
  readonly tell: (session: Session, notice: Notice) => void;
  readonly now: () => number;
  /** limits.message_bytes: what may be held of one answer. */
  readonly maxBytes: () => number;
}

export interface Tasks {
  /** For a call that makes a task: its id is noted, and made routable. */
  created(source: Source, session: Session | undefined): Wrap;
  /** For what is asked about a task. */
  answered(source: Source): Wrap;
  /** The name, if the task is this principal's. */
  owned(named: Named | GatewayError, source: Source): Named | GatewayError;
  list(
    stats: MethodStats,
    source: Source,
    message: Message,
    session: Session | undefined,
    sink: Sink,
  ): Handled;
  /** An upstream tells how a task stands: the session that made it hears it. */
  status(link: Link, taskId: string, notice: Notice): void;
}

export function createTasks({ tell, now, maxBytes }: TasksDeps): Tasks {
  const tasks = new Map<string, Task>();

  const keyOf = (server: string, taskId: string): string => `${server}\0${taskId}`;
  const shown = (server: string, taskId: string, merged: boolean): string =>
    merged ? qualifyId(server, taskId) : taskId;

  function known(server: string, taskId: string): Task | undefined {
    const key = keyOf(server, taskId);
    const task = tasks.get(key);
    if (task && task.expires < now()) {
      tasks.delete(key);
      return undefined;
    }
    return task;
  }

  function note(
    server: string,
    taskId: string,
    ttl: unknown,
    source: Source,
    session: Session | undefined,
  ): void {
    const ttlMs = typeof ttl === 'number' && ttl > 0 ? Math.min(ttl, DEFAULT_TTL_MS) : DEFAULT_TTL_MS;
    tasks.set(keyOf(server, taskId), {
      principal: source.principal.id,
      session,
      merged: source.route.server === undefined,
      expires: now() + ttlMs,
    });
    if (tasks.size > MAX_TASKS) tasks.delete(tasks.keys().next().value as string);
  }

  return {
    created: (source, session) => (target, sink) =>
      held(sink, maxBytes(), (whole) => {
        const at = taskIn(whole);
        if (!at) return whole;
        const { server } = target.link;
        note(server, at.taskId, at.ttl, source, session);
        return withId(whole, at, shown(server, at.taskId, source.route.server === undefined));
      }),
    answered: (source) => (target, sink) => {
      if (source.route.server !== undefined) return sink;
      return held(sink, maxBytes(), (whole) => {
        const at = taskIn(whole) ?? relatedIn(whole);
        return at ? withId(whole, at, shown(target.link.server, at.taskId, true)) : whole;
      });
    },
    owned(named, source) {
      if (named instanceof GatewayError) return named;
      const { server } = source.route;
      const parts = server === undefined ? parse(named.name) : { server, name: named.name };
      const task = parts && known(parts.server, parts.name);
      // Another principal's task does not exist.
      if (task?.principal === source.principal.id) return named;
      return new GatewayError('invalid_params', `unknown task '${named.name.slice(0, 256)}'`);
    },
    list(stats, source, message, session, sink) {
      const view = session?.view ?? source.route.view;
      const merged = source.route.server === undefined;
      const links = view.links().filter((link) => listsTasks(link));
      if (links.length === 0)
        return merged
          ? answer(message, '{"tasks":[]}')
          : refused(message, new GatewayError('method_not_found', "method 'tasks/list' not found"));
      const controller = new AbortController();
      const done = counter(stats);
      const found: Buffer[] = [];
      const collect = async (link: Link): Promise<void> => {
        for (const { taskId, bytes } of await tasksOf(link)) {
          if (known(link.server, taskId.value)?.principal !== source.principal.id) continue;
          const id = JSON.stringify(shown(link.server, taskId.value, merged));
          found.push(splice(bytes, [{ start: taskId.start, end: taskId.end, bytes: Buffer.from(id) }]));
        }
      };
      const all = Promise.allSettled(links.map(collect)).then(() => undefined);
      const exchange = deferred(controller, all, sink, done, () => {
        const list = Buffer.from(`{"tasks":[${found.map((task) => task.toString('utf8')).join(',')}]}`);
        const { bytes } = answer(message, list) as { bytes: Buffer };
        sink.start({
          kind: 'result',
          bytes: bytes.length,
          value: bytes.length - 1 - list.length,
          code: undefined,
        });
        sink.write(bytes);
        sink.end({ isError: false });
        done('success');
      });
      return { kind: 'exchange', exchange };
    },
    status(link, taskId, notice) {
      const task = known(link.server, taskId);
      if (!task?.session?.open) return;
      const params = membersOf(notice.bytes).find(({ key }) => key === 'params');
      const at = params && membersOf(notice.bytes, params.start).find(({ key }) => key === 'taskId');
      const id = JSON.stringify(shown(link.server, taskId, task.merged));
      const bytes = at
        ? splice(notice.bytes, [{ start: at.start, end: at.end, bytes: Buffer.from(id) }])
        : notice.bytes;
      tell(task.session, { method: notice.method, bytes });
    },
  };
}

function listsTasks({ peer, state }: Link): boolean {
  const tasks = peer?.capabilities['tasks'] as { list?: unknown } | null | undefined;
  return state === 'up' && tasks?.list !== undefined;
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly taskId: string;
  readonly ttl?: unknown;
}

/** The task of a whole answer: `result.task`, or the result itself. */
function taskIn(whole: Buffer): Found | undefined {
  const result = objectAt(whole, 0, 'result');
  if (result === undefined) return undefined;
  const at = objectAt(whole, result, 'task') ?? result;
  const members = membersOf(whole, at);
  const id = members.find(({ key }) => key === 'taskId');
  if (!id || whole[id.start] !== 0x22) return undefined;
  const ttl = members.find(({ key }) => key === 'ttl');
  const read = (span: { start: number; end: number }): unknown =>
    JSON.parse(whole.toString('utf8', span.start, span.end));
  return { start: id.start, end: id.end, taskId: read(id) as string, ttl: ttl && read(ttl) };
}

/** The task that a result belongs to, in its `_meta`. */
function relatedIn(whole: Buffer): Found | undefined {
  const result = objectAt(whole, 0, 'result');
  const meta = result === undefined ? undefined : objectAt(whole, result, '_meta');
  const related = meta === undefined ? undefined : objectAt(whole, meta, RELATED_TASK);
  if (related === undefined) return undefined;
  const id = membersOf(whole, related).find(({ key }) => key === 'taskId');
  if (!id || whole[id.start] !== 0x22) return undefined;
  return {
    start: id.start,
    end: id.end,
    taskId: JSON.parse(whole.toString('utf8', id.start, id.end)) as string,
  };
}

/** Where the object under `key` of the object at `at` begins. */
function objectAt(whole: Buffer, at: number, key: string): number | undefined {
  const member = membersOf(whole, at).find((each) => each.key === key);
  return member && whole[member.start] === 0x7b ? member.start : undefined;
}

function withId(whole: Buffer, { start, end }: Found, id: string): Buffer {
  const patch: Patch = { start, end, bytes: Buffer.from(JSON.stringify(id)) };
  return splice(whole, [patch]);
}

/** All pages of an upstream's tasks/list. */
async function tasksOf(
  link: Link,
): Promise<{ bytes: Buffer; taskId: { start: number; end: number; value: string } }[]> {
  const found: { bytes: Buffer; taskId: { start: number; end: number; value: string } }[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = cursor === undefined ? undefined : JSON.stringify({ cursor });
    const result = await link.request('tasks/list', params);
    const members = membersOf(result);
    const list = members.find(({ key }) => key === 'tasks');
    for (const span of list ? elementsOf(result, list.start) : []) {
      const bytes = result.subarray(span.start, span.end);
      const id = bytes[0] === 0x7b ? membersOf(bytes).find(({ key }) => key === 'taskId') : undefined;
      if (!id || bytes[id.start] !== 0x22) continue;
      const value = JSON.parse(bytes.toString('utf8', id.start, id.end)) as string;
      found.push({ bytes, taskId: { start: id.start, end: id.end, value } });
    }
    const next = members.find(({ key }) => key === 'nextCursor');
    const value: unknown = next && JSON.parse(result.toString('utf8', next.start, next.end));
    if (typeof value !== 'string' || value === cursor) break;
    cursor = value;
  }
  return found;
}
