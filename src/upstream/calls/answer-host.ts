/** What reads an answer, and the call that it is read for: the interfaces between them. */
import type { Budget, Whose } from '../../lib/budget.js';
import type { AnswerEdit, Sink } from '../../protocol/ports.js';
import type { RpcError } from './rpc-error.js';

/** Where a server puts the id in its answers, learnt from them; one per connection. */
export interface IdOrder {
  /** `unknown`: an answer without the id at the start is buffered until the id arrives. */
  seen: 'unknown' | 'first' | 'last';
  /** The server sends ids back as strings: logged once. */
  quoted?: boolean;
}

/** The call that an answer is read for. */
export interface AnswerHost {
  /** It was answered or has failed: the sink gets nothing more. */
  readonly over: boolean;
  /** The id that was sent to the server: decimal digits. */
  readonly idText: string;
  /** JSON of the caller's id; it changes when the call is handed to another request. */
  readonly rawId: Buffer;
  /** The server speaks a modern revision: its result may be of another type than `complete`. */
  readonly modern: boolean;
  /** The changes at the ends of a complete result. */
  readonly edit: AnswerEdit | undefined;
  readonly sink: Sink;
  /** Whom buffered bytes are attributed to. */
  readonly whose: Whose;
  /** The answer is about to begin: notifications that wait are sent first. */
  starting(): void;
  /** Stops reading until the sink has room. */
  hold(): void;
  /** A notification or a request arrived in place of an answer. */
  message(bytes: Buffer): void;
  /** A notification or a request is too large and was dropped. `id`: its JSON; '': none so far. */
  oversize(method: string, id: string, bytes: number): void;
  /** The answer is this error. Returns true if it has been handled: the sink gets nothing. */
  rpcError(error: RpcError): boolean;
  /** The JSON of an error without the secrets of the server. */
  masked(error: Buffer): Buffer;
  /** The sink has the whole answer. */
  answered(kind: 'result' | 'error', isError: boolean): void;
  /** The server sent the id back as a string. */
  quotedId(): void;
  /** The answer cannot be used. `why`: the part of the error text behind the name of the server. */
  broken(why: string): void;
}

export interface AnswerLimits {
  /** The most that is buffered of one answer. */
  readonly messageBytes: number;
  /** The most that is buffered of a request of the server: sampling requests carry images. */
  readonly questionBytes: number;
  readonly budget: Budget;
}
