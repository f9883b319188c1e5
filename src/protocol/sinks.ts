/** Common parts of sinks: one that forwards to another sink, one that ignores everything, and functions that give a sink a whole answer. */
import type { GatewayError } from '../errors.js';
import {
  NOBODY_TO_ASK,
  type AnswerHead,
  type Cause,
  type Notice,
  type Question,
  type Refusal,
  type Seen,
  type Sink,
} from './ports.js';

/** A sink in front of another one. Passes on whatever a subclass does not override. */
export abstract class PassThroughSink implements Sink {
  protected readonly sink: Sink;

  constructor(sink: Sink) {
    this.sink = sink;
  }

  get isSilent(): boolean {
    return this.sink.isSilent === true;
  }

  notify(notice: Notice): boolean {
    return this.sink.notify(notice);
  }

  ask(question: Question): Refusal | undefined {
    return this.sink.ask(question);
  }

  withdraw(question: Question): void {
    this.sink.withdraw?.(question);
  }

  retryIn(ms: number): void {
    this.sink.retryIn?.(ms);
  }

  start(head: AnswerHead): void {
    this.sink.start(head);
  }

  write(chunk: Buffer): boolean {
    return this.sink.write(chunk);
  }

  end(seen: Seen): void {
    this.sink.end(seen);
  }

  cancelled(why: Cause): void {
    this.sink.cancelled(why);
  }

  fail(error: GatewayError): void {
    this.sink.fail(error);
  }
}

/** The sink of a message whose answer does not go to a sink. It ignores everything. */
export const NO_SINK: Sink = {
  notify: () => true,
  ask: () => NOBODY_TO_ASK,
  start() {},
  write: () => true,
  end() {},
  cancelled() {},
  fail() {},
};

const CLOSE = Buffer.from('}');

/** JSON of a result, whole or in parts. */
type Result = string | Buffer | readonly Buffer[];

/** The message that answers a request with `result`. `rawId`: JSON of the id. `value`: the offset of the result in the message. */
export function resultMessage(
  rawId: string,
  result: Result,
): { readonly bytes: Buffer; readonly value: number } {
  const head = `{"jsonrpc":"2.0","id":${rawId},"result":`;
  const value = Buffer.byteLength(head);
  if (typeof result === 'string') return { bytes: Buffer.from(`${head}${result}}`), value };
  const parts = Buffer.isBuffer(result) ? [result] : result;
  return { bytes: Buffer.concat([Buffer.from(head), ...parts, CLOSE]), value };
}

/** Answers with `result`. `rawId`: JSON of the id. `more`: what else the head of the answer says. */
export function answerWith(
  sink: Sink,
  rawId: string,
  result: Result,
  more: { readonly resultType?: string } = {},
): void {
  const { bytes, value } = resultMessage(rawId, result);
  answerWhole(sink, { kind: 'result', value, code: undefined, ...more }, bytes);
}

/** Answers with `bytes`, the whole message. */
export function answerWhole(
  sink: Sink,
  head: Omit<AnswerHead, 'bytes'>,
  bytes: Buffer,
  seen: Seen = NO_TOOL_ERROR,
): void {
  sink.start({ ...head, bytes: bytes.length });
  sink.write(bytes);
  sink.end(seen);
}

const NO_TOOL_ERROR: Seen = { isError: false };
