/**
 * A call of a modern client to a legacy upstream. As long as the upstream asks nothing it is an ordinary call; what it asks is told to
 * the client in an `input_required`, and the call stays open until the client comes back with the answers. park.ts decides, here the
 * effects are run.
 */
import { GatewayError } from '../errors.js';
import type { Holder } from '../lib/budget.js';
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
import { readHead } from '../wire/edges.js';
import { objectOf, scanObject } from '../wire/json.js';
import { splice } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { inputRefusal, notHere } from './asked.js';
import { modernResult } from './edit.js';
import { toLegacy } from './envelope.js';
import { errorAt, judge, readError, URL_ELICITATION_REQUIRED, withError } from './errors.js';
import { asInputRequest, inputRequired, urlRequests } from './input.js';
import type { Parked } from './parked-calls.js';
import { RUNNING, step, type ParkEffect, type ParkEvent, type ParkState } from './park.js';

import type { Crossing } from './crossing.js';
import type { BridgeDeps } from './deps.js';
import { countInput } from './input-stats.js';
import { relatedAnswer } from './tasks-flat.js';
import { AS_TASK, sendAsTask, worksAsTask } from './tasks-sent.js';

/** Questions that an upstream asks together come within this time. */
const GATHER_MS = 20;
/** Open questions of one call, at the most. */
const MAX_OPEN = 100;
/** What is kept of an answer while nobody waits for it; beyond it the upstream waits, or has to be let go. */
const KEEP_BYTES = 65_536;
const KEEP_AT_MOST = 1_048_576;
/** Log messages that are kept between two requests of the client. */
const MAX_LOGS = 32;
const MAX_LOG_BYTES = 65_536;

/** How long an upstream is given to learn that a URL was opened. */
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

/** Most calls ask nothing: this one is never written to. */
const NO_QUESTIONS = new Map<string, Question>();

/** One request of the client: the first, or a retry. */
interface Round {
  readonly message: Message;
  readonly sink: Sink;
}

interface Kept {
  /** An error of the upstream, whole: what it means for the client shows when there is one. */
  refused: { readonly head: AnswerHead; readonly bytes: Buffer } | undefined;
  chunks: Buffer[];
  bytes: number;
  seen: Seen | undefined;
  error: GatewayError | undefined;
}

export function openParkedCall(deps: BridgeDeps, crossing: Crossing, sink: Sink): Exchange {
  return new ParkedCall(deps, crossing, sink).begin();
}

class ParkedCall implements Sink, Parked {
  readonly crossing: Crossing;
  readonly #deps: BridgeDeps;
  /** As the latest request has it: what it can be asked may be another thing than before. */
  #caller: Caller;
  #exchange: UpstreamExchange | undefined;
  #state: ParkState = RUNNING;
  #round: Round | undefined;
  /** A retry that was taken and is not under way yet: until then all is kept as if nobody had come back. */
  #coming: Round | undefined;
  #questions = NO_QUESTIONS;
  #asked = 0;
  #id: string | undefined;
  #gather: NodeJS.Timeout | undefined;
  #expiry: WheelTimer | undefined;
  #kept: Kept | undefined;
  #progress: Notice | undefined;
  #logs: Notice[] | undefined;
  #logBytes = 0;
  /** An error waits for its one chunk. */
  #held: AnswerHead | undefined;
  /** Of a result whose first bytes have not come yet. */
  #head: AnswerHead | undefined;
  /** What is kept of it while it waits for its client: questions, logs, an answer. */
  #holder: Holder | undefined;
  #why: Cause = 'client gone';
  #waited = 0;
  #waitedInAll = 0;

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

  /** The number of the request that its state was given to last; only that state counts. */
  get round(): number {
    return this.#state.round;
  }

  get isParked(): boolean {
    return this.#state.at === 'parked' && !this.#coming;
  }

  begin(): Exchange {
    this.#send();
    return this.#handle(this.#round as Round);
  }

