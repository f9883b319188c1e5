/** Reads the events of a server's stream as JSON-RPC messages, in all dialects that servers use. */
import type { Holder } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';
import { AnswerReader } from './answer.js';
import type { AnswerHost, AnswerLimits, IdOrder } from './answer-host.js';
import { excerpt } from './excerpt.js';
import { KEEP_ALIVE_EVENTS } from './keep-alive.js';
import { NO_SINK } from '../../protocol/sinks.js';
import { objectOf, readObject } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import { SseReader, type EventFields, type SseSink } from '../../wire/sse-read.js';

/** Smaller pieces of data that arrive together are joined before they are read, since each piece costs. In bytes. */
const GATHERED = 4096;

/** What the messages of a stream are read for: one call, or a stream without answers. */
export interface EventHost extends AnswerHost {
  alive(): void;
  /** The retry time that the server named, in ms. */
  retryIn?(ms: number): void;
}

export class EventReader implements SseSink {
  readonly #host: EventHost;
  readonly #limits: AnswerLimits;
  readonly #order: IdOrder;
  readonly #sse: SseReader;
  readonly #isResumed: boolean;
  #answer: AnswerReader | undefined;
  #skip = false;
  /** Data of an event with another type than `message`, or of a resumed stream: read as a whole. */
  #other: Pieces | undefined;
  #otherBytes = 0;
  /** Takes that data from the budget. */
  #otherHeld: Holder | undefined;
  #otherOver = false;
  /** Data that was received in this turn and not read yet. */
  readonly #gathered = new Pieces();
  #gatheredBytes = 0;
  #more = true;
  /** Where the stream can be resumed; undefined: its events have no ids. */
  lastId: string | undefined;
  /** The retry time that the server named, in ms. */
  retryMs: number | undefined;
  /** An event that may explain why there was no answer, for the error of a stream that ends without one. */
  problem: string | undefined;

  /** `isResumed`: it goes on where another one broke off. Some servers send what they have told other calls of the session there, too. */
  constructor(
    host: EventHost,
    limits: AnswerLimits,
    order: IdOrder,
    ignoreTypes: boolean,
    isResumed = false,
  ) {
    this.#host = host;
    this.#limits = limits;
    this.#order = order;
    this.#isResumed = isResumed;
    this.#sse = new SseReader(this, ignoreTypes);
  }

  /** A stream without answers: `message` gets each whole notification or request. */
  static shared(message: (bytes: Buffer) => void, limits: AnswerLimits, ignoreTypes: boolean): EventReader {
    return new EventReader(sharedHost(message), limits, { seen: 'unknown' }, ignoreTypes);
  }

  /** The sink has got a part of an answer. */
  get inAnswer(): boolean {
    return this.#answer?.started ?? false;
  }

  /** Returns false if reading should stop until the sink has room. */
  push(chunk: Buffer): boolean {
    this.#more = true;
    this.#sse.push(chunk);
    this.#readGathered();
    this.#answer?.pending();
    return this.#more;
  }

  /** The stream ended. A last event without the blank line behind it is read as well: some servers omit that. */
  finish(): void {
    if (this.#answer && !this.#skip) this.#answer.end();
    this.destroy();
  }

  destroy(): void {
    this.#gathered.clear();
    this.#gatheredBytes = 0;
    this.#answer?.destroy();
    this.#answer = undefined;
    this.#dropOther();
  }

  #dropOther(): void {
    this.#other?.clear();
    this.#otherHeld?.release();
  }

  open(type: string): void {
    this.#skip = this.#host.over || KEEP_ALIVE_EVENTS.has(type);
    this.#other = isMessage(type) && !this.#isResumed ? undefined : new Pieces();
    this.#otherBytes = 0;
    this.#otherOver = false;
  }

