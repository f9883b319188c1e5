/**
 * Calls as text for those who decide about them: nothing in it is invisible, and texts of different calls differ. Whoever shows it keeps its
 * lines, and the order of the characters in them.
 */
import { createHmac } from 'node:crypto';
import { diffLines } from '../lib/line-diff.js';
import { foldWide } from '../wire/fold.js';
import { canonical } from '../wire/canonical.js';
import { endOfValue } from '../wire/edges.js';
import type { Member } from '../wire/scan.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { Unclear, type Params } from './canonical.js';

/** Calls whose text is longer are not asked for, in characters. */
const MAX_SHOWN = 262_144;
/** Deeper levels are not indented further: the text stays about as long as the call. */
const MAX_INDENT = 16;
/** Lines of a diff. */
const MAX_CHANGES = 2000;
/** Signs that a character may carry; more of them can cover what is around it. */
const MAX_SIGNS = 3;

/** Characters without a glyph: control, format, private, not assigned, spaces other than U+0020, and those that are blank by design. */
const INVISIBLE =
  /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u2d7f\u{16fe4}\u{1107f}\u{13441}\u{13442}\u{1d159}]|[^\P{Zs} ]/u;
const SIGN = /\p{M}/u;
const ENCLOSING = /\p{Me}/u;
/** Other spellings of a letter or of several, such as the ligature fi. */
const LETTER = /\p{L}/u;
/** Words with letters of two alphabets whose letters look alike. */
const WORD = /[\p{L}\p{M}]+/gu;
const LATIN = /\p{Script=Latin}/u;
const LIKE_LATIN =
  /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Lisu}\p{Script=Coptic}]/u;
/** What a string of JSON cannot have as it is. */
const ESCAPED = '"\\';
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * A text with `\u{..}` for each character that cannot be seen, or that looks like another one: as another spelling of it, or as a letter of
 * another alphabet in a word. Each of `escaped` gets a backslash.
 */
