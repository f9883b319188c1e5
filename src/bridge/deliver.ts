import type { Caller, Question } from '../protocol/ports.js';
import { errorIn } from './input.js';
import { relatedAnswer } from './tasks/flat.js';

/** Whether an answer may be an error: a legacy client gave it to another replica, whose link has a form for that (see input.ts, errorIn). */
export function mayAnswerErrors({ peerEra }: Caller): boolean {
  return peerEra === 'legacy';
}

/** Gives a legacy server the answer of a client to its question. */
export function deliver(question: Question | undefined, answer: Buffer, caller: Caller): void {
  const error = mayAnswerErrors(caller) ? errorIn(answer) : undefined;
  if (error) question?.answer('error', error);
  else if (question) question.answer('result', relatedAnswer(question, answer));
}
