/** Reads the arguments of a call for conditions, and refuses what a server might read differently. */
import { find, type Message } from '../protocol/message.js';
import type { NameKind, Principal } from '../protocol/ports.js';
import { foldName } from '../wire/fold.js';
import { readObject, type JsonObject } from '../wire/json.js';
import type { ConditionInput } from './condition.js';

/** Larger arguments are not read. */
const MAX_BYTES = 65_536;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Thrown for arguments that cannot be read in one way only. */
export class Ambiguous extends Error {}

/** The arguments of a call; without any, an empty object. Throws Ambiguous. */
export function argumentsOf({ body, params }: Pick<Message, 'body' | 'params'>): JsonObject {
  const at = find(params, 'arguments');
  return at ? readArguments(body.subarray(at.start, at.end)) : {};
}

/** What a condition is asked about. */
export interface ConditionItem {
  readonly kind: NameKind;
  readonly server: string;
  readonly name: string;
}

export function conditionInput(
  principal: Principal,
  { kind, server, name }: ConditionItem,
  args: JsonObject,
  route: string,
): ConditionInput {
  const { id, groups, scopes, claims } = principal;
  return {
    principal: { id, name: principal.name, groups, scopes, claims },
    args,
    uri: kind === 'resource' ? name : '',
    name,
    server,
    route,
  };
}

/** The arguments as a value. Throws Ambiguous. `bytes`: validated JSON. */
export function readArguments(bytes: Buffer): JsonObject {
  if (bytes.length > MAX_BYTES) throw new Ambiguous(`the arguments have more than ${MAX_BYTES} bytes`);
  const value = readObject(bytes, MAX_BYTES);
  if (!value) throw new Ambiguous('the arguments are not an object');
  checkOnce(bytes.toString('utf8'));
  return value;
}

/** Throws Ambiguous for a key twice in one object, a number that loses digits, and text that is not Unicode. `text`: valid JSON. */
function checkOnce(text: string): void {
  /** The folded keys of the objects that are open; undefined: an array. */
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    switch (c) {
      case 0x7b:
        open.push(new Set());
        isKey = true;
        break;
      case 0x5b:
        open.push(undefined);
        isKey = false;
        break;
      case 0x7d:
      case 0x5d:
        open.pop();
        isKey = false;
        break;
      case 0x2c:
        isKey = open.at(-1) !== undefined;
        break;
      case QUOTE: {
        const end = endOfString(text, i);
        checkString(text.slice(i, end), isKey ? open.at(-1) : undefined);
        isKey = false;
        i = end - 1;
        break;
      }
      default: {
        if (c !== 0x2d && (c < 0x30 || c > 0x39)) break;
        let end = i + 1;
        while (/[0-9.eE+-]/.test(text.charAt(end))) end++;
        checkNumber(text.slice(i, end));
        i = end - 1;
      }
    }
  }
}

function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return i + 1;
}

/** `keys`: the folded keys of the object that the string is a key of. */
function checkString(token: string, keys: Set<string> | undefined): void {
  if (!keys && !token.includes('\\u')) return;
  const value = JSON.parse(token) as string;
  if (!/^\P{Surrogate}*$/u.test(value)) throw new Ambiguous('the arguments have text that is not Unicode');
  if (!keys) return;
  // Some readers take wide and composed forms of a character for the same.
  const key = foldName(value.normalize('NFKC'));
  if (keys.has(key)) throw new Ambiguous(`the arguments have the key '${value.slice(0, 64)}' twice`);
  keys.add(key);
}

function checkNumber(token: string): void {
  const value = Number(token);
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    throw new Ambiguous(`the arguments have the number ${token.slice(0, 32)}, which loses digits`);
}
