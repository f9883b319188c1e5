/**
 * One JSON-RPC message from an upstream, read as it arrives: an answer flows on to the sink of its call with
 * nothing changed but its id; a notification or a question is held whole and routed.
 */
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

/** How far from the end of a result its edit looks. */
const EDIT_REACH = 1024;
/** How long a whole chunk is kept in the hope of the next one: two writes cost more than one. */
const HOLD_MS = 2;
/** How much of a result is waited for until its type is known. */
const MAX_HEAD = 65_536;
/** Most that is held of an error, of a notification. */
const MAX_SMALL = 1_048_576;
const NO_ROOM = 'sent more than limits.buffered_bytes has room for';
/** An answer that comes in small pieces takes so much more than it has from the budget, not a little with each. */
const AHEAD = 4096;

export class AnswerReader {
  readonly #host: AnswerHost;
  readonly #limits: AnswerLimits;
  readonly #order: IdOrder;
  /** Length of the whole message, if the upstream told. */
  #length: number | undefined;
  readonly #scan: MessageScan;
  /** The scan has gone over the whole message already. */
  readonly #scanned: boolean;
  #state: 'head' | 'flow' | 'hold' | 'batch' | 'skip' | 'done' = 'head';
  /** The first byte that is not of a byte order mark has come. */
  #begun: boolean;
  #bom: Buffer | undefined;
  readonly #chunks = new Pieces();
  #held = 0;
  /** Offset of the first byte that is held. */
  #base = 0;
  /** Takes from the budget what is held across turns. */
  #holder: Holder | undefined;
  /** JSON of the caller's id at the moment the answer began: its two ends must not differ. */
  #rawId: Buffer | undefined;
  #idInTail = false;
  /** Bytes of the id at the end that the length of the answer was told with. */
  #tailId: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #grown = false;
  #started = false;

  /** `scan`: of the whole message, where its bytes were read before. */
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

  /** true: the answer was handed on or refused; what still comes is ignored. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether bytes of the answer have gone to the sink. */
  get started(): boolean {
    return this.#started;
  }

