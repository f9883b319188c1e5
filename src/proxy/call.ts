/** The hot path: one call from its client to its upstream and back. */
import type { ErrorCode, GatewayError } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { MethodStats, ToolErrorReason, ToolStats } from '../observe/stats.js';
import type { Bridge, Resume } from '../bridge/index.js';
import { find, type Message } from '../protocol/message.js';
import type {
  AnswerHead,
  Caller,
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
import { LOG_LEVELS, RELATED_TASK, type LogLevel } from '../protocol/ports.js';
import type { Session } from '../session/store.js';
import { qualifyId } from '../catalog/naming.js';
import { objectOf, readObject, scanObject } from '../wire/json.js';
import type { Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { relatedTask } from '../bridge/asked.js';
import type { Questions } from './questions.js';

/** Between progress and an answer right behind it: a client has read the one before the other comes. */
const APART_MS = 5;
/** So many bytes of an answer wait meanwhile; then its upstream is not read from. */
const MAX_LATER = 262_144;
/** A call that takes longer is worth a line at info. */
const SLOW_MS = 10_000;
/** 2025-11-25, client/elicitation, "URL Elicitation Required Error". */
const URL_ELICITATION_REQUIRED = -32042;

const REASONS: Partial<Record<ErrorCode, ToolErrorReason>> = {
  upstream_disconnected: 'upstream_disconnected',
  upstream_timeout: 'upstream_timeout',
  upstream_auth_failed: 'upstream_auth_failed',
  upstream_protocol_error: 'upstream_protocol_error',
  stream_broken: 'upstream_protocol_error',
  busy: 'busy',
};

export interface CallContext {
  readonly log: Logger;
  readonly boundary: Boundary;
  /** logging.calls */
  readonly calls: 'none' | 'failed' | 'all';
  readonly method: MethodStats;
  /** undefined: the request is the client; it cannot be asked. */
  readonly session: Session | undefined;
  readonly questions: Questions;
  /** The merged endpoint. */
  readonly merged: boolean;
  /** Equal for calls of one client. */
  readonly client: string;
  /** Nobody else is taken for that client. */
  readonly alone: boolean;
  /** undefined: client and upstream are both legacy. */
  readonly crossing: CallCrossing | undefined;
  /** Once, however the call ended. */
  readonly over: (() => void) | undefined;
}

/** What a call needs whose client or whose upstream is modern. */
export interface CallCrossing {
  readonly bridge: Bridge;
  readonly caller: Caller;
  readonly route: string;
  /** The name or URI as the client wrote it. */
  readonly name: string;
  /** Header lines that only the upstream may understand, a flat list. */
  readonly foreign: readonly string[];
  /** How it goes on with a call that waits for it; undefined: it is a new one. */
  readonly resume: Resume | undefined;
}

/**
 * Sends `message` to `target`, whose name stands at `at`; the sink is not called before this has returned. For all methods that
 * go to one upstream, not tools/call alone.
 */
export function openCall(
  message: Message,
  at: Span,
  target: Target,
  sink: Sink,
  context: CallContext,
): Exchange {
  const patches: Patch[] = target.patch ? [{ start: at.start, end: at.end, bytes: target.patch }] : [];
  const out: Outgoing = {
    message,
    patches,
    repeatable: target.repeatable,
    client: context.client,
    alone: context.alone,
    task: message.method === 'tasks/result' ? target.name : undefined,
  };
  const call = new RelayedCall(message, target, sink, context);
  const { crossing } = context;
  if (!crossing) call.exchange = target.link.send(out, call);
  else {
    const { bridge, resume, caller, route, name, foreign } = crossing;
    const { merged } = context;
    call.exchange = (resume ?? bridge.open)({ out, target, caller, merged, foreign, route, name }, call);
  }
  return call;
}

/** Counts a call that never reached its upstream. */
export function countRefusal(target: Target, error: GatewayError): void {
  const stats = statsOf(target);
  stats.calls++;
  stats.duration.observe(0);
  stats.errors.add(REASONS[error.code] ?? 'internal');
}

function statsOf(target: Target): ToolStats {
  return (target.stats ??= target.link.stats.tool(target.label));
}

/** Stands between the link and the client's sink: hands everything on, and counts how it ended. */
class RelayedCall implements Sink, Exchange {
  exchange: Exchange | undefined;
  readonly #message: Message;
  readonly #target: Target;
  readonly #sink: Sink;
  readonly #context: CallContext;
  readonly #started = performance.now();
  /** Questions of this call that are open, by the id its client knows. */
  #asked: Map<string, Question> | undefined;
  #isError = false;
  /** Where an error begins that asks its client to open a URL. */
  #elicitsAt: number | undefined;
  #over = false;
  /** Progress went out a moment ago: what of the answer waits. */
  #later: (() => boolean | undefined)[] | undefined;
  #laterBytes = 0;

  constructor(message: Message, target: Target, sink: Sink, context: CallContext) {
    this.#message = message;
    this.#target = target;
    this.#sink = sink;
    this.#context = context;
  }

  notify(notice: Notice): boolean {
    if (notice.method === 'notifications/message' && this.#isUnwanted(notice)) return true;
    const { merged, log } = this.#context;
    const { server } = this.#target.link;
    const shown = merged ? withRoutableTask(notice, server) : notice;
    if (notice.method === 'notifications/progress') this.#holdAnswer();
    if (shown) return this.#sink.notify(shown);
    log.debug('dropped a notification that cannot be read', { server, method: notice.method });
    return true;
  }

  ask(question: Question): Refusal | undefined {
    const { questions, session, merged } = this.#context;
    const { server, inputMs } = this.#target.link;
    const asked = questions.ask(question, this.#sink, { session, server, merged, inputMs }, (id) =>
      this.#asked?.delete(id),
    );
    if (typeof asked !== 'string') return asked;
    (this.#asked ??= new Map()).set(asked, question);
    return undefined;
  }

  retryIn(ms: number): void {
    this.#sink.retryIn?.(ms);
  }

  withdraw(question: Question): void {
    const { questions, session } = this.#context;
    for (const [id, open] of this.#asked ?? [])
      if (open === question && session) questions.withdraw(session, id, undefined);
  }

  /** Legacy SDK clients that read progress and the answer in one go drop the progress. */
  #holdAnswer(): void {
    if (this.#later || this.#context.crossing?.caller.era === 'modern') return;
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
    const guarded = this.#context.boundary.guard('answer', release, (error) => {
      this.fail(error);
    });
    setTimeout(guarded, APART_MS);
  }

  start(head: AnswerHead): void {
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
    if (head.code === URL_ELICITATION_REQUIRED) this.#elicitsAt = head.value;
    this.#sink.start(head);
  }

  #write(chunk: Buffer): boolean {
    // An error is one chunk, closed by the brace of the message.
    if (this.#elicitsAt !== undefined && this.#context.session) {
      const error = chunk.subarray(this.#elicitsAt, chunk.length - 1);
      this.#context.questions.elicit(this.#context.session, this.#target.link.server, error);
    }
    return this.#sink.write(chunk);
  }

  #end(seen: Seen): undefined {
    this.#sink.end(seen);
    if (this.#isError) this.#finish('error', 'upstream_returned_error', 'upstream error');
    else if (seen.isError) this.#finish('success', 'upstream_returned_error', 'tool error');
    else this.#finish('success', undefined, 'ok');
  }

  cancelled(why: Cause): void {
    this.#sink.cancelled(why);
  }

  fail(error: GatewayError): void {
    if (this.#later) this.#later.push(() => this.#fail(error));
    else this.#fail(error);
  }

  #fail(error: GatewayError): undefined {
    this.#withdrawAll('the call has failed');
    this.#sink.fail(error);
    this.#finish('error', REASONS[error.code] ?? 'internal', error.message);
  }

  resume(): void {
    this.exchange?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    // An upstream that is asked again with each answer must not take what is withdrawn for one.
    if (this.#context.crossing) this.exchange?.cancel(why);
    this.#withdrawAll(why);
    this.exchange?.cancel(why);
    this.#finish('error', 'cancelled', why);
    this.#sink.cancelled(why);
  }

  /** A modern client hears what it asked for with this request, a legacy one all that its session did not turn down. */
  #isUnwanted(notice: Notice): boolean {
    const { crossing, session } = this.#context;
    const isModern = crossing?.caller.era === 'modern';
    const level = isModern ? crossing.caller.level : session?.level;
    return level === undefined ? isModern : isBelow(notice, level);
  }

  #withdrawAll(why: string): void {
    const { questions, session } = this.#context;
    if (this.#asked && session)
      for (const id of [...this.#asked.keys()]) questions.withdraw(session, id, why);
  }

  #finish(result: 'success' | 'error', reason: ToolErrorReason | undefined, outcome: string): void {
    if (this.#over) return;
    this.#over = true;
    const context = this.#context;
    const ms = performance.now() - this.#started;
    const isTool = this.#message.method === 'tools/call';
    if (isTool) {
      const stats = statsOf(this.#target);
      stats.calls++;
      stats.duration.observe(ms / 1000);
      if (reason !== undefined) stats.errors.add(reason);
    }
    context.method[result]++;
    context.method.duration.observe(ms / 1000);
    context.over?.();
    const failed = reason !== undefined;
    const shown = context.calls === 'all' || (context.calls === 'failed' && (failed || ms > SLOW_MS));
    if (!shown && !context.log.debugEnabled) return;
    const level = shown ? 'info' : 'debug';
    context.log[level](failed ? 'call failed' : ms > SLOW_MS ? 'slow call' : 'call', {
      request: this.#message.id?.slice(0, 64),
      session: context.session?.id.slice(0, 8),
      server: this.#target.link.server,
      method: isTool ? undefined : this.#message.method,
      tool: isTool ? this.#target.label : undefined,
      ms: Math.round(ms * 10) / 10,
      outcome,
    });
  }
}

/** Whether a log message is less severe than its client wants, or unreadable; one that names no known level is not. */
export function isBelow(notice: Notice, level: LogLevel): boolean {
  const message = readObject(notice.bytes);
  if (!message) return true;
  const own = LOG_LEVELS.indexOf(objectOf(message['params'])?.['level'] as LogLevel);
  return own !== -1 && own < LOG_LEVELS.indexOf(level);
}

/** On the merged endpoint a task goes by its routable id, wherever a message names it. undefined: the message is unreadable. */
function withRoutableTask(notice: Notice, server: string): Notice | undefined {
  if (!notice.bytes.includes(RELATED_TASK)) return notice;
  const read = scanObject(notice.bytes);
  if (!read) return undefined;
  const at = relatedTask(notice.bytes, find(read.meta, RELATED_TASK));
  if (!at) return notice;
  const id = Buffer.from(JSON.stringify(qualifyId(server, at.taskId)));
  return { ...notice, bytes: splice(notice.bytes, [{ start: at.start, end: at.end, bytes: id }]) };
}
