/**
 * Tasks of calls that wait for a yes: their clients need not wait. Until the call is sent the gateway answers for them; then the task is
 * that of its server, under the id that its client knows, or the gateway keeps the answer.
 */
import { randomBytes } from 'node:crypto';
import { errorMessage, GatewayError } from '../errors.js';
import { FairMap } from '../lib/fair-map.js';
import type { Boundary } from '../observe/boundary.js';
import { find, param } from '../protocol/message.js';
import { NOBODY_TO_ASK, type AnswerHead, type Refusal, type Sink } from '../protocol/ports.js';
import { answerWhole, resultMessage } from '../protocol/sinks.js';
import { withText } from '../protocol/patched.js';
import type { TaskIds } from '../protocol/task-ids.js';
import { objectOf, readObject, textOf } from '../wire/json.js';
import { answer, refused, type Handled, type Incoming } from './incoming.js';
import { deferred } from './methods/deferred.js';
import { forget, remember } from './under-way.js';

export interface HeldTasksDeps {
  readonly boundary: Boundary;
  /** How modern clients of a fleet see ids; undefined: as those of a gateway alone. */
  readonly ids?: (() => TaskIds | undefined) | undefined;
}

/** Tasks at a time; the client with the most loses its least recently made one. */
const MAX_TASKS = 1000;
/** The largest answer that is kept for its client, in bytes. */
const MAX_ANSWER = 1_048_576;
/** How long a task is kept after its end. */
const KEPT_MS = 600_000;
const POLL_MS = 5000;

type State =
  | { readonly at: 'working' | 'cancelled' }
  /** The server has the task, under this id. */
  | { readonly at: 'going'; readonly id: string }
  /** JSON of the result, or of the error. */
  | { readonly at: 'completed' | 'failed'; readonly json: string };