  /** false: the sink asks to stop reading. */
  push(came: Buffer): boolean {
    if (this.#state === 'done' || this.#state === 'skip') return true;
    const chunk = this.#begun ? came : this.#first(came);
    if (!chunk) return true;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    this.#grown = true;
    const scan = this.#scan;
    if (!this.#scanned) scan.push(chunk);
    if (scan.problem !== undefined && this.#state !== 'batch') this.#misread(scan.problem);
    else if (this.#state === 'head') this.#decide();
    // Both may have moved on.
    if ((this.#state as string) !== 'flow') return this.#bound();
    const more = this.#flow();
    return scan.structured && this.#host.edit?.wraps ? this.#bound() && more : more;
  }

  /** The first bytes without a byte order mark; undefined: they may be a part of one. */
  #first(came: Buffer): Buffer | undefined {
    const bytes = this.#bom ? Buffer.concat([this.#bom, came]) : came;
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

  /** More is to come, but not now: what is held goes out soon, all but its end. */
  pending(): void {
    if (this.#state !== 'flow' || this.#timer || this.#kept() <= this.#base) return;
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
    // A result that is null is known as one only now.
    if (this.#state === 'head') this.#state = 'hold';
    if (this.#state === 'flow') this.#finishFlow(whole);
    else if (scan.kind === 'method') {
      this.#finish();
      this.#host.message(whole);
    } else if (scan.kind === 'error') this.#finishError(whole);
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
    this.#letGo();
  }

  #letGo(): void {
    this.#chunks.clear();
    this.#held = 0;
    this.#holder?.release();
  }

  #refuse(why: string): void {
    this.#finish();
    this.#host.broken(why);
  }

  /** The envelope cannot be read, or could be read in two ways. */
  #misread(problem: string): void {
    // Text of its own kind may be a keep-alive: judged at its end, if it is short.
    if (this.#scan.kind === undefined && this.#held <= MAX_KEEP_ALIVE) return;
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

  /** Bounds what is held, by message and by process. */
  #bound(): boolean {
    if (this.#state === 'done' || this.#state === 'skip') return true;
    const { kind, method, idText } = this.#scan;
    const limit = this.#state === 'batch' ? MAX_SMALL : mostHeld(this.#scan, this.#limits);
    const over = this.#held > limit;
    const full = !over && !this.#takes();
    if (!over && !full) return true;
    if (kind === 'method') {
      const bytes = this.#held;
      this.#letGo();
      this.#state = 'skip';
      this.#host.oversize(method, idText, bytes);
    } else if (full) this.#refuse(NO_ROOM);
    else if (this.#state === 'batch') this.#refuse(`sent a batch of more than ${limit} bytes`);
    else if (kind === undefined) this.#refuse('sent a message without result, error or method');
    else this.#refuse(`sent a message of more than ${limit} bytes that had to be held`);
    return true;
  }

  #takes(): boolean {
    const holder = (this.#holder ??= this.#limits.budget.holder(this.#host.whose, () => {
      // Whoever holds most gives way.
      if (this.#state !== 'done') this.#refuse(NO_ROOM);
    }));
    const missing = this.#held - holder.held;
    if (missing <= 0) return true;
    if (this.#held > AHEAD && missing < AHEAD && holder.take(missing + AHEAD)) return true;
    return this.#state !== 'done' && holder.take(missing);
  }

  #decide(): void {
    const scan = this.#scan;
    const { kind, id } = scan;
    if (kind === undefined) return;
    if (kind !== 'result') {
      this.#state = 'hold';
      return;
    }
    const { modern, edit } = this.#host;
    if ((edit || modern) && !scan.leadOver && this.#held - scan.value <= MAX_HEAD) {
      // What the result is, and what is replaced at its start, is not known yet.
      if (edit || typeOf(scan) === undefined) return;
    }
    const flows = !modern || typeOf(scan) === COMPLETE;
    // An id that was read already stands before the result, or the message is here as a whole.
    if (id && id.start < scan.value) {
      if (!this.#isOurs()) return;
      if (this.#order.seen === 'unknown') this.#order.seen = 'first';
      this.#state = flows ? 'flow' : 'hold';
    } else if (flows && (this.#order.seen === 'last' || this.#scanned)) {
      if (this.#order.seen === 'unknown') this.#order.seen = 'last';
      this.#idInTail = true;
      this.#state = 'flow';
    } else this.#state = 'hold';
    if (this.#state === 'flow') this.#joined();
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

  /** What must stay here of an answer that flows: the offset from which on it is held. */
  #kept(): number {
    const { valueEnd, structured } = this.#scan;
    const { edit } = this.#host;
    const reach = edit?.tail ? EDIT_REACH : 1;
    const kept = (valueEnd === -1 ? this.#base + this.#held : valueEnd) - reach;
    return structured && edit?.wraps ? Math.min(kept, structured.start) : kept;
  }

  /** Lets everything go but the end. */
  #flow(): boolean {
    if (this.#isViolated()) return true;
    const chunks = this.#chunks;
    const kept = this.#kept();
    let more = true;
    while (chunks.length > 1 && this.#base + (chunks.first as Buffer).length <= kept) {
      const chunk = chunks.shift() as Buffer;
      this.#held -= chunk.length;
      this.#base += chunk.length;
      more = this.#host.sink.write(this.#started ? chunk : this.#begin(chunk));
      // A sink that gave up within write() has destroyed this reader.
      if (this.#state !== 'flow') return true;
    }
    return more;
  }

  /** Nothing came for a moment: the client gets what there is. */
  #release(): void {
    if (this.#state !== 'flow') return;
    const cut = this.#kept() - this.#base;
    if (cut <= 0) return;
    if (!this.#started && cut < this.#headEnd) return;
    const whole = this.#joined();
    this.#chunks.clear();
    this.#chunks.push(whole.subarray(cut));
    this.#held -= cut;
    this.#base += cut;
    const chunk = whole.subarray(0, cut);
    if (!this.#host.sink.write(this.#started ? chunk : this.#begin(chunk))) this.#host.hold();
  }

  /** End of what has to go out in one piece: the head, and what is edited there. */
  get #headEnd(): number {
    return this.#host.edit ? this.#scan.leadEnd : this.#scan.value + 1;
  }

  /** Something came behind the start of the answer that changes what it is. The client must not take it for whole. */
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

  /** Starts an answer that flows: its first chunk with what is replaced in it. */
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
        // What sends ids as strings may send them as numbers as well.
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

  #finishFlow(rest: Buffer): void {
    if (this.#isViolated()) return;
    if (this.#idInTail && !this.#isOurs()) return;
    const { id } = this.#scan;
    if (id && this.#tailId !== undefined && id.end - id.start !== this.#tailId)
      return this.#refuse('answered with an id that is written in another way than before');
    this.#deliver(rest, COMPLETE);
  }

  /** A result that had to be held: its id, or what it is, was not told by its head. */
  #finishHeld(whole: Buffer): void {
    const { id, value, doubled } = this.#scan;
    const { modern, edit } = this.#host;
    if (!this.#isOurs()) return;
    if (doubled !== undefined && (modern || edit || doubled === 'isError'))
      return this.#refuse(`answered with a result that has '${doubled}' twice`);
    if (this.#order.seen === 'unknown' && id) this.#order.seen = id.start < value ? 'first' : 'last';
    const type = modern ? (this.#scan.resultType ?? COMPLETE) : COMPLETE;
    // Whoever reads what is not complete reads proven JSON.
    if (type !== COMPLETE && readJson(whole, this.#limits.messageBytes) === undefined)
      return this.#refuse(`answered with what is no JSON: ${excerpt(whole)}`);
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
    // Nothing of the id is out yet where it stands last: the call may belong to another request by now.
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
    // On an event stream the answer may be yet to come.
    if (!hasAny) this.#host.broken('answered with a batch that has no answer to the request');
  }

  #finishError(whole: Buffer): void {
    const { id, idText, value, valueEnd } = this.#scan;
    const error = readRpcError(whole, { start: value, end: valueEnd });
    if (!error) return this.#refuse(`answered with an error that is none: ${excerpt(whole)}`);
    // An error without an id is about the one request of this exchange.
    if (id && idText !== 'null' && !this.#isOurs()) return;
    this.#finish();
    if (this.#host.rpcError(error)) return;
    deliverError(this.#host, whole.subarray(value, valueEnd), error);
  }
}

/** The most that may be held of a message. */
function mostHeld({ kind, method }: MessageScan, { messageBytes, questionBytes }: AnswerLimits): number {
  if (kind === 'error' || (kind === 'method' && method.startsWith('notifications/'))) return MAX_SMALL;
  return kind === 'method' ? questionBytes : messageBytes;
}
