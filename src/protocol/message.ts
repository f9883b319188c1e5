/**
 * The envelope of one JSON-RPC message: its kind, and the position of the members that the gateway reads or replaces. Everything else is
 * not parsed.
 */
import { GatewayError } from '../errors.js';
import { endOfValue, withoutBom } from '../wire/edges.js';
import { KnownNames } from '../wire/fold.js';
import { nameAt } from '../wire/names.js';
import {
  isSpace,
  readText,
  scan,
  ScanError,
  scanInSteps,
  skipSpace,
  type Member,
  type Scan,
  type Span,
} from '../wire/scan.js';

export interface Message {
  readonly kind: 'request' | 'notification' | 'response';
  /** The whole message as received. */
  readonly body: Buffer;
  /** JSON of the id as sent; undefined: a notification. */
  readonly id: string | undefined;
  readonly idSpan: Span | undefined;
  /** Empty for a response. */
  readonly method: string;
  readonly paramsSpan: Span | undefined;
  /** The members of `params`, in order. */
  readonly params: readonly Member[];
  /** The members of `params._meta`, in order. */
  readonly meta: readonly Member[];
}

/** An invalid message. `id`: JSON of the request's id if it could be read. */
export class MessageError extends GatewayError {
  readonly id: string;
  constructor(code: 'parse_error' | 'invalid_request', message: string, id = 'null') {
    super(code, message);
    this.id = id;
  }
}

/** Elements of a batch, at the most. */
export const MAX_BATCH = 100;
/** Longest id in bytes, since it is stored and repeated. */
export const MAX_ID = 1024;

export const TOP = new KnownNames('jsonrpc', 'id', 'method', 'params', 'result', 'error');
const PARAMS = new KnownNames(
  'name',
  'uri',
  'arguments',
  '_meta',
  'taskId',
  'requestState',
  'inputResponses',
  'task',
  'ref',
  'level',
  'requestId',
  'notifications',
  'progressToken',
  'protocolVersion',
  'capabilities',
  'clientInfo',
);
const META = new KnownNames(
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
);

export function find(members: readonly Member[], key: string): Member | undefined {
  for (const member of members) if (member.key === key) return member;
  return undefined;
}

/** Whether a member name is written with escapes. The value begins at `start`; the name contains no quote. */
export function isEscaped(body: Buffer, { key, start }: Member): boolean {
  let i = start - 1;
  while (isSpace(body[i])) i--;
  // The colon.
  i--;
  while (isSpace(body[i])) i--;
  return body[i - key.length - 1] !== QUOTE;
}

function unreadable(error: unknown): unknown {
  return error instanceof ScanError
    ? new MessageError('parse_error', `Parse error: ${error.message}`)
    : error;
}

