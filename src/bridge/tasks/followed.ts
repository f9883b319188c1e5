/**
 * A call of a legacy client that a modern upstream made a task of (the extension io.modelcontextprotocol/tasks): the client is told
 * nothing of it and waits for its answer; what the task asks is asked on the stream of the call.
 */
import { GatewayError } from '../../errors.js';
import { META } from '../../protocol/modern/meta.js';
import type { Caller, Exchange, Question, Sink } from '../../protocol/ports.js';
import { answerWhole } from '../../protocol/sinks.js';
import { inputRefused, type Asking } from '../asking.js';
import type { Crossing } from '../crossing.js';
import type { BridgeDeps } from '../deps.js';
import { LEGACY_RESULT, edited } from '../edit.js';
import { readInputRequired, type InputRequest } from '../input.js';
import { readError } from '../errors.js';
import { readJson } from '../../wire/json.js';
import { memberOf } from './flat.js';
import { asError, Poll, readTask, rpcOf, type TaskState } from './poll.js';

/** One question of a task. Its key stands for it for as long as the task lives. */
interface Asked {
  /** Open at the client. */
  question: Question | undefined;
  /** JSON; undefined: there is none, or the upstream has it. */
  answer: Buffer | undefined;
}

export interface FollowOptions {
  readonly crossing: Crossing;
  readonly sink: Sink;
  readonly asking: Asking;
  /** JSON of the capabilities that the upstream was told of with the call. */
  readonly capabilities: string;
  /** When the call began. */
  readonly since: number;
}

/** `created`: the result that says that there is a task. The sink is not called before this has returned. */
export function followTask(
  deps: BridgeDeps,
  created: Buffer,
  options: FollowOptions,
): Exchange | GatewayError {
  const { server } = options.crossing.target.link;
  const first = readTask(created, deps.limits().message_bytes);
  if (typeof first === 'string')
    return new GatewayError('upstream_protocol_error', `upstream '${server}' answered with ${first}`);
  deps.log.debug('an upstream made a task of a call', { server });
  return new FollowedTask(deps, first, options);
}

class FollowedTask implements Exchange {
  readonly #deps: BridgeDeps;
  readonly #options: FollowOptions;
  readonly #poll: Poll;
  readonly #asked = new Map<string, Asked>();
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
    // What it needs is not there yet: the next look shows it.
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

  /** What it no longer asks nobody has to answer. */
  #settle(open: ReadonlySet<string>): void {
    for (const [key, asked] of this.#asked) {
      if (open.has(key)) continue;
      asked.answer = undefined;
      if (!asked.question) continue;
      const { question } = asked;
      asked.question = undefined;
      this.#options.asking.withdraw(question);
    }
  }

  #ask(request: InputRequest): void {
    const asked: Asked = { question: undefined, answer: undefined };
    this.#asked.set(request.key, asked);
    let over = false;
    const question = this.#options.asking.ask(request, (outcome) => {
      over = true;
      asked.question = undefined;
      if (this.#over) return;
      if (outcome.kind === 'refused') return this.#fail(inputRefused(outcome));
      asked.answer = outcome.answer;
      this.#send(request.key, asked);
    });
    if (!over) asked.question = question;
  }

  #send(key: string, asked: Asked): void {
    this.#deps.boundary.detach('task', this.#update(key, asked), (error) => {
      this.#fail(error);
    });
  }

  /** An answer that did not get through is sent again once the task is seen to wait for it still. */
  async #update(key: string, asked: Asked): Promise<void> {
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
    const { crossing, sink, asking } = this.#options;
    const result = memberOf(task, 'result');
    if (result?.[0] !== 0x7b) return this.#fail(this.#without('result'));
    this.#end();
    asking.tellOpened();
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
      `upstream '${server}' ended the task of the call without its ${member}`,
    );
  }

  /** The client hears why, and the task is of no use any more. */
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
    this.#options.asking.stop();
  }
}

const CLOSE = Buffer.from('}');

function readCode(error: Buffer): unknown {
  const code = memberOf(error, 'code');
  return code && readJson(code);
}

/** What the upstream was told of the client with the call, it is told with all that follows. */
function envelopeOf({ clientInfo }: Caller, capabilities: string): Record<string, unknown> {
  const envelope: Record<string, unknown> = {
    [META.clientCapabilities]: JSON.parse(capabilities) as unknown,
  };
  if (clientInfo !== undefined) envelope[META.clientInfo] = JSON.parse(clientInfo) as unknown;
  return envelope;
}
