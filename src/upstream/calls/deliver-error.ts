import type { AnswerHost } from './answer-host.js';
import type { RpcError } from './rpc-error.js';

/** Delivers an error answer: the bytes of `error` as the server sent them, without secrets, under the caller's id. */
export function deliverError(
  host: Pick<AnswerHost, 'rawId' | 'sink' | 'starting' | 'masked' | 'answered'>,
  value: Buffer,
  error: RpcError,
): void {
  const open = Buffer.concat([ERROR_OPEN, host.rawId, ERROR_VALUE]);
  const bytes = Buffer.concat([open, host.masked(value), CLOSE]);
  host.starting();
  host.sink.start({ kind: 'error', bytes: bytes.length, value: open.length, code: error.code });
  host.sink.write(bytes);
  host.sink.end({ isError: false });
  host.answered('error', false);
}

const ERROR_OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const ERROR_VALUE = Buffer.from(',"error":');
const CLOSE = Buffer.from('}');
