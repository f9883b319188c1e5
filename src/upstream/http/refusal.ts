/** An HTTP status of 400 or more in place of an answer. */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';
import type { UpstreamCall } from '../calls/calls.js';
import { deliverError } from '../calls/deliver-error.js';
import { saying } from '../calls/excerpt.js';
import { readErrorAnswer, type ErrorAnswer } from '../calls/rpc-error.js';
import type { HttpSession } from './http.js';

/** The most that is read of a body, in bytes. */
const MAX_BODY = 1_048_576;
/** Statuses about the credentials of the gateway: what the body says is for operators alone. */
const CREDENTIAL_STATUSES = new Set([401, 403]);
/** Statuses about the way to a server, or its load: they say nothing about its era. */
const TRANSIENT_STATUSES = new Set([401, 403, 408, 429]);
/** The errors of JSON-RPC itself and of the modern era: any modern server may answer with them. */
const MODERN_CODES = new Set([-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022]);

/** The body of a refusal, as far as the budget of the gateway has room for it. */
export class RefusalBody {
  readonly #budget: Budget;
  readonly #pieces = new Pieces();
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  push(chunk: Buffer): void {
    const kept = chunk.subarray(0, MAX_BODY - this.#bytes);
    if (kept.length === 0 || !this.#budget.take(kept.length)) return;
    this.#pieces.push(kept);
    this.#bytes += kept.length;
  }

  /** The body, which is given back to the budget. */
  taken(): Buffer {
    const body = this.#pieces.taken();
    this.#budget.give(body.length);
    this.#bytes = 0;
    return body;
  }
}

export interface HttpRefusal {
  readonly status: number;
  readonly body: Buffer;
  /** Whether the request named a session. */
  readonly hadSession: boolean;
  /** `stamp` of the credential of the request. */
  readonly stamp: number;
  /** What the server asked to wait, in ms. */
  readonly retryAfterMs: number | undefined;
}

/** Whether a request of a session had another credential than the one that the session was opened with. */
export function isOutdated(http: HttpSession, hadSession: boolean, stamp: number): boolean {
  return http.credential !== undefined && hadSession && http.sessionStamp !== stamp;
}

/** Ends the call, or has the link send it again. */
export function refuse(
  http: HttpSession,
  call: UpstreamCall,
  { status, body, hadSession, stamp, retryAfterMs }: HttpRefusal,
): void {
  const { owner, config, events, modern } = http;
  const answer = readErrorAnswer(body);
  const error = answer?.error;
  const session = { hadSession, isOutdated: isOutdated(http, hadSession, stamp) };
  if (owner.refused(call, { type: 'http', status, body, error, ...session })) return;
  if (modern && seemsLegacy(error, status)) events.wrongEra();
  if (answer && isAnswerTo(call, answer, status, modern))
    return deliverError(call, answer.value, answer.error);
  call.fail(
    new GatewayError(
      status === 401 || status === 403 ? 'upstream_auth_failed' : 'upstream_protocol_error',
      `upstream '${config.name}' answered HTTP ${status}${saying(body, status)}`,
      retryAfterMs === undefined ? { status } : { status, retryAfter: Math.ceil(retryAfterMs / 1000) },
    ),
  );
}

/** Whether a JSON-RPC error is about this request. A modern server may leave the id out if it did not read the request. */
function isAnswerTo(call: UpstreamCall, { id }: ErrorAnswer, status: number, modern: boolean): boolean {
  if (CREDENTIAL_STATUSES.has(status)) return false;
  return id === call.idText || (modern && id === '' && status < 500 && !TRANSIENT_STATUSES.has(status));
}

/** A refusal that a modern server would have put differently (2026-07-28, basic/versioning). */
function seemsLegacy(error: ErrorAnswer['error'] | undefined, status: number): boolean {
  return status < 500 && !TRANSIENT_STATUSES.has(status) && !(error && MODERN_CODES.has(error.code));
}
