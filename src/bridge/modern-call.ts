/**
 * A call to a modern upstream. A modern client gets the answers unchanged. For a legacy client, an `input_required` answer becomes
 * questions on the stream of the call, and their answers become another request. unroll.ts decides; this file runs the effects.
 */
import { GatewayError } from '../errors.js';
import type { Holder } from '../lib/budget.js';
import type { WheelTimer } from '../lib/wheel.js';
import { find } from '../protocol/message.js';
import { encodeHeaderValue, paramHeaders } from '../protocol/modern/param-headers.js';
import { methodOf } from '../protocol/methods.js';
import type { Definition } from '../protocol/lists.js';
import type {
  AnswerEdit,
  AnswerHead,
  Cause,
  Exchange,
  Outgoing,
  Refusal,
  Seen,
  Sink,
} from '../protocol/ports.js';
import { NOBODY_TO_ASK } from '../protocol/ports.js';
import { answerWhole, PassThroughSink } from '../protocol/sinks.js';
import type { Span } from '../wire/scan.js';
import { membersOf } from '../wire/walk.js';
import { LEGACY_RESULT, LEGACY_TOOL_RESULT } from './edit.js';
import { namedEnvelope, toModern, withoutPeerClient, withPeerClient } from './envelope.js';
import { errorAt, judge, readError, withError } from './errors.js';
import {
  ACCEPT_ANSWER,
  ClientQuestions,
  inputRefused,
  type Outcome,
  type Refused,
} from './client-questions.js';
import { readInputRequired, takesErrors, withMarks, type InputRequest } from './input.js';
import { declaredOf } from './capabilities.js';
import type { Crossing } from './crossing.js';
import type { BridgeDeps } from './deps.js';
import { countInput } from './input-stats.js';
import { asError } from './tasks/poll.js';
import { followTask } from './tasks/followed.js';
import { SENT, step, type UnrollEffect, type UnrollEvent, type UnrollState } from './unroll.js';

const ENDED = { type: 'ended' } as const;
const NO_REQUESTS: ReadonlyMap<string, InputRequest> = new Map();

/** Delays between rounds without questions. */
const IDLE_PACE = { first: 250, longest: 5000 };
/** Delays while the upstream does not know yet that a URL was opened. */
const URL_PACE = { first: 1000, longest: 10_000 };

export function openModernCall(deps: BridgeDeps, crossing: Crossing, sink: Sink): Exchange {
  const call = new ModernCall(deps, crossing, sink);
  call.send();
  return call;
}

/** The header lines of a request to a modern upstream (2026-07-28, basic/transports/streamable-http, "Request Metadata"). */
export function headersOf({ out, target, foreign }: Crossing, definition = target.definition): string[] {
  const { message } = out;
  const mirrored = definition?.tool?.headers ?? [];
  const lines: string[] = [];
  // Headers of parameters that the tool list mirrors now are made from the body.
  for (let i = 0; i + 1 < foreign.length; i += 2) {
    const [name, value] = [foreign[i] as string, foreign[i + 1] as string];
    if (!mirrored.some(({ header }) => header === name)) lines.push(name, value);
  }
  if (methodOf(message.method)?.name !== undefined) lines.push('mcp-name', encodeHeaderValue(target.name));
  if (mirrored.length > 0)
    lines.push(...paramHeaders(mirrored, message.body, find(message.params, 'arguments')));
  return lines;
}

