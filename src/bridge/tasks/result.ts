/**
 * A tasks/result request to a legacy upstream (2025-11-25, basic/utilities/tasks). The questions and the result of a task arrive on its
 * stream.
 */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { Collector } from '../../lib/collector.js';
import type { AnswerHead, Cause, Question, Refusal, Sink, UpstreamExchange } from '../../protocol/ports.js';
import { scanObject } from '../../wire/json.js';
import { memberOf } from './flat.js';

/** How long to gather further questions. */
const GATHER_MS = 20;
/** How long to wait for the first question. */
const FIRST_QUESTION_MS = 500;

/** The bytes of `result` or `error`, as the upstream sent them. */
export interface End {
  readonly kind: 'result' | 'error';
  readonly value: Buffer;
}

export interface ResultHooks {
  readonly server: string;
  /** The client, see Caller. */
  readonly client: string;
  readonly budget: Budget;
  /** Maximum size of the answer. */
  readonly maxBytes: number;
  readonly ask: (question: Question) => Refusal | undefined;
  readonly withdraw: (question: Question) => void;
  /** Called when it was answered or failed, but not after cancel(). */
  readonly over: () => void;
}

export class ResultCall implements Sink {
  exchange: UpstreamExchange | undefined;
  /** Rejects with a GatewayError if there is no answer. */
  readonly answer: Promise<End>;
  readonly #hooks: ResultHooks;
  #head: AnswerHead | undefined;
  readonly #collected: Collector;
  #over = false;
  #settle: { resolve: (end: End) => void; reject: (error: GatewayError) => void } | undefined;
  /** Set while `asked` waits for the first question. */
  #wake: (() => void) | undefined;

  constructor(hooks: ResultHooks) {
    this.#hooks = hooks;
    const { budget, client, server, maxBytes } = hooks;
    this.#collected = new Collector(budget, { client, server }, maxBytes, () => {
      this.#tooMuch();
    });
    this.answer = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Not always awaited: sometimes only the questions matter.
    this.answer.catch(() => undefined);
  }

  /** Resolves when there are questions, when the request is over, or after a short timeout. */
  asked(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FIRST_QUESTION_MS);
      this.#wake = () => {
        clearTimeout(timer);
        setTimeout(resolve, GATHER_MS);
      };
    });
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    this.#finish();
    this.exchange?.cancel(why);
    this.#settle?.reject(
      new GatewayError('upstream_disconnected', `the result of the task is no longer wanted: ${why}`),
    );
  }

  notify(): boolean {
    return true;
  }

  ask(question: Question): Refusal | undefined {
    const refusal = this.#hooks.ask(question);
    if (!refusal) this.#wake?.();
    return refusal;
  }

  withdraw(question: Question): void {
    this.#hooks.withdraw(question);
  }

  start(head: AnswerHead): void {
    this.#head = head;
  }

  write(chunk: Buffer): boolean {
    if (!this.#over && !this.#collected.push(chunk) && this.#collected.dropped === 'budget') this.#tooMuch();
    return true;
  }

  end(): void {
    if (this.#over) return;
    const { server, maxBytes } = this.#hooks;
    if (this.#collected.dropped)
      return this.#refuse(
        `upstream '${server}' answered tasks/result with more than ${maxBytes} bytes (limits.message_bytes)`,
      );
    const whole = this.#collected.take();
    const kind = this.#head?.kind ?? 'result';
    // An error may nest to any depth: it was validated when it arrived.
    const isWhole = kind === 'error' || scanObject(whole, maxBytes) !== undefined;
    const value = isWhole ? memberOf(whole, kind) : undefined;
    if (value?.[0] !== 0x7b)
      return this.#refuse(`upstream '${server}' answered tasks/result without a result`);
    this.#finish();
    this.#hooks.over();
    this.#settle?.resolve({ kind, value });
  }

  cancelled(why: Cause): void {
    this.fail(new GatewayError('upstream_disconnected', why));
  }

  fail(error: GatewayError): void {
    if (this.#over) return;
    this.#finish();
    this.#hooks.over();
    this.#settle?.reject(error);
  }

  #tooMuch(): void {
    if (this.#over) return;
    this.exchange?.cancel('too much is being buffered');
    this.fail(new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)'));
  }

  #refuse(why: string): void {
    this.fail(new GatewayError('upstream_protocol_error', why));
  }

  #finish(): void {
    this.#over = true;
    this.#collected.release();
    this.#wake?.();
  }
}
