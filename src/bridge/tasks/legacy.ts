/**
 * Tasks of legacy upstreams for modern clients (the extension io.modelcontextprotocol/tasks). Their state comes from the upstream's
 * tasks/get and tasks/result; questions that arrive during a tasks/result are kept until the client answers by tasks/update.
 */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { FairMap } from '../../lib/fair-map.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import { find } from '../../protocol/message.js';
import type { Caller, Exchange, Link, Question, Refusal, Sink } from '../../protocol/ports.js';
import { answerWith } from '../../protocol/sinks.js';
import { inputRefusal } from '../asked.js';
import type { Crossing } from '../crossing.js';
import { countInput } from '../input-stats.js';
import { readInputResponses } from '../input.js';
import { OpenQuestions } from '../open-questions.js';
import { canCancel } from './cancel.js';
import { readJson } from '../../wire/json.js';
import { flatMembers, memberOf, plainResult, relatedAnswer, resultRequest } from './flat.js';
import { asError, readTask, rpcOf } from './poll.js';
import { ResultCall } from './result.js';

/** Maximum number of tasks; beyond it, the client with the most loses its least recently used one. */
const MAX_TASKS = 10_000;
const LONGEST_TTL_MS = 24 * 3600 * 1000;
/** Maximum number of open questions of one task. */
const MAX_OPEN = 100;

const INVALID_PARAMS = -32602;

export interface LegacyTasksDeps {
  readonly wheel: Wheel;
  readonly boundary: Boundary;
  readonly budget: Budget;
  /** limits.parked_seconds, in ms: how long a question waits for its client. */
  readonly parkedMs: () => number;
  /** limits.body_bytes and limits.message_bytes: the maximum sizes of a question and of a result. */
  readonly limits: () => { readonly body_bytes: number; readonly message_bytes: number };
}

export interface LegacyTasks {
  /** Registers a task that a call of this client has created. `task`: JSON from the upstream. */
  made(link: Link, task: Buffer, caller: Caller): void;
  /** tasks/get, tasks/update or tasks/cancel. The sink is never called before this has returned. */
  open(crossing: Crossing, sink: Sink): Exchange;
  /** The state of a task: a JSON object, as in notifications/tasks. Rejects for a task that was not created here. */
  describe(link: Link, taskId: string): Promise<Buffer>;
  /** Ends all tasks. */
  close(): void;
}

const ABOUT: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

/** Whether it is a method of the extension. Legacy upstreams do not have it, or mean something else by it. */
export function isAboutTask(method: string): boolean {
  return ABOUT.has(method);
}

export function createLegacyTasks(deps: LegacyTasksDeps): LegacyTasks {
  const tasks = new FairMap<string, LegacyTask>(MAX_TASKS);
  /** Shared by all tasks, so that no key is ever reused. */
  let asked = 0;

  function put(link: Link, taskId: string, caller: Caller, ttl: unknown): LegacyTask {
    const key = `${link.key}\0${taskId}`;
    const task =
      tasks.get(key) ??
      new LegacyTask(deps, link, taskId, caller, {
        nextKey: () => `q${++asked}`,
        expired: () => tasks.delete(key),
      });
    const evicted = tasks.set(key, caller.client, task);
    task.touch(link, caller, ttl);
    evicted?.close('too many tasks are in progress');
    return task;
  }

  async function run({ out, target, caller }: Crossing): Promise<Buffer> {
    const { message } = out;
    const task = put(target.link, target.name, caller, undefined);
    switch (message.method) {
      case 'tasks/update': {
        const answers = readInputResponses(message.body, find(message.params, 'inputResponses'));
        if (typeof answers === 'string') throw new GatewayError('invalid_params', answers);
        task.answer(answers);
        return ACKNOWLEDGED;
      }
      case 'tasks/cancel':
        await task.cancel();
        return ACKNOWLEDGED;
      default: {
        const state = await task.describe();
        return Buffer.concat([Buffer.from('{"resultType":"complete",'), state.subarray(1)]);
      }
    }
  }

  return {
    made(link, task, caller) {
      const state = readTask(task, deps.limits().message_bytes);
      if (typeof state === 'string') return;
      const ttl = memberOf(task, 'ttl');
      put(link, state.taskId, caller, ttl && readJson(ttl));
    },
    open(crossing, sink) {
      const { out, target, name } = crossing;
      let over = false;
      const done = run(crossing).then(
        (result) => {
          if (!over) answerWith(sink, out.message.id ?? 'null', result);
        },
        (error: unknown) => {
          if (!over) sink.fail(failureOf(asError(error, target.link.server), name));
        },
      );
      deps.boundary.detach('task', done, (error) => {
        if (!over) sink.fail(error);
      });
      return {
        resume() {},
        cancel() {
          over = true;
        },
      };
    },
    describe(link, taskId) {
      const task = tasks.get(`${link.key}\0${taskId}`);
      return task ? task.describe() : Promise.reject(new Error('the task was not created here'));
    },
    close() {
      for (const task of tasks.values()) task.close('the gateway is shutting down');
      tasks.clear();
    },
  };
}

