/** The hot path: one call from its client to its upstream and back. */
import type { ErrorCode, GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { MethodStats, ToolErrorReason, ToolStats } from '../observe/stats.js';
import type { Message } from '../protocol/message.js';
import type {
  AnswerHead,
  Cause,
  Exchange,
  Notice,
  Outgoing,
  Question,
  Seen,
  Sink,
  Target,
} from '../protocol/ports.js';
import { LOG_LEVELS, type LogLevel } from '../protocol/ports.js';
import type { Span } from '../wire/scan.js';
import type { Patch } from '../wire/splice.js';

/** A call that takes longer is worth a line at info. */
const SLOW_MS = 10_000;

const REASONS: Partial<Record<ErrorCode, ToolErrorReason>> = {
  upstream_disconnected: 'upstream_disconnected',
  upstream_timeout: 'upstream_timeout',
  upstream_auth_failed: 'upstream_auth_failed',
  upstream_protocol_error: 'upstream_protocol_error',
  busy: 'busy',
};

export interface CallContext {
  readonly log: Logger;
  /** logging.calls */
  readonly calls: 'none' | 'failed' | 'all';
  readonly method: MethodStats;
  readonly sessionId: string | undefined;
  /** Once, however the call ended. */
  readonly over: (() => void) | undefined;
  /** Log messages below this level are not for this client; undefined: it takes all. */
  readonly level: LogLevel | undefined;
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
  const out: Outgoing = { message, patches, repeatable: target.repeatable };
  const call = new RelayedCall(message, target, sink, context);
  call.exchange = target.link.send(out, call);
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
  #isError = false;
  #over = false;

  constructor(message: Message, target: Target, sink: Sink, context: CallContext) {
    this.#message = message;
    this.#target = target;
    this.#sink = sink;
    this.#context = context;
  }

  notify(notice: Notice): boolean {
    const { level } = this.#context;
    if (level !== undefined && notice.method === 'notifications/message' && isBelow(notice, level))
      return true;
    return this.#sink.notify(notice);
  }

  ask(question: Question): boolean {
    return this.#sink.ask(question);
  }

  start(head: AnswerHead): void {
    this.#isError = head.kind === 'error';
    this.#sink.start(head);
  }

  write(chunk: Buffer): boolean {
    return this.#sink.write(chunk);
  }

  end(seen: Seen): void {
    this.#sink.end(seen);
    if (this.#isError) this.#finish('error', 'upstream_returned_error', 'upstream error');
    else if (seen.isError) this.#finish('success', 'upstream_returned_error', 'tool error');
    else this.#finish('success', undefined, 'ok');
  }

  cancelled(why: Cause): void {
    this.#sink.cancelled(why);
  }

  fail(error: GatewayError): void {
    this.#sink.fail(error);
    this.#finish('error', REASONS[error.code] ?? 'internal', error.message);
  }

  resume(): void {
    this.exchange?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    this.exchange?.cancel(why);
    this.#finish('error', 'cancelled', why);
    this.#sink.cancelled(why);
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
      session: context.sessionId?.slice(0, 8),
      server: this.#target.link.server,
      method: isTool ? undefined : this.#message.method,
      tool: isTool ? this.#target.label : undefined,
      ms: Math.round(ms * 10) / 10,
      outcome,
    });
  }
}

/** Whether a log message is less severe than its client wants; one that names no known level is not. */
export function isBelow(notice: Notice, level: LogLevel): boolean {
  const message = JSON.parse(notice.bytes.toString('utf8')) as { params?: { level?: unknown } | null };
  const own = LOG_LEVELS.indexOf(message.params?.level as LogLevel);
  return own !== -1 && own < LOG_LEVELS.indexOf(level);
}
