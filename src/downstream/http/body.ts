/** Reads the body of a request: complete, bounded, UTF-8. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget, Holder, Owner } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';

/** A larger body is charged to the budget until its request is over. */
const LARGE = 16_384;

/**
 * `done` is called once, with a body or an error, or with neither if the client has gone. `client`: the owner of the bytes. `held`: the
 * budget of a large body, which the caller releases when the request is over. If it is evicted before that, the connection is closed.
 */
export function readBody(
  req: IncomingMessage,
  res: ServerResponse,
  maxBytes: number,
  budget: Budget,
  client: Owner,
  done: (body: Buffer | undefined, error?: GatewayError, held?: Holder) => void,
): void {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > maxBytes) return done(undefined, tooLarge(maxBytes));
  const pieces = new Pieces();
  let bytes = 0;
  let held: Holder | undefined;
  let over = false;

  function hold(more: number): boolean {
    held ??= budget.holder({ client }, () => {
      if (over) res.destroy();
      else finish(undefined, full());
    });
    return held.take(more);
  }

  function finish(body: Buffer | undefined, error?: GatewayError): void {
    if (over) return;
    over = true;
    pieces.clear();
    if (body && body.length > LARGE && (held?.held || hold(body.length))) return done(body, undefined, held);
    held?.release();
    if (body && body.length > LARGE) done(undefined, full());
    else done(body, error);
  }

  req.on('data', (chunk: Buffer) => {
    if (over) return;
    bytes += chunk.length;
    if (bytes > maxBytes) return finish(undefined, tooLarge(maxBytes));
    // A body in one piece is complete at once.
    if (!(pieces.length === 0 && bytes === declared) && !hold(chunk.length)) return finish(undefined, full());
    pieces.push(chunk);
  });
  req.on('end', () => {
    if (over) return;
    const body = pieces.taken();
    if (body.length === 0)
      finish(undefined, new GatewayError('parse_error', 'Parse error: the body is empty'));
    else if (!isUtf8(body))
      finish(undefined, new GatewayError('parse_error', 'Parse error: the body is not UTF-8'));
    else finish(body);
  });
  req.on('close', () => {
    finish(undefined);
  });
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('body_too_large', `the body is larger than ${maxBytes} bytes (limits.body_bytes)`);
}

function full(): GatewayError {
  return new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)');
}
