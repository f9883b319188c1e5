import type { Budget, Holder, Whose } from '../lib/budget.js';
import type { ServerStats } from '../observe/stats.js';
import { KeptAnswer } from './kept-answer.js';
import { KeptNotices } from './kept-notices.js';
import { OpenQuestions } from './open-questions.js';

export interface KeepOptions {
  readonly budget: Budget;
  readonly whose: Whose;
  readonly stats: ServerStats;
  /** The budget takes everything back. */
  readonly evicted: () => void;
  /** Too much of an answer came: the upstream need not go on with it. */
  readonly answerDropped: () => void;
}

/** Everything that a call keeps for its client, charged to limits.buffered_bytes. */
export class Kept {
  readonly questions: OpenQuestions;
  readonly #options: KeepOptions;
  readonly #holder: Holder;
  #answer: KeptAnswer | undefined;
  #notices: KeptNotices | undefined;

  constructor(options: KeepOptions) {
    this.#options = options;
    this.#holder = options.budget.holder(options.whose, options.evicted);
    this.questions = new OpenQuestions(this.#holder, options.stats);
  }

  get answer(): KeptAnswer {
    return (this.#answer ??= new KeptAnswer(this.#holder, this.#options.answerDropped));
  }

  get notices(): KeptNotices {
    return (this.#notices ??= new KeptNotices(this.#holder));
  }

  /** Removes and returns the answer, if something of one has come. */
  takeAnswer(): KeptAnswer | undefined {
    const answer = this.#answer;
    this.#answer = undefined;
    return answer;
  }

  takeNotices(): KeptNotices | undefined {
    const notices = this.#notices;
    this.#notices = undefined;
    return notices;
  }

  /** Drops everything but the questions, which still have to be refused. */
  release(): void {
    this.#answer = undefined;
    this.#notices = undefined;
    this.#holder.release();
  }
}
