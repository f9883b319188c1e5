/** A batch of messages in place of an answer (2025-03-26, basic, "Batching"). */
import { MessageScan } from '../../wire/message-scan.js';
import type { AnswerHost } from './answer-host.js';

/**
 * Hands the notifications and requests of a batch to the call, in order, and the answer to its request to `answer`. Returns false if there
 * was none of either.
 */
export function readBatch(
  messages: readonly Buffer[],
  host: AnswerHost,
  answer: (bytes: Buffer, scan: MessageScan) => void,
): boolean {
  let isAnswered = false;
  let hasMessages = false;
  for (const bytes of messages) {
    const scan = MessageScan.of([bytes]);
    if (scan.kind === 'method' && scan.problem === undefined) {
      hasMessages = true;
      host.message(bytes);
    }
    // A message before it may have failed the call: its client reads too slowly.
    if (isAnswered || host.over || scan.kind === 'method' || scan.answersId !== host.idText) continue;
    isAnswered = true;
    answer(bytes, scan);
  }
  return isAnswered || hasMessages;
}