  /** The client is back. The state it showed is this call's last one. */
  retry({ out, caller }: Crossing, sink: Sink, answers: ReadonlyMap<string, Buffer>): Exchange {
    const { message } = out;
    const round: Round = { message, sink };
    this.#caller = caller;
    this.#expiry?.cancel();
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, 'answered');
    this.#coming = round;
    // Nothing may come before the caller of this has its handle.
    setImmediate(
      this.#deps.boundary.guard(
        'detached',
        () => {
          this.#goOn(round, answers);
        },
        (error) => {
          this.#failNow(error);
        },
      ),
    );
    return this.#handle(round);
  }

  #goOn(round: Round, answers: ReadonlyMap<string, Buffer>): void {
    if (this.#coming !== round) return;
    const { message } = round;
    this.#coming = undefined;
    this.#round = round;
    const token = find(message.meta, 'progressToken');
    this.#exchange?.readdress(
      Buffer.from(message.id ?? 'null'),
      token && message.body.subarray(token.start, token.end),
    );
    this.#exchange?.parked(false);
    this.#flushNotices();
    this.#step({ type: 'retry', keys: [...answers.keys()] }, answers);
  }

  /** It cannot go on: whoever waits for it hears that, and the upstream too. */
  #failNow(error: GatewayError): void {
    const sink = (this.#round ?? this.#coming)?.sink;
    this.#round = undefined;
    this.#coming = undefined;
    this.#why = error.message;
    clearTimeout(this.#gather);
    this.#expiry?.cancel();
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, 'cancelled');
    for (const key of [...this.#questions.keys()])
      this.#take(key, 'refused')?.refuse({ code: -32603, message: error.message });
    this.#state = { ...this.#state, at: 'over', open: new Map() };
    this.#letGo();
    this.#exchange?.cancel(error.message);
    sink?.fail(error);
  }

  /** false: there is no room for it. */
  #hold(bytes: number): boolean {
    const { target, out } = this.crossing;
    this.#holder ??= this.#deps.budget.holder({ client: out.client, server: target.link.server }, () => {
      this.#failNow(
        new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes): call again'),
      );
    });
    return this.#holder.take(bytes);
  }

  #letGo(): void {
    this.#kept = undefined;
    this.#logs = undefined;
    this.#logBytes = 0;
    this.#progress = undefined;
    this.#holder?.release();
  }

  /** Ends it: nobody may come back any more. */
  close(): void {
    this.#expire('cancelled');
  }

  // Sink, towards the upstream

  notify(notice: Notice): boolean {
    const round = this.#round;
    if (round) return round.sink.notify(notice);
    if (notice.method === 'notifications/progress') {
      this.#holder?.give(this.#progress?.bytes.length ?? 0);
      this.#progress = this.#hold(notice.bytes.length) ? notice : undefined;
    } else {
      const logs = (this.#logs ??= []);
      if (!this.#hold(notice.bytes.length)) return true;
      logs.push(notice);
      this.#logBytes += notice.bytes.length;
      while (logs.length > MAX_LOGS || this.#logBytes > MAX_LOG_BYTES) {
        const { length } = (logs.shift() as Notice).bytes;
        this.#logBytes -= length;
        this.#holder?.give(length);
      }
    }
    return true;
  }

  ask(question: Question): Refusal | undefined {
    const refusal = this.#refusal(question);
    if (refusal) {
      countInput(this.crossing.target.link.stats, question.method, 'refused');
      return refusal;
    }
    if (!this.#hold(question.bytes.length))
      return { code: -32603, message: 'too much is being buffered (limits.buffered_bytes)' };
    const key = `q${++this.#asked}`;
    if (this.#questions === NO_QUESTIONS) this.#questions = new Map();
    this.#questions.set(key, question);
    this.#step({ type: 'asked', key });
    return undefined;
  }

  withdraw(question: Question): void {
    for (const [key, open] of this.#questions) {
      if (open !== question) continue;
      this.#take(key, 'withdrawn');
      // The upstream has let go of it; the silence clock counts it as answered.
      question.refuse({ code: -32603, message: 'withdrawn by the server' });
      this.#step({ type: 'void', key });
    }
  }

  start(head: AnswerHead): void {
    if (head.kind === 'error') {
      this.#held = head;
      return;
    }
    this.#head = head;
    this.#answerBegins();
  }

  write(chunk: Buffer): boolean {
    if (this.#held) {
      this.#error(this.#held, chunk);
      return true;
    }
    const { sink } = this.#round ?? {};
    if (!sink) {
      const kept = this.#keep();
      if (!this.#hold(chunk.length)) {
        this.#tooMuch('too much is being buffered (limits.buffered_bytes)');
        return true;
      }
      kept.chunks.push(chunk);
      kept.bytes += chunk.length;
      if (kept.bytes > KEEP_AT_MOST) this.#tooMuch(`it is over ${KEEP_AT_MOST} bytes`);
      return kept.bytes <= KEEP_BYTES;
    }
    return sink.write(this.#head ? this.#begin(this.#head, chunk, undefined) : chunk);
  }

  end(seen: Seen): void {
    if (this.#held) {
      this.#held = undefined;
      return;
    }
    if (!this.#round) {
      this.#keep().seen = seen;
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
      this.#keep().error = error;
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
          this.#deps.boundary.guard(
            'timer',
            () => {
              this.#step({ type: 'gathered' });
            },
            (error) => {
              this.#failNow(error);
            },
          ),
          GATHER_MS,
        );
        return;
      case 'tell':
        return this.#tell(effect.keys);
      case 'deliver': {
        const question = this.#take(effect.key, 'answered');
        question?.answer('result', relatedAnswer(question, answers?.get(effect.key) as Buffer));
        return;
      }
      case 'refuse':
        this.#take(effect.key, 'refused')?.refuse({
          code: -32603,
          message: this.#state.answered
            ? 'the call has ended'
            : 'the client gave no answer in time, or has gone',
        });
        return;
      case 'hand_over':
        return this.#handOver();
      case 'cancel':
        this.#exchange?.cancel(this.#why);
        return;
    }
  }

  #take(key: string, result: string): Question | undefined {
    const question = this.#questions.get(key);
    this.#questions.delete(key);
    if (question) this.#holder?.give(question.bytes.length);
    if (question) countInput(this.crossing.target.link.stats, question.method, result);
    return question;
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

  #handle(round: Round): Exchange {
    return {
      resume: () => {
        this.#exchange?.resume();
      },
      cancel: (why) => {
        if (this.#coming === round) {
          this.#coming = undefined;
          this.#why = why;
          this.#step({ type: 'expired' });
          return;
        }
        // An exchange that was answered, with what is needed or with all, has nothing to cancel.
        if (this.#round !== round) return;
        this.#round = undefined;
        this.#why = why;
        clearTimeout(this.#gather);
        this.#expiry?.cancel();
        this.#step({ type: 'left' });
        this.#letGo();
        this.#exchange?.cancel(why);
      },
    };
  }

  #refusal(question: Question): Refusal | undefined {
    if (!methodOf(this.crossing.out.message.method)?.asks) return notHere(question.method);
    const refusal = inputRefusal(question, this.#caller.capabilities, this.#deps.limits().body_bytes);
    if (refusal) return refusal;
    if (this.#questions.size >= MAX_OPEN) return { code: -32603, message: 'too many questions are open' };
    if (!this.#deps.parked.hasRoom(this, this.#id !== undefined)) {
      this.#deps.stats.parkedTotal.add('refused');
      return { code: -32603, message: 'too many calls wait for their clients (limits.parked)' };
    }
    return undefined;
  }

  /** The request under way ends: its client is told what is needed, and how to come back. */
  #tell(keys: readonly string[]): void {
    const { message, sink } = this.#round as Round;
    const { merged, target } = this.crossing;
    this.#round = undefined;
    this.#id ??= this.#deps.parked.nextId();
    const parkedMs = this.#deps.parkedMs();
    this.#deps.parked.add(this.#id, this);
    this.#exchange?.parked(true);
    // A client that read slowly holds nothing up any more: what still comes is kept here.
    this.#exchange?.resume();
    this.#expiry = this.#deps.wheel.after(parkedMs, () => {
      this.#expire('expired');
    });
    const server = merged ? target.link.server : undefined;
    const requests = keys.map(
      (key) => [key, asInputRequest(this.#questions.get(key) as Question, server)] as const,
    );
    const state = this.#deps.states.ofCall(this.crossing, this.#id, this.#state.round, parkedMs);
    deliver(sink, inputRequired(message.id ?? 'null', requests, state));
  }

  #expire(result: 'expired' | 'cancelled'): void {
    if (!this.isParked) return;
    this.#expiry?.cancel();
    this.#why = result === 'expired' ? 'the client did not come back' : 'nobody may come back any more';
    if (this.#id !== undefined) this.#deps.parked.remove(this.#id, result);
    this.#step({ type: 'expired' });
    this.#letGo();
  }

  #keep(): Kept {
    return (this.#kept ??= {
      refused: undefined,
      chunks: [],
      bytes: 0,
      seen: undefined,
      error: undefined,
    });
  }

  #tooMuch(why: string): void {
    const kept = this.#keep();
    this.#holder?.give(kept.bytes);
    kept.chunks = [];
    kept.bytes = 0;
    kept.error = new GatewayError('busy', `the answer came while its client was away, and ${why}`);
    this.#exchange?.cancel('nobody reads the answer');
  }

  #answerBegins(): void {
    clearTimeout(this.#gather);
    this.#step({ type: 'answered' });
  }

  #handOver(): void {
    const kept = this.#kept;
    const round = this.#round;
    if (!kept || !round) return;
    this.#kept = undefined;
    this.#holder?.give(kept.bytes + (kept.refused?.bytes.length ?? 0));
    if (kept.refused) return this.#error(kept.refused.head, kept.refused.bytes);
    if (kept.error) {
      this.#round = undefined;
      round.sink.fail(kept.error);
      return;
    }
    const [first, ...rest] = kept.seen ? [Buffer.concat(kept.chunks)] : kept.chunks;
    if (!first) return this.#exchange?.resume();
    round.sink.write(this.#begin(this.#head as AnswerHead, first, kept.seen));
    for (const chunk of rest) round.sink.write(chunk);
    if (kept.seen) this.end(kept.seen);
    else this.#exchange?.resume();
  }

  /** Starts the answer for the request under way, whose id may be another than the one its bytes were made for. */
  #begin(head: AnswerHead, first: Buffer, whole: Seen | undefined): Buffer {
    const { message, sink } = this.#round as Round;
    this.#head = undefined;
    if (this.#state.round === 1) {
      sink.start(head);
      return first;
    }
    const rawId = Buffer.from(message.id ?? 'null');
    const at = readHead(first);
    const inHead = typeof at === 'string' ? undefined : at.id;
    const id = inHead ?? (whole ? idIn(first) : undefined);
    const chunk = id ? splice(first, [{ start: id.start, end: id.end, bytes: rawId }]) : first;
    const shift = chunk.length - first.length;
    const known = head.bytes !== undefined && (id !== undefined || whole !== undefined);
    sink.start({
      ...head,
      value: inHead ? head.value + shift : head.value,
      bytes: known ? head.bytes + shift : undefined,
    });
    return chunk;
  }

  #flushNotices(): void {
    const round = this.#round as Round;
    const token = find(round.message.meta, 'progressToken');
    const progress = this.#progress;
    const logs = this.#logs ?? [];
    this.#holder?.give(progress?.bytes.length ?? 0);
    this.#progress = undefined;
    this.#logs = undefined;
    this.#logBytes = 0;
    for (const notice of logs) {
      this.#holder?.give(notice.bytes.length);
      round.sink.notify(notice);
    }
    if (!progress || !token) return;
    const read = scanObject(progress.bytes);
    const at = read && find(read.params, 'progressToken');
    if (!at) return;
    const own = round.message.body.subarray(token.start, token.end);
    const bytes = splice(progress.bytes, [{ start: at.start, end: at.end, bytes: own }]);
    round.sink.notify({ ...progress, bytes });
  }

  /** An error of the upstream, in the codes of its client's era. */
  #error(head: AnswerHead, chunk: Buffer): void {
    const round = this.#round;
    if (!round) {
      if (this.#hold(chunk.length)) this.#keep().refused = { head, bytes: chunk };
      else this.#tooMuch('too much is being buffered (limits.buffered_bytes)');
      this.#answerBegins();
      return;
    }
    const { out, target } = this.crossing;
    const error = readError(chunk, head.value);
    if (error.code === URL_ELICITATION_REQUIRED && this.#askToOpen(error.data)) return;
    const verdict = judge(error, {
      upstream: 'legacy',
      caller: this.#caller,
      server: target.link.server,
      message: out.message,
    });
    this.#answerBegins();
    const shown = typeof verdict === 'string' ? error : verdict;
    const rawId = round.message.id ?? 'null';
    const bytes = withError(chunk, head.value, error, shown, rawId);
    const answer: AnswerHead = {
      kind: 'error',
      bytes: bytes.length,
      value: errorAt(rawId),
      code: shown.code,
    };
    this.#round = undefined;
    round.sink.start(answer);
    round.sink.write(bytes);
    round.sink.end({ isError: false });
  }

  /**
   * An error that stands for questions: the client is asked to open the URLs, and its retry makes the call anew; nothing waits meanwhile.
   * true: taken care of.
   */
  #askToOpen(data: Buffer | undefined): boolean {
    const { target, opened, merged } = this.crossing;
    const { message, sink } = this.#round as Round;
    const { server } = target.link;
    const asked = urlRequests(data, merged ? server : undefined);
    if (asked.length === 0) return false;
    const url = objectOf(this.#caller.capabilities['elicitation'])?.['url'];
    if (url === undefined || url === null) {
      this.fail(
        new GatewayError('missing_capability', `the call needs a client that can be sent to a URL`, {
          requiredCapabilities: { elicitation: { url: {} } },
        }),
      );
      return true;
    }
    // One that came while the call was parked is shown: its client may have opened it since.
    if (this.#state.at === 'running' && asked.every(({ url }) => opened?.has(url))) {
      this.#sendLater();
      return true;
    }
    this.#answerBegins();
    this.#round = undefined;
    for (const _ of asked) countInput(target.link.stats, 'elicitation/create', 'relayed');
    const urls = [...(opened ?? []), ...asked.map(({ url }) => url)];
    const state = this.#deps.states.ofUrls(this.crossing, urls, this.#deps.parkedMs());
    const requests = asked.map(({ json }, i) => [`u${i + 1}`, json] as const);
    deliver(sink, inputRequired(message.id ?? 'null', requests, state));
    return true;
  }

  /** It was opened already: the upstream is asked again until it knows, as long as a call may be silent. */
  #sendLater(): void {
    const { server, timeouts } = this.crossing.target.link;
    this.#waited = Math.min(this.#waited === 0 ? FIRST_WAIT_MS : this.#waited * 2, LONGEST_WAIT_MS);
    this.#waitedInAll += this.#waited;
    if (timeouts.request_ms > 0 && this.#waitedInAll > timeouts.request_ms)
      return this.fail(
        new GatewayError(
          'upstream_timeout',
          `upstream '${server}' still wants a URL opened that was opened ${timeouts.request_ms} ms ago (timeouts.request_ms)`,
        ),
      );
    const again = (): void => {
      if (this.#state.at === 'running' && this.#round) this.#send();
    };
    const failed = (error: GatewayError): void => {
      this.#failNow(error);
    };
    this.#expiry = this.#deps.wheel.after(this.#waited, this.#deps.boundary.guard('timer', again, failed));
  }
}

function deliver(sink: Sink, { bytes, value }: { bytes: Buffer; value: number }): void {
  sink.start({ kind: 'result', bytes: bytes.length, value, code: undefined, resultType: 'input_required' });
  sink.write(bytes);
  sink.end({ isError: false });
}

/** Of a whole answer, of whatever depth. */
function idIn(whole: Buffer): { start: number; end: number } | undefined {
  return membersOf(whole).find(({ key }) => key === 'id');
}
