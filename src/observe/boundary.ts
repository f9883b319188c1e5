/**
 * The boundary around code that handles bytes of a peer, or that a timer calls: an exception there is a fault of the
 * gateway. It ends that call, that message or that connection, never the process.
 */
import { GatewayError } from '../errors.js';
import type { Logger } from './log.js';

/** Where an exception was caught: the label `where` of `mcpstead_internal_errors_total`. */
export const PLACES = [
  /** A request of an HTTP client: head, body, and everything until its answer has begun. */
  'client_request',
  /** A line of a client over stdio. */
  'client_line',
  /** An element of a batch. */
  'batch',
  /** The answer of a server to a request, over HTTP. */
  'answer',
  /** The decoder of a coded body. */
  'decoder',
  /** An event stream of a server: the GET stream, or HTTP+SSE. */
  'server_stream',
  /** A line on stdout of a child. */
  'server_line',
  /** A line on stderr of a child. */
  'stderr',
  /** A frame of a subscription stream. */
  'listen',
  /** The state of a task. */
  'task',
  /** The life of a link: dial, handshake, lists, reconnect. */
  'link',
  /** What the gateway tells its sessions and streams. */
  'fan_out',
  /** A timer. */
  'timer',
  /** Work that nobody waits for. */
  'detached',
  /** `GET /metrics`. */
  'metrics',
  /** Reading the configuration and secret files. */
  'config',
] as const;
export type Place = (typeof PLACES)[number];

export class Boundary {
  readonly #log: Logger;
  readonly #counts: { add(place: Place): void };

  constructor(log: Logger, counts: { add(place: Place): void }) {
    this.#log = log;
    this.#counts = counts;
  }

  /** Counts and logs what was thrown; gives the error that ends the call. For a `catch` on the path of a call. */
  caught(where: Place, thrown: unknown): GatewayError {
    this.#counts.add(where);
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.#log.error('internal error', { where, error: error.slice(0, 4096) });
    return new GatewayError('internal', 'internal error');
  }

  /** Runs `work`. If it throws, `failed` ends what it was about; what `failed` throws is counted too. */
  run(where: Place, work: () => void, failed?: (error: GatewayError) => void): void {
    try {
      work();
    } catch (thrown) {
      const error = this.caught(where, thrown);
      if (!failed) return;
      try {
        failed(error);
      } catch (again) {
        this.caught(where, again);
      }
    }
  }

  /** `work` as a callback that never throws. */
  guard<A extends unknown[]>(
    where: Place,
    work: (...args: A) => void,
    failed?: (error: GatewayError) => void,
  ): (...args: A) => void {
    return (...args) => {
      this.run(
        where,
        () => {
          work(...args);
        },
        failed,
      );
    };
  }

  /** A promise that nobody waits for: a rejection is counted and logged, then `failed` ends what it was about. */
  detach(where: Place, promise: Promise<unknown>, failed?: (error: GatewayError) => void): void {
    promise.catch((thrown: unknown) => {
      this.run(
        where,
        () => {
          throw thrown;
        },
        failed,
      );
    });
  }
}
