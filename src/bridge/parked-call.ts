/**
 * A call of a modern client to a legacy server. While the server asks questions, the client gets `input_required` answers, and the call
 * stays open for its retries (2026-07-28, basic/patterns/mrtr). park.ts decides what follows from an event; this file runs the effects.
 */
import { GatewayError } from '../errors.js';
import type { WheelTimer } from '../lib/wheel.js';
import { methodOf } from '../protocol/methods.js';
import { find, type Message } from '../protocol/message.js';
import type {
  AnswerHead,
  Caller,
  Cause,
  Exchange,
  Notice,
  Question,
  Refusal,
  Seen,
  Sink,
  UpstreamExchange,
} from '../protocol/ports.js';
import { answerWhole, answerWith } from '../protocol/sinks.js';
import { inputRefusal, notHere } from './asked.js';
import type { Crossing } from './crossing.js';
import type { BridgeDeps } from './deps.js';
import { deliver, mayAnswerErrors } from './deliver.js';
import { modernResult } from './edit.js';
import { toLegacy } from './envelope.js';
import { errorStep, UrlDelays } from './error-step.js';
import { countInput } from './input-stats.js';
import { inputRequired } from './input.js';
import { withId } from './kept-answer.js';
import { Kept } from './kept.js';
import { RUNNING, step, type ParkEffect, type ParkEvent, type ParkState } from './park.js';
import type { Parked } from './parked-calls.js';
import { AS_TASK, sendAsTask, worksAsTask } from './tasks/sent.js';

/** How long to gather further questions before the client is asked, and the maximum number of open ones. */
const GATHER_MS = 20;
const MAX_OPEN = 100;
const TOO_MUCH = 'too much is being buffered (limits.buffered_bytes)';

/** One request of the client: the first, or a retry. */
interface Round {
  readonly message: Message;
  readonly sink: Sink;
}

export function openParkedCall(deps: BridgeDeps, crossing: Crossing, sink: Sink): Exchange {
  return new ParkedCall(deps, crossing, sink).begin();
}

class ParkedCall implements Sink, Parked {
  readonly crossing: Crossing;
  readonly #deps: BridgeDeps;
  /** The caller of the latest request; its capabilities may differ from those of earlier requests. */
  #caller: Caller;
  #exchange: UpstreamExchange | undefined;
  #state: ParkState = RUNNING;
  /** The request that waits for an answer; undefined: there is none. */
  #round: Round | undefined;
  /** A retry that was accepted and has not started yet. */
  #retry: Round | undefined;
  /** How many questions were asked: their keys are q1, q2 and so on. */
  #questionCount = 0;
  /** The id of the parked call; undefined: it was never parked. */
  #id: string | undefined;
  #gather: NodeJS.Timeout | undefined;
  #expiry: WheelTimer | undefined;
  /** What is kept for the client; created on first use. */
  #kept: Kept | undefined;
  /** The heads of an error and of a result, set until their first chunk. */
  #errorHead: AnswerHead | undefined;
  #resultHead: AnswerHead | undefined;
  /** Why the call is cancelled at the upstream. */
  #cause: Cause = 'client gone';
  #delays: UrlDelays | undefined;

  constructor(deps: BridgeDeps, crossing: Crossing, sink: Sink) {
    this.#deps = deps;
    this.crossing = crossing;
    this.#caller = crossing.caller;
    this.#round = { message: crossing.out.message, sink };
  }

  get server(): string {
    return this.crossing.target.link.server;
  }

  get caller(): Caller {
    return this.#caller;
  }

  /** The number of the request that got the latest state; only that state is valid. */
  get round(): number {
    return this.#state.round;
  }

  get isParked(): boolean {
    return this.#state.at === 'parked' && !this.#retry;
  }

  begin(): Exchange {
    this.#send();
    return this.#handle(this.#round as Round);
  }

