/**
 * Tool parameters in headers, and the encoding of header values (2026-07-28, basic/transports/streamable-http, "Custom Headers from Tool
 * Parameters").
 */
import { isUtf8 } from 'node:buffer';
import type { Member, Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';
import type { ParamHeader } from '../schema.js';

const PREFIX = '=?base64?';
const SUFFIX = '?=';
/** Values that are sent as they are. A tab could arrive as a space. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const LEGAL = /^[\t\x20-\x7e]*$/;
const OUTER_SPACE = /^[\t ]+|[\t ]+$/g;
const WHOLE = /^-?\d+(?:\.0*)?$/;
const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const SHOWN = 128;

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const QUOTE = 0x22;

/** Encodes a string as a header value. */
export function encodeHeaderValue(text: string): string {
  if (PLAIN.test(text) && !(text.startsWith(PREFIX) && text.endsWith(SUFFIX))) return text;
  return `${PREFIX}${Buffer.from(text).toString('base64')}${SUFFIX}`;
}

/** Decodes a header value; undefined: invalid characters or Base64. */
export function decodeHeaderValue(value: string): string | undefined {
  const text = value.replace(OUTER_SPACE, '');
  if (!LEGAL.test(text)) return undefined;
  if (!text.startsWith(PREFIX) || !text.endsWith(SUFFIX)) return text;
  if (text.length < PREFIX.length + SUFFIX.length) return undefined;
  const coded = text.slice(PREFIX.length, -SUFFIX.length);
  const bytes = Buffer.from(coded, 'base64');
  // Node ignores invalid Base64, so compare with what it would write.
  if (bytes.toString('base64') !== coded || !isUtf8(bytes)) return undefined;
  return bytes.toString('utf8');
}

/**
 * The headers for the parameters of a call: names in lower case and values, a flat list. `argumentsSpan`: position of `params.arguments` in
 * `body`, which is valid JSON; undefined: none. A value is encoded by its own type; the server checks it against the schema.
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

/** Why parameter headers do not match the body; undefined: they match. `header` looks a header up by its name in lower case. */
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

/** Finds values by path and reads each object once. `null` counts as absent. */
function reader(body: Buffer, at: Span | undefined): (path: readonly string[]) => Value | undefined {
  const objects = new Map<number, Member[]>();
  return (path) => {
    let value = at;
    for (const step of path) {
      if (!value || body[value.start] !== OPEN_OBJECT) return undefined;
      let members = objects.get(value.start);
      if (!members) objects.set(value.start, (members = membersOf(body, value.start)));
      // Of equal members the last counts, as in JSON.parse.
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

/** undefined: not a value that a header can have. */
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
  // As UTF-8, where a lone surrogate becomes a replacement character.
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
