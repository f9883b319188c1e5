/**
 * The envelope of one JSON-RPC message: what it is, and where in the bytes the few members stand that a gateway
 * reads or replaces. Everything else stays unread.
 */
import { GatewayError } from '../errors.js';
import { nameAt } from '../wire/names.js';
import { readText, scan, ScanError, type Member, type Scan, type Span } from '../wire/scan.js';

export interface Message {
  readonly kind: 'request' | 'notification' | 'response';
  /** The whole message as it came. */
  readonly body: Buffer;
  /** JSON of the id exactly as sent; undefined for a notification. */
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

/** Not a message. `id`: the request's own, as JSON, where it could be read. */
export class MessageError extends GatewayError {
  readonly id: string;
  constructor(code: 'parse_error' | 'invalid_request', message: string, id = 'null') {
    super(code, message);
    this.id = id;
  }
}

export const TOP = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'];
export const PARAMS = ['name', 'uri', 'arguments', '_meta', 'taskId', 'requestState', 'inputResponses'];
export const META = [
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
];

export function find(members: readonly Member[], key: string): Member | undefined {
  for (const member of members) if (member.key === key) return member;
  return undefined;
}

/** A member that a reader behind the gateway could take for another one of the same name. */
export function ambiguous(members: readonly Member[], names: readonly string[]): string | undefined {
  for (let i = 0; i < members.length; i++) {
    const key = (members[i] as Member).key;
    if (names.includes(key)) {
      for (let k = i + 1; k < members.length; k++)
        if ((members[k] as Member).key === key) return `'${key}' twice`;
    } else if (key.length < 16) {
      const lower = key.toLowerCase();
      for (const name of names)
        if (lower === name.toLowerCase()) return `'${key}', which differs from '${name}' in case alone`;
    }
  }
  return undefined;
}

function scanned(body: Buffer): Scan {
  try {
    return scan(body);
  } catch (error) {
    if (error instanceof ScanError) throw new MessageError('parse_error', `Parse error: ${error.message}`);
    throw error;
  }
}

/** Text or number: what an id may be. */
function isId(raw: string): boolean {
  const c = raw.charCodeAt(0);
  return c === 0x22 || c === 0x2d || (c >= 0x30 && c <= 0x39);
}

/**
 * Reads one message, or the messages of a batch. Throws MessageError when the whole is unreadable; an element of a batch
 * that is not a message becomes a MessageError in its place.
 */
export function readMessages(body: Buffer): Message | (Message | MessageError)[] {
  const whole = scanned(body);
  if (whole.kind === 'array') {
    return whole.elements.map(({ start, end }) => {
      const element = body.subarray(start, end);
      try {
        return messageOf(element, scanned(element));
      } catch (error) {
        if (error instanceof MessageError) return error;
        throw error;
      }
    });
  }
  return messageOf(body, whole);
}

function messageOf(body: Buffer, whole: Scan): Message {
  if (whole.kind !== 'object') throw new MessageError('invalid_request', 'request must be an object');
  const { top, params, meta } = whole;
  let id: Member | undefined;
  let method: Member | undefined;
  let paramsAt: Member | undefined;
  let version: Member | undefined;
  let answer: Member | undefined;
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
      case 'error':
        answer = member;
        break;
      default:
    }
  }
  const rawId = id && body.toString('utf8', id.start, id.end);
  const shownId = rawId !== undefined && isId(rawId) ? rawId : 'null';
  const refuse = (why: string): never => {
    throw new MessageError('invalid_request', why, shownId);
  };
  const doubt = ambiguous(top, TOP) ?? ambiguous(params, PARAMS) ?? ambiguous(meta, META);
  if (doubt !== undefined) refuse(`Invalid request: ${doubt}`);
  if (rawId !== undefined && !isId(rawId)) refuse('id must be a string or a number');
  if (!version || nameAt(body, version.start, version.end) !== '"2.0"') refuse("jsonrpc must be '2.0'");
  if (!method) {
    if (answer && id) {
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
  if (answer) return refuse('a message is a request or a response, not both');
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

/** The value of a member of `params`, parsed; undefined where it is absent. Only for small members: names, tokens. */
export function param(message: Message, key: string): unknown {
  const member = find(message.params, key);
  return member && JSON.parse(message.body.toString('utf8', member.start, member.end));
}

/** Equal for ids that are the same value: `"a"` and `"\u0061"` are one key. */
export function idKey(raw: string): string {
  return raw.includes('\\') ? JSON.stringify(JSON.parse(raw)) : raw;
}
