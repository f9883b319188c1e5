/** The `error` of an answer. Its bytes are passed on as they are; what the gateway decides by is read here. */
import { MAX_NESTING, nestsWithin, SMALL_MESSAGE } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import { foldName } from '../../wire/fold.js';
import type { Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';

export interface RpcError {
  readonly code: number;
  readonly message: string;
  /** undefined: missing, or nested too deeply. */
  readonly data?: unknown;
}

/** The error in `bytes` at `span`; undefined: invalid, ambiguous or too large. */
export function readRpcError(bytes: Buffer, span: Span): RpcError | undefined {
  const value = bytes.subarray(span.start, span.end);
  if (value.length > SMALL_MESSAGE || value[0] !== 0x7b) return undefined;
  let error: { code?: unknown; message?: unknown; data?: unknown };
  try {
    error = JSON.parse(value.toString('utf8')) as typeof error;
  } catch {
    return undefined;
  }
  const { code, message, data } = error;
  if (typeof code !== 'number' || isAmbiguous(value)) return undefined;
  return {
    code,
    message: typeof message === 'string' ? message : '',
    data: nestsWithin(value, MAX_NESTING) ? (data ?? undefined) : undefined,
  };
}

const NAMES = new Set(['code', 'message', 'data']);

/** Whether a member that the gateway decides by is there twice for some JSON reader, because of case or escapes. */
function isAmbiguous(value: Buffer): boolean {
  const seen = new Set<string>();
  for (const { key } of membersOf(value)) {
    const name = foldName(key);
    if (!NAMES.has(name)) continue;
    if (seen.has(name)) return true;
    seen.add(name);
  }
  return false;
}

/** A whole error answer. `value`: the bytes of `error`; `id`: as sent, '' if there is none. */
export interface ErrorAnswer {
  readonly id: string;
  readonly error: RpcError;
  readonly value: Buffer;
}

/** The error answer in the body of an HTTP response; undefined: the body is something else. */
export function readErrorAnswer(body: Buffer): ErrorAnswer | undefined {
  const scan = MessageScan.of([body]);
  if (scan.problem !== undefined || scan.kind !== 'error') return undefined;
  const error = readRpcError(body, { start: scan.value, end: scan.valueEnd });
  const id = scan.idText === 'null' ? '' : scan.answersId;
  return error && { id, error, value: body.subarray(scan.value, scan.valueEnd) };
}
