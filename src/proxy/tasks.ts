/**
 * Tasks of both protocols. Their ids are made routable on the merged endpoint, and belong to the principal that created them. Subscribers
 * are told their state.
 */
import type { Budget } from '../lib/budget.js';
import { FairMap } from '../lib/fair-map.js';
import { GatewayError } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { AnswerHead, Caller, Link, Notice, Seen, Sink, ServerLink, View } from '../protocol/ports.js';
import { answerWith, PassThroughSink } from '../protocol/sinks.js';
import { qualifyId } from '../catalog/naming.js';
import { MAX_KEPT } from '../session/kept.js';
import type { Session } from '../session/store.js';
import { objectOf } from '../wire/json.js';
import type { OpenedTaskId, TaskIds } from '../protocol/task-ids.js';
import { withText } from '../protocol/patched.js';
import { find } from '../protocol/message.js';
import { ChangedAnswer, proven, type Buffering } from './changed-answer.js';
import { answer, refused, type Handled, type Incoming } from './incoming.js';
import type { Listener } from './listeners.js';
import { deferred } from './methods/deferred.js';
import { namedBy } from './methods/named.js';
import type { Named, Wrap } from './methods/relay.js';
import {
  flatTaskIn,
  listedTasks,
  relatedIn,
  shownAs,
  taskIn,
  withId,
  type FoundTask,
} from './tasks-bytes.js';
import { marksOf } from './uri-sink.js';

/** Tasks that are remembered, at the most; the client with the most loses its least recently used one. */
const MAX_TASKS = 10_000;
/** How long a task without a ttl is remembered after its last use. */
const DEFAULT_TTL_MS = 24 * 3600 * 1000;
const MAX_PAGES = 100;

interface Task {
  readonly principal: string;
  /** See Caller.client. */
  readonly client: string;
  /** The session of a legacy client, which gets status notifications. */
  readonly session: Session | undefined;
  readonly merged: boolean;
  /** The tool that created it, as its server calls it; undefined: not known. */
  readonly tool: string | undefined;
  readonly ttlMs: number;
  readonly expires: number;
}

/** A task that subscription streams follow. */
interface Watch {
  readonly link: ServerLink;
  readonly taskId: string;
  /** Streams, with the id that each one used. */
  readonly subscribers: Map<Listener, string>;
  /** Its state is being requested; it changed again since. */
  asking: boolean;
  again: boolean;
}

export interface TasksDeps {
  readonly boundary: Boundary;
  readonly tell: (session: Session, notice: Notice) => void;
  /** The state of a legacy server's task in the form of the extension: JSON of an object. */
  readonly describe: (link: Link, taskId: string) => Promise<Buffer>;
  readonly now: () => number;
  /** limits.message_bytes: largest answer that is buffered. */
  readonly maxBytes: () => number;
  readonly budget: Budget;
  /** How modern clients of a fleet see ids; undefined: as those of a gateway alone. */
  readonly ids?: (() => TaskIds | undefined) | undefined;
}

/** A task that a request names, under the server's id on a route of one server, otherwise under a routable one. */
export interface NamedTask extends Named {
  /** As the request named it. */
  readonly shown: string;
}

export interface Tasks {
  /** For a legacy client's call that asks for a task: remembers its id and makes it routable. */
  created(incoming: Incoming): Wrap;
  /** For a modern client's call, which may become a task. */
  made(incoming: Incoming): Wrap;
  /** For requests about a task. */
  answered(incoming: Incoming, named: NamedTask | GatewayError): Wrap;
  /** The task that a request names, if it belongs to the caller: the request names it as the view does from then on. */
  owned(incoming: Incoming): NamedTask | GatewayError;
  /** `own`: tasks that the gateway has for the caller, as JSON. */
  list(incoming: Incoming, own: readonly string[]): Handled;
  /** Whether a session has created a task that is still known. */
  has(session: Session): boolean;
  /** A status notification of a server: passes it to the session that created the task and to streams that follow it. */
  status(link: Link, taskId: string, notice: Notice): void;
  /** Lets a stream follow a task. false: refused. */
  watch(listener: Listener, id: string): Promise<boolean>;
  /** A stream has ended. */
  left(listener: Listener): void;
  /** Forgets the tasks of principals, by id: who gets the same id later is somebody else. */
  forget(principals: ReadonlySet<string>): void;
}

