/** Converts errors that have another meaning, or none, in the other era (2026-07-28, basic, "Error Codes"). */
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
  /** JSON of any size and depth. */
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
  /** It is passed on unchanged. */
  | 'pass'
  /** The upstream's tool list has changed: refresh it and send the request again. */
  | 'refresh'
  /** The upstream supports another revision than the one in use. */
  | 'doubt'
  | RpcError;

export interface ErrorContext {
  readonly upstream: Era;
  readonly caller: Pick<Caller, 'era' | 'capabilities'>;
  readonly server: string;
  readonly message: Message;
}

/** Decides what a client gets for an upstream's error. */
export function judge(error: RpcError, { upstream, caller, server, message }: ErrorContext): Verdict {
  if (upstream === 'modern') {
    if (error.code === HEADER_MISMATCH) return 'refresh';
    if (error.code === UNSUPPORTED_VERSION) return 'doubt';
    if (error.code === MISSING_CAPABILITY && declaresAll(error.data, caller.capabilities))
      return {
        code: INTERNAL,
        message: `upstream '${server}' did not see a declared capability: ${error.message}`,
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
  // The modern revision reserves these codes; a legacy server means something else by them.
  if (error.code <= -32020 && error.code >= -32099)
    return { code: INTERNAL, message: error.message, data: errorJson(error) };
  return 'pass';
}

/** The URI as the client sent it, for the error that it gets. */
function uriOf(message: Message): string | undefined {
  return find(message.params, 'uri') && textOf(param(message, 'uri'));
}

/** Adds the URI to the data of an error, unless the data has one. */
function withUri(data: Buffer | undefined, uri: string): Buffer {
  const own = `"uri":${JSON.stringify(uri)}`;
  if (data?.[0] !== 0x7b) return Buffer.from(`{${own}}`);
  const members = membersOf(data);
  if (members.some(({ key }) => key === 'uri')) return data;
  const end = members.at(-1)?.end ?? 1;
  return splice(data, [{ start: end, end, bytes: Buffer.from(members.length > 0 ? `,${own}` : own) }]);
}

/** Whether the client declared all capabilities that the error asks for. */
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

/** Reads the error of a whole answer, which begins at `value`; `data` stays bytes. */
export function readError(whole: Buffer, value: number): RpcError {
  const members = whole[value] === 0x7b ? membersOf(whole, value) : [];
  // Of duplicate members the last one counts, as in JSON.parse.
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

/** The whole answer with another error; unchanged data keeps its bytes. `rawId`: JSON. */
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

/** The offset of the error in the result of withError(). */
export function errorAt(rawId: string): number {
  return Buffer.byteLength(rawId) + 31;
}
