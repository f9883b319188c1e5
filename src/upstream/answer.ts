/**
 * One JSON-RPC message from an upstream, read as it arrives: an answer flows on to the sink of its call with
 * nothing changed but its id; a notification or a question is held whole and routed.
 */
import type { Budget } from '../lib/budget.js';
import type { AnswerEdit, Sink } from '../protocol/ports.js';
import {
  endOfValue,
  lastByte,
  readHead,
  readLead,
  readTail,
  startsWithIsError,
  type Head,
  type Tail,
} from '../wire/edges.js';
import { find } from '../protocol/message.js';
import { scan, type Span } from '../wire/scan.js';
import { replace, splice, type Patch } from '../wire/splice.js';
import { COMPLETE, typeOfLead, typeOfWhole } from './result-type.js';

/** Where an upstream puts the id: learnt from its answers, one memory a connection. */
export interface IdOrder {
  /** `odd`: its answers are held until the id is found. */
  seen: 'unknown' | 'first' | 'last' | 'odd';
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** What a reader asks of the call it reads for. */
export interface AnswerHost {
  /** The id sent upstream: decimal digits. */
  readonly idText: string;
  /** JSON of the caller's id; another one once the call belongs to another request. */
  readonly rawId: Buffer;
  /** The upstream speaks a modern revision: its result may be another one than a complete one. */
  readonly modern: boolean;
  /** What is changed at the ends of a complete result. */
  readonly edit: AnswerEdit | undefined;
  readonly sink: Sink;
  /** The answer is about to begin: what waits goes first. */
  starting(): void;
  /** Stops reading until the sink has room. */
  hold(): void;
  /** A notification or a request came instead of an answer. */
  message(bytes: Buffer): void;
  /** An error answer, parsed. true: taken care of, nothing goes to the sink. */
  rpcError(error: RpcError): boolean;
  /** The answer was handed to the sink whole. */
  answered(kind: 'result' | 'error', isError: boolean): void;
  /** What came is no answer. */
  broken(why: string): void;
}

export interface AnswerLimits {
  /** Most that is held of one message. */
  readonly messageBytes: number;
  readonly budget: Budget;
}

/** Held back while an answer flows: what may hold the id, `isError` and the closing brace. */
export const TAIL = 256;
/** Of a modern upstream: behind `isError` stand `resultType` and a `_meta` with serverInfo. */
const MODERN_TAIL = 1024;
/** How long a whole chunk is kept in the hope of the next one: two writes cost more than one. */
const HOLD_MS = 2;
const MAX_HEAD = 65_536;
const MAX_ERROR = 65_536;
const EXCERPT = 512;

/** The start of what came, for an error's text. */
export function excerpt(bytes: Buffer): string {
  const text = bytes
    .toString('utf8', 0, EXCERPT * 4)
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > EXCERPT ? `${text.slice(0, EXCERPT)}...` : text;
}

export class AnswerReader {
  readonly #host: AnswerHost;
  readonly #limits: AnswerLimits;
  readonly #order: IdOrder;
  /** Length of the whole message, if the upstream told. */
  readonly #length: number | undefined;
  readonly #tail: number;
  #state: 'head' | 'flow' | 'hold' | 'done' = 'head';
  #chunks: Buffer[] = [];
  #held = 0;
  #taken = 0;
  #head: Head | undefined;
  /** What the first members of the result say; undefined: it has to be read whole. */
  #type: string | undefined = COMPLETE;
  /** End of what has to go out in one piece: the head, and what is edited there. */
  #headEnd = 0;
  /** JSON of the caller's id at the moment the answer began: its two ends must not differ. */
  #rawId: Buffer | undefined;
  #idInTail = false;
  /** All that is to be edited stood in the head. */
  #tailDone = false;
  #timer: NodeJS.Timeout | undefined;
  #grown = false;
  #isErrorFirst = false;
  #started = false;

  constructor(host: AnswerHost, limits: AnswerLimits, order: IdOrder, length: number | undefined) {
    this.#host = host;
    this.#limits = limits;
    this.#order = order;
    this.#length = length;
    this.#tail = host.modern ? MODERN_TAIL : TAIL;
  }

  /** true: the answer was handed on or refused; what still comes is ignored. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether bytes of the answer have gone to the sink. */
  get started(): boolean {
    return this.#started;
  }