function scanned(body: Buffer): Scan {
  try {
    return scan(body);
  } catch (error) {
    throw unreadable(error);
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

export function isNull(body: Buffer, { start }: Span): boolean {
  return body[start] === 0x6e;
}

/** A string or number, as an id must be. */
function isId(raw: string): boolean {
  const c = raw.charCodeAt(0);
  return c === 0x22 || c === 0x2d || (c >= 0x30 && c <= 0x39);
}

export type Messages = Message | (Message | MessageError)[];

/**
 * Reads one message, or the messages of a batch. Throws MessageError if the whole is unreadable. An invalid element of a batch becomes a
 * MessageError in the array.
 */
export function readMessages(came: Buffer): Messages {
  const body = withoutBom(came);
  // Most messages are short and not a batch.
  if (body[skipSpace(body, 0)] !== OPEN_ARRAY) return messageOf(body, scanned(body));
  const steps = messagesInSteps(body);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same in steps for large messages: yields after each step. */
export function* messagesInSteps(came: Buffer): Generator<void, Messages> {
  const body = withoutBom(came);
  const at = skipSpace(body, 0);
  if (body[at] === OPEN_ARRAY) return yield* readBatch(body, at);
  let whole: Scan;
  try {
    whole = yield* scanInSteps(body);
  } catch (error) {
    throw unreadable(error);
  }
  return messageOf(body, whole);
}

/** Reads each element twice: to find its end, then as a message. Stops at the first element beyond the limit. */
function* readBatch(body: Buffer, at: number): Generator<void, (Message | MessageError)[]> {
  const messages: (Message | MessageError)[] = [];
  const broken = (why: string, where: number): MessageError =>
    new MessageError('parse_error', `Parse error: ${why} at byte ${where}`);
  let i = skipSpace(body, at + 1);
  let isLast = body[i] === CLOSE_ARRAY;
  while (!isLast) {
    if (messages.length === MAX_BATCH)
      throw new MessageError('invalid_request', `a batch has at most ${MAX_BATCH} elements`);
    const end = endOfValue(body, i);
    if (end <= i) throw broken(end === i ? 'unexpected character' : 'unexpected end', i);
    const element = body.subarray(i, end);
    yield;
    let read: Scan;
    try {
      read = yield* scanInSteps(element);
    } catch (error) {
      if (error instanceof ScanError) throw broken(error.message.replace(/ at byte \d+$/, ''), i + error.at);
      throw error;
    }
    try {
      messages.push(messageOf(element, read));
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      messages.push(error);
    }
    i = skipSpace(body, end);
    isLast = body[i] === CLOSE_ARRAY;
    if (!isLast && body[i] !== COMMA) throw broken("expected ',' or ']'", i);
    if (!isLast) i = skipSpace(body, i + 1);
  }
  const rest = skipSpace(body, i + 1);
  if (rest < body.length) throw broken('unexpected text after the value', rest);
  return messages;
}

function messageOf(body: Buffer, whole: Scan): Message {
  if (whole.kind !== 'object') throw new MessageError('invalid_request', 'request must be an object');
  const { top, params, meta } = whole;
  let id: Member | undefined;
  let method: Member | undefined;
  let paramsAt: Member | undefined;
  let version: Member | undefined;
  let result: Member | undefined;
  let error: Member | undefined;
  for (const member of top) {
    switch (member.key) {
      case 'jsonrpc':
        version = member;
        break;
      case 'id':
        id = member;
        break;
      case 'method':
        method = member;
        break;
      case 'params':
        paramsAt = member;
        break;
      case 'result':
        result = member;
        break;
      case 'error':
        error = member;
        break;
      default:
    }
  }
  const isLong = id !== undefined && id.end - id.start > MAX_ID;
  const rawId = id && !isLong ? body.toString('utf8', id.start, id.end) : undefined;
  const shownId = rawId !== undefined && isId(rawId) ? rawId : 'null';
  const refuse = (why: string): never => {
    throw new MessageError('invalid_request', why, shownId);
  };
  const doubt = TOP.doubt(top) ?? PARAMS.doubt(params) ?? META.doubt(meta);
  if (doubt !== undefined) refuse(`Invalid request: ${doubt}`);
  for (const member of top)
    if (TOP.has(member.key) && isEscaped(body, member))
      refuse(`Invalid request: '${member.key}' written with escapes`);
  if (isLong) refuse(`an id has at most ${MAX_ID} bytes`);
  if (rawId !== undefined && !isId(rawId)) refuse('id must be a string or a number');
  if (!version || nameAt(body, version.start, version.end) !== '"2.0"') refuse("jsonrpc must be '2.0'");
  if (!method) {
    if ((result || error) && id) {
      if (result && error && !isNull(body, result) && !isNull(body, error))
        refuse('a response has a result or an error, not both');
      return {
        kind: 'response',
        body,
        id: rawId,
        idSpan: id,
        method: '',
        paramsSpan: undefined,
        params,
        meta,
      };
    }
    return refuse('method is required');
  }
  if (body[method.start] !== 0x22) return refuse('method must be a string');
  if (result || error) return refuse('a message is a request or a response, not both');
  if (paramsAt && body[paramsAt.start] !== 0x7b) return refuse('params must be an object');
  return {
    kind: id ? 'request' : 'notification',
    body,
    id: rawId,
    idSpan: id,
    method: readText(body, method.start, method.end),
    paramsSpan: paramsAt,
    params,
    meta,
  };
}

/** The parsed value of a member of `params`; undefined: absent. For small members only: names, tokens. */
export function param(message: Message, key: string): unknown {
  const member = find(message.params, key);
  return member && JSON.parse(message.body.toString('utf8', member.start, member.end));
}

/** A key for an id: `"a"` and `"\u0061"` give the same key. */
export function idKey(raw: string): string {
  return raw.includes('\\') ? JSON.stringify(JSON.parse(raw)) : raw;
}
