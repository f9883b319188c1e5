/** Errors that mean something else, or nothing, in the other era (2026-07-28, basic, "Error Codes"). */
import { find, param, type Message } from '../protocol/message.js';
import type { Caller } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { endOfValue } from '../wire/edges.js';
import { isObject, objectOf, readJson, readObject, textOf } from '../wire/json.js';
import { splice } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';

export interface RpcError {
  readonly code: number;
  readonly message: string;
  /** JSON, of whatever size and depth. */
  readonly data?: Buffer | undefined;
}

export const URL_ELICITATION_REQUIRED = -32042;
const RESOURCE_NOT_FOUND = -32002;
const INVALID_PARAMS = -32602;
const INTERNAL = -32603;
const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;
const UNSUPPORTED_VERSION = -32022;

export type Verdict =
  /** It goes on as it came. */
  | 'pass'
  /** The upstream lists something else than what is known of it. */
  | 'refresh'
  /** It speaks another revision than what is known of it. */
  | 'doubt'
  | RpcError;

export interface ErrorContext {
  readonly upstream: Era;
  readonly caller: Pick<Caller, 'era' | 'capabilities'>;
  readonly server: string;
  readonly message: Message;
}

/** What a client gets for an error of an upstream. */
export function judge(error: RpcError, { upstream, caller, server, message }: ErrorContext): Verdict {
  if (upstream === 'modern') {
    if (error.code === HEADER_MISMATCH) return 'refresh';
    if (error.code === UNSUPPORTED_VERSION) return 'doubt';
    if (error.code === MISSING_CAPABILITY && declaresAll(error.data, caller.capabilities))
      return {
        code: INTERNAL,
        message: `upstream '${server}' missed a capability that it was told of: ${error.message}`,
        data: error.data,
      };
    if (caller.era === 'legacy' && error.code === INVALID_PARAMS && message.method === 'resources/read') {
      const uri = error.data && textOf(readObject(error.data)?.['uri']);
      if (uri !== undefined && uri === uriOf(message)) return { ...error, code: RESOURCE_NOT_FOUND };
    }
    return 'pass';
  }
  if (caller.era === 'legacy') return 'pass';
  if (error.code === RESOURCE_NOT_FOUND) {
    const uri = uriOf(message);
    return {
      code: INVALID_PARAMS,
      message: error.message,
      data: uri === undefined ? error.data : withUri(error.data, uri),
    };
  }
  // Codes that the modern revision keeps for itself mean something else from a server that does not know it.
  if (error.code <= -32020 && error.code >= -32099)
    return { code: INTERNAL, message: error.message, data: errorJson(error) };
  return 'pass';
}

/** The name or URI in question is the client's own: the error reads as its request did. */
function uriOf(message: Message): string | undefined {
  return find(message.params, 'uri') && textOf(param(message, 'uri'));
}

/** The data of an error with the URI in question, unless it names one. */
function withUri(data: Buffer | undefined, uri: string): Buffer {
  const own = `"uri":${JSON.stringify(uri)}`;
  if (data?.[0] !== 0x7b) return Buffer.from(`{${own}}`);
  const members = membersOf(data);
  if (members.some(({ key }) => key === 'uri')) return data;
  const end = members.at(-1)?.end ?? 1;
  return splice(data, [{ start: end, end, bytes: Buffer.from(members.length > 0 ? `,${own}` : own) }]);
}

/** Whether the client declared all that the error says it lacks. */
function declaresAll(data: Buffer | undefined, capabilities: Readonly<Record<string, unknown>>): boolean {
  const required = data && objectOf(readObject(data)?.['requiredCapabilities']);
  return required !== undefined && Object.keys(required).length > 0 && covers(capabilities, required);
}

function covers(has: Readonly<Record<string, unknown>>, wants: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(wants).every(([key, want]) => {
    const own = has[key];
    if (!isObject(own)) return own !== undefined && !isObject(want);
    return !isObject(want) || covers(own, want);
  });
}

/** The error of a whole answer, whose value begins at `value`: what is not read of it keeps its bytes. */
export function readError(whole: Buffer, value: number): RpcError {
  const members = whole[value] === 0x7b ? membersOf(whole, value) : [];
  // As JSON.parse has it, the last of equal members counts.
  const at = (name: string): Buffer | undefined => {
    const member = members.findLast(({ key }) => key === name);
    return member && whole.subarray(member.start, member.end);
  };
  const [code, message, data] = [at('code'), at('message'), at('data')];
  return {
    code: (code && numberOf(readJson(code))) ?? INTERNAL,
    message: (message && textOf(readJson(message))) ?? '',
    data,
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function errorJson({ code, message, data }: RpcError): Buffer {
  const head = Buffer.from(`{"code":${code},"message":${JSON.stringify(message)}`);
  return Buffer.concat(data ? [head, DATA, data, CLOSE] : [head, CLOSE]);
}

const DATA = Buffer.from(',"data":');
const CLOSE = Buffer.from('}');

/** The whole answer with another error in it; the bytes of its data stay where it is the same. `rawId`: JSON. */
export function withError(
  whole: Buffer,
  value: number,
  was: RpcError,
  error: RpcError,
  rawId: string,
): Buffer {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${rawId},"error":`);
  const code =
    whole[value] === 0x7b ? membersOf(whole, value).findLast(({ key }) => key === 'code') : undefined;
  const end = code ? endOfValue(whole, value) : -1;
  if (!code || end === -1 || error.data !== was.data || error.message !== was.message)
    return Buffer.concat([head, errorJson(error), CLOSE]);
  const patch = { start: code.start, end: code.end, bytes: Buffer.from(String(error.code)) };
  return Buffer.concat([head, splice(whole, [patch], value, end), CLOSE]);
}

/** Where the error begins in what withError() made. */
export function errorAt(rawId: string): number {
  return Buffer.byteLength(rawId) + 31;
}
