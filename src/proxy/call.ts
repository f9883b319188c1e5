/** The hot path: one call from its client to its server and back. */
import type { ErrorCode, GatewayError } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { ToolErrorReason } from '../observe/stats.js';
import { withoutRounds } from '../bridge/envelope.js';
import type { Bridge, HoldRetry, LoginRetry, OpenCrossing } from '../bridge/index.js';
import { readInputRequired } from '../bridge/input.js';
import type { InputAsked, Use } from '../protocol/approvals.js';
import { find } from '../protocol/message.js';
import type {
  AnswerHead,
  Cause,
  Exchange,
  Notice,
  Outgoing,
  Question,
  Refusal,
  Seen,
  Sink,
  Target,
} from '../protocol/ports.js';
import { LOG_LEVELS, type LogLevel } from '../protocol/ports.js';
import { RELATED_TASK } from '../protocol/tasks.js';
import { qualifyId } from '../catalog/naming.js';
import { objectOf, readObject, scanObject } from '../wire/json.js';
import type { Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { relatedTask } from '../bridge/asked.js';
import type { Incoming } from './incoming.js';
import { answerWith } from '../protocol/sinks.js';
import type { CallerLogins } from './logins.js';
import type { Questions } from './questions.js';
import { forget } from './under-way.js';

/** Pause between progress and an answer that follows immediately, so that the client reads the progress separately. */
const APART_MS = 5;
/** Maximum bytes of the answer that wait during the pause; beyond it, the server is paused. */
const MAX_LATER = 262_144;
/** 2025-11-25, client/elicitation, "URL Elicitation Required Error". */
const URL_ELICITATION_REQUIRED = -32042;

const REASONS: Partial<Record<ErrorCode, ToolErrorReason>> = {
  upstream_disconnected: 'upstream_disconnected',
  upstream_timeout: 'upstream_timeout',
  upstream_auth_failed: 'upstream_auth_failed',
  login_required: 'login_required',
  url_elicitation_required: 'login_required',
  upstream_protocol_error: 'upstream_protocol_error',
  stream_broken: 'upstream_protocol_error',
  busy: 'busy',
};

/** Why a call failed, for its metrics. */
export function reasonOf(error: GatewayError): ToolErrorReason {
  return REASONS[error.code] ?? 'internal';
}

export interface CallDeps {
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly questions: Questions;
  readonly bridge: Bridge;
  readonly logins: CallerLogins;
}

/** What a call needs in addition if its client or its server is modern. */
export interface CallCrossing {
  /** The name or URI as the client wrote it. */
  readonly name: string;
  /** Header lines that only the server may understand, a flat list. */
  readonly foreign: readonly string[];
  /** Resumes a parked call; undefined: it is a new call. */
  readonly resume: OpenCrossing | undefined;
  /** The client was asked to log in before. */
  readonly login?: LoginRetry | undefined;
  /** The call has waited for a yes before. */
  readonly hold?: HoldRetry | undefined;
}

/** One call to be sent. */
export interface Opening {
  readonly target: Target;
  /** Where the name of the target is in the message. */
  readonly at: Span;
  /** Gets the answer. */
  readonly sink: Sink;
  /** undefined: client and server are both legacy. */
  readonly crossing: CallCrossing | undefined;
  /** See Outgoing.quiet. */
  readonly quiet?: boolean;
  /** Called once, however the call ended. */
  readonly over: (() => void) | undefined;
  /** The yes that lets it go; undefined: it needs none. */
  readonly use?: Use | undefined;
}

/** Sends a request to one server. The sink is not called before this has returned. */
export function openCall(deps: CallDeps, incoming: Incoming, opening: Opening): Exchange {
  const { message, caller, merged } = incoming;
  const { target, at, crossing } = opening;
  const patches: Patch[] = target.patch ? [{ start: at.start, end: at.end, bytes: target.patch }] : [];
  // A legacy server gets no such members in any case.
  if ((crossing?.login ?? crossing?.hold) && target.link.era === 'modern')
    patches.push(...withoutRounds(message));
  const trace = incoming.markSent(target);
  const out: Outgoing = {
    message,
    patches,
    repeatable: target.repeatable && !opening.use,
    once: opening.use !== undefined,
    client: caller.client,
    alone: caller.alone,
    task: message.method === 'tasks/result' ? target.name : undefined,
    trace,
    quiet: opening.quiet,
  };
  const call = new RelayedCall(deps, incoming, opening);
  if (!crossing) call.exchange = target.link.send(out, call);
  else {
    const { route } = incoming;
    const { resume, name, foreign } = crossing;
    const crossed = {
      ...{ out, target, caller, merged, route, name },
      // Nobody who said yes has seen these lines.
      foreign: opening.use ? [] : foreign,
    };
    call.exchange = (resume ?? deps.bridge.open)(crossed, call);
  }
  return call;
}

/** Stands between the link and the client's sink: forwards in both directions, and reports how the call ended. */
class RelayedCall implements Sink, Exchange {
  exchange: Exchange | undefined;
  readonly #deps: CallDeps;
  readonly #incoming: Incoming;
  readonly #opening: Opening;
  readonly #sink: Sink;
  /** Open server requests of this call, by the id that the client got. */
  #asked: Map<string, Question> | undefined;
  /** The offset of a result that asks for input, of a call that has used a yes. */
  #inputAt: number | undefined;
  #isError = false;
  /** The server has said something: it has begun to run the call. */
  #isHeard = false;
  /** The offset of `error` in an answer that asks the client to open a URL. */
  #elicitsAt: number | undefined;
  #over = false;
  /** The parts of the answer that wait for the end of the pause after progress; undefined: there is no pause. */
  #later: (() => boolean | undefined)[] | undefined;
  #laterBytes = 0;

  constructor(deps: CallDeps, incoming: Incoming, opening: Opening) {
    this.#deps = deps;
    this.#incoming = incoming;
    this.#opening = opening;
    this.#sink = opening.sink;
  }

  notify(notice: Notice): boolean {
    this.#isHeard = true;
    if (notice.method === 'notifications/message' && this.#isUnwanted(notice)) return true;
    const { merged } = this.#incoming;
    const { server } = this.#opening.target.link;
    const shown = merged ? withRoutableTask(notice, server) : notice;
    if (notice.method === 'notifications/progress') this.#holdAnswer();
    if (shown) return this.#sink.notify(shown);
    this.#deps.log.debug('dropped a notification that cannot be read', { server, method: notice.method });
    return true;
  }

  ask(question: Question): Refusal | undefined {
    this.#isHeard = true;
    const { session, merged } = this.#incoming;
    const { server, key, inputMs } = this.#opening.target.link;
    const context = { session, server, key, merged, inputMs };
    const asked = this.#deps.questions.ask(question, this.#sink, context, (id) => this.#asked?.delete(id));
    if (typeof asked !== 'string') return asked;
    (this.#asked ??= new Map()).set(asked, question);
    this.#incoming.asked(question.method);
    return undefined;
  }

  retryIn(ms: number): void {
    this.#sink.retryIn?.(ms);
  }

  withdraw(question: Question): void {
    const { session } = this.#incoming;
    for (const [id, open] of this.#asked ?? [])
      if (open === question && session) this.#deps.questions.withdraw(session, id, undefined);
  }

  /** Legacy SDK clients drop progress that they read together with the answer. */
  #holdAnswer(): void {
    if (this.#later || this.#incoming.caller.era === 'modern') return;
    this.#later = [];
    const release = (): void => {
      const later = this.#later ?? [];
      const wasFull = this.#laterBytes > MAX_LATER;
      this.#later = undefined;
      this.#laterBytes = 0;
      let more = true;
      for (const next of later) if (!this.#over) more = next() ?? true;
      if (wasFull && more) this.exchange?.resume();
    };
    const guarded = this.#deps.boundary.guard('answer', release, (error) => {
      this.fail(error);
    });
    setTimeout(guarded, APART_MS);
  }

  start(head: AnswerHead): void {
    this.#isHeard = true;
    if (this.#later) this.#later.push(() => this.#start(head));
    else this.#start(head);
  }

  write(chunk: Buffer): boolean {
    if (!this.#later) return this.#write(chunk);
    this.#later.push(() => this.#write(chunk));
    this.#laterBytes += chunk.length;
    return this.#laterBytes <= MAX_LATER;
  }

  end(seen: Seen): void {
    if (this.#later) this.#later.push(() => this.#end(seen));
    else this.#end(seen);
  }

  #start(head: AnswerHead): undefined {
    this.#withdrawAll('the call has ended');
    this.#isError = head.kind === 'error';
    if (head.code === URL_ELICITATION_REQUIRED) {
      this.#elicitsAt = head.value;
      this.#opening.use?.nothingRan();
    }
    if (head.resultType === 'input_required' && this.#opening.use) this.#inputAt = head.value;
    this.#sink.start(head);
  }

  #write(chunk: Buffer): boolean {
    // An error is one chunk that ends with the brace of the message.
    const { session } = this.#incoming;
    if (this.#elicitsAt !== undefined && session) {
      const error = chunk.subarray(this.#elicitsAt, chunk.length - 1);
      this.#deps.questions.elicit(session, this.#opening.target.link.key, error);
    }
    // It is one chunk, too.
    if (this.#inputAt !== undefined) this.#opening.use?.answered(inputIn(chunk, this.#inputAt));
    return this.#sink.write(chunk);
  }

  #end(seen: Seen): undefined {
    this.#sink.end(seen);
    if (this.#isError) this.#finish('error', 'upstream_returned_error', 'upstream error');
    else if (seen.isError) this.#finish('success', 'upstream_returned_error', 'tool error');
    else this.#finish('success', undefined, 'ok');
  }

  cancelled(why: Cause): void {
    if (this.#over) return;
    this.#withdrawAll(why);
    this.#finish('error', 'cancelled', why);
    this.#sink.cancelled(why);
  }

  fail(error: GatewayError): void {
    if (this.#later) this.#later.push(() => this.#fail(error));
    else this.#fail(error);
  }

  #fail(error: GatewayError): undefined {
    this.#withdrawAll('the call has failed');
    if (this.#opening.use && !this.#isHeard && hasNotRun(error)) this.#opening.use.nothingRan();
    try {
      if (error.code === 'login_required') this.#needsLogin(error);
      else this.#sink.fail(error);
    } finally {
      this.#finish('error', reasonOf(error), error.message);
    }
  }

  #needsLogin(error: GatewayError): void {
    const { crossing, target } = this.#opening;
    const answer = this.#deps.logins.answer(this.#incoming, crossing?.name ?? target.name, error);
    if ('error' in answer) this.#sink.fail(answer.error);
    else answerWith(this.#sink, this.#incoming.message.id ?? 'null', answer.result, answer);
  }

  resume(): void {
    this.exchange?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    const { crossing } = this.#opening;
    // Cancel first: a modern server must not take the withdrawal for an answer.
    if (crossing) this.exchange?.cancel(why);
    this.#withdrawAll(why);
    if (!crossing) this.exchange?.cancel(why);
    this.#finish('error', 'cancelled', why);
    this.#sink.cancelled(why);
  }

  /**
   * Whether the client does not want a log message. A modern client names a level in each request, and gets no messages without it. A
   * legacy client gets all messages until its session sets a level.
   */
  #isUnwanted(notice: Notice): boolean {
    const { caller, session } = this.#incoming;
    const isModern = caller.era === 'modern';
    const level = isModern ? caller.level : session?.level;
    return level === undefined ? isModern : isBelow(notice, level);
  }

  #withdrawAll(why: string): void {
    const { session } = this.#incoming;
    if (this.#asked && session)
      for (const id of [...this.#asked.keys()]) this.#deps.questions.withdraw(session, id, why);
  }

  #finish(result: 'success' | 'error', reason: ToolErrorReason | undefined, outcome: string): void {
    if (this.#over) return;
    this.#over = true;
    forget(this.#incoming, this);
    this.#opening.use?.answered(undefined);
    this.#opening.over?.();
    this.#incoming.over(result, reason, outcome);
  }
}

/** What an answer asks for. */
function inputIn(whole: Buffer, value: number): InputAsked | undefined {
  const read = readInputRequired(whole, value, whole.length);
  if (typeof read === 'string') return undefined;
  const { requests, state } = read;
  return {
    state: state === undefined ? undefined : (JSON.parse(state) as string),
    keys: requests.map(({ key }) => key),
  };
}

/** Whether a call has failed before its server could do anything. */
function hasNotRun({ code, unsent }: GatewayError): boolean {
  if (code === 'login_required' || code === 'upstream_auth_failed' || code === 'busy') return true;
  return unsent === true;
}

/** Whether a log message is unreadable or less severe than its client wants. A message with an unknown level is passed on. */
export function isBelow(notice: Notice, level: LogLevel): boolean {
  const message = readObject(notice.bytes);
  if (!message) return true;
  const own = LOG_LEVELS.indexOf(objectOf(message['params'])?.['level'] as LogLevel);
  return own !== -1 && own < LOG_LEVELS.indexOf(level);
}

/** Replaces a task id by its routable id, for the merged endpoint. undefined: the message is unreadable. */
function withRoutableTask(notice: Notice, server: string): Notice | undefined {
  if (!notice.bytes.includes(RELATED_TASK)) return notice;
  const read = scanObject(notice.bytes);
  if (!read) return undefined;
  const at = relatedTask(notice.bytes, find(read.meta, RELATED_TASK));
  if (!at) return notice;
  const id = Buffer.from(JSON.stringify(qualifyId(server, at.taskId)));
  return { ...notice, bytes: splice(notice.bytes, [{ start: at.start, end: at.end, bytes: id }]) };
}
