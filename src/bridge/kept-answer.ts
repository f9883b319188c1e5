import { GatewayError } from '../errors.js';
import type { Holder } from '../lib/budget.js';
import type { AnswerHead, Seen } from '../protocol/ports.js';
import { readHead } from '../wire/edges.js';
import { splice } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';

/** Beyond this many bytes the upstream waits; beyond the second bound the answer is dropped. */
const PAUSE_BYTES = 65_536;
const MAX_BYTES = 1_048_576;

/** What an upstream answers while the client of its call is away. */
export class KeptAnswer {
  /** A JSON-RPC error: the whole message. What it means to the client depends on the retry. */
  upstreamError: { readonly head: AnswerHead; readonly bytes: Buffer } | undefined;
  /** The call failed, or its answer was dropped. */
  failure: GatewayError | undefined;
  /** Set once the answer is complete. */
  seen: Seen | undefined;
  readonly #holder: Holder;
  readonly #dropped: () => void;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** `dropped`: too much came, so that the upstream need not go on. */
  constructor(holder: Holder, dropped: () => void) {
    this.#holder = holder;
    this.#dropped = dropped;
  }

  /** false: the upstream is to wait. */
  write(chunk: Buffer): boolean {
    if (!this.#holder.take(chunk.length)) {
      this.#drop(NO_ROOM);
      return true;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BYTES) this.#drop(`it is over ${MAX_BYTES} bytes`);
    return this.#bytes <= PAUSE_BYTES;
  }

  writeError(head: AnswerHead, bytes: Buffer): void {
    if (this.#holder.take(bytes.length)) this.upstreamError = { head, bytes };
    else this.#drop(NO_ROOM);
  }

  /** Gives the bytes back to the budget, and the chunks to the caller: a complete answer is one chunk. */
  take(): readonly Buffer[] {
    this.#holder.give(this.#bytes + (this.upstreamError?.bytes.length ?? 0));
    return this.seen ? [Buffer.concat(this.#chunks)] : this.#chunks;
  }

  #drop(why: string): void {
    this.#holder.give(this.#bytes);
    this.#chunks = [];
    this.#bytes = 0;
    this.failure = new GatewayError('busy', `the answer came while its client was away, and ${why}`);
    this.#dropped();
  }
}

/**
 * An answer that began under the id of an earlier request, made the answer to the request with `rawId` (JSON). `first`: its first bytes;
 * `isWhole`: there are no others.
 */
export function withId(
  rawId: string,
  head: AnswerHead,
  first: Buffer,
  isWhole: boolean,
): { readonly head: AnswerHead; readonly chunk: Buffer } {
  const read = readHead(first);
  const inHead = typeof read === 'string' ? undefined : read.id;
  const id = inHead ?? (isWhole ? membersOf(first).find(({ key }) => key === 'id') : undefined);
  const chunk = id ? splice(first, [{ start: id.start, end: id.end, bytes: Buffer.from(rawId) }]) : first;
  const shift = chunk.length - first.length;
  const isKnown = head.bytes !== undefined && (id !== undefined || isWhole);
  return {
    head: {
      ...head,
      value: inHead ? head.value + shift : head.value,
      bytes: isKnown ? head.bytes + shift : undefined,
    },
    chunk,
  };
}

const NO_ROOM = 'too much is being buffered (limits.buffered_bytes)';
