/** What receives answers, notifications and the questions of servers on their way to a client. */
import type { GatewayError } from '../errors.js';

/** Why something ended, as a short phrase for people and logs: `client gone`, `cancelled by the client`. */
export type Cause = string;

/** A notification to a client; `bytes` is the whole message. */
export interface Notice {
  readonly method: string;
  readonly bytes: Buffer;
}

/** A JSON-RPC error for a server's request. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

/** The refusal of a sink that cannot send requests to its client. */
export const NOBODY_TO_ASK: Refusal = { code: -32603, message: 'the client of this call cannot be asked' };
/** The refusal of a sink whose client does not read. */
export const READS_NOTHING: Refusal = {
  code: -32603,
  message: 'the client of this call does not read its stream',
};

/** A server's request to the client of a call. It is answered, refused or withdrawn once; later calls have no effect. */
export interface Question {
  readonly method: string;
  /** The whole message. */
  readonly bytes: Buffer;
  /** JSON of its progress token; undefined: no progress wanted. */
  readonly token: Buffer | undefined;
  /** `value`: the bytes of `result` or `error`. */
  answer(kind: 'result' | 'error', value: Buffer): void;
  refuse(refusal: Refusal): void;
  /** Sends a progress notification with its own token. */
  progress(bytes: Buffer): void;
}

export interface AnswerHead {
  readonly kind: 'result' | 'error';
  /** The type of a modern server's result that is not `complete`, and is buffered whole: `input_required`, `task`, or an extension's. */
  readonly resultType?: string | undefined;
  /** Length of the whole message, if known in advance (Content-Length). */
  readonly bytes: number | undefined;
  /** Offset of the first byte of `result` or `error` in the first chunk. */
  readonly value: number;
  /** Set for an error, which is buffered whole and parsed before `start`. */
  readonly code: number | undefined;
}

/** What is known at the end of an answer. */
export interface Seen {
  /** The result says `isError`: the tool itself failed. */
  readonly isError: boolean;
}

/**
 * Receives an answer. Order: (notify | ask)*, then start write* end, or fail; nothing after cancel. The chunks form the whole JSON-RPC
 * message with the caller's id; the sink owns them.
 */
export interface Sink {
  /** The client gets the answer alone, and hears nothing before it; undefined: it may hear more. */
  readonly isSilent?: boolean | undefined;
  /** Sends a notification. false: stop reading until `exchange.resume()`. */
  notify(notice: Notice): boolean;
  /** Sends a request of the server. undefined: sent; otherwise the server gets this error at once. */
  ask(question: Question): Refusal | undefined;
  /** How long a client should wait before it reconnects to the stream of this call, in ms. */
  retryIn?(ms: number): void;
  /** The server withdrew its request. */
  withdraw?(question: Question): void;
  start(head: AnswerHead): void;
  /** false: stop reading until `exchange.resume()`. */
  write(chunk: Buffer): boolean;
  end(seen: Seen): void;
  /** The call was cancelled, but not by this sink's owner: no answer follows. */
  cancelled(why: Cause): void;
  /** Before `start`: answers with an error. After it: aborts the answer, so that it is not taken for a whole one. */
  fail(error: GatewayError): void;
}

/** An event stream to a client. Methods return false when the client reads slowly; `drained` is called when it can take more. */
export interface StreamTarget {
  drained: () => void;
  /** Bytes that wait for the client to read. */
  readonly backlog: number;
  /** Sends the first event of a resumable stream: an id without a message. */
  prime(id: string): void;
  /** Tells the client how long to wait before it reconnects, in ms. */
  retryIn(ms: number): void;
  event(message: Buffer, id: string | undefined): boolean;
  /** A message too large to be buffered: begin, chunk*, finish. */
  begin(id: string | undefined): void;
  chunk(bytes: Buffer): boolean;
  finish(): void;
  /** Ends the stream. An unfinished message is not taken for a whole one. `last`: a final event. */
  end(last?: Buffer, id?: string): void;
  /** Closes the connection. */
  destroy(): void;
}