const ACKNOWLEDGED = Buffer.from('{"resultType":"complete"}');

interface TaskHooks {
  readonly nextKey: () => string;
  readonly expired: () => void;
}

class LegacyTask {
  readonly #deps: LegacyTasksDeps;
  readonly #taskId: string;
  readonly #hooks: TaskHooks;
  readonly #expiry: WheelTimer;
  #link: Link;
  #caller: Caller;
  #ttlMs = LONGEST_TTL_MS;
  readonly #questions: OpenQuestions;
  #away: WheelTimer | undefined;
  #result: ResultCall | undefined;
  /** It has ended, and asks nothing more. */
  #ended = false;

  constructor(deps: LegacyTasksDeps, link: Link, taskId: string, caller: Caller, hooks: TaskHooks) {
    this.#deps = deps;
    this.#link = link;
    this.#taskId = taskId;
    this.#caller = caller;
    this.#hooks = hooks;
    const holder = deps.budget.holder({ client: caller.client, server: link.server }, () => {
      this.#refuseAll(TOO_MUCH);
    });
    this.#questions = new OpenQuestions(holder, link.stats);
    this.#expiry = deps.wheel.after(this.#ttlMs, () => {
      this.#hooks.expired();
      this.close('the task has expired');
    });
  }

  /** Its client has sent a request. `ttl`: how long the upstream keeps it, in ms; undefined: unchanged. */
  touch(link: Link, caller: Caller, ttl: unknown): void {
    this.#link = link;
    this.#caller = caller;
    if (typeof ttl === 'number' && ttl > 0) this.#ttlMs = Math.min(ttl, LONGEST_TTL_MS);
    this.#expiry.move(this.#ttlMs);
    this.#away?.move(this.#deps.parkedMs());
  }

  close(why: string): void {
    this.#expiry.cancel();
    this.#drop(why);
  }

  /** A JSON object: the result of tasks/get, without `resultType`. */
  async describe(): Promise<Buffer> {
    const { server } = this.#link;
    const task = await this.#link.request('tasks/get', this.#params());
    const state = readTask(task, this.#deps.limits().message_bytes);
    if (typeof state === 'string')
      throw new GatewayError('upstream_protocol_error', `upstream '${server}' answered with ${state}`);
    if (state.status === 'cancelled') {
      this.#drop('the task was cancelled');
      return Buffer.from(`{${flatMembers(task, 'cancelled')}}`);
    }
    if (state.ended) {
      this.#ended = true;
      const { kind, value } = await this.#open().answer;
      // A JSON-RPC error means `failed`, any result `completed`, also that of a failed tool.
      const status = kind === 'result' ? 'completed' : 'failed';
      const own = kind === 'result' ? plainResult(value) : value;
      return Buffer.concat([Buffer.from(`{${flatMembers(task, status)},"${kind}":`), own, Buffer.from('}')]);
    }
    if (state.status === 'input_required' && this.#questions.size === 0 && !this.#result)
      await this.#open().asked();
    if (this.#questions.size === 0) return Buffer.from(`{${flatMembers(task, 'working')}}`);
    const requests = this.#questions
      .asInputRequests(undefined)
      .map(([key, json]) => `${JSON.stringify(key)}:${json.toString('utf8')}`);
    return Buffer.from(`{${flatMembers(task, 'input_required')},"inputRequests":{${requests.join(',')}}}`);
  }

  /** Ignores keys that are not open. */
  answer(answers: ReadonlyMap<string, Buffer>): void {
    for (const [key, value] of answers) {
      // Copied, because the bytes belong to the request that carried them.
      const question = this.#take(key, 'answered');
      question?.answer('result', relatedAnswer(question, Buffer.from(value)));
    }
  }

  async cancel(): Promise<void> {
    // An upstream that does not support cancelling is not asked.
    if (canCancel(this.#link)) {
      try {
        await this.#link.request('tasks/cancel', this.#params());
      } catch (error) {
        if (rpcOf(asError(error, this.#link.server)) !== INVALID_PARAMS) throw error;
        // Cancelling an ended task is an error there but not in the extension; an unknown task is an error in both.
        await this.#link.request('tasks/get', this.#params());
      }
    }
    this.#drop('cancelled by the client');
  }

  #params(): string {
    return JSON.stringify({ taskId: this.#taskId });
  }

  #drop(why: string): void {
    this.#refuseAll(why);
    this.#result?.cancel(why);
    this.#result = undefined;
  }

  /** Opens a tasks/result, on which the questions and the result of the task arrive. */
  #open(): ResultCall {
    if (this.#result) return this.#result;
    const result = new ResultCall({
      server: this.#link.server,
      client: this.#caller.client,
      budget: this.#deps.budget,
      maxBytes: this.#deps.limits().message_bytes,
      ask: (question) => this.#ask(question),
      withdraw: (question) => {
        this.#withdraw(question);
      },
      over: () => {
        if (this.#result === result) this.#result = undefined;
        this.#refuseAll('the task has ended, or cannot be reached');
      },
    });
    this.#result = result;
    result.exchange = this.#link.send(
      {
        message: resultRequest('0', this.#taskId),
        patches: [],
        repeatable: true,
        client: this.#caller.client,
        alone: false,
        task: this.#taskId,
      },
      result,
    );
    return result;
  }

  #ask(question: Question): Refusal | undefined {
    const refusal =
      (this.#ended ? { code: -32603, message: 'the task has ended' } : undefined) ??
      inputRefusal(question, this.#caller.capabilities, this.#deps.limits().body_bytes) ??
      (this.#questions.size >= MAX_OPEN
        ? { code: -32603, message: 'too many questions are open' }
        : undefined) ??
      (this.#questions.add(question, this.#hooks.nextKey) === undefined
        ? { code: -32603, message: TOO_MUCH }
        : undefined);
    countInput(this.#link.stats, question.method, refusal ? 'refused' : 'relayed');
    if (refusal) return refusal;
    this.#away ??= this.#deps.wheel.after(this.#deps.parkedMs(), () => {
      this.#refuseAll('the client gave no answer in time');
    });
    return undefined;
  }

  #withdraw(question: Question): void {
    const key = this.#questions.keyOf(question);
    // The upstream expects no answer; refusing the question ends its input timeout.
    if (key !== undefined)
      this.#take(key, 'withdrawn')?.refuse({ code: -32603, message: 'withdrawn by the server' });
  }

  #refuseAll(message: string): void {
    this.#questions.refuseAll(message);
    if (this.#questions.size === 0) this.#stopWaiting();
  }

  #take(key: string, result: 'answered' | 'withdrawn'): Question | undefined {
    const question = this.#questions.take(key, result);
    if (this.#questions.size === 0) this.#stopWaiting();
    return question;
  }

  #stopWaiting(): void {
    this.#away?.cancel();
    this.#away = undefined;
  }
}

const TOO_MUCH = 'too much is being buffered (limits.buffered_bytes)';

function failureOf(error: GatewayError, name: string): GatewayError {
  if (rpcOf(error) !== INVALID_PARAMS) return error;
  return new GatewayError('invalid_params', `unknown task '${name.slice(0, 256)}'`);
}
