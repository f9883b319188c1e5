/** Reads one JSON-RPC message as it arrives. Answers stream to their call with its id; other messages are buffered and routed. */
import type { Holder } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';
import { messagesOf } from '../../wire/batch.js';
import { withoutBom } from '../../wire/edges.js';
import { readJson } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import type { Patch } from '../../wire/splice.js';
import type { AnswerHost, AnswerLimits, IdOrder } from './answer-host.js';
import { addBlanks, addHeadEdit, addTailEdit, addWrap, applied } from './answer-patches.js';
import { readBatch } from './batch-answer.js';
import { deliverError } from './deliver-error.js';
import { excerpt, noMessage } from './excerpt.js';
import { isKeepAlive, MAX_KEEP_ALIVE } from './keep-alive.js';
import { COMPLETE, typeOf } from './result-type.js';
import { readRpcError } from './rpc-error.js';

/** How many bytes at the end of a result its edit sees. */
const EDIT_REACH = 1024;
/** How long a whole chunk waits for the next one, in ms: two writes cost more than one. */
const HOLD_MS = 2;
/** The most that is buffered until the type of a result is known, in bytes. */
const MAX_HEAD = 65_536;
/** The largest error, notification or batch, in bytes. */
const MAX_SMALL = 1_048_576;
const NO_ROOM = 'sent more than limits.buffered_bytes allows';
/** Bytes that are taken from the budget in advance, so that an answer in small pieces does not take a little with each. */
const AHEAD = 4096;

export class AnswerReader {
  readonly #host: AnswerHost;
  readonly #limits: AnswerLimits;
  readonly #order: IdOrder;
  /** Length of the whole message, if the server named it. */
  #length: number | undefined;
  readonly #scan: MessageScan;
  /** The scan has read the whole message already. */
  readonly #scanned: boolean;
  /** `head`: not known yet what it is. `stream`: an answer that streams. `buffer`: read whole. `skip`: too large, dropped. */
  #state: 'head' | 'stream' | 'buffer' | 'batch' | 'skip' | 'done' = 'head';
  /** The first byte behind a byte order mark was read. */
  #begun: boolean;
  #bom: Buffer | undefined;
  readonly #chunks = new Pieces();
  #buffered = 0;
  /** Offset of the first buffered byte in the message. */
  #base = 0;
  /** Takes buffered bytes from the budget. */
  #holder: Holder | undefined;
  /** JSON of the caller's id when the answer began: both ends of it must have the same. */
  #rawId: Buffer | undefined;
  #idInTail = false;
  /** Bytes of the id at the end, as assumed in the announced length of the answer. */
  #tailId: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #grown = false;
  #started = false;

  /** `length`: of the whole message, if it is known. `scan`: of the whole message, if it was scanned before. */
  constructor(
    host: AnswerHost,
    limits: AnswerLimits,
    order: IdOrder,
    length: number | undefined,
    scan?: MessageScan,
  ) {
    this.#host = host;
    this.#limits = limits;
    this.#order = order;
    this.#length = length;
    this.#scanned = scan !== undefined;
    this.#begun = this.#scanned;
    this.#scan = scan ?? new MessageScan();
  }

  /** The answer was delivered or refused; further bytes are ignored. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether the sink has got bytes of the answer. */
  get started(): boolean {
    return this.#started;
  }

