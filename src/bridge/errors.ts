/** Errors that mean something else, or nothing, in the other era (2026-07-28, basic, "Error Codes"). */
import { find, param, type Message } from '../protocol/message.js';
import type { Caller } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import type { Span } from '../wire/scan.js';
import { splice } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
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
      const uri = (error.data as { uri?: unknown } | null | undefined)?.uri;
      if (uri !== undefined && uri === uriOf(message)) return { ...error, code: RESOURCE_NOT_FOUND };
    }
    return 'pass';
  }
  if (caller.era === 'legacy') return 'pass';
  if (error.code === RESOURCE_NOT_FOUND) {
    const data = typeof error.data === 'object' && error.data !== null ? error.data : {};
    const uri = uriOf(message);
    return {
      code: INVALID_PARAMS,
      message: error.message,
      data: uri === undefined || 'uri' in data ? error.data : { ...data, uri },
    };
  }
  // Codes that the modern revision keeps for itself mean something else from a server that does not know it.
  if (error.code <= -32020 && error.code >= -32099)
    return { code: INTERNAL, message: error.message, data: { ...error } };
  return 'pass';
}

/** The name or URI in question is the client's own: the error reads as its request did. */
function uriOf(message: Message): unknown {
  return find(message.params, 'uri') && param(message, 'uri');
}

/** Whether the client declared all that the error says it lacks. */
function declaresAll(data: unknown, capabilities: Readonly<Record<string, unknown>>): boolean {
  const required = (data as { requiredCapabilities?: unknown } | null | undefined)?.requiredCapabilities;
  return isObject(required) && Object.keys(required).length > 0 && covers(capabilities, required);
}

function covers(has: Readonly<Record<string, unknown>>, wants: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(wants).every(([key, want]) => {
    const own = has[key];
    if (!isObject(own)) return own !== undefined && !isObject(want);
    return !isObject(want) || covers(own, want);
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error of a whole answer, whose value begins at `value`. */
export function readError(whole: Buffer, value: number): RpcError {
  const { code, message, data } = JSON.parse(whole.toString('utf8', value, whole.lastIndexOf(0x7d))) as {
    code: number;
    message?: unknown;
    data?: unknown;
  };
  const error = { code, message: typeof message === 'string' ? message : '' };
  return data === undefined ? error : { ...error, data };
}

/** The whole answer with another error in it; the bytes of its data stay where it is the same. `rawId`: JSON. */
export function withError(
  whole: Buffer,
  value: number,
  was: RpcError,
  error: RpcError,
  rawId: string,
): Buffer {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${rawId},"error":`);
  const close = Buffer.from('}');
  if (error.data !== was.data || error.message !== was.message)
    return Buffer.concat([head, Buffer.from(JSON.stringify(error)), close]);
  const code = membersOf(whole, value).findLast(({ key }) => key === 'code') as Span;
  const patch = { start: code.start, end: code.end, bytes: Buffer.from(String(error.code)) };
  return Buffer.concat([head, splice(whole, [patch], value, whole.lastIndexOf(0x7d)), close]);
}

/** Where the error begins in what withError() made. */
export function errorAt(rawId: string): number {
  return Buffer.byteLength(rawId) + 31;
}
