/**
 * A call of a legacy client for which a modern upstream has created a task (the extension io.modelcontextprotocol/tasks). The client does
 * not know of the task and waits for its answer; questions of the task are asked on the stream of the call.
 */
import { GatewayError } from '../../errors.js';
import { META } from '../../protocol/modern/meta.js';
import type { Caller, Exchange, Question, Sink } from '../../protocol/ports.js';
import { answerWhole } from '../../protocol/sinks.js';
import { inputRefused, type ClientQuestions } from '../client-questions.js';
import type { Crossing } from '../crossing.js';
import type { BridgeDeps } from '../deps.js';
import { LEGACY_RESULT, edited } from '../edit.js';
import { readInputRequired, type InputRequest } from '../input.js';
import { readError } from '../errors.js';
import { readJson } from '../../wire/json.js';
import { memberOf } from './flat.js';
import { asError, Poll, readTask, rpcOf, type TaskState } from './poll.js';

/** A question of a task. Its key is unique within the task. */
interface TaskQuestion {
  /** The question that is open at the client. */
  question: Question | undefined;
  /** JSON; undefined: there is none, or it was sent upstream. */
  answer: Buffer | undefined;
}

export interface FollowOptions {
  readonly crossing: Crossing;
  readonly sink: Sink;
  readonly questions: ClientQuestions;
  /** JSON of the capabilities that the call declared to the upstream. */
  readonly capabilities: string;
  /** When the call began. */
  readonly since: number;
}

/** `created`: the result that names the task. The sink is not called before this has returned. */
export function followTask(
  deps: BridgeDeps,
  created: Buffer,
  options: FollowOptions,
): Exchange | GatewayError {
  const { server } = options.crossing.target.link;
  const first = readTask(created, deps.limits().message_bytes);
  if (typeof first === 'string')
    return new GatewayError('upstream_protocol_error', `upstream '${server}' answered with ${first}`);
  deps.log.debug('an upstream created a task for a call', { server });
  return new FollowedTask(deps, first, options);
}

class FollowedTask implements Exchange {
  readonly #deps: BridgeDeps;
  readonly #options: FollowOptions;
  readonly #poll: Poll;
  readonly #asked = new Map<string, TaskQuestion>();
  /** JSON: the id of the task, with the envelope of its client. */
  readonly #params: string;
  #over = false;

