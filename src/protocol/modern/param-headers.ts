/**
 * Parameters of a call that are mirrored into headers, and text in headers (2026-07-28, basic/transports/streamable-http, "Custom
 * Headers from Tool Parameters").
 */
import { isUtf8 } from 'node:buffer';
import type { Member, Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';
import type { ParamHeader } from '../schema.js';

const PREFIX = '=?base64?';
const SUFFIX = '?=';
/** What every reader takes as it is: a tab in it would reach some of them as a space. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const LEGAL = /^[\t\x20-\x7e]*$/;
const OUTER_SPACE = /^[\t ]+|[\t ]+$/g;
const WHOLE = /^-?\d+(?:\.0*)?$/;
const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const SHOWN = 128;

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const QUOTE = 0x22;

/** A text as the value of a header. */
export function encodeHeaderValue(text: string): string {
  if (PLAIN.test(text) && !(text.startsWith(PREFIX) && text.endsWith(SUFFIX))) return text;
  return `${PREFIX}${Buffer.from(text).toString('base64')}${SUFFIX}`;
}

/** The text that a header carries; undefined: characters that no header has, or Base64 that is none. */
export function decodeHeaderValue(value: string): string | undefined {
  const text = value.replace(OUTER_SPACE, '');
  if (!LEGAL.test(text)) return undefined;
  if (!text.startsWith(PREFIX) || !text.endsWith(SUFFIX)) return text;
  if (text.length < PREFIX.length + SUFFIX.length) return undefined;
  const coded = text.slice(PREFIX.length, -SUFFIX.length);
  const bytes = Buffer.from(coded, 'base64');
  // Node reads over what is no Base64: only what it would write itself is taken.
  if (bytes.toString('base64') !== coded || !isUtf8(bytes)) return undefined;
  return bytes.toString('utf8');
}

/**
 * The headers of a call by the schema of its tool: names in lower case and values, a flat list. `argumentsSpan`: where `params.arguments`
 * stand in `body`, which is proven JSON; undefined: there are none. A value is written by its own type: whether it is the one that the
 * schema wants is for the server to say, which may take "5" for 5.
 */
export function paramHeaders(
  headers: readonly ParamHeader[],
  body: Buffer,
  argumentsSpan: Span | undefined,
): string[] {
  const lines: string[] = [];
  if (headers.length === 0) return lines;
  const read = reader(body, argumentsSpan);
  for (const { header, path } of headers) {
    const text = textOf(read(path));
    if (text !== undefined) lines.push(header, encodeHeaderValue(text));
  }
  return lines;
}

/** What is wrong with the headers of a call that mirror its parameters; undefined: nothing. `header`: by its name in lower case. */
export function checkParamHeaders(
  headers: readonly ParamHeader[],
  body: Buffer,
  argumentsSpan: Span | undefined,
  header: (name: string) => string | undefined,
): string | undefined {
  if (headers.length === 0) return undefined;
  const read = reader(body, argumentsSpan);
  for (const { header: name, path } of headers) {
    const found = read(path);
    const sent = header(name);
    if (sent === undefined) {
      if (textOf(found) !== undefined)
        return `header ${name} is missing, although the body has a value at ${shown(path.join('.'))}`;
      continue;
    }
    const text = decodeHeaderValue(sent);
    if (text === undefined) return `header ${name} has characters or Base64 that cannot be read`;
    if (found === undefined)
      return `header ${name} is there, although the body has no value at ${shown(path.join('.'))}`;
    if (!equal(found, text))
      return `header ${name} says ${shown(text)}, the body something else at ${shown(path.join('.'))}`;
  }
  return undefined;
}

type Value =
  { readonly text: string } | { readonly number: number; readonly digits: string } | boolean | 'no scalar';

/** Finds values by their paths; each object on the way is read once. `null` counts as no value. */
function reader(body: Buffer, at: Span | undefined): (path: readonly string[]) => Value | undefined {
  const objects = new Map<number, Member[]>();
  return (path) => {
    let value = at;
    for (const step of path) {
      if (!value || body[value.start] !== OPEN_OBJECT) return undefined;
      let members = objects.get(value.start);
      if (!members) objects.set(value.start, (members = membersOf(body, value.start)));
      // As JSON.parse has it, the last of equal members counts.
      value = members.findLast(({ key }) => key === step);
    }
    return value && valueAt(body, value);
  };
}

function valueAt(body: Buffer, { start, end }: Span): Value | undefined {
  const first = body[start];
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return 'no scalar';
  const json = body.toString('utf8', start, end);
  if (first === QUOTE) return { text: JSON.parse(json) as string };
  if (json === 'null') return undefined;
  if (json === 'true' || json === 'false') return json === 'true';
  return { number: Number(json), digits: json };
}

/** undefined: there is nothing that a header could carry. */
function textOf(value: Value | undefined): string | undefined {
  if (value === undefined || value === 'no scalar') return undefined;
  if (typeof value === 'boolean') return String(value);
  if ('text' in value) return value.text;
  const { number } = value;
  // String(-0) is "0".
  return Number.isSafeInteger(number) || (Number.isFinite(number) && !Number.isInteger(number))
    ? String(number)
    : undefined;
}

function equal(value: Value, text: string): boolean {
  if (value === 'no scalar') return false;
  if (typeof value === 'boolean') return text === String(value);
  // As UTF-8, which is all that a header can hold of half a surrogate pair.
  if ('text' in value) return Buffer.from(value.text).equals(Buffer.from(text));
  const { number, digits } = value;
  if (text === digits) return true;
  if (Number.isInteger(number))
    return Number.isSafeInteger(number) && WHOLE.test(text) && Number(text) === number;
  return Number.isFinite(number) && DECIMAL.test(text) && Number(text) === number;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN));
}
