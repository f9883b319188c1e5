/** The sink of the gateway's own requests: the whole answer, held within a bound. */
import { GatewayError } from '../errors.js';
import { NOBODY_TO_ASK, type AnswerHead, type Sink } from '../protocol/ports.js';
import { membersOf } from '../wire/walk.js';

export interface Collected {
  /** The bytes of `result`. */
  readonly value: Buffer;
}

/** `answer` rejects with a GatewayError: the upstream's own error, or the failure of the call. */
export function collect(
  server: string,
  method: string,
  maxBytes: number,
): { sink: Sink; answer: Promise<Collected> } {
  let resolve: (value: Collected) => void;
  let reject: (error: GatewayError) => void;
  const answer = new Promise<Collected>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: AnswerHead | undefined;
  const sink: Sink = {
    notify: () => true,
    ask: () => NOBODY_TO_ASK,
    start(started) {
      head = started;
    },
    write(chunk) {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      return true;
    },
    end() {
      if (bytes > maxBytes) return reject(tooLarge(server, method, maxBytes));
      const whole = Buffer.concat(chunks);
      try {
        const kind = head?.kind ?? 'result';
        // Members are read from proven text alone.
        const parsed = JSON.parse(whole.toString('utf8')) as {
          error?: { code: number; message?: unknown; data?: unknown };
        };
        if (kind === 'error') {
          const { code, message, data } = parsed.error as { code: number; message?: unknown; data?: unknown };
          const text = typeof message === 'string' ? message.slice(0, 512) : '';
          return reject(
            new GatewayError(
              'upstream_protocol_error',
              `upstream '${server}' answered ${method} with the JSON-RPC error ${code}: ${text}`,
              data === undefined ? { rpc: code } : { rpc: code, detail: data },
            ),
          );
        }
        if (head?.resultType !== undefined)
          return reject(
            new GatewayError(
              'upstream_protocol_error',
              `upstream '${server}' answered ${method} with a result of the type '${head.resultType.slice(0, 64)}'`,
            ),
          );
        const member = membersOf(whole).findLast(({ key }) => key === 'result');
        if (!member) throw new Error('no result');
        resolve({ value: whole.subarray(member.start, member.end) });
      } catch {
        reject(
          new GatewayError(
            'upstream_protocol_error',
            `upstream '${server}' answered ${method} with what is no JSON`,
          ),
        );
      }
    },
    cancelled() {},
    fail(error) {
      reject(error);
    },
  };
  return { sink, answer };
}

function tooLarge(server: string, method: string, maxBytes: number): GatewayError {
  return new GatewayError(
    'upstream_protocol_error',
    `upstream '${server}' answered ${method} with more than ${maxBytes} bytes (limits.message_bytes)`,
  );
}