class ModernCall extends PassThroughSink implements Exchange {
  readonly #deps: BridgeDeps;
  readonly #crossing: Crossing;
  readonly #isLegacy: boolean;
  /** The declared capabilities of a legacy client; undefined: a modern client declares its own. */
  readonly #declared: ReturnType<typeof declaredOf> | undefined;
  #exchange: Exchange | undefined;
  #state: UnrollState = SENT;
  /** Set between the head and the one chunk of an error, an `input_required` result or a task. */
  #pendingHead: AnswerHead | undefined;
  #refreshed = false;
  readonly #since = performance.now();
  #timer: WheelTimer | undefined;
  #requests: ReadonlyMap<string, InputRequest> = NO_REQUESTS;
  /** Answers of the current round: JSON by key. */
  #answers: Map<string, Buffer> | undefined;
  #requestState: string | undefined;
  /** Answers of the current round may be errors. */
  #errorsToo = false;
  #openQuestions: ClientQuestions | undefined;
  #refusal: Refused | undefined;
  /** When the current series of rounds without questions began; 0: there is none. */
  #idleSince = 0;
  /** For the required input and the answers to it. */
  #holder: Holder | undefined;
  #over = false;

  constructor(deps: BridgeDeps, crossing: Crossing, sink: Sink) {
    super(sink);
    this.#deps = deps;
    this.#crossing = crossing;
    this.#isLegacy = crossing.caller.era === 'legacy';
    this.#declared = this.#isLegacy ? declaredOf(crossing.caller, crossing.out.message.method) : undefined;
  }

  /** Created on first use, because most calls ask nothing. */
  get #questions(): ClientQuestions {
    return (this.#openQuestions ??= new ClientQuestions(this.sink, this.#crossing.target.link.stats));
  }

  send(more = ''): void {
    const { out, target } = this.#crossing;
    const { message, repeatable, client, alone, task, trace } = out;
    const { link, name, definition } = target;
    const listed = this.#refreshed ? link.lists.tools.find(({ key }) => key === name) : definition;
    const patches = this.#patches(more);
    const changed: Outgoing = {
      message,
      patches,
      repeatable,
      client,
      alone,
      task,
      headers: link.peerLink
        ? [...headersOf(this.#crossing, listed), ...link.peerLink.headers(this.#crossing.caller)]
        : headersOf(this.#crossing, listed),
      edit: this.#declared && editOf(message.method, listed),
      trace,
    };
    this.#exchange = link.send(changed, this);
  }

  /** What changes in the request. A replica that runs the server for this one is told which client it is of. */
  #patches(more: string): Outgoing['patches'] {
    const { out, target, caller } = this.#crossing;
    const name = target.link.peerLink?.client(caller);
    if (this.#declared) {
      const { envelope } = this.#declared;
      const named = name === undefined ? envelope : namedEnvelope(envelope, name);
      return [...out.patches, ...toModern(out.message, named, more)];
    }
    if (name !== undefined) return [...out.patches, ...withPeerClient(out.message, name)];
    // The server itself is not told.
    return caller.peerEra ? [...out.patches, ...withoutPeerClient(out.message)] : out.patches;
  }

  /** Modern upstreams ask only by their answers. */
  override ask(): Refusal {
    return NOBODY_TO_ASK;
  }

  override start(head: AnswerHead): void {
    const { resultType } = head;
    const waits = resultType === 'input_required' || (resultType === 'task' && this.#isLegacy);
    if (head.kind === 'error' || waits) this.#pendingHead = head;
    else this.#begin(head);
  }

  override write(chunk: Buffer): boolean {
    if (!this.#pendingHead) return this.sink.write(chunk);
    const head = this.#pendingHead;
    if (head.kind === 'error') this.#error(head, chunk);
    else if (head.resultType === 'task') this.#task(chunk);
    else this.#input(head, chunk);
    return true;
  }

  override end(seen: Seen): void {
    if (this.#pendingHead) this.#pendingHead = undefined;
    else this.sink.end(seen);
  }

  override cancelled(why: Cause): void {
    this.#finish();
    this.sink.cancelled(why);
  }

  override fail(error: GatewayError): void {
    this.#finish();
    const broken = (error.data as { broken?: unknown } | null | undefined)?.broken === true;
    this.sink.fail(broken ? new GatewayError('stream_broken', error.message) : error);
  }

  resume(): void {
    this.#exchange?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    const before = this.#state.at;
    this.#step({ type: 'cancel' });
    this.#finish();
    if (before !== 'sent' && before !== 'over') return;
    this.#exchange?.cancel(why);
  }

  #begin(head: AnswerHead): void {
    this.#step(ENDED);
    this.#openQuestions?.tellOpened();
    this.sink.start(head);
  }

  /** false: the budget has no room. */
  #hold(bytes: number): boolean {
    const { out, target } = this.#crossing;
    this.#holder ??= this.#deps.budget.holder({ client: out.client, server: target.link.server }, () => {
      if (!this.#over) this.fail(tooMuch());
    });
    return this.#holder.take(bytes);
  }

  #finish(): void {
    this.#over = true;
    this.#holder?.release();
    this.#answers = undefined;
    this.#requests = NO_REQUESTS;
    this.#openQuestions?.stop();
    this.#timer?.cancel();
  }

  #error(head: AnswerHead, chunk: Buffer): void {
    const { out, target, caller } = this.#crossing;
    const { link } = target;
    const error = readError(chunk, head.value);
    const verdict = judge(error, {
      upstream: 'modern',
      caller,
      server: link.server,
      message: out.message,
    });
    // A call with a yes was approved with the definition that it had.
    if (verdict === 'refresh' && !this.#refreshed && out.once !== true) {
      this.#refreshed = true;
      const sent = link.refresh().then(
        () => {
          if (!this.#over) this.send();
        },
        (failure: unknown) => {
          if (!this.#over) this.fail(asError(failure, link.server));
        },
      );
      this.#deps.boundary.detach('detached', sent, (failure) => {
        this.fail(failure);
      });
      return;
    }
    if (verdict === 'doubt') link.doubt();
    if (verdict === 'refresh' || verdict === 'doubt')
      return this.fail(
        new GatewayError(
          'upstream_protocol_error',
          `upstream '${link.server}' refused the request of the gateway with ${error.code}: ${error.message}`,
        ),
      );
    this.#step(ENDED);
    const rawId = out.message.id ?? 'null';
    const same = verdict === 'pass';
    const bytes = same ? chunk : withError(chunk, head.value, error, verdict, rawId);
    const value = same ? head.value : errorAt(rawId);
    const { code } = same ? error : verdict;
    answerWhole(this.sink, { kind: 'error', value, code }, bytes);
  }