  data(chunk: Buffer): void {
    if (this.#skip) return;
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.length;
    if (this.#gatheredBytes >= GATHERED) this.#readGathered();
  }

  #readGathered(): void {
    if (this.#gatheredBytes === 0) return;
    this.#gatheredBytes = 0;
    const chunk = this.#gathered.taken();
    if (this.#skip) return;
    if (this.#isResumed || !this.#other) this.#host.alive();
    if (this.#other) {
      this.#holdOther(this.#other, chunk);
      return;
    }
    this.#answer ??= new AnswerReader(this.#host, this.#limits, this.#order, undefined);
    if (!this.#answer.push(chunk)) this.#more = false;
  }

  #holdOther(other: Pieces, chunk: Buffer): void {
    if (this.#otherOver) return;
    this.#otherBytes += chunk.length;
    const { budget, messageBytes } = this.#limits;
    const holder = (this.#otherHeld ??= budget.holder(this.#host.whose, () => {
      this.#otherOver = true;
      this.#other?.clear();
    }));
    if (this.#otherBytes <= messageBytes && holder.take(chunk.length)) other.push(chunk);
    else {
      this.#otherOver = true;
      this.#dropOther();
    }
  }

  close(fields: EventFields): void {
    this.#noted(fields);
    this.#readGathered();
    const answer = this.#answer;
    this.#answer = undefined;
    if (this.#skip) return;
    if (this.#other) this.#closeOther(fields.type, this.#other);
    else answer?.end();
  }

  /** Some servers send messages in events with other types. What is not a message is kept as `problem`. */
  #closeOther(type: string, pieces: Pieces): void {
    const whole = pieces.taken();
    this.#dropOther();
    this.#other = undefined;
    if (type === 'error') return this.#host.broken(`sent an SSE error event: ${excerpt(whole)}`);
    if (this.#otherOver && isMessage(type))
      return this.#host.broken(`went on with a message of more than ${this.#limits.messageBytes} bytes`);
    const scan = MessageScan.of([whole]);
    if (this.#otherOver || scan.problem !== undefined) {
      this.problem = `sent no message, only an event '${type.slice(0, 64)}'`;
      return;
    }
    if (this.#isResumed && !isOf(this.#host.idText, scan, whole)) return;
    const answer = new AnswerReader(this.#host, this.#limits, this.#order, undefined);
    answer.push(whole);
    answer.end();
  }

  empty(fields: EventFields): void {
    this.#noted(fields);
  }

  #noted({ id, retry }: EventFields): void {
    if (id !== undefined && id !== '') this.lastId = id;
    if (retry === undefined || retry === this.retryMs) return;
    this.retryMs = retry;
    this.#host.retryIn?.(retry);
  }
}

function isMessage(type: string): boolean {
  return type === '' || type === 'message';
}

/** Whether a message is not that of another call; `idText`: of the call that is meant, and its progress token. */
function isOf(idText: string, { kind, idText: answered, answersId }: MessageScan, whole: Buffer): boolean {
  if (kind === 'result' || kind === 'error') return answered === idText || answersId === idText;
  const { method, params } = readObject(whole, whole.length) ?? {};
  if (method !== 'notifications/progress') return method !== undefined;
  return String(objectOf(params)?.['progressToken']) === idText;
}

const NOTHING = Buffer.alloc(0);

function sharedHost(message: (bytes: Buffer) => void): EventHost {
  const host: EventHost = {
    over: false,
    idText: '',
    rawId: NOTHING,
    modern: false,
    whose: {},
    edit: undefined,
    sink: NO_SINK,
    alive() {},
    starting() {},
    hold() {},
    message,
    oversize() {},
    rpcError: () => true,
    masked: (error) => error,
    answered() {},
    quotedId() {},
    broken() {},
  };
  return host;
}

/** Whether the start of a body is that of an event stream, whatever its content type says. */
export function startsAsEvents(chunk: Buffer): boolean {
  if (chunk[0] === 0x7b) return false;
  const start = chunk.toString('latin1', 0, 9).replace(/^\xef\xbb\xbf/, '');
  return start.startsWith('event:') || start.startsWith('data:');
}