  /** The client retries with answers. */
  retry({ out, caller }: Crossing, sink: Sink, answers: ReadonlyMap<string, Buffer>): Exchange {
    const round: Round = { message: out.message, sink };
    this.#caller = caller;
    this.#expiry?.cancel();
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, 'answered');
    this.#retry = round;
    // The opener must get the handle before the sink is called.
    setImmediate(
      this.#guard('detached', () => {
        this.#continue(round, answers);
      }),
    );
    return this.#handle(round);
  }

  #continue(round: Round, answers: ReadonlyMap<string, Buffer>): void {
    if (this.#retry !== round) return;
    const { message } = round;
    this.#retry = undefined;
    this.#round = round;
    const { start, end } = find(message.meta, 'progressToken') ?? {};
    const token = end === undefined ? undefined : message.body.subarray(start, end);
    this.#exchange?.readdress(Buffer.from(message.id ?? 'null'), token);
    this.#exchange?.parked(false);
    this.#kept?.takeNotices()?.flush(message, round.sink);
    this.#step({ type: 'retry', keys: [...answers.keys()] }, answers);
  }

  /** Ends the call with an error for the client, and cancels it upstream. */
  #failNow(error: GatewayError): void {
    const sink = (this.#round ?? this.#retry)?.sink;
    this.#round = undefined;
    this.#retry = undefined;
    this.#cause = error.message;
    clearTimeout(this.#gather);
    this.#expiry?.cancel();
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, 'cancelled');
    this.#kept?.questions.refuseAll(error.message);
    this.#state = { ...this.#state, at: 'over', open: new Map() };
    this.#kept?.release();
    this.#exchange?.cancel(error.message);
    sink?.fail(error);
  }

  #keep(): Kept {
    const { target, out } = this.crossing;
    return (this.#kept ??= new Kept({
      budget: this.#deps.budget,
      whose: { client: out.client, server: target.link.server },
      stats: target.link.stats,
      evicted: () => {
        this.#failNow(new GatewayError('unavailable', `${TOO_MUCH}: call again`));
      },
      answerDropped: () => {
        this.#exchange?.cancel('nobody reads the answer');
      },
    }));
  }

  #guard(where: 'timer' | 'detached', work: () => void): () => void {
    return this.#deps.boundary.guard(where, work, (error) => {
      this.#failNow(error);
    });
  }

  /** Ends a parked call. */
  close(): void {
    this.#expire('cancelled');
  }

  // Sink, towards the upstream

  notify(notice: Notice): boolean {
    if (this.#round) return this.#round.sink.notify(notice);
    this.#keep().notices.add(notice);
    return true;
  }

  ask(question: Question): Refusal | undefined {
    const refusal = this.#refusal(question);
    if (refusal) {
      countInput(this.crossing.target.link.stats, question.method, 'refused');
      return refusal;
    }
    const key = this.#keep().questions.add(question, () => `q${++this.#questionCount}`);
    if (key === undefined) return { code: -32603, message: TOO_MUCH };
    this.#step({ type: 'asked', key });
    return undefined;
  }

  withdraw(question: Question): void {
    const key = this.#kept?.questions.keyOf(question);
    if (key === undefined) return;
    this.#kept?.questions.take(key, 'withdrawn');
    // The upstream expects no answer; refusing the question ends its input timeout.
    question.refuse({ code: -32603, message: 'withdrawn by the server' });
    this.#step({ type: 'void', key });
  }

  start(head: AnswerHead): void {
    if (head.kind === 'error') {
      this.#errorHead = head;
      return;
    }
    this.#resultHead = head;
    this.#answerBegins();
  }

  write(chunk: Buffer): boolean {
    if (this.#errorHead) {
      this.#error(this.#errorHead, chunk);
      return true;
    }
    const { sink } = this.#round ?? {};
    if (!sink) return this.#keep().answer.write(chunk);
    return sink.write(this.#resultHead ? this.#begin(this.#resultHead, chunk, undefined) : chunk);
  }

  end(seen: Seen): void {
    if (this.#errorHead) {
      this.#errorHead = undefined;
      return;
    }
    if (!this.#round) {
      this.#keep().answer.seen = seen;
      return;
    }
    const { sink } = this.#round;
    this.#round = undefined;
    sink.end(seen);
  }

  cancelled(why: Cause): void {
    const sink = this.#round?.sink;
    this.#round = undefined;
    sink?.cancelled(why);
  }

  fail(error: GatewayError): void {
    this.#answerBegins();
    if (!this.#round) {
      this.#keep().answer.failure = error;
      return;
    }
    const { sink } = this.#round;
    this.#round = undefined;
    sink.fail(error);
  }

  // Effects

  #step(event: ParkEvent, answers?: ReadonlyMap<string, Buffer>): void {
    const { next, effects } = step(this.#state, event);
    this.#state = next;
    for (const effect of effects) this.#run(effect, answers);
  }

  #run(effect: ParkEffect, answers: ReadonlyMap<string, Buffer> | undefined): void {
    switch (effect.do) {
      case 'gather':
        this.#gather = setTimeout(
          this.#guard('timer', () => {
            this.#step({ type: 'gathered' });
          }),
          GATHER_MS,
        );
        return;
      case 'tell':
        return this.#requestInput(effect.keys);
      case 'deliver': {
        const question = this.#kept?.questions.take(effect.key, 'answered');
        return deliver(question, answers?.get(effect.key) as Buffer, this.#caller);
      }
      case 'refuse':
        this.#kept?.questions.refuse(
          effect.key,
          this.#state.answered ? 'the call has ended' : 'the client gave no answer in time, or has gone',
        );
        return;
      case 'hand_over':
        return this.#handOver();
      case 'cancel':
        this.#exchange?.cancel(this.#cause);
        return;
    }
  }

  #send(): void {
    const { out, target } = this.crossing;
    const asTask = worksAsTask(this.crossing);
    const sent = {
      ...out,
      patches: [...out.patches, ...toLegacy(out.message, asTask ? AS_TASK : '')],
      edit: modernResult(out.message.method),
    };
    this.#exchange = asTask
      ? sendAsTask(this.#deps, this.crossing, sent, this)
      : target.link.send(sent, this);
  }

  /** The handle of one request of the client. */
  #handle(round: Round): Exchange {
    return {
      resume: () => {
        this.#exchange?.resume();
      },
      cancel: (why) => {
        if (this.#retry === round) {
          this.#retry = undefined;
          this.#cause = why;
          this.#step({ type: 'expired' });
          return;
        }
        // A request that was answered, with a result or with input_required, is not cancelled.
        if (this.#round !== round) return;
        this.#round = undefined;
        this.#cause = why;
        clearTimeout(this.#gather);
        this.#expiry?.cancel();
        this.#step({ type: 'left' });
        this.#kept?.release();
        this.#exchange?.cancel(why);
      },
    };
  }

  /** Why a question is refused; undefined: it is not. */
  #refusal(question: Question): Refusal | undefined {
    if (!methodOf(this.crossing.out.message.method)?.asks) return notHere(question.method);
    const refusal = inputRefusal(question, this.#caller.capabilities, this.#deps.limits().body_bytes);
    if (refusal) return refusal;
    if ((this.#kept?.questions.size ?? 0) >= MAX_OPEN)
      return { code: -32603, message: 'too many questions are open' };
    if (!this.#deps.parked.hasRoom(this, this.#id !== undefined)) {
      this.#deps.stats.parkedTotal.add('refused');
      return { code: -32603, message: 'too many calls wait for their clients (limits.parked)' };
    }
    return undefined;
  }

  /** Answers the current request with what is needed, and parks the call. */
  #requestInput(keys: readonly string[]): void {
    const { message, sink } = this.#round as Round;
    const { merged, target } = this.crossing;
    this.#round = undefined;
    this.#id ??= this.#deps.parked.nextId();
    const parkedMs = this.#deps.parkedMs();
    this.#deps.parked.add(this.#id, this);
    this.#exchange?.parked(true);
    // The call may be paused for a slow client. From now on the data of the upstream is kept here.
    this.#exchange?.resume();
    this.#expiry = this.#deps.wheel.after(parkedMs, () => {
      this.#expire('expired');
    });
    const server = merged ? target.link.server : undefined;
    const requests = this.#kept?.questions.asInputRequests(server, keys) ?? [];
    const state = this.#deps.states.ofCall(this.crossing, this.#id, this.#state.round, parkedMs);
    const required = inputRequired(requests, state, mayAnswerErrors(this.#caller));
    answerWith(sink, message.id ?? 'null', required, INPUT_REQUIRED);
  }

  #expire(result: 'expired' | 'cancelled'): void {
    if (!this.isParked) return;
    this.#expiry?.cancel();
    this.#cause = result === 'expired' ? 'the client did not retry in time' : 'no retry is possible any more';
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, result);
    this.#step({ type: 'expired' });
    this.#kept?.release();
  }

  #answerBegins(): void {
    clearTimeout(this.#gather);
    this.#step({ type: 'answered' });
  }

  /** Passes the part of the answer that was kept to the current request. */
  #handOver(): void {
    const round = this.#round;
    const answer = round && this.#kept?.takeAnswer();
    if (!answer) return;
    const [first, ...rest] = answer.take();
    const { upstreamError, failure, seen } = answer;
    if (upstreamError) return this.#error(upstreamError.head, upstreamError.bytes);
    if (failure) {
      this.#round = undefined;
      round.sink.fail(failure);
      return;
    }
    if (!first) return this.#exchange?.resume();
    round.sink.write(this.#begin(this.#resultHead as AnswerHead, first, seen));
    for (const chunk of rest) round.sink.write(chunk);
    if (seen) this.end(seen);
    else this.#exchange?.resume();
  }

  /** Starts the answer to the current request, and returns its first chunk. The chunk may have the id of an earlier request. */
  #begin(head: AnswerHead, first: Buffer, whole: Seen | undefined): Buffer {
    const { message, sink } = this.#round as Round;
    this.#resultHead = undefined;
    if (this.#state.round === 1) {
      sink.start(head);
      return first;
    }
    const answer = withId(message.id ?? 'null', head, first, whole !== undefined);
    sink.start(answer.head);
    return answer.chunk;
  }

  /** Handles an error of the upstream: passes it on, translates it, or sends the request again. */
  #error(head: AnswerHead, whole: Buffer): void {
    const round = this.#round;
    if (!round) {
      this.#keep().answer.writeError(head, whole);
      this.#answerBegins();
      return;
    }
    const rawId = round.message.id ?? 'null';
    const error = { whole, at: head.value };
    const isRunning = this.#state.at === 'running';
    const next = errorStep(error, this.crossing, { caller: this.#caller, rawId }, isRunning);
    if (next.do === 'repeat') return this.#sendLater();
    if (next.do === 'fail') return this.fail(next.error);
    this.#answerBegins();
    this.#round = undefined;
    if (next.do === 'answer') return answerWhole(round.sink, next.head, next.bytes);
    const { stats } = this.crossing.target.link;
    for (const _ of next.requests) countInput(stats, 'elicitation/create', 'relayed');
    const state = this.#deps.states.ofUrls(this.crossing, next.urls, this.#deps.parkedMs());
    answerWith(round.sink, rawId, inputRequired(next.requests, state), INPUT_REQUIRED);
  }

  /** Sends the request again after a delay, because the upstream does not know yet that a URL was opened. */
  #sendLater(): void {
    const delay = (this.#delays ??= new UrlDelays()).next(this.crossing.target.link);
    if (typeof delay !== 'number') return this.fail(delay);
    const send = (): void => {
      if (this.#state.at === 'running' && this.#round) this.#send();
    };
    this.#expiry = this.#deps.wheel.after(delay, this.#guard('timer', send));
  }
}

const INPUT_REQUIRED = { resultType: 'input_required' };
