/**
 * Ranks the tools of a view for a query by BM25F: what the occurrences of a word count in all fields is added up before it saturates. Pure:
 * it knows neither views nor links. The weights are measured: see scripts/recall.mjs.
 */
import type { Definition } from '../protocol/lists.js';
import { find } from '../protocol/message.js';
import type { Span } from '../wire/scan.js';
import { membersOf } from '../wire/walk.js';

const K1 = 1.2;
/** How far the length of a description counts against it. Names have no such length: a long one is not about more. */
const B = 0.75;
/** What an occurrence counts, by where it is. */
const NAME = 3;
const DESCRIPTION = 1;
const ARGUMENT = 0.5;
const SERVER_NAME = 1;
const SERVER_DESCRIPTION = 0.5;

/** Characters that are read of a description or a query. */
const MAX_TEXT = 4096;
/** Characters of a word that count. */
const MAX_WORD = 40;
/** Different words of the names, and of the description, of a tool, at the most. */
const MAX_WORDS = 256;
/** Words that an index keeps of all its tools, about, and the fewest of one tool: so many tools have their first words alone in it. */
const MAX_POSTINGS = 500_000;
const FEWEST_WORDS = 8;
/** Argument names that are read of a definition. */
const MAX_ARGUMENTS = 128;
/** Different words of a query that are looked up. */
const MAX_QUERY_WORDS = 64;
/** The largest schema whose argument names are read, in bytes: it is read without a pause. */
const MAX_SCHEMA_BYTES = 65_536;

/** A tool as it is searched. */
export interface Searchable {
  /** Its name in the view; breaks ties. */
  readonly name: string;
  readonly definition: Definition;
  /** The words of its server. */
  readonly server: Terms;
}

/** What the occurrences of each word count together. */
type Weights = ReadonlyMap<string, number>;

/** The words of a tool, or of a server. */
export interface Terms {
  readonly names: Weights;
  readonly description: Weights;
  /** The sum of the weights of the description. */
  readonly length: number;
}

export interface Scored<T extends Searchable> {
  readonly tool: T;
  readonly score: number;
}

/** Cuts at everything but letters and digits, and where camelCase begins a word; lower case, without a plural s. */
export function wordsOf(text: string): string[] {
  const read = text.slice(0, MAX_TEXT);
  const words: string[] = [];
  // Most text is ASCII, where a loop is ten times as fast as expressions that know Unicode.
  if (ASCII.test(read)) cutAscii(read, words);
  else
    words.push(
      ...(read.replace(HUMP, ' ').match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).map((word) => word.toLowerCase()),
    );
  return words.map((word) => singular(word.slice(0, MAX_WORD)));
}

const ASCII = /^[\0-\x7f]*$/;
/** Where a word begins within letters and digits: `get|Page`, `HTTP|Status`. */
const HUMP = /(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/gu;

const OTHER = 0;
const LOWER = 1;
const UPPER = 2;

/** Digits count as lower case. */
function kindOf(code: number): number {
  if ((code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39)) return LOWER;
  return code >= 0x41 && code <= 0x5a ? UPPER : OTHER;
}

function cutAscii(text: string, words: string[]): void {
  const lower = text.toLowerCase();
  let start = -1;
  let before = OTHER;
  for (let i = 0; i <= text.length; i++) {
    const kind = kindOf(text.charCodeAt(i));
    const isHump =
      kind === UPPER && (before === LOWER || (before === UPPER && isLetter(text.charCodeAt(i + 1))));
    if (start !== -1 && (kind === OTHER || isHump)) {
      words.push(lower.slice(start, i));
      start = -1;
    }
    if (start === -1 && kind !== OTHER) start = i;
    before = kind;
  }
}

/** Whether it is a small letter. */
function isLetter(code: number): boolean {
  return code >= 0x61 && code <= 0x7a;
}

/** Short words keep their s: `does`, `news`. */
function singular(word: string): string {
  return word.length > 4 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

/** Adds the words of a text to `weights`; returns what it added. */
function count(weights: Map<string, number>, text: string, weight: number): number {
  let added = 0;
  for (const word of wordsOf(text)) {
    const before = weights.get(word);
    if (before === undefined && weights.size === MAX_WORDS) continue;
    weights.set(word, (before ?? 0) + weight);
    added += weight;
  }
  return added;
}

export function serverTerms(name: string, description: string | undefined): Terms {
  const names = new Map<string, number>();
  const text = new Map<string, number>();
  count(names, name, SERVER_NAME);
  return { names, description: text, length: count(text, description ?? '', SERVER_DESCRIPTION) };
}

/** Words that are kept of all definitions; then all are forgotten, and read again when they are needed. */
const MAX_KEPT = 500_000;

let known = new WeakMap<Definition, Terms>();
let kept = 0;

/** The words of a definition, which are usually read once. */
export function termsOf(definition: Definition): Terms {
  let terms = known.get(definition);
  if (terms) return terms;
  terms = read(definition);
  kept += terms.names.size + terms.description.size;
  if (kept > MAX_KEPT) {
    known = new WeakMap();
    kept = 0;
  }
  known.set(definition, terms);
  return terms;
}

function read(definition: Definition): Terms {
  const { key, shown, bytes, descriptionSpan } = definition;
  const names = new Map<string, number>();
  const text = new Map<string, number>();
  count(names, shown ?? key, NAME);
  for (const name of argumentsOf(bytes)) count(names, name, ARGUMENT);
  const length = descriptionSpan ? count(text, textAt(bytes, descriptionSpan), DESCRIPTION) : 0;
  return { names, description: text, length };
}

function argumentsOf(bytes: Buffer): readonly string[] {
  const schema = find(membersOf(bytes), 'inputSchema');
  if (!schema || schema.end - schema.start > MAX_SCHEMA_BYTES) return [];
  const properties = find(membersOf(bytes, schema.start), 'properties');
  if (!properties || bytes[properties.start] !== 0x7b) return [];
  return membersOf(bytes, properties.start)
    .slice(0, MAX_ARGUMENTS)
    .map(({ key }) => key);
}

/** The beginning of the string at a span. An escape becomes a space, unless it stands for a UTF-16 unit. */
function textAt(bytes: Buffer, { start, end }: Span): string {
  const from = start + 1;
  // A unit has at most six bytes: \u0061.
  const text = bytes.toString('utf8', from, Math.min(end - 1, from + 6 * MAX_TEXT));
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|.)/gsu, (_, unit: string | undefined) =>
    unit === undefined ? ' ' : String.fromCharCode(parseInt(unit, 16)),
  );
}

