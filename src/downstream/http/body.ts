/** The body of a request: whole, bounded, UTF-8. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget, Holder, Owner } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';

/** A body beyond this counts for as long as its request is under way: who works on it holds it. */
const LARGE = 16_384;

/**
 * `done` is called once; `body` is undefined with an error, and both are when the client went away. `client`: whose bytes they are.
 * `held`: what a large body holds of the budget; whoever gets it gives it back when the request is over. If it has to give way before
 * that, the connection is closed.
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
    // What comes in one piece is over at once.
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