  /** Returns false if reading should stop until the sink has room. */
  push(received: Buffer): boolean {
    if (this.#state === 'done' || this.#state === 'skip') return true;
    const chunk = this.#begun ? received : this.#first(received);
    if (!chunk) return true;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#grown = true;
    const scan = this.#scan;
    if (!this.#scanned) scan.push(chunk);
    if (scan.problem !== undefined && this.#state !== 'batch') this.#misread(scan.problem);
    else if (this.#state === 'head') this.#decide();
    // Both may have changed the state.
    if ((this.#state as string) !== 'stream') return this.#bound();
    const more = this.#stream();
    return scan.structured && this.#host.edit?.wraps ? this.#bound() && more : more;
  }

  /** The first bytes without a byte order mark; undefined: they may be a part of one. */
  #first(received: Buffer): Buffer | undefined {
    const bytes = this.#bom ? Buffer.concat([this.#bom, received]) : received;
    this.#bom = undefined;
    if (bytes.length < 3 && (bytes.length === 0 || bytes[0] === 0xef)) {
      this.#bom = bytes;
      return undefined;
    }
    this.#begun = true;
    const own = withoutBom(bytes);
    if (this.#length !== undefined) this.#length -= bytes.length - own.length;
    return own;
  }

  /** No more bytes at the moment: what is buffered is sent soon, without the end that may be edited. */
  pending(): void {
    if (this.#state !== 'stream' || this.#timer || this.#keptFrom() <= this.#base) return;
    this.#grown = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#grown) this.pending();
      else this.#release();
    }, HOLD_MS);
  }

  /** The message is complete. Returns false if it was only a keep-alive. */
  end(): boolean {
    if (this.#state === 'done') return true;
    if (this.#state === 'skip') {
      this.#finish();
      return true;
    }
    const scan = this.#scan;
    const whole = this.#joined();
    if (this.#state === 'head' && isKeepAlive(whole)) {
      this.destroy();
      return false;
    }
    if (scan.isArray && !this.#host.modern) {
      this.#finishBatch(whole);
      return true;
    }
    if (!this.#scanned) scan.end();
    if (scan.problem !== undefined) {
      this.#refuse(
        this.#state === 'head' ? noMessage(scan.problem, whole) : `sent a message that ${scan.problem}`,
      );
      return true;
    }
    // A result that is null is recognized only now.
    if (this.#state === 'head') this.#state = 'buffer';
    if (this.#state === 'stream') this.#finishStream(whole);
    else if (scan.kind === 'method') {
      this.#finish();
      this.#host.message(whole);
    } else if (scan.kind === 'error') this.#finishError(whole);
    else this.#finishBuffered(whole);
    return true;
  }

  /** Drops what is buffered, without a word to the sink. */
  destroy(): void {
    this.#finish();
  }

  #finish(): void {
    this.#state = 'done';
    clearTimeout(this.#timer);
    this.#dropBuffer();
  }

  #dropBuffer(): void {
    this.#chunks.clear();
    this.#buffered = 0;
    this.#holder?.release();
  }

  #refuse(why: string): void {
    this.#finish();
    this.#host.broken(why);
  }

  /** The envelope is invalid or ambiguous. */
  #misread(problem: string): void {
    // A short text that is not JSON may be a keep-alive: that is decided at its end.
    if (this.#scan.kind === undefined && this.#buffered <= MAX_KEEP_ALIVE) return;
    if (this.#scan.isArray && !this.#host.modern) {
      this.#state = 'batch';
      return;
    }
    if (this.#started || this.#scan.kind !== undefined) this.#refuse(`sent a message that ${problem}`);
    else this.#refuse(noMessage(problem, this.#joined()));
  }

  #joined(): Buffer {
    return this.#chunks.joined();
  }

  /** Enforces the limits of a message and of the budget. Returns true: reading goes on. */
  #bound(): boolean {
    if (this.#state === 'done' || this.#state === 'skip') return true;
    const { kind, method, idText } = this.#scan;
    const limit = this.#state === 'batch' ? MAX_SMALL : maxBuffered(this.#scan, this.#limits);
    const over = this.#buffered > limit;
    const full = !over && !this.#takes();
    if (!over && !full) return true;
    if (kind === 'method') {
      const bytes = this.#buffered;
      this.#dropBuffer();
      this.#state = 'skip';
      this.#host.oversize(method, idText, bytes);
    } else if (full) this.#refuse(NO_ROOM);
    else if (this.#state === 'batch') this.#refuse(`sent a batch of more than ${limit} bytes`);
    else if (kind === undefined) this.#refuse('sent a message without result, error or method');
    else this.#refuse(`sent a message of more than ${limit} bytes that had to be buffered`);
    return true;
  }

  #takes(): boolean {
    const holder = (this.#holder ??= this.#limits.budget.holder(this.#host.whose, () => {
      // The budget evicts the owner that holds most.
      if (this.#state !== 'done') this.#refuse(NO_ROOM);
    }));
    const missing = this.#buffered - holder.held;
    if (missing <= 0) return true;
    if (this.#buffered > AHEAD && missing < AHEAD && holder.take(missing + AHEAD)) return true;
    return this.#state !== 'done' && holder.take(missing);
  }

  #decide(): void {
    const scan = this.#scan;
    const { kind, id } = scan;
    if (kind === undefined) return;
    if (kind !== 'result') {
      this.#state = 'buffer';
      return;
    }
    const { modern, edit } = this.#host;
    if ((edit || modern) && !scan.leadOver && this.#buffered - scan.value <= MAX_HEAD) {
      // The type of the result, and what is replaced at its start, is not known yet.
      if (edit || typeOf(scan) === undefined) return;
    }
    const streams = !modern || typeOf(scan) === COMPLETE;
    // The id was read: it is before the result, or the whole message has arrived.
    if (id && id.start < scan.value) {
      if (!this.#isOurs()) return;
      if (this.#order.seen === 'unknown') this.#order.seen = 'first';
      this.#state = streams ? 'stream' : 'buffer';
    } else if (streams && (this.#order.seen === 'last' || this.#scanned)) {
      if (this.#order.seen === 'unknown') this.#order.seen = 'last';
      this.#idInTail = true;
      this.#state = 'stream';
    } else this.#state = 'buffer';
    if (this.#state === 'stream') this.#joined();
  }

  #isOurs(): boolean {
    const { idText, id } = this.#scan;
    if (idText === this.#host.idText) return true;
    if (this.#scan.answersId === this.#host.idText) {
      this.#host.quotedId();
      return true;
    }
    if (!id) this.#refuse('answered without an id');
    else this.#refuse(`answered with the id ${idText.slice(0, 64)} instead of ${this.#host.idText}`);
    return false;
  }

  /** Offset in the message from which on a streaming answer stays buffered, because its end may be edited. */
  #keptFrom(): number {
    const { valueEnd, structured } = this.#scan;
    const { edit } = this.#host;
    const reach = edit?.tail ? EDIT_REACH : 1;
    const kept = (valueEnd === -1 ? this.#base + this.#buffered : valueEnd) - reach;
    return structured && edit?.wraps ? Math.min(kept, structured.start) : kept;
  }

  /** Sends everything but the end. */
  #stream(): boolean {
    if (this.#isViolated()) return true;
    const chunks = this.#chunks;
    const kept = this.#keptFrom();
    let more = true;
    while (chunks.length > 1 && this.#base + (chunks.first as Buffer).length <= kept) {
      const chunk = chunks.shift() as Buffer;
      this.#buffered -= chunk.length;
      this.#base += chunk.length;
      more = this.#host.sink.write(this.#started ? chunk : this.#begin(chunk));
      // The sink may have given up within write() and destroyed this reader.
      if (this.#state !== 'stream') return true;
    }
    return more;
  }

  /** Nothing arrived for a moment: the client gets what there is. */
  #release(): void {
    if (this.#state !== 'stream') return;
    const cut = this.#keptFrom() - this.#base;
    if (cut <= 0) return;
    if (!this.#started && cut < this.#headEnd) return;
    const whole = this.#joined();
    this.#chunks.clear();
    this.#chunks.push(whole.subarray(cut));
    this.#buffered -= cut;
    this.#base += cut;
    const chunk = whole.subarray(0, cut);
    if (!this.#host.sink.write(this.#started ? chunk : this.#begin(chunk))) this.#host.hold();
  }

  /** End of what has to be sent in one piece: the head, and what is edited in it. */
  get #headEnd(): number {
    return this.#host.edit ? this.#scan.leadEnd : this.#scan.value + 1;
  }

  /** Refuses an answer that turned out to be something else after it had begun: the client must not take it for complete. */
  #isViolated(): boolean {
    const { doubled, resultType } = this.#scan;
    const { modern, edit } = this.#host;
    if (doubled !== undefined && (modern || edit || doubled === 'isError'))
      this.#refuse(`answered with a result that has '${doubled}' twice`);
    else if (modern && resultType !== undefined && resultType !== COMPLETE)
      this.#refuse(
        `named the result type '${resultType.slice(0, 64)}' in an answer that had begun as a complete one`,
      );
    else return false;
    return true;
  }

  /** Starts a streaming answer; returns its first chunk with all replacements. */
  #begin(chunk: Buffer): Buffer {
    const { edit } = this.#host;
    this.#host.starting();
    const { id, value } = this.#scan;
    const rawId = (this.#rawId = this.#host.rawId);
    const patches: Patch[] = [];
    addBlanks(patches, this.#scan, 0, value);
    const own = this.#idInTail ? undefined : id;
    const shift = own ? rawId.length - (own.end - own.start) : 0;
    if (edit) addHeadEdit(patches, edit, chunk, value);
    const before = chunk.length;
    const begun = applied(chunk, patches, own, rawId);
    let length = edit?.tail ? undefined : this.#length;
    if (length !== undefined) {
      length += begun.length - before;
      if (this.#idInTail) {
        // A server that sends ids as strings may send them as numbers as well.
        if (this.#order.quoted && !id) length = undefined;
        else length += rawId.length - (this.#tailId = id ? id.end - id.start : this.#host.idText.length);
      }
    }
    this.#start(length, value + shift);
    return begun;
  }

  #start(length: number | undefined, value: number, resultType?: string): void {
    this.#started = true;
    this.#host.sink.start({ kind: 'result', resultType, bytes: length, value, code: undefined });
  }

  #finishStream(rest: Buffer): void {
    if (this.#isViolated()) return;
    if (this.#idInTail && !this.#isOurs()) return;
    const { id } = this.#scan;
    if (id && this.#tailId !== undefined && id.end - id.start !== this.#tailId)
      return this.#refuse('answered with an id that is written in another way than before');
    this.#deliver(rest, COMPLETE);
  }

  /** A result that was buffered: its head did not have the id, or the type of the result. */
  #finishBuffered(whole: Buffer): void {
    const { id, value, doubled } = this.#scan;
    const { modern, edit } = this.#host;
    if (!this.#isOurs()) return;
    if (doubled !== undefined && (modern || edit || doubled === 'isError'))
      return this.#refuse(`answered with a result that has '${doubled}' twice`);
    if (this.#order.seen === 'unknown' && id) this.#order.seen = id.start < value ? 'first' : 'last';
    const type = modern ? (this.#scan.resultType ?? COMPLETE) : COMPLETE;
    // A result that is not complete is read as a value later.
    if (type !== COMPLETE && readJson(whole, this.#limits.messageBytes) === undefined)
      return this.#refuse(`answered with invalid JSON: ${excerpt(whole)}`);
    this.#deliver(whole, type);
  }

  /** The last piece, which may be the only one. */
  #deliver(last: Buffer, type: string): void {
    const { sink, edit } = this.#host;
    const { id, value, valueEnd, isError, structured } = this.#scan;
    const base = this.#base;
    const whole = !this.#started;
    if (whole) {
      this.#host.starting();
      this.#rawId = this.#host.rawId;
    }
    const patches: Patch[] = [];
    addBlanks(patches, this.#scan, base, base + last.length);
    // A result that is not complete is for the bridge to read, as it was sent.
    if (edit && type === COMPLETE) {
      if (structured && edit.wraps) addWrap(patches, structured, base);
      const from = whole ? addHeadEdit(patches, edit, last, value) : 0;
      addTailEdit(patches, edit, last, { base, from, valueEnd });
    }
    // An id at the end was not sent yet: the call may belong to another request by now.
    const rawId = this.#idInTail ? this.#host.rawId : (this.#rawId as Buffer);
    const own = id && id.start >= base ? { start: id.start - base, end: id.end - base } : undefined;
    const bytes = applied(last, patches, own, rawId);
    if (whole) {
      const shift = id && id.start < value ? rawId.length - (id.end - id.start) : 0;
      this.#start(bytes.length, value + shift, type === COMPLETE ? undefined : type);
    }
    this.#finish();
    sink.write(bytes);
    sink.end({ isError });
    this.#host.answered('result', isError);
  }

  #finishBatch(whole: Buffer): void {
    const messages = messagesOf(whole);
    if (!messages) return this.#refuse(noMessage('is not an object', whole));
    this.#finish();
    const hasAny = readBatch(messages, this.#host, (bytes, scan) => {
      const answer = new AnswerReader(this.#host, this.#limits, this.#order, bytes.length, scan);
      if (!answer.push(bytes)) this.#host.hold();
      answer.end();
    });
    // On an event stream the answer may still follow.
    if (!hasAny) this.#host.broken('answered with a batch that has no answer to the request');
  }

  #finishError(whole: Buffer): void {
    const { id, idText, value, valueEnd } = this.#scan;
    const error = readRpcError(whole, { start: value, end: valueEnd });
    if (!error) return this.#refuse(`answered with an invalid error: ${excerpt(whole)}`);
    // An error without an id is about the one request of this exchange.
    if (id && idText !== 'null' && !this.#isOurs()) return;
    this.#finish();
    if (this.#host.rpcError(error)) return;
    deliverError(this.#host, whole.subarray(value, valueEnd), error);
  }
}

/** The most that may be buffered of a message, in bytes. */
function maxBuffered({ kind, method }: MessageScan, { messageBytes, questionBytes }: AnswerLimits): number {
  if (kind === 'error' || (kind === 'method' && method.startsWith('notifications/'))) return MAX_SMALL;
  return kind === 'method' ? questionBytes : messageBytes;
}