/** The occurrences of one word: the place of a tool, and what they count there, in turn. A made-up word costs little memory so. */
type Postings = number[];

export class SearchIndex<T extends Searchable> {
  readonly #tools: readonly T[];
  readonly #postings = new Map<string, Postings>();
  /** Words of the names, and of the description, of a tool, at the most: their first ones. */
  readonly #words: number;
  #size = 0;

  private constructor(tools: readonly T[]) {
    this.#tools = tools;
    this.#words = Math.max(FEWEST_WORDS, Math.floor(MAX_POSTINGS / tools.length));
  }

  /** Yields after each tool, so that other work gets a turn. */
  static *build<T extends Searchable>(tools: readonly T[]): Generator<undefined, SearchIndex<T>> {
    let own = 0;
    let servers = 0;
    for (const { definition, server } of tools) {
      own += termsOf(definition).length;
      servers += server.length;
      yield;
    }
    const index = new SearchIndex(tools);
    for (const [place, { definition, server }] of tools.entries()) {
      index.#add(place, termsOf(definition), own / tools.length);
      index.#add(place, server, servers / tools.length);
      yield;
    }
    return index;
  }

  /** What it keeps: the words of each tool. */
  get size(): number {
    return this.#size;
  }

  /** `mean`: the mean length of such descriptions. */
  #add(place: number, { names, description, length }: Terms, mean: number): void {
    this.#post(names, place, 1);
    this.#post(description, place, 1 - B + (B * length) / mean);
  }

  #post(words: Weights, place: number, norm: number): void {
    let left = this.#words;
    for (const [word, weight] of words) {
      if (--left < 0) return;
      this.#postWord(word, place, weight / norm);
    }
  }

  #postWord(word: string, place: number, weight: number): void {
    const postings = this.#postings.get(word);
    const last = postings ? postings.length - 2 : 0;
    if (postings?.[last] === place) {
      postings[last + 1] = (postings[last + 1] as number) + weight;
      return;
    }
    this.#size++;
    if (postings) postings.push(place, weight);
    else this.#postings.set(word, [place, weight]);
  }

  /** The best tools first, ties by name; only those that have a word of the query, and that `isShown` accepts. */
  search(query: string, limit: number, isShown: (tool: T) => boolean = () => true): Scored<T>[] {
    const { length: all } = this.#tools;
    const scores = new Float64Array(all);
    for (const word of [...new Set(wordsOf(query))].slice(0, MAX_QUERY_WORDS)) {
      const found = this.#postings.get(word);
      if (!found) continue;
      const having = found.length / 2;
      const idf = Math.log(1 + (all - having + 0.5) / (having + 0.5));
      for (let i = 0; i < found.length; i += 2) {
        const place = found[i] as number;
        const weight = found[i + 1] as number;
        scores[place] = (scores[place] as number) + (idf * weight * (K1 + 1)) / (weight + K1);
      }
    }
    return this.#best(scores, limit, isShown);
  }

  #best(scores: Float64Array, limit: number, isShown: (tool: T) => boolean): Scored<T>[] {
    const best: Scored<T>[] = [];
    for (let place = 0; place < scores.length; place++) {
      const hit = { tool: this.#tools[place] as T, score: scores[place] as number };
      const last = best.length < limit ? undefined : best[limit - 1];
      if (hit.score === 0 || (last && !isBetter(hit, last)) || !isShown(hit.tool)) continue;
      let at = best.length;
      while (at > 0 && isBetter(hit, best[at - 1] as Scored<T>)) at--;
      best.splice(at, 0, hit);
      if (best.length > limit) best.pop();
    }
    return best;
  }
}

function isBetter(a: Scored<Searchable>, b: Scored<Searchable>): boolean {
  return a.score === b.score ? a.tool.name < b.tool.name : a.score > b.score;
}