  constructor(deps: BridgeDeps, first: TaskState, options: FollowOptions) {
    this.#deps = deps;
    this.#options = options;
    const { target, caller } = options.crossing;
    const meta = JSON.stringify(envelopeOf(caller, options.capabilities));
    this.#params = `{"taskId":${JSON.stringify(first.taskId)},"_meta":${meta}`;
    this.#poll = new Poll({
      wheel: deps.wheel,
      boundary: deps.boundary,
      maxBytes: () => deps.limits().message_bytes,
      link: target.link,
      params: `${this.#params}}`,
      first,
      since: options.since,
      seen: (task, state) => {
        this.#seen(task, state);
      },
      lost: (error) => {
        this.#fail(error);
      },
    });
  }

  resume(): void {}

  cancel(): void {
    if (this.#over) return;
    this.#end();
    this.#cancelTask();
  }

  #seen(task: Buffer, { status }: TaskState): void {
    const { server } = this.#options.crossing.target.link;
    switch (status) {
      case 'input_required':
        return this.#input(task);
      case 'completed':
        return this.#complete(task);
      case 'failed':
        return this.#failed(task);
      case 'cancelled':
        this.#end();
        this.#options.sink.fail(
          new GatewayError('upstream_protocol_error', `upstream '${server}' cancelled the task of the call`),
        );
        return;
      default:
        this.#settle(new Set());
    }
  }

  #input(task: Buffer): void {
    const { server } = this.#options.crossing.target.link;
    // The requests are not there yet: the next poll will show them.
    if (!memberOf(task, 'inputRequests')) return this.#settle(new Set());
    const read = readInputRequired(task, 0, this.#deps.limits().message_bytes);
    if (typeof read === 'string')
      return this.#fail(
        new GatewayError('upstream_protocol_error', `upstream '${server}' needs input with ${read}`),
      );
    this.#settle(new Set(read.requests.map(({ key }) => key)));
    for (const request of read.requests) {
      const asked = this.#asked.get(request.key);
      if (!asked) this.#ask(request);
      else if (asked.answer) this.#send(request.key, asked);
      if (this.#over) return;
    }
  }

  /** Withdraws the questions that the task no longer asks. */
  #settle(open: ReadonlySet<string>): void {
    for (const [key, asked] of this.#asked) {
      if (open.has(key)) continue;
      asked.answer = undefined;
      if (!asked.question) continue;
      const { question } = asked;
      asked.question = undefined;
      this.#options.questions.withdraw(question);
    }
  }

  #ask(request: InputRequest): void {
    const asked: TaskQuestion = { question: undefined, answer: undefined };
    this.#asked.set(request.key, asked);
    let over = false;
    const question = this.#options.questions.ask(request, (outcome) => {
      over = true;
      asked.question = undefined;
      if (this.#over) return;
      if (outcome.kind === 'refused') return this.#fail(inputRefused(outcome));
      asked.answer = outcome.answer;
      this.#send(request.key, asked);
    });
    if (!over) asked.question = question;
  }

  #send(key: string, asked: TaskQuestion): void {
    this.#deps.boundary.detach('task', this.#update(key, asked), (error) => {
      this.#fail(error);
    });
  }

  /** Sends an answer. If that fails, it is sent again when a poll shows that the task still waits for it. */
  async #update(key: string, asked: TaskQuestion): Promise<void> {
    const { answer } = asked;
    asked.answer = undefined;
    if (!answer) return;
    const { link } = this.#options.crossing.target;
    const responses = `{${JSON.stringify(key)}:${answer.toString('utf8')}}`;
    try {
      await link.request('tasks/update', `${this.#params},"inputResponses":${responses}}`);
      if (!this.#over) this.#poll.hurry();
    } catch (error) {
      if (this.#over) return;
      const failure = asError(error, link.server);
      if (rpcOf(failure) !== undefined) this.#fail(failure);
      else asked.answer = answer;
    }
  }

  #complete(task: Buffer): void {
    const { crossing, sink, questions } = this.#options;
    const result = memberOf(task, 'result');
    if (result?.[0] !== 0x7b) return this.#fail(this.#without('result'));
    this.#end();
    questions.tellOpened();
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${crossing.out.message.id ?? 'null'},"result":`);
    const whole = edited(Buffer.concat([head, result, CLOSE]), head.length, LEGACY_RESULT);
    const isError = memberOf(result, 'isError')?.[0] === 0x74;
    answerWhole(sink, { kind: 'result', value: head.length, code: undefined }, whole, { isError });
  }

  #failed(task: Buffer): void {
    const { crossing, sink } = this.#options;
    const error = memberOf(task, 'error');
    if (error?.[0] !== 0x7b || typeof readCode(error) !== 'number') return this.#fail(this.#without('error'));
    const { code } = readError(error, 0);
    this.#end();
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${crossing.out.message.id ?? 'null'},"error":`);
    const whole = Buffer.concat([head, error, CLOSE]);
    answerWhole(sink, { kind: 'error', value: head.length, code }, whole);
  }

  #without(member: string): GatewayError {
    const { server } = this.#options.crossing.target.link;
    return new GatewayError(
      'upstream_protocol_error',
      `upstream '${server}' ended the task of the call without ${member}`,
    );
  }

  /** Fails the call, and cancels the task. */
  #fail(error: GatewayError): void {
    if (this.#over) return;
    this.#end();
    this.#cancelTask();
    this.#options.sink.fail(error);
  }

  #cancelTask(): void {
    this.#deps.cancels.send(this.#options.crossing.target.link, `${this.#params}}`);
  }

  #end(): void {
    this.#over = true;
    this.#poll.stop();
    this.#options.questions.stop();
  }
}

const CLOSE = Buffer.from('}');

function readCode(error: Buffer): unknown {
  const code = memberOf(error, 'code');
  return code && readJson(code);
}

/** The envelope of all requests about the task, the same as that of the call. */
function envelopeOf({ clientInfo }: Caller, capabilities: string): Record<string, unknown> {
  const envelope: Record<string, unknown> = {
    [META.clientCapabilities]: JSON.parse(capabilities) as unknown,
  };
  if (clientInfo !== undefined) envelope[META.clientInfo] = JSON.parse(clientInfo) as unknown;
  return envelope;
}