export function createTasks(deps: TasksDeps): Tasks {
  const { boundary, tell, describe, now, maxBytes, budget } = deps;
  const buffering = ({ origin }: Incoming, server: string): Buffering => ({
    maxBytes: maxBytes(),
    budget,
    whose: { client: origin.sessionId, server },
    boundary,
  });
  const tasks = new FairMap<string, Task>(MAX_TASKS);
  const watches = new Map<string, Watch>();

  const keyOf = (link: Link, taskId: string): string => `${link.key}\0${taskId}`;
  const routable = (server: string, taskId: string, merged: boolean): string =>
    merged ? qualifyId(server, taskId) : taskId;

  /** The id of a new task, as its caller sees it. */
  function shown({ server }: Link, taskId: string, { caller, merged, origin, target }: Incoming): string {
    const id = routable(server, taskId, merged);
    const ids = caller.era === 'modern' ? deps.ids?.() : undefined;
    const whose = { principal: caller.principal.id, server: origin.route.server };
    return ids?.show({ ...whose, id, tool: target?.name }) ?? id;
  }

  function known(link: Link, taskId: string): Task | undefined {
    const key = keyOf(link, taskId);
    const task = tasks.get(key);
    if (task && task.expires < now()) {
      tasks.delete(key);
      return undefined;
    }
    return task;
  }

  /** The task of a caller whose replica is gone, which had given him the id. */
  function adopted({ principal, client }: Caller, merged: boolean, tool: string | undefined): Task {
    const ttlMs = DEFAULT_TTL_MS;
    const task = { principal: principal.id, client, session: undefined, merged, tool };
    return { ...task, ttlMs, expires: now() + ttlMs };
  }

  function put(key: string, task: Omit<Task, 'expires'>): void {
    tasks.set(key, task.client, { ...task, expires: now() + task.ttlMs });
  }

  function note(link: Link, { taskId, ttl }: FoundTask, { caller, session, merged, target }: Incoming): void {
    if (Buffer.byteLength(taskId) > MAX_KEPT)
      throw new GatewayError(
        'upstream_protocol_error',
        `upstream '${link.server}' named a task with more than ${MAX_KEPT} bytes`,
      );
    put(keyOf(link, taskId), {
      principal: caller.principal.id,
      client: caller.client,
      session,
      merged,
      tool: target?.name,
      ttlMs: typeof ttl === 'number' && ttl > 0 ? Math.min(ttl, DEFAULT_TTL_MS) : DEFAULT_TTL_MS,
    });
  }

  /** Whether a view still allows the tool of a task. */
  function isAllowed(view: View, { server }: Link, { tool }: Task): boolean {
    return tool === undefined || view.allows(server, 'tool', tool);
  }

  /** The caller's task with this id. `server`: of the route. */
  function ownedBy(
    caller: Caller,
    shownId: string,
    server: string | undefined,
  ): (OpenedTaskId & { link: ServerLink; taskId: string }) | undefined {
    const { principal, era, view } = caller;
    const ids = era === 'modern' ? deps.ids?.() : undefined;
    const alone = { id: shownId, tool: undefined, home: 'here' } as const;
    const opened = ids ? ids.open(shownId, { principal: principal.id, server }) : alone;
    const target = opened && view.find('task', opened.id);
    if (!target) return undefined;
    const { link, name } = target;
    const task =
      known(link, name) ??
      (opened.home === 'here' ? undefined : adopted(caller, server === undefined, opened.tool));
    // Tasks of other principals, and of a protocol that the client does not have, do not exist for it.
    if (task?.principal !== principal.id) return undefined;
    if (era === 'legacy' && link.era === 'modern') return undefined;
    if (!isAllowed(view, link, task)) return undefined;
    put(keyOf(link, name), task);
    return { link, taskId: name, ...opened };
  }

  /** A modern message about a task with the id that its client knows; or what is invalid. */
  function shownTo(
    merged: boolean,
    bytes: Buffer,
    member: 'result' | 'params',
    { id, link, taskId }: { readonly id: string; readonly link: Link; readonly taskId: string },
  ): Buffer | string {
    if (merged) return shownAs(bytes, member, id, link.server);
    const at = id === taskId ? undefined : flatTaskIn(bytes, member);
    return at ? withId(bytes, at, id) : bytes;
  }

  /** Tells the streams that follow a task. `notice` undefined: request the state first. */
  function tellWatchers(watch: Watch, notice: Notice | undefined): void {
    if (notice) {
      for (const [listener, id] of watch.subscribers) {
        const task = tasks.get(keyOf(watch.link, watch.taskId));
        // A server that begins anew may give the same id to the task of another principal.
        if (task?.principal !== listener.caller.principal.id) continue;
        if (!isAllowed(listener.caller.view, watch.link, task)) continue;
        const merged = listener.server === undefined;
        const bytes = shownTo(merged, notice.bytes, 'params', { id, link: watch.link, taskId: watch.taskId });
        // An ambiguous message is dropped.
        if (typeof bytes === 'string') continue;
        const marks = merged ? marksOf(watch.link) : undefined;
        listener.tell(`${notice.method} ${id}`, { ...notice, bytes: marks?.splice(bytes, 0) ?? bytes });
      }
      return;
    }
    // One request at a time, so that an older state is not sent after a newer one.
    if (watch.asking) {
      watch.again = true;
      return;
    }
    watch.asking = true;
    const told = (state?: Buffer): void => {
      watch.asking = false;
      if (state) {
        const method = 'notifications/tasks';
        const head = Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":`);
        tellWatchers(watch, { method, bytes: Buffer.concat([head, state, Buffer.from('}')]) });
      }
      if (!watch.again) return;
      watch.again = false;
      tellWatchers(watch, undefined);
    };
    const known = describe(watch.link, watch.taskId).then(told, () => {
      told();
    });
    boundary.detach('task', known, () => {
      watch.asking = false;
    });
  }

  return {
    created: (incoming) => (target, sink) =>
      // A modern server gets no task: the gateway waits for its result.
      target.link.era === 'modern'
        ? sink
        : new ChangedAnswer(
            sink,
            buffering(incoming, target.link.server),
            proven((whole) => {
              const at = taskIn(whole);
              if (!at) return whole;
              const { link } = target;
              note(link, at, incoming);
              return withId(whole, at, routable(link.server, at.taskId, incoming.merged));
            }),
          ),
    made: (incoming) => (target, sink) =>
      new CreatedTask(sink, (whole) => {
        const at = flatTaskIn(whole, 'result');
        if (!at) return whole;
        const { link } = target;
        note(link, at, incoming);
        const id = shown(link, at.taskId, incoming);
        return id === at.taskId ? whole : withId(whole, at, id);
      }),
    answered: (incoming, named) => (target, sink) => {
      const { caller, merged } = incoming;
      const { link, name } = target;
      const { server } = link;
      const id = named instanceof GatewayError ? name : named.shown;
      if (!merged && id === name) return sink;
      const change = (whole: Buffer): Buffer => {
        if (caller.era === 'modern') {
          const shown = shownTo(merged, whole, 'result', { id, link, taskId: name });
          if (typeof shown !== 'string') return shown;
          throw new GatewayError(
            'upstream_protocol_error',
            `upstream '${server}' told of a task with ${shown}`,
          );
        }
        const at = taskIn(whole) ?? relatedIn(whole);
        return at ? withId(whole, at, incoming.shownTask ?? qualifyId(server, at.taskId)) : whole;
      };
      return new ChangedAnswer(sink, buffering(incoming, server), proven(change));
    },
    owned(incoming) {
      const named = namedBy(incoming.message, 'taskId', 'task');
      if (named instanceof GatewayError) return named;
      const { name } = named;
      const found = ownedBy(incoming.caller, name, incoming.origin.route.server);
      if (!found) return new GatewayError('invalid_params', `unknown task '${name.slice(0, 256)}'`);
      const shown = incoming.shownTask ?? name;
      if (found.id === name) return { ...named, shown };
      incoming.rewrite(withText(incoming.message, named.at, found.id));
      const { message } = incoming;
      return { ...named, name: found.id, at: find(message.params, 'taskId') ?? named.at, shown };
    },
    list(incoming, own) {
      const { message, caller, sink, merged } = incoming;
      const links = caller.view.links().filter((link) => listsTasks(link));
      if (links.length === 0)
        return merged
          ? answer(message, `{"tasks":[${own.join(',')}]}`)
          : refused(message, new GatewayError('method_not_found', "method 'tasks/list' not found"));
      const controller = new AbortController();
      const found: Buffer[] = [];
      const collect = async (link: Link): Promise<void> => {
        for (const { bytes, at } of await tasksOf(link, maxBytes())) {
          const task = known(link, at.taskId);
          if (task?.principal === caller.principal.id && isAllowed(caller.view, link, task))
            found.push(withId(bytes, at, routable(link.server, at.taskId, merged)));
        }
      };
      const all = Promise.allSettled(links.map(collect)).then(() => undefined);
      const exchange = deferred(boundary, incoming, { until: all, controller }, () => {
        const tasks = [...own, ...found.map((task) => task.toString('utf8'))];
        answerWith(sink, message.id as string, `{"tasks":[${tasks.join(',')}]}`);
        exchange.over('success');
      });
      return { kind: 'exchange', exchange };
    },
    status(link, taskId, notice) {
      const watch = watches.get(keyOf(link, taskId));
      if (watch) tellWatchers(watch, link.era === 'modern' ? notice : undefined);
      const task = known(link, taskId);
      if (!task?.session?.open || link.era === 'modern') return;
      if (!isAllowed(task.session.caller.view, link, task)) return;
      const at = flatTaskIn(notice.bytes, 'params');
      const id = routable(link.server, taskId, task.merged);
      tell(task.session, at ? { ...notice, bytes: withId(notice.bytes, at, id) } : notice);
    },
    async watch(listener, id) {
      const found = ownedBy(listener.caller, id, listener.server);
      // Only its replica hears of a task.
      if (!found || found.home === 'elsewhere') return false;
      const { link, taskId } = found;
      try {
        await link.watchTask(taskId);
      } catch {
        // Not granted: it is missing in the acknowledgement.
        return false;
      }
      const key = keyOf(link, taskId);
      if (listener.over) {
        if (!watches.has(key)) link.unwatchTask(taskId);
        return false;
      }
      let watch = watches.get(key);
      if (!watch)
        watches.set(key, (watch = { link, taskId, subscribers: new Map(), asking: false, again: false }));
      watch.subscribers.set(listener, id);
      return true;
    },
    left(listener) {
      for (const [key, { link, taskId, subscribers }] of watches) {
        if (!subscribers.delete(listener) || subscribers.size > 0) continue;
        watches.delete(key);
        link.unwatchTask(taskId);
      }
    },
    has(session) {
      const at = now();
      for (const task of tasks.values()) if (task.session === session && task.expires > at) return true;
      return false;
    },
    forget(principals) {
      if (principals.size > 0) tasks.deleteWhere(({ principal }) => principals.has(principal));
    },
  };
}