export function visible(text: string, escaped = ''): string {
  if (PLAIN.test(text)) return text;
  const composes = text.normalize('NFC') !== text;
  const mixed = mixedWords(text);
  let out = '';
  let signs = MAX_SIGNS;
  let at = 0;
  for (const character of text) {
    const isMixed = mixed.has(at);
    at += character.length;
    const isSign = SIGN.test(character);
    const isEscaped =
      INVISIBLE.test(character) ||
      (isSign && (composes || signs >= MAX_SIGNS || ENCLOSING.test(character))) ||
      (isMixed && LIKE_LATIN.test(character)) ||
      character.normalize(LETTER.test(character) ? 'NFKC' : 'NFC') !== character;
    if (isEscaped || character === ' ') signs = MAX_SIGNS;
    else signs = isSign ? signs + 1 : 0;
    if (isEscaped) out += `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
    else if (escaped.includes(character)) out += `\\${character}`;
    else out += character;
  }
  return out;
}

/** The places of the characters in words that mix alphabets. */
function mixedWords(text: string): ReadonlySet<number> {
  const places = new Set<number>();
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!LATIN.test(word) || !LIKE_LATIN.test(word)) continue;
    for (let at = 0; at < word.length; at++) places.add(index + at);
  }
  return places;
}

export interface Shown {
  readonly shown: string;
  /** Of what is no part of the yes; undefined: there is nothing. */
  readonly ignored: string | undefined;
}

/** `secrets`: names of members whose values are not shown, in any case. `hmacKey`: for what is shown instead. */
export function showParams(
  { body, members, meta, ignored }: Params,
  secrets: readonly string[],
  hmacKey: Buffer,
): Shown | Unclear {
  const printer = new Printer(body, new Set(secrets.map(foldWide)), hmacKey);
  try {
    const args = members.find(({ key }) => key === 'arguments');
    printer.write(NO_ARGUMENTS, args);
    const others = members.filter((member) => member !== args);
    if (others.length > 0) printer.section('besides:', others);
    if (meta.length > 0) printer.section('_meta:', meta);
    const shown = printer.take();
    if (ignored.length > 0) printer.object(ignored, 0);
    return { shown, ignored: ignored.length > 0 ? printer.take() : undefined };
  } catch (error) {
    if (error instanceof TooLong) return new Unclear('more than people can be shown');
    throw error;
  }
}

const NO_ARGUMENTS = 'no arguments';

class TooLong extends Error {}

/** Writes values that were read as unambiguous. Throws TooLong. */
class Printer {
  readonly #body: Buffer;
  readonly #secrets: ReadonlySet<string>;
  readonly #hmacKey: Buffer;
  #parts: string[] = [];
  #length = 0;

  constructor(body: Buffer, secrets: ReadonlySet<string>, hmacKey: Buffer) {
    this.#body = body;
    this.#secrets = secrets;
    this.#hmacKey = hmacKey;
  }

  take(): string {
    const text = this.#parts.join('');
    this.#parts = [];
    this.#length = 0;
    return text;
  }

  /** A value, or without one these words, which are no JSON. */
  write(without: string, member: Member | undefined): void {
    if (!member) this.#add(without);
    else this.#member(member, 0);
  }

  /** A heading, which is no JSON, and members below it. */
  section(heading: string, members: readonly Member[]): void {
    this.#add(`\n${heading}\n`);
    this.object(members, 0);
  }

  object(members: readonly Member[], depth: number): void {
    if (members.length === 0) return this.#add('{}');
    this.#add('{');
    const sorted = [...members].sort((a, b) => (a.key < b.key ? -1 : 1));
    sorted.forEach((member, index) => {
      this.#line(index > 0 ? ',' : '', depth + 1);
      this.#add(`"${visible(member.key, ESCAPED)}": `);
      this.#member(member, depth + 1);
    });
    this.#line('', depth);
    this.#add('}');
  }

  #member(member: Member, depth: number): void {
    if (this.#secrets.has(foldWide(member.key))) this.#hidden(member.start);
    else this.#value(member.start, depth);
  }

  #value(at: number, depth: number): void {
    const first = this.#body[at];
    if (first === 0x7b) return this.object(membersOf(this.#body, at), depth);
    if (first === 0x5b) return this.#array(at, depth);
    const token = this.#body.toString('utf8', at, endOfValue(this.#body, at));
    this.#add(first === 0x22 ? `"${visible(JSON.parse(token) as string, ESCAPED)}"` : token);
  }

  #array(at: number, depth: number): void {
    const elements = elementsOf(this.#body, at);
    if (elements.length === 0) return this.#add('[]');
    this.#add('[');
    elements.forEach(({ start }, index) => {
      this.#line(index > 0 ? ',' : '', depth + 1);
      this.#value(start, depth + 1);
    });
    this.#line('', depth);
    this.#add(']');
  }

  #hidden(at: number): void {
    const { text, end } = canonical(this.#body, at);
    const value = JSON.parse(this.#body.toString('utf8', at, end)) as unknown;
    const length =
      typeof value === 'string'
        ? `${[...value].length} characters`
        : `${JSON.stringify(value).length} in JSON`;
    const tag = createHmac('sha256', this.#hmacKey).update(`hidden\0${text}`).digest('hex').slice(0, 16);
    this.#add(`*** (${length}, ${tag})`);
  }

  #line(before: string, depth: number): void {
    this.#add(`${before}\n${'  '.repeat(Math.min(depth, MAX_INDENT))}`);
  }

  #add(text: string): void {
    this.#length += text.length;
    if (this.#length > MAX_SHOWN) throw new TooLong();
    this.#parts.push(text);
  }
}

/** How a text differs from an earlier one, as lines with a sign and a space in front. */
export function changesBetween(before: string, after: string): readonly string[] {
  const lines = diffLines(before.split('\n'), after.split('\n')).map(([sign, text]) => `${sign} ${text}`);
  return lines.length <= MAX_CHANGES
    ? lines
    : [...lines.slice(0, MAX_CHANGES), `... ${lines.length - MAX_CHANGES} more lines`];
}
