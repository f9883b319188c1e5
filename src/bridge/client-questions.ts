/**
 * Asks a legacy client the input requests of a modern upstream, on the stream of the call (2026-07-28, basic/patterns/mrtr;
 * 2025-11-25, client/elicitation).
 */
import { randomUUID } from 'node:crypto';
import { GatewayError } from '../errors.js';
import type { ServerStats } from '../observe/stats.js';
import type { Question, Refusal, Sink } from '../protocol/ports.js';
import { readObject, textOf } from '../wire/json.js';
import { asAnswer, asRequest, type InputRequest } from './input.js';
import { countInput } from './input-stats.js';

/** The client refused, or cannot be asked, and the answer to the upstream cannot express that. `error`: a JSON value. */
export interface Refused {
  readonly kind: 'refused';
  readonly method: string;
  readonly error: unknown;
}
/** `answer`: JSON of an input response. */
export type Outcome = { readonly kind: 'answered'; readonly answer: Buffer } | Refused;

const CANCEL_ANSWER = Buffer.from('{"action":"cancel"}');
export const ACCEPT_ANSWER = Buffer.from('{"action":"accept"}');

/** Asks the client of one call, and remembers which URLs it has opened. */
export class ClientQuestions {
  readonly #sink: Sink;
  readonly #stats: ServerStats;
  /** URLs that the client has opened, with their elicitation ids. */
  #opened: Map<string, string> | undefined;
  #isStopped = false;

  constructor(sink: Sink, stats: ServerStats) {
    this.#sink = sink;
    this.#stats = stats;
  }

  /** Whether it asks for a URL that the client has already opened. */
  hasOpened(request: InputRequest): boolean {
    const url = urlOf(request);
    return url !== undefined && this.#opened?.has(url) === true;
  }

  /**
   * `done` is called at most once, possibly before this returns. `errorsToo`: the answer may be an error (see input.ts, errorIn). Returns
   * the question, which can be withdrawn. */
  ask(request: InputRequest, done: (outcome: Outcome) => void, errorsToo = false): Question {
    const { method } = request;
    const url = urlOf(request);
    const elicitationId = url === undefined ? undefined : randomUUID();
    let over = false;
    const settle = (result: string, outcome: () => Outcome): void => {
      if (over) return;
      over = true;
      countInput(this.#stats, method, result);
      if (!this.#isStopped) done(outcome());
    };
    const told = (error: Buffer): Outcome => ({ kind: 'answered', answer: asAnswer(error) });
    // Otherwise an input response cannot be an error: a form counts as cancelled, and anything else ends the call.
    const refused = (error: unknown): Outcome =>
      method === 'elicitation/create'
        ? { kind: 'answered', answer: CANCEL_ANSWER }
        : { kind: 'refused', method, error };
    const question: Question = {
      method,
      bytes: asRequest(request, elicitationId),
      token: undefined,
      answer: (kind, value) => {
        settle(kind === 'result' ? 'answered' : 'error', () => {
          if (kind === 'error') return errorsToo ? told(value) : refused(readObject(value) ?? {});
          if (url !== undefined && accepts(value)) (this.#opened ??= new Map()).set(url, elicitationId);
          // Copied, because the bytes belong to the request that carried them.
          return { kind: 'answered', answer: Buffer.from(value) };
        });
      },
      refuse: (refusal) => {
        settle('refused', () => (errorsToo ? told(textOfError(refusal)) : refused(refusal)));
      },
      progress() {},
    };
    const refusal = this.#sink.ask(question);
    // The upstream knows the capabilities of the client, and asked anyway.
    if (refusal)
      settle('refused', () =>
        errorsToo ? told(textOfError(refusal)) : { kind: 'refused', method, error: refusal },
      );
    return question;
  }

  withdraw(question: Question): void {
    this.#sink.withdraw?.(question);
  }

  /** Tells the client that it may close the URLs it has opened (2025-11-25, client/elicitation). */
  tellOpened(): void {
    for (const elicitationId of this.#opened?.values() ?? []) {
      const method = 'notifications/elicitation/complete';
      const params = JSON.stringify({ elicitationId });
      this.#sink.notify({
        method,
        bytes: Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":${params}}`),
      });
    }
    this.#opened = undefined;
  }

  /** Ignores all further answers. */
  stop(): void {
    this.#isStopped = true;
  }
}

/** The error of a call whose client refused its input. */
export function inputRefused({ method, error }: Refused): GatewayError {
  return new GatewayError('input_refused', `the call needs ${method}, and its client refused that`, error);
}

function textOfError(refusal: Refusal): Buffer {
  return Buffer.from(JSON.stringify(refusal));
}

function urlOf({ method, params }: InputRequest): string | undefined {
  const read = method === 'elicitation/create' && params ? readObject(params) : undefined;
  return read?.['mode'] === 'url' ? textOf(read['url']) : undefined;
}

function accepts(answer: Buffer): boolean {
  return readObject(answer)?.['action'] === 'accept';
}