/** Passes everything on; an answer that creates a task is changed. */
class CreatedTask extends PassThroughSink {
  readonly #change: (whole: Buffer) => Buffer;
  #created: AnswerHead | undefined;
  #failed = false;

  constructor(sink: Sink, change: (whole: Buffer) => Buffer) {
    super(sink);
    this.#change = change;
  }

  override start(head: AnswerHead): void {
    if (head.resultType === 'task') this.#created = head;
    else super.start(head);
  }

  override write(chunk: Buffer): boolean {
    if (!this.#created) return super.write(chunk);
    let whole: Buffer;
    try {
      whole = this.#change(chunk);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#failed = true;
      this.fail(error);
      return true;
    }
    super.start({ ...this.#created, bytes: whole.length });
    return super.write(whole);
  }

  override end(seen: Seen): void {
    if (!this.#failed) super.end(seen);
  }
}

function listsTasks({ peer, state, era }: Link): boolean {
  const has = objectOf(peer?.capabilities['tasks'])?.['list'] ?? undefined;
  return state === 'up' && era === 'legacy' && has !== undefined;
}

/** All pages of a server's tasks/list. */
async function tasksOf(link: Link, maxBytes: number): Promise<ReturnType<typeof listedTasks>['tasks']> {
  const found = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = cursor === undefined ? undefined : JSON.stringify({ cursor });
    const { tasks, next } = listedTasks(await link.request('tasks/list', params), maxBytes);
    found.push(...tasks);
    if (next === undefined || next === cursor) break;
    cursor = next;
  }
  return found;
}
