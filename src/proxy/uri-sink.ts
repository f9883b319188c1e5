/** Qualifies the URIs in an answer while it passes: hosts and agents then read them through the gateway from the server that sent them. */
import { originOf } from '../catalog/naming.js';
import { SCHEMES } from '../protocol/extensions/index.js';
import type { AnswerHead, Link, Seen, Sink } from '../protocol/ports.js';
import { PassThroughSink } from '../protocol/sinks.js';
import { UriMembers, UriMarks } from '../wire/uri-members.js';

/** By the schemes of a link: it gets another array when they change. */
const known = new WeakMap<readonly string[], UriMarks>();

/**
 * What the URIs of extensions in a link's answers become on endpoints of several servers; undefined: its server has no such extension. Those
 * of all extensions are changed, so that a server with skills cannot name the page of another one.
 */
export function marksOf({ server, schemes }: Pick<Link, 'server' | 'schemes'>): UriMarks | undefined {
  if (schemes.length === 0) return undefined;
  let marks = known.get(schemes);
  if (!marks) known.set(schemes, (marks = new UriMarks(SCHEMES, originOf(server))));
  return marks;
}

/**
 * Changes the URIs of a result or error as `marks` say. What precedes the result in the message stays the same, so its offset does too. An
 * answer that arrives in one chunk keeps a Content-Length, the new one; a longer one has none, because its length is known only at its end.
 * At most the bytes of one `scheme://` are held back.
 */
export class UriSink extends PassThroughSink {
  readonly #marks: UriMarks;
  /** Of an answer that has not started because its first chunk may be all of it. */
  #head: AnswerHead | undefined;
  /** Offset of the result in the next chunk: nothing before it is changed. */
  #value = 0;
  /** Of an answer in several chunks, or of unknown length. */
  #uris: UriMembers | undefined;

  constructor(sink: Sink, marks: UriMarks) {
    super(sink);
    this.#marks = marks;
  }

  override start(head: AnswerHead): void {
    this.#value = head.value;
    if (head.bytes === undefined && !isBuffered(head)) this.sink.start(head);
    else this.#head = head;
  }

  override write(chunk: Buffer): boolean {
    const head = this.#head;
    this.#head = undefined;
    if (head && (head.bytes === chunk.length || isBuffered(head))) {
      const whole = this.#marks.splice(chunk, head.value);
      this.sink.start({ ...head, bytes: whole.length });
      return this.sink.write(whole);
    }
    if (head) this.sink.start({ ...head, bytes: undefined });
    const bytes = (this.#uris ??= new UriMembers(this.#marks)).push(chunk, this.#value);
    this.#value = 0;
    return bytes.length === 0 || this.sink.write(bytes);
  }

  override end(seen: Seen): void {
    if (this.#head) this.sink.start(this.#head);
    this.#head = undefined;
    const rest = this.#uris?.end();
    if (rest && rest.length > 0) this.sink.write(rest);
    this.sink.end(seen);
  }
}

/** Errors, and results that are not complete, come in one chunk. */
function isBuffered({ kind, resultType }: AnswerHead): boolean {
  return kind === 'error' || resultType !== undefined;
}
