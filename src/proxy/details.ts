/** What an audit log or a trace needs to know about a request, collected on its way. */
import { errorMessage, type GatewayError } from '../errors.js';
import type { CallDetails, Decision } from '../observe/calls.js';
import { find, type Message } from '../protocol/message.js';
import type { AnswerHead, NameKind, Notice, Question, Refusal, Sink } from '../protocol/ports.js';
import { PassThroughSink } from '../protocol/sinks.js';
import { readTraceParent, type TraceParent } from '../protocol/traceparent.js';
import { readText } from '../wire/scan.js';
import type { Era } from '../protocol/revisions.js';

/** What is known of the request without its message. */
interface From {
  readonly era: Era;
  readonly version: string | undefined;
  readonly remote?: { readonly remoteAddress?: string | undefined } | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>> | undefined;
}

const QUOTE = 0x22;

/** Counts what passes to the client, and sees how the answer ends. */
export class Details extends PassThroughSink implements CallDetails {
  decision: Decision | undefined;
  rule: string | undefined;
  approval: string | undefined;
  error: GatewayError | undefined;
  rpcCode: number | undefined;
  named: { readonly kind: NameKind; readonly name: string } | undefined;
  revision: string | undefined;
  bytesOut = 0;
  began: number | undefined;
  watched: object | undefined;
  tap: ((chunk: Buffer) => void) | undefined;
  readonly arrived: number;
  #traceId: string | undefined;
  readonly bytesIn: number;
  readonly #origin: From;
  /** As it is sent: see `rewritten`. */
  #message: Message;

  constructor(origin: From, message: Message, sink: Sink, arrived: number) {
    super(sink);
    this.arrived = arrived;
    this.#origin = origin;
    this.#message = message;
    this.bytesIn = message.body.length;
    this.revision = origin.version;
  }

  get address(): string | undefined {
    return this.#origin.remote?.remoteAddress;
  }

  get traceId(): string | undefined {
    return this.#traceId ?? (this.#metaParent ?? this.#headerParent)?.traceId;
  }

  set traceId(id: string | undefined) {
    this.#traceId = id;
  }

  get parents(): CallDetails['parents'] {
    return [this.#metaParent, this.#headerParent];
  }

  get #metaParent(): TraceParent | undefined {
    const { body, meta } = this.#message;
    const at = meta.length > 0 ? find(meta, 'traceparent') : undefined;
    return at && body[at.start] === QUOTE ? readTraceParent(readText(body, at.start, at.end)) : undefined;
  }

  get #headerParent(): TraceParent | undefined {
    const header = this.#origin.headers?.['traceparent'];
    return header === undefined ? undefined : readTraceParent(header);
  }

  argumentBytes(): Buffer | undefined {
    const at = find(this.#message.params, 'arguments');
    return at && this.#message.body.subarray(at.start, at.end);
  }

  /** The message has fixed arguments now, or has become another call. */
  rewritten(message: Message): void {
    this.#message = message;
  }

  /** It was answered without an exchange. */
  answered(bytes: number): void {
    this.bytesOut += bytes;
  }

  refused(error: GatewayError): void {
    this.error = error;
    this.bytesOut += Buffer.byteLength(errorMessage(error, this.#message.id ?? 'null', this.#origin.era));
  }

  override notify(notice: Notice): boolean {
    this.bytesOut += notice.bytes.length;
    return super.notify(notice);
  }

  override ask(question: Question): Refusal | undefined {
    this.bytesOut += question.bytes.length;
    return super.ask(question);
  }

  override start(head: AnswerHead): void {
    this.rpcCode = head.code;
    this.began = performance.now();
    super.start(head);
  }

  override write(chunk: Buffer): boolean {
    this.bytesOut += chunk.length;
    this.tap?.(chunk);
    return super.write(chunk);
  }

  override fail(error: GatewayError): void {
    this.refused(error);
    super.fail(error);
  }
}
