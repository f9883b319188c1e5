/** The error of an answer: code and message are read, `data` goes on as its bytes. */
import { MAX_NESTING, nestsWithin, SMALL_MESSAGE } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import { foldName } from '../../wire/fold.js';
import type { Span } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';

export interface RpcError {
  readonly code: number;
  readonly message: string;
  /** undefined: there is none, or it is nested too deep to be handled as a value. */
  readonly data?: unknown;
}

/** The error in `bytes` at `span`; undefined: it is not one. Nesting of any depth is an error all the same. */
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

/** Whether a member that the gateway decides by comes twice, as some reader would have it. */
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

/** A whole message that is an error answer. `value`: the bytes of its `error`; `id`: as it was sent, '' for none. */
export interface ErrorAnswer {
  readonly id: string;
  readonly error: RpcError;
  readonly value: Buffer;
}

/** The error answer that a whole body is, with JSON of any HTTP status; undefined: it is something else. */
export function readErrorAnswer(body: Buffer): ErrorAnswer | undefined {
  const scan = MessageScan.of([body]);
  if (scan.problem !== undefined || scan.kind !== 'error') return undefined;
  const error = readRpcError(body, { start: scan.value, end: scan.valueEnd });
  const id = scan.idText === 'null' ? '' : scan.answersId;
  return error && { id, error, value: body.subarray(scan.value, scan.valueEnd) };
}
