/** The sink of the gateway's own requests: buffers the whole answer, within a limit. */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';
import { NOBODY_TO_ASK, type AnswerHead, type Sink } from '../../protocol/ports.js';
import { MessageScan } from '../../wire/message-scan.js';
import { readRpcError, type RpcError } from './rpc-error.js';

export interface Collected {
  /** The bytes of `result`: valid JSON, unless `unchecked` was set. */
  readonly value: Buffer;
}

export interface CollectOptions {
  /** The reader of the result checks that it is valid JSON. */
  readonly unchecked?: boolean;
}

/** `answer` rejects with a GatewayError: the error that the server answered with, or the failure of the call. */
export function collect(
  server: string,
  method: string,
  maxBytes: number,
  budget: Budget,
  options: CollectOptions = {},
): { sink: Sink; answer: Promise<Collected> } {
  let resolve: (value: Collected) => void;
  let reject: (error: GatewayError) => void;
  const answer = new Promise<Collected>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  const chunks = new Pieces();
  let bytes = 0;
  let head: AnswerHead | undefined;
  let failed: GatewayError | undefined;
  const holder = budget.holder({ server }, () => {
    failed ??= noRoom(server, method);
    release();
  });
  const release = (): void => {
    chunks.clear();
    holder.release();
  };
  const sink: Sink = {
    notify: () => true,
    ask: () => NOBODY_TO_ASK,
    start(started) {
      head = started;
    },
    write(chunk) {
      bytes += chunk.length;
      if (bytes > maxBytes) failed ??= tooLarge(server, method, maxBytes);
      else if (!holder.take(chunk.length)) failed ??= noRoom(server, method);
      if (failed) release();
      else chunks.push(chunk);
      return true;
    },
    end() {
      const whole = chunks.joined();
      release();
      if (failed) return reject(failed);
      const scan = MessageScan.of([whole]);
      const value = whole.subarray(scan.value, scan.valueEnd);
      if (head?.kind === 'error') {
        const error = readRpcError(whole, { start: scan.value, end: scan.valueEnd });
        return reject(error ? answeredWith(server, method, error) : unreadable(server, method));
      }
      if (head?.resultType !== undefined)
        return reject(
          new GatewayError(
            'upstream_protocol_error',
            `upstream '${server}' answered ${method} with a result of the type '${head.resultType.slice(0, 64)}'`,
          ),
        );
      const isReadable = scan.kind === 'result' && (options.unchecked === true || isJson(value));
      if (isReadable) resolve({ value });
      else reject(unreadable(server, method));
    },
    cancelled() {
      release();
    },
    fail(error) {
      release();
      reject(error);
    },
  };
  return { sink, answer };
}

function answeredWith(server: string, method: string, { code, message, data }: RpcError): GatewayError {
  return new GatewayError(
    'upstream_protocol_error',
    `upstream '${server}' answered ${method} with the JSON-RPC error ${code}: ${message.slice(0, 512)}`,
    data === undefined ? { rpc: code } : { rpc: code, detail: data },
  );
}

function unreadable(server: string, method: string): GatewayError {
  return new GatewayError(
    'upstream_protocol_error',
    `upstream '${server}' answered ${method} with invalid JSON`,
  );
}

function isJson(value: Buffer): boolean {
  try {
    JSON.parse(value.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function noRoom(server: string, method: string): GatewayError {
  return new GatewayError(
    'busy',
    `no room for the answer of upstream '${server}' to ${method} (limits.buffered_bytes)`,
  );
}

function tooLarge(server: string, method: string, maxBytes: number): GatewayError {
  return new GatewayError(
    'upstream_protocol_error',
    `upstream '${server}' answered ${method} with more than ${maxBytes} bytes (limits.message_bytes)`,
  );
}