  #input(head: AnswerHead, whole: Buffer): void {
    const { target, merged, caller } = this.#crossing;
    const { server } = target.link;
    const read = readInputRequired(whole, head.value, this.#deps.limits().message_bytes);
    if (typeof read === 'string')
      return this.fail(
        new GatewayError('upstream_protocol_error', `upstream '${server}' needs input with ${read}`),
      );
    if (!this.#isLegacy) {
      for (const { method } of read.requests) countInput(target.link.stats, method, 'relayed');
      const bytes = merged ? withMarks(whole, head.value, server) : whole;
      return answerWhole(this.sink, head, bytes);
    }
    this.#holder?.release();
    if (read.requests.length > 0 && !this.#hold(whole.length)) return this.fail(tooMuch());
    this.#requestState = read.state;
    this.#errorsToo = target.link.peerLink !== undefined && takesErrors(whole, head.value);
    const answers = new Map<string, Buffer>();
    this.#answers = answers;
    this.#requests = new Map(read.requests.map((request) => [request.key, request]));
    let again = false;
    for (const request of read.requests) {
      if (!this.#questions.hasOpened(request)) continue;
      answers.set(request.key, ACCEPT_ANSWER);
      again = true;
    }
    const keys = [...this.#requests.keys()].filter((key) => !answers.has(key));
    if (keys.length > 0) this.#idleSince = 0;
    else if (this.#idleSince === 0) this.#idleSince = performance.now();
    const { request_ms } = target.link.timeouts;
    if (keys.length === 0 && request_ms > 0 && performance.now() - this.#idleSince > request_ms)
      return this.fail(
        new GatewayError(
          'upstream_timeout',
          `upstream '${server}' kept asking to be called again for ${request_ms} ms without an answer (timeouts.request_ms)`,
        ),
      );
    this.#deps.log.debug('an upstream needs input', { server, keys: keys.length, client: caller.revision });
    this.#step({ type: 'input', keys, pace: again ? URL_PACE : IDLE_PACE });
  }

  /** The client gets the result of the task once it has ended. */
  #task(whole: Buffer): void {
    const { method } = this.#crossing.out.message;
    const { server } = this.#crossing.target.link;
    if (method !== 'tools/call')
      return this.fail(
        new GatewayError('upstream_protocol_error', `upstream '${server}' made a task of ${method}`),
      );
    this.#step(ENDED);
    const result = membersOf(whole).findLast(({ key }) => key === 'result') as Span;
    const followed = followTask(this.#deps, whole.subarray(result.start, result.end), {
      crossing: this.#crossing,
      sink: this.sink,
      questions: this.#questions,
      capabilities: this.#declared?.capabilities ?? '',
      since: this.#since,
    });
    if (followed instanceof GatewayError) this.fail(followed);
    else this.#exchange = followed;
  }

  #step(event: UnrollEvent): void {
    const { next, effects } = step(this.#state, event);
    this.#state = next;
    for (const effect of effects) this.#run(effect);
  }

  #run(effect: UnrollEffect): void {
    switch (effect.do) {
      case 'ask':
        for (const key of effect.keys) {
          if (this.#over || this.#state.at !== 'asking') return;
          this.#ask(this.#requests.get(key) as InputRequest);
        }
        return;
      case 'send': {
        const more = this.#retry();
        this.#holder?.release();
        this.#answers = undefined;
        return this.send(more);
      }
      case 'pause':
        this.#timer = this.#deps.wheel.after(
          effect.ms,
          this.#deps.boundary.guard(
            'timer',
            () => {
              this.#step({ type: 'due' });
            },
            (error) => {
              this.fail(error);
            },
          ),
        );
        return;
      case 'fail':
        return this.fail(this.#failure(effect.why));
      case 'cancel':
        return;
    }
  }

  #ask(request: InputRequest): void {
    const { key } = request;
    const done = (outcome: Outcome): void => {
      if (outcome.kind === 'answered' && !this.#hold(outcome.answer.length)) return this.fail(tooMuch());
      if (outcome.kind === 'answered') this.#answers?.set(key, outcome.answer);
      else this.#refusal = outcome;
      this.#step({ type: outcome.kind, key });
    };
    this.#questions.ask(request, done, this.#errorsToo);
  }

  /** The members that turn the original request into a retry. */
  #retry(): string {
    const responses = [...(this.#answers ?? [])].map(
      ([key, json]) => `${JSON.stringify(key)}:${json.toString('utf8')}`,
    );
    const state = this.#requestState === undefined ? '' : `"requestState":${this.#requestState},`;
    return this.#requests.size === 0 ? state : `"inputResponses":{${responses.join(',')}},${state}`;
  }

  #failure(why: 'refused' | 'rounds'): GatewayError {
    const { server } = this.#crossing.target.link;
    if (why === 'rounds')
      return new GatewayError('upstream_protocol_error', `upstream '${server}' keeps asking for input`);
    return inputRefused(this.#refusal as Refused);
  }
}

function tooMuch(): GatewayError {
  return new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes): call again');
}

/** Tools whose listed output is not an object are converted as a whole instead: see proxy/conversions.ts. */
function editOf(method: string, listed: Definition | undefined): AnswerEdit {
  return method === 'tools/call' && listed?.tool?.wrapsOutput !== true ? LEGACY_TOOL_RESULT : LEGACY_RESULT;
}
