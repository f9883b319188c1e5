/** One tasks/result under way to a legacy upstream (2025-11-25, basic/utilities/tasks): what the task asks comes with it, and its end. */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { Collector } from '../../lib/collector.js';
import type { AnswerHead, Cause, Question, Refusal, Sink, UpstreamExchange } from '../../protocol/ports.js';
import { scanObject } from '../../wire/json.js';
import { memberOf } from './flat.js';

/** Questions that are asked together come within this time. */
const GATHER_MS = 20;
/** How long somebody waits for what the task is about to ask. */
const FIRST_QUESTION_MS = 500;

/** The upstream's own bytes of `result` or `error`. */
export interface End {
  readonly kind: 'result' | 'error';
  readonly value: Buffer;
}

export interface ResultHooks {
  readonly server: string;
  /** Who asks for it. */
  readonly client: string;
  readonly budget: Budget;
  /** What may be held of it. */
  readonly maxBytes: number;
  readonly ask: (question: Question) => Refusal | undefined;
  readonly withdraw: (question: Question) => void;
  /** It was answered, or failed. Not called after cancel(). */
  readonly over: () => void;
}

export class ResultCall implements Sink {
  exchange: UpstreamExchange | undefined;
  /** Rejects with a GatewayError where no answer comes. */
  readonly answer: Promise<End>;
  readonly #hooks: ResultHooks;
  #head: AnswerHead | undefined;
  readonly #collected: Collector;
  #over = false;
  #settle: { resolve: (end: End) => void; reject: (error: GatewayError) => void } | undefined;
  /** Somebody waits for the first question. */
  #heard: (() => void) | undefined;

  constructor(hooks: ResultHooks) {
    this.#hooks = hooks;
    const { budget, client, server, maxBytes } = hooks;
    this.#collected = new Collector(budget, { client, server }, maxBytes, () => {
      this.#tooMuch();
    });
    this.answer = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Maybe nobody waits for it: then only its questions are of interest.
    this.answer.catch(() => undefined);
  }

  /** Resolves when something was asked, when it is over, or when neither has happened for a moment. */
  asked(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FIRST_QUESTION_MS);
      this.#heard = () => {
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
      new GatewayError('upstream_disconnected', `the result of the task is not waited for: ${why}`),
    );
  }

  notify(): boolean {
    return true;
  }

  ask(question: Question): Refusal | undefined {
    const refusal = this.#hooks.ask(question);
    if (!refusal) this.#heard?.();
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
    // An error may be of any depth: it was read when it came.
    const isWhole = kind === 'error' || scanObject(whole, maxBytes) !== undefined;
    const value = isWhole ? memberOf(whole, kind) : undefined;
    if (value?.[0] !== 0x7b) return this.#refuse(`upstream '${server}' answered tasks/result with no result`);
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
    this.#heard?.();
  }
}