  /** false: the sink asks to stop reading. */
  push(chunk: Buffer): boolean {
    if (this.#state === 'done') return true;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    this.#grown = true;
    if (this.#state === 'head') this.#decide();
    // #decide() may have moved on.
    return (this.#state as string) === 'flow' ? this.#flow() : this.#bound();
  }

  /** More is to come, but not now: what is held goes out soon, all but the tail. */
  pending(): void {
    if (this.#state !== 'flow' || this.#timer || this.#held <= this.#tail) return;
    this.#grown = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#grown) this.pending();
      else this.#release();
    }, HOLD_MS);
  }

  /** The message is complete. `[DONE]` and white space alone are nothing; they say false. */
  end(): boolean {
    if (this.#state === 'done') return true;
    const whole = this.#joined();
    if (this.#state === 'head') {
      const at = lastByte(whole);
      if (at === -1 || whole.toString('latin1', 0, at + 1).trim() === '[DONE]') {
        this.destroy();
        return false;
      }
      this.#refuse(`answered with what is no JSON-RPC message: ${excerpt(whole)}`);
      return true;
    }
    if (this.#state === 'flow') this.#finishFlow(whole);
    else if (this.#head?.kind === 'method') {
      this.#finish();
      this.#host.message(whole);
    } else if (this.#head?.kind === 'error') this.#finishError(whole);
    else this.#finishHeld(whole);
    return true;
  }

  /** Gives back what is held. The sink hears nothing. */
  destroy(): void {
    this.#finish();
  }

  #finish(): void {
    this.#state = 'done';
    clearTimeout(this.#timer);
    this.#chunks = [];
    this.#held = 0;
    if (this.#taken > 0) {
      this.#limits.budget.give(this.#taken);
      this.#taken = 0;
    }
  }

  #refuse(why: string): void {
    this.#finish();
    this.#host.broken(why);
  }

  #joined(): Buffer {
    const chunks = this.#chunks;
    if (chunks.length === 1) return chunks[0] as Buffer;
    const whole = Buffer.concat(chunks);
    this.#chunks = [whole];
    return whole;
  }

  /** Bounds what is held, by message and by process. */
  #bound(): boolean {
    if (this.#state === 'done') return true;
    const limit = this.#head?.kind === 'error' ? MAX_ERROR : this.#limits.messageBytes;
    if (this.#held > limit) {
      this.#refuse(`sent a message of more than ${limit} bytes that had to be held`);
      return true;
    }
    // Small messages are over at once: only what grows is accounted for.
    if (this.#held > MAX_HEAD && this.#held > this.#taken) {
      const more = this.#held - this.#taken;
      if (!this.#limits.budget.take(more)) this.#refuse('sent more than limits.buffered_bytes has room for');
      else this.#taken = this.#held;
    }
    return true;
  }

  #decide(): void {
    const buf = this.#joined();
    const head = readHead(buf);
    if (head === 'more') {
      if (this.#held > this.#limits.messageBytes)
        this.#refuse('sent a message without result, error or method');
      return;
    }
    if (head === 'bad') {
      // Text of its own kind may be a keep-alive such as [DONE]: judged at its end, if it is short.
      if (this.#held > 64) this.#refuse(`answered with what is no JSON-RPC message: ${excerpt(buf)}`);
      return;
    }
    if (head.kind === 'result' && !this.#begins(buf, head.value)) return;
    this.#head = head;
    if (head.kind !== 'result') {
      this.#state = 'hold';
      return;
    }
    this.#isErrorFirst = startsWithIsError(buf, head.value);
    const whole = this.#type !== COMPLETE;
    if (head.id) {
      if (!this.#isOurs(buf, head.id)) return;
      if (this.#order.seen === 'unknown') this.#order.seen = 'first';
      this.#state = whole ? 'hold' : 'flow';
    } else if (this.#order.seen === 'last' && !whole) {
      this.#idInTail = true;
      this.#state = 'flow';
    } else this.#state = 'hold';
  }

  /** Reads how the result begins, where that matters. false: not enough of it is here. */
  #begins(buf: Buffer, value: number): boolean {
    this.#headEnd = value + 1;
    const { modern, edit } = this.#host;
    if (!modern && !edit) return true;
    const lead = readLead(buf, value);
    if (!lead) return true;
    const enough = lead.complete || buf.length - value > MAX_HEAD;
    if (!enough && edit) return false;
    this.#headEnd = lead.end;
    if (!modern) return true;
    const type = typeOfLead(lead, buf);
    if (type === 'more' && !enough) return false;
    this.#type = typeof type === 'string' ? undefined : type.type;
    return true;
  }

  #isOurs(buf: Buffer, id: Span): boolean {
    const raw = buf.toString('latin1', id.start, id.end);
    if (raw === this.#host.idText) return true;
    this.#refuse(`answered with the id ${raw.slice(0, 64)} instead of ${this.#host.idText}`);
    return false;
  }

  /** Lets everything go but the tail. */
  #flow(): boolean {
    const chunks = this.#chunks;
    let more = true;
    while (chunks.length > 1 && this.#held - (chunks[0] as Buffer).length >= this.#tail) {
      const chunk = chunks.shift() as Buffer;
      this.#held -= chunk.length;
      more = this.#host.sink.write(this.#started ? chunk : this.#begin(chunk));
      // A sink that gave up within write() has destroyed this reader.
      if (this.#state !== 'flow') return true;
    }
    return more;
  }

  /** Nothing came for a moment: the client gets what there is. */
  #release(): void {
    const cut = this.#held - this.#tail;
    if (this.#state !== 'flow' || cut <= 0) return;
    if (!this.#started && cut < this.#headEnd) return;
    const whole = this.#joined();
    this.#chunks = [whole.subarray(cut)];
    this.#held = this.#tail;
    const chunk = whole.subarray(0, cut);
    if (!this.#host.sink.write(this.#started ? chunk : this.#begin(chunk))) this.#host.hold();
  }

  /** Starts an answer that flows: its first chunk with what is replaced in it. */
  #begin(chunk: Buffer): Buffer {
    const { edit } = this.#host;
    this.#host.starting();
    const { id, value } = this.#head as Head;
    const rawId = (this.#rawId = this.#host.rawId);
    const patches: Patch[] = edit && chunk[value] === 0x7b ? [...edit.head(chunk, value)] : [];
    this.#tailDone = edit?.once === true && patches.length > 0;
    const before = chunk.length;
    const begun = put(chunk, patches, id, rawId);
    let length = edit?.tail && !this.#tailDone ? undefined : this.#length;
    if (length !== undefined) {
      length += begun.length - before;
      if (this.#idInTail) length += rawId.length - this.#host.idText.length;
    }
    this.#start(length, id);
    return begun;
  }

  #start(length: number | undefined, id: Span | undefined, resultType?: string): void {
    this.#started = true;
    const { value } = this.#head as Head;
    const before = id && id.start < value;
    this.#host.sink.start({
      kind: 'result',
      resultType,
      bytes: length,
      value: before ? value + (this.#rawId as Buffer).length - (id.end - id.start) : value,
      code: undefined,
    });
  }

  #finishFlow(rest: Buffer): void {
    const tail = this.#readTail(rest);
    if (!tail) return this.#refuse('ended its answer before the closing brace');
    let id = this.#started ? undefined : this.#head?.id;
    if (this.#idInTail) {
      id = tail.id;
      if (!id) {
        this.#order.seen = 'odd';
        return this.#refuse('put the id of its answer in another place than before');
      }
      if (!this.#isOurs(rest, id)) return;
    }
    this.#deliver(rest, id, tail, COMPLETE);
  }

  /** A result that had to be held: its id, or what it is, was not told by its head. */
  #finishHeld(whole: Buffer): void {
    let tail = this.#readTail(whole);
    if (!tail) return this.#refuse('ended its answer before the closing brace');
    let id = this.#head?.id ?? tail.id;
    if (id) {
      if (this.#order.seen === 'unknown') this.#order.seen = 'last';
    } else {
      this.#order.seen = 'odd';
      id = idOf(whole);
      if (!id) return this.#refuse('answered without an id');
      // What stands last is not the result.
      const value = this.#head?.value as number;
      tail = { ...tail, brace: whole[value] === 0x7b ? endOfValue(whole, value) - 1 : -1 };
    }
    if (!this.#isOurs(whole, id)) return;
    let type = this.#type;
    try {
      // Who reads what is not complete reads proven text.
      if (type !== COMPLETE) type = typeOfWhole(whole);
    } catch {
      return this.#refuse(`answered with what is no JSON: ${excerpt(whole)}`);
    }
    this.#deliver(whole, id, tail, type);
  }

  #readTail(bytes: Buffer): Tail | undefined {
    return readTail(bytes, this.#host.modern ? '_meta' : undefined);
  }

  /** The last piece, which may be the only one. `id`: where it still has to be replaced. */
  #deliver(last: Buffer, id: Span | undefined, tail: Tail, type: string): void {
    const { sink, edit } = this.#host;
    const isError = tail.isError || this.#isErrorFirst;
    const whole = !this.#started;
    if (whole) {
      this.#host.starting();
      this.#rawId = this.#host.rawId;
    }
    const patches: Patch[] = [];
    // What is not complete is for the bridge to read, as it came.
    if (edit && type === COMPLETE) {
      const value = this.#head?.value as number;
      let from = 0;
      if (whole) {
        from = value + 1;
        if (last[value] === 0x7b) patches.push(...edit.head(last, value));
        for (const { end } of patches) from = Math.max(from, end);
      }
      const done = whole ? edit.once === true && patches.length > 0 : this.#tailDone;
      if (edit.tail && !done && tail.brace >= from) patches.push(...edit.tail(last, tail.brace, from));
    }
    // Nothing of the id is out yet where it stands last: the call may belong to another request by now.
    const rawId = this.#idInTail ? this.#host.rawId : (this.#rawId as Buffer);
    const bytes = put(last, patches, id, rawId);
    if (whole) this.#start(bytes.length, id, type === COMPLETE ? undefined : type);
    this.#finish();
    sink.write(bytes);
    sink.end({ isError });
    this.#host.answered('result', isError);
  }

  #finishError(whole: Buffer): void {
    let message: { id?: unknown; error?: unknown };
    try {
      message = JSON.parse(whole.toString('utf8')) as typeof message;
    } catch {
      return this.#refuse(`answered with what is no JSON: ${excerpt(whole)}`);
    }
    const error = asRpcError(message.error);
    if (!error) return this.#refuse(`answered with an error that is none: ${excerpt(whole)}`);
    const id = message.id;
    // An error without an id is about the one request of this exchange.
    if (id !== null && id !== undefined && JSON.stringify(id) !== this.#host.idText)
      return this.#refuse(
        `answered with the id ${JSON.stringify(id).slice(0, 64)} instead of ${this.#host.idText}`,
      );
    this.#finish();
    if (this.#host.rpcError(error)) return;
    deliverError(this.#host, whole, error);
  }
}

/** `bytes`, ours to change, with the patches and the caller's id put in. */
function put(bytes: Buffer, patches: Patch[], id: Span | undefined, rawId: Buffer): Buffer {
  if (id && patches.length === 0) return replace(bytes, id, rawId);
  if (id) patches.push({ start: id.start, end: id.end, bytes: rawId });
  return patches.length > 0 ? splice(bytes, patches) : bytes;
}

/** Hands an error answer on: the upstream's own bytes of `error` under the caller's id. */
export function deliverError(
  host: Pick<AnswerHost, 'rawId' | 'sink' | 'starting' | 'answered'>,
  whole: Buffer,
  error: RpcError,
): void {
  const span = scanTop(whole, 'error');
  const open = Buffer.concat([ERROR_OPEN, host.rawId, ERROR_VALUE]);
  const bytes = Buffer.concat([
    open,
    span ? whole.subarray(span.start, span.end) : Buffer.from('null'),
    CLOSE,
  ]);
  host.starting();
  host.sink.start({ kind: 'error', bytes: bytes.length, value: open.length, code: error.code });
  host.sink.write(bytes);
  host.sink.end({ isError: false });
  host.answered('error', false);
}

const ERROR_OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const ERROR_VALUE = Buffer.from(',"error":');
const CLOSE = Buffer.from('}');

export function asRpcError(value: unknown): RpcError | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, data } = value as { code?: unknown; message?: unknown; data?: unknown };
  if (typeof code !== 'number') return undefined;
  return { code, message: typeof message === 'string' ? message : '', data };
}

function scanTop(whole: Buffer, key: string): Span | undefined {
  try {
    const read = scan(whole);
    return read.kind === 'object' ? find(read.top, key) : undefined;
  } catch {
    return undefined;
  }
}

/** The top-level id of a whole message, wherever it stands. */
export function idOf(whole: Buffer): Span | undefined {
  return scanTop(whole, 'id');
}
