/**
 * Inserts a prefix into the URIs of a JSON message: `"uri":"ui://a/b"` becomes `"uri":"ui://S+/a/b"`. Every other byte is passed on
 * unchanged, and nothing is parsed: native searches find candidates, and the few bytes around each decide.
 *
 * A URI counts if it begins a string that is the value of a member `uri`, `resourceUri`, `ui/resourceUri` or `openai/outputTemplate`, at
 * any depth, however its characters and those of the name are escaped, and however much whitespace is around the colon. Strings in arrays,
 * quoted text within strings, and names of members never count. Schemes are compared exactly, as hosts do.
 */
import { escapedCode, MAX_ESCAPED, MORE, readEscaped } from './escaped.js';
import { splice, type Patch } from './splice.js';
import { TokensBefore } from './tokens-before.js';

const NAMES: ReadonlySet<string> = new Set(['uri', 'resourceUri', 'ui/resourceUri', 'openai/outputTemplate']);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPE = Buffer.from('\\u00');
/** Letters that are rarer than quotes in text and HTML: a search that begins with one of them stops less often. */
const RARE = /[jkqxz]/;
/** In shorter messages a loop over the bytes is faster than native searches. */
const SHORT = 256;
/** It is also faster if there are more candidates than these. */
const FEW = 32;
const BYTES_PER_CANDIDATE = 256;
const EMPTY = Buffer.alloc(0);
const NOTHING_BEFORE = new TokensBefore();

interface Needle {
  readonly bytes: Buffer;
  /** How many bytes the opening quote is before the needle. undefined: it has to be searched. */
  readonly quote: number | undefined;
}

/** The schemes to find and the prefix to insert: made once for each server, for all its messages. */
export class UriMarks {
  readonly #prefix: Buffer;
  /** Each with `://`. */
  readonly #heads: readonly string[];
  readonly #needles: readonly Needle[];
  /** Which second bytes a string has that may be a URI. */
  readonly #firsts = new Uint8Array(256);
  /** Which characters a head has, by their code. */
  readonly #codes = new Uint8Array(256);
  /** The longest spelling of a head, with its quote. */
  readonly #reach: number;