/** The task of one held call. */
export class HeldTask {
  readonly id: string;
  readonly principal: string;
  readonly route: string;
  readonly tool: string | undefined;
  readonly #text: string;
  readonly #ttlMs: number;
  readonly #created = new Date().toISOString();
  readonly #era: 'legacy' | 'modern';
  readonly #cancelled = new AbortController();
  #updated = this.#created;
  #state: State = { at: 'working' };
  #settle: () => void = () => undefined;
  /** Resolves once the state is another one than `working`. */
  readonly settled = new Promise<void>((resolve) => (this.#settle = resolve));
  expires: number;

  /** `text`: for whom the call waits. `ttlMs`: how long that may last. */
  constructor({ caller, origin, target }: Incoming, text: string, ttlMs: number) {
    this.id = `hold-${randomBytes(16).toString('base64url')}`;
    this.principal = caller.principal.id;
    this.route = origin.route.key;
    this.tool = target?.name;
    this.#era = caller.era;
    this.#text = text;
    this.#ttlMs = ttlMs + KEPT_MS;
    this.expires = Date.now() + this.#ttlMs;
  }

  get state(): State {
    return this.#state;
  }

  /** Aborted when the client cancels the task. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  becomes(state: Exclude<State, { at: 'working' }>): void {
    if (this.#state.at !== 'working') return;
    this.#state = state;
    this.#updated = new Date().toISOString();
    if (state.at !== 'going') this.expires = Date.now() + KEPT_MS;
    this.#settle();
  }

  fails(error: GatewayError): void {
    const whole = JSON.parse(errorMessage(error, 'null', this.#era)) as { readonly error: object };
    this.becomes({ at: 'failed', json: JSON.stringify(whole.error) });
  }

  cancel(): void {
    this.becomes({ at: 'cancelled' });
    this.#cancelled.abort();
  }

  /** JSON of an object with the members of a task. `shown`: the id that its client knows. */
  describe(shown: string): Record<string, unknown> {
    const { at } = this.#state;
    const status = at === 'going' ? 'working' : at;
    const times = { createdAt: this.#created, lastUpdatedAt: this.#updated };
    const common = {
      taskId: shown,
      status,
      ...(at === 'working' && { statusMessage: this.#text }),
      ...times,
    };
    return this.#era === 'legacy'
      ? { ...common, ttl: this.#ttlMs, pollInterval: POLL_MS }
      : { ...common, ttlMs: this.#ttlMs, pollIntervalMs: POLL_MS };
  }
}

export class HeldTasks {
  readonly #deps: HeldTasksDeps;
  readonly #tasks = new FairMap<string, HeldTask>(MAX_TASKS);

  constructor(deps: HeldTasksDeps) {
    this.#deps = deps;
  }

  /** Makes the task of a call. Returns the result that its client gets. */
  make(
    incoming: Incoming,
    text: string,
    ttlMs: number,
  ): { readonly task: HeldTask; readonly result: Buffer } {
    const task = new HeldTask(incoming, text, ttlMs);
    this.#tasks.set(task.id, incoming.caller.client, task)?.cancel();
    const { caller, origin } = incoming;
    const whose = { principal: task.principal, server: origin.route.server };
    const ids = caller.era === 'modern' ? this.#deps.ids?.() : undefined;
    const shown = ids?.show({ ...whose, id: task.id, tool: task.tool }) ?? task.id;
    const described = task.describe(shown);
    const result = caller.era === 'legacy' ? { task: described } : { resultType: 'task', ...described };
    return { task, result: Buffer.from(JSON.stringify(result)) };
  }

  /** Answers a request about a task; `go` does it for a task of a server. */
  handle(incoming: Incoming, go: () => Handled): Handled {
    const shown = this.#tasks.size === 0 ? undefined : param(incoming.message, 'taskId');
    const task = typeof shown === 'string' ? this.#find(incoming, shown) : undefined;
    if (!task || typeof shown !== 'string') return go();
    const { message } = incoming;
    const { method } = message;
    if (task.state.at === 'going') return this.#goOn(incoming, task.state.id, shown, go);
    if (method === 'tasks/cancel') {
      // A legacy task that is over cannot be cancelled (2025-11-25, basic/utilities/tasks).
      if (task.state.at !== 'working' && incoming.caller.era === 'legacy')
        return refused(message, new GatewayError('invalid_params', `the task is over: ${task.state.at}`));
      task.cancel();
    }
    if (method === 'tasks/result' && task.state.at === 'working') return this.#wait(incoming, task, go);
    const { state } = task;
    if (method === 'tasks/result' && state.at === 'failed')
      return { kind: 'answer', bytes: Buffer.from(failure(incoming, state.json)) };
    const answered = this.#answerTo(incoming, task, shown);
    return answered instanceof GatewayError ? refused(message, answered) : answer(message, answered);
  }

  /** For `tasks/list`: the tasks of a caller that no server has, as JSON. */
  listed({ caller, origin }: Incoming): string[] {
    const listed: string[] = [];
    if (this.#tasks.size === 0) return listed;
    for (const task of this.#tasks.values()) {
      if (task.principal !== caller.principal.id || task.route !== origin.route.key) continue;
      if (task.state.at !== 'going' && Date.now() < task.expires)
        listed.push(JSON.stringify(task.describe(task.id)));
    }
    return listed;
  }

  #find({ caller, origin }: Incoming, shown: string): HeldTask | undefined {
    const ids = caller.era === 'modern' ? this.#deps.ids?.() : undefined;
    const whose = { principal: caller.principal.id, server: origin.route.server };
    const id = ids ? ids.open(shown, whose)?.id : shown;
    const task = id === undefined ? undefined : this.#tasks.get(id);
    if (task?.principal !== caller.principal.id || task.route !== origin.route.key) return undefined;
    if (Date.now() < task.expires) return task;
    this.#tasks.delete(task.id);
    return undefined;
  }

  /** The task is that of the server, which knows it by another id. */
  #goOn(incoming: Incoming, id: string, shown: string, go: () => Handled): Handled {
    const at = find(incoming.message.params, 'taskId');
    if (at) incoming.rewrite(withText(incoming.message, at, id));
    incoming.shownTask = shown;
    return go();
  }

  /** `tasks/result` is answered at the end of the task. */
  #wait(incoming: Incoming, task: HeldTask, go: () => Handled): Handled {
    const controller = new AbortController();
    const wait = { until: task.settled, controller };
    const waiting = deferred(this.#deps.boundary, incoming, wait, () => {
      // Its id is free for what goes on with it.
      forget(incoming, waiting);
      const handled = this.handle(incoming, go);
      if (handled.kind === 'exchange') {
        waiting.next = handled.exchange;
        return;
      }
      if (handled.kind === 'refused') incoming.sink.fail(handled.error);
      else if (handled.kind === 'answer') answerWhole(incoming.sink, headOf(incoming, task), handled.bytes);
      waiting.over(handled.kind === 'answer' ? 'success' : 'error');
    });
    remember(incoming, waiting);
    return { kind: 'exchange', exchange: waiting };
  }

  /** JSON of the result, or the error that the call ended with. */
  #answerTo({ caller, message }: Incoming, task: HeldTask, shown: string): string | GatewayError {
    const { state } = task;
    const described = task.describe(shown);
    if (message.method === 'tasks/result') {
      if (state.at === 'completed') return state.json;
      return new GatewayError('approval_refused', 'the task was cancelled');
    }
    if (caller.era === 'legacy') return JSON.stringify(described);
    if (message.method !== 'tasks/get') return '{"resultType":"complete"}';
    const rest =
      state.at === 'completed'
        ? `,"result":${state.json}`
        : state.at === 'failed'
          ? `,"error":${state.json}`
          : '';
    return `{"resultType":"complete",${JSON.stringify(described).slice(1, -1)}${rest}}`;
  }
}

/** A message with the error that a call ended with: that of its server, or of the gateway. */
function failure({ message }: Incoming, error: string): string {
  return `{"jsonrpc":"2.0","id":${message.id ?? 'null'},"error":${error}}`;
}

/** Of the answer to `tasks/result` that was made here. */
function headOf(incoming: Incoming, { state }: HeldTask): Omit<AnswerHead, 'bytes'> {
  if (state.at !== 'failed') {
    const { value } = resultMessage(incoming.message.id ?? 'null', '');
    return { kind: 'result', value, code: undefined };
  }
  const code = readObject(Buffer.from(state.json))?.['code'];
  const value = Buffer.byteLength(failure(incoming, '')) - 1;
  return { kind: 'error', value, code: typeof code === 'number' ? code : undefined };
}

/** Gets the answer to the call of a task. */
export class TaskSink implements Sink {
  readonly isSilent = true;
  readonly #task: HeldTask;
  readonly #chunks: Buffer[] = [];
  #head: AnswerHead | undefined;
  #bytes = 0;

  constructor(task: HeldTask) {
    this.#task = task;
  }

  notify(): boolean {
    return true;
  }

  ask(): Refusal {
    return NOBODY_TO_ASK;
  }

  start(head: AnswerHead): void {
    this.#head = head;
  }

  write(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= MAX_ANSWER) this.#chunks.push(chunk);
    return true;
  }

  end(): void {
    if (!this.#head || this.#bytes > MAX_ANSWER)
      return this.#task.fails(
        new GatewayError('internal', `the answer has more than ${MAX_ANSWER} bytes, and was not kept`),
      );
    const whole = Buffer.concat(this.#chunks);
    const { kind, value, resultType } = this.#head;
    const json = whole.toString('utf8', value, whole.lastIndexOf(0x7d));
    if (kind === 'error') return this.#task.becomes({ at: 'failed', json });
    const id = idIn(whole, resultType);
    this.#task.becomes(id === undefined ? { at: 'completed', json } : { at: 'going', id });
  }

  cancelled(): void {
    this.#task.cancel();
  }

  fail(error: GatewayError): void {
    this.#task.fails(error);
  }
}

/** The id of the task that an answer makes; undefined: it makes none. */
function idIn(whole: Buffer, resultType: string | undefined): string | undefined {
  const result = objectOf(readObject(whole, MAX_ANSWER)?.['result']);
  return textOf((resultType === 'task' ? result : objectOf(result?.['task']))?.['taskId']);
}
