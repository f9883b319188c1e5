/** What reads an answer, and the call that it is read for: the interfaces between them. */
import type { Budget, Whose } from '../../lib/budget.js';
import type { AnswerEdit, Sink } from '../../protocol/ports.js';
import type { RpcError } from './rpc-error.js';

/** How an upstream writes the id: learnt from its answers, one memory a connection. */
export interface IdOrder {
  /** `unknown`: an answer without its id at the start is held until the id comes. */
  seen: 'unknown' | 'first' | 'last';
  /** It sends the id back as a string: said once. */
  quoted?: boolean;
}

/** What a reader asks of the call it reads for. */
export interface AnswerHost {
  /** It was answered, or has failed: nothing more goes to the sink. */
  readonly over: boolean;
  /** The id sent upstream: decimal digits. */
  readonly idText: string;
  /** JSON of the caller's id; another one once the call belongs to another request. */
  readonly rawId: Buffer;
  /** The upstream speaks a modern revision: its result may be another one than a complete one. */
  readonly modern: boolean;
  /** What is changed at the ends of a complete result. */
  readonly edit: AnswerEdit | undefined;
  readonly sink: Sink;
  /** Whose bytes they are that have to be held. */
  readonly whose: Whose;
  /** The answer is about to begin: what waits goes first. */
  starting(): void;
  /** Stops reading until the sink has room. */
  hold(): void;
  /** A notification or a request came instead of an answer. */
  message(bytes: Buffer): void;
  /** A notification or a request that is too large to be held is left out. `id`: as it is written; '': it has none so far. */
  oversize(method: string, id: string, bytes: number): void;
  /** An error answer, parsed. true: taken care of, nothing goes to the sink. */
  rpcError(error: RpcError): boolean;
  /** An error of the upstream without the secrets of its server. */
  masked(error: Buffer): Buffer;
  /** The answer was handed to the sink whole. */
  answered(kind: 'result' | 'error', isError: boolean): void;
  /** The id came back as a string. */
  quotedId(): void;
  /** What came is no answer. */
  broken(why: string): void;
}

export interface AnswerLimits {
  /** Most that is held of one answer. */
  readonly messageBytes: number;
  /** Most that is held of a request of the upstream: a sampling question carries images. */
  readonly questionBytes: number;
  readonly budget: Budget;
}
