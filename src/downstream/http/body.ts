/** The body of a request: whole, bounded, UTF-8. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';

/** `done` is called once; `body` is undefined with an error, and both are when the client went away. */
export function readBody(
  req: IncomingMessage,
  maxBytes: number,
  budget: Budget,
  done: (body: Buffer | undefined, error?: GatewayError) => void,
): void {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > maxBytes) return done(undefined, tooLarge(maxBytes));
  let first: Buffer | undefined;
  let chunks: Buffer[] | undefined;
  let bytes = 0;
  let taken = 0;
  let over = false;

  function finish(body: Buffer | undefined, error?: GatewayError): void {
    if (over) return;
    over = true;
    if (taken > 0) budget.give(taken);
    done(body, error);
  }

  req.on('data', (chunk: Buffer) => {
    if (over) return;
    bytes += chunk.length;
    if (bytes > maxBytes) return finish(undefined, tooLarge(maxBytes));
    if (!first) {
      first = chunk;
      return;
    }
    // What comes in one piece is over at once; what does not is accounted for.
    if (!budget.take(bytes - taken))
      return finish(
        undefined,
        new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)'),
      );
    taken = bytes;
    (chunks ??= [first]).push(chunk);
  });
  req.on('end', () => {
    const body = chunks ? Buffer.concat(chunks, bytes) : first;
    if (!body || body.length === 0)
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
