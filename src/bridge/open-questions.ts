import type { Holder } from '../lib/budget.js';
import type { ServerStats } from '../observe/stats.js';
import type { Question } from '../protocol/ports.js';
import { asInputRequest } from './input.js';
import { countInput } from './input-stats.js';

/** Questions of one call or task that wait for a modern client, by the key that the client answers them under. */
export class OpenQuestions {
  readonly #holder: Holder;
  readonly #stats: ServerStats;
  readonly #byKey = new Map<string, Question>();

  constructor(holder: Holder, stats: ServerStats) {
    this.#holder = holder;
    this.#stats = stats;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Returns the key of the question; undefined: the budget has no room for it. */
  add(question: Question, nextKey: () => string): string | undefined {
    if (!this.#holder.take(question.bytes.length)) return undefined;
    const key = nextKey();
    this.#byKey.set(key, question);
    return key;
  }

  keyOf(question: Question): string | undefined {
    for (const [key, open] of this.#byKey) if (open === question) return key;
    return undefined;
  }

  /** Input requests, each with its key: for `keys`, or for all. `server`: they are marked with it, unless undefined. */
  asInputRequests(
    server: string | undefined,
    keys: Iterable<string> = this.#byKey.keys(),
  ): (readonly [key: string, json: Buffer])[] {
    return [...keys].map((key) => [key, asInputRequest(this.#byKey.get(key) as Question, server)] as const);
  }

  /** Removes a question, and counts it under `result`. undefined: there is none with this key. */
  take(key: string, result: 'answered' | 'refused' | 'withdrawn'): Question | undefined {
    const question = this.#byKey.get(key);
    if (!question) return undefined;
    this.#byKey.delete(key);
    this.#holder.give(question.bytes.length);
    countInput(this.#stats, question.method, result);
    return question;
  }

  refuse(key: string, message: string): void {
    this.take(key, 'refused')?.refuse({ code: -32603, message });
  }

  refuseAll(message: string): void {
    for (const key of [...this.#byKey.keys()]) this.refuse(key, message);
  }
}
