/** Reads what `headers_command` prints: `{"headers": {"name": "value"}, "expires_in": 300}`. */
import { isObject, readJson } from '../wire/json.js';
import { isSettableHeader } from '../config/header-names.js';

export interface PrintedHeaders {
  /** Names in lower case and values, in turn. */
  readonly headers: readonly string[];
  /** Seconds; undefined: not said. */
  readonly expiresIn: number | undefined;
}

const MOST_BYTES = 65_536;
const MOST_HEADERS = 64;
const LONGEST_VALUE = 16_384;
/** Whole seconds; a longer life counts as this. */
const LONGEST_LIFE_S = 86_400;

/** Throws an Error whose message says what is wrong, and holds no value of the output. */
export function readPrintedHeaders(text: string): PrintedHeaders {
  const bytes = Buffer.from(text);
  if (bytes.length > MOST_BYTES) throw new Error(`printed more than ${MOST_BYTES} bytes`);
  const json = readJson(bytes);
  if (!isObject(json)) throw new Error('did not print a JSON object');
  const unknown = Object.keys(json).some((key) => key !== 'headers' && key !== 'expires_in');
  if (unknown) throw new Error('printed a member other than headers and expires_in');
  const { headers, expires_in: life } = json;
  if (!isObject(headers)) throw new Error('printed no object with the name headers');
  const entries = Object.entries(headers);
  if (entries.length === 0) throw new Error('printed no header');
  if (entries.length > MOST_HEADERS) throw new Error(`printed more than ${MOST_HEADERS} headers`);
  if (life !== undefined && !(typeof life === 'number' && Number.isFinite(life) && life > 0))
    throw new Error('printed an expires_in that is not a positive number of seconds');
  const read = new Map<string, string>();
  for (const [name, value] of entries) {
    const lower = name.toLowerCase();
    if (!isSettableHeader(lower)) throw new Error('printed a header whose name cannot be set');
    if (typeof value !== 'string' || !VALUE.test(value) || value.length > LONGEST_VALUE)
      throw new Error(`printed a value of ${lower} that a header cannot carry`);
    if (read.has(lower)) throw new Error(`printed ${lower} twice`);
    read.set(lower, value);
  }
  return {
    headers: [...read].flat(),
    expiresIn: life === undefined ? undefined : Math.min(life, LONGEST_LIFE_S),
  };
}

/** Visible ASCII, with spaces and tabs between (RFC 9110, 5.5). */
const VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