  /**
   * `schemes`: in lower case, without `://`: `ui`. `prefix`: what is inserted behind the slashes; printable ASCII without quotes and
   * backslashes, because it becomes part of a JSON string as it is.
   */
  constructor(schemes: readonly string[], prefix: string) {
    this.#prefix = Buffer.from(prefix);
    this.#heads = schemes.map((scheme) => `${scheme}://`);
    this.#needles = [...schemes.map(needleOf), { bytes: ESCAPE, quote: undefined }];
    for (const c of [BACKSLASH, ...schemes.map((scheme) => scheme.charCodeAt(0))]) this.#firsts[c] = 1;
    for (const c of Buffer.from(this.#heads.join(''))) this.#codes[c] = 1;
    this.#reach = 1 + MAX_ESCAPED * Math.max(0, ...this.#heads.map(({ length }) => length));
  }

  /** Changes a whole message. Returns the same buffer if it has no such URI. `from`: nothing before this offset is changed. */
  splice(message: Buffer, from = 0): Buffer {
    const patches = this.patches(message, from, NOTHING_BEFORE);
    return patches.length === 0 ? message : splice(message, patches);
  }

  /** What is inserted into these bytes. `before`: those before them. */
  patches(bytes: Buffer, from: number, before: TokensBefore): Patch[] {
    const patches: Patch[] = [];
    if (bytes.length < SHORT) this.#readEach(bytes, from, before, patches);
    else this.#search(bytes, from, before, patches);
    return patches;
  }

  /** Where a URI begins that is not complete in these bytes; their length if none does. */
  unfinished(bytes: Buffer, before: TokensBefore): number {
    const from = Math.max(0, bytes.length - this.#reach);
    for (let i = bytes.length - 1; i >= from; i--) {
      if (bytes[i] !== QUOTE) continue;
      for (const head of this.#heads)
        if (readEscaped(head, bytes, i + 1) === MORE && before.isValueOf(NAMES, bytes, i)) return i;
      return bytes.length;
    }
    return bytes.length;
  }

  #search(bytes: Buffer, from: number, before: TokensBefore, patches: Patch[]): void {
    const next = this.#needles.map((needle) => bytes.indexOf(needle.bytes, from));
    let most = FEW + bytes.length / BYTES_PER_CANDIDATE;
    let tried = from - 1;
    for (;;) {
      const first = lowest(next);
      const at = next[first] as number;
      if (at === -1) return;
      if (--most < 0) {
        this.#readEach(bytes, Math.max(tried + 1, at - this.#reach), before, patches);
        return;
      }
      const needle = this.#needles[first] as Needle;
      next[first] = bytes.indexOf(needle.bytes, at + 1);
      const quote = needle.quote === undefined ? this.#quoteBefore(bytes, at) : at - needle.quote;
      if (quote <= tried || bytes[quote] !== QUOTE) continue;
      tried = quote;
      this.#try(bytes, quote, before, patches);
    }
  }

  /** The same without native searches: its time does not depend on the number of candidates. */
  #readEach(bytes: Buffer, from: number, before: TokensBefore, patches: Patch[]): void {
    const firsts = this.#firsts;
    for (let i = from; i < bytes.length; i++)
      if (bytes[i] === QUOTE && firsts[bytes[i + 1] as number] === 1) this.#try(bytes, i, before, patches);
  }

  /** The last quote before an escape, if the escape may be part of a head; -1: there is none near. */
  #quoteBefore(bytes: Buffer, at: number): number {
    if (this.#codes[escapedCode(bytes, at)] !== 1) return -1;
    const end = Math.max(0, at - this.#reach);
    for (let i = at - 1; i >= end; i--) if (bytes[i] === QUOTE) return i;
    return -1;
  }

  #try(bytes: Buffer, quote: number, before: TokensBefore, patches: Patch[]): void {
    // A quote within a string.
    if (bytes[quote - 1] === BACKSLASH) return;
    for (const head of this.#heads) {
      const end = readEscaped(head, bytes, quote + 1);
      if (end < 0) continue;
      if (before.isValueOf(NAMES, bytes, quote)) patches.push({ start: end, end, bytes: this.#prefix });
      return;
    }
  }
}

/** Changes one message that arrives in chunks. */
export class UriMembers {
  readonly #marks: UriMarks;
  /** What was passed on. */
  readonly #before = new TokensBefore();
  /** The beginning of a string that may be a URI, from its quote on: waits for the next chunk. */
  #held: Buffer | undefined;

  constructor(marks: UriMarks) {
    this.#marks = marks;
  }

  /** Bytes that wait for the next chunk: at most those of one spelling of `scheme://`. */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  /**
   * Takes the next bytes. Returns what can be passed on: the same buffer if nothing changes, and an empty one if all of it waits. `from`:
   * an offset in the first chunk; nothing before it is changed.
   */
  push(chunk: Buffer, from = 0): Buffer {
    const bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = undefined;
    const patches = this.#marks.patches(bytes, from, this.#before);
    const kept = this.#marks.unfinished(bytes, this.#before);
    this.#before.add(bytes, kept);
    // A copy: the rest of the chunk is not kept alive.
    if (kept < bytes.length) this.#held = Buffer.from(bytes.subarray(kept));
    if (patches.length > 0) return splice(bytes, patches, 0, kept);
    return kept === bytes.length ? bytes : bytes.subarray(0, kept);
  }

  /** No bytes follow. Returns those that waited: the message ends within a string. */
  end(): Buffer {
    const rest = this.#held ?? EMPTY;
    this.#held = undefined;
    return rest;
  }
}

function needleOf(scheme: string): Needle {
  const rare = scheme.search(RARE);
  if (rare <= 0) return { bytes: Buffer.from(`"${scheme}:`), quote: 0 };
  return { bytes: Buffer.from(`${scheme.slice(rare)}:`), quote: rare + 1 };
}

/** The index of the lowest offset that is not -1; 0 if all are. */
function lowest(offsets: readonly number[]): number {
  let first = 0;
  for (let i = 1; i < offsets.length; i++) {
    const at = offsets[i] as number;
    if (at !== -1 && (offsets[first] === -1 || at < (offsets[first] as number))) first = i;
  }
  return first;
}
