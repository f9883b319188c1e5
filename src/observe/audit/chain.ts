/**
 * The lines of an audit log and their chain: each line ends with `prev`, the SHA-256 of the line before it, without its line break, in
 * hexadecimal digits.
 */
import { hash } from 'node:crypto';

/** What the next line follows. */
export interface Link {
  /** The number of the last line; 0: there is none. */
  readonly seq: number;
  /** Its hash; undefined: there is none. */
  readonly hash: string | undefined;
}

export const START: Link = { seq: 0, hash: undefined };

export function hashOf(line: string | Buffer): string {
  return hash('sha256', line, 'hex');
}

let second = NaN;
let secondText = '';

/** RFC 3339 in milliseconds; most calls find their second formatted already. */
function timeText(ms: number): string {
  const own = Math.floor(ms / 1000);
  if (own !== second) {
    second = own;
    secondText = new Date(own * 1000).toISOString().slice(0, 20);
  }
  return `${secondText}${String(ms - own * 1000).padStart(3, '0')}Z`;
}

/** A line without its line break. `members`: JSON members, without braces. `time`: Unix milliseconds. */
export function lineAfter({ seq, hash: prev }: Link, members: string, time: number): string {
  const link = prev === undefined ? 'null' : `"${prev}"`;
  return `{"time":"${timeText(time)}","seq":${seq + 1},${members},"prev":${link}}`;
}

/** What the chain needs to know about a line. */
export interface Read {
  readonly seq: number;
  readonly event: string;
  /** undefined: it is the first line of all. */
  readonly prev: string | undefined;
  /** The hash of an unfinished line before this one. */
  readonly torn: string | undefined;
}

/** Reads a line; undefined: it is not one of an audit log. */
export function readLine(line: Buffer): Read | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { seq, event, prev, torn } = value as Readonly<Record<string, unknown>>;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  if (typeof event !== 'string' || (prev !== null && typeof prev !== 'string')) return undefined;
  return { seq, event, prev: prev ?? undefined, torn: typeof torn === 'string' ? torn : undefined };
}

/** Characters that JSON need not escape, and that some readers take for the end of a line, or a terminal for a command. */
const UNSAFE = /[\x7f-\x9f\u2028\u2029]/g;
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** JSON of a text, always on one line. */
export function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : safe(JSON.stringify(text));
}

/** Escapes in JSON what may look like the end of a line. */
export function safe(json: string): string {
  return json.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
