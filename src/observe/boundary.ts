/**
 * The boundary around code that handles a peer's bytes or runs from a timer. An exception there is a bug in the gateway: it ends that
 * call, message or connection, never the process.
 */
import { GatewayError } from '../errors.js';
import type { Logger } from './log.js';

/** Where an exception was caught: the label `where` of `mcpstead_internal_errors_total`. */
export const PLACES = [
  /** An HTTP request from a client, until its answer has started. */
  'client_request',
  /** A line of a client over stdio. */
  'client_line',
  /** An element of a batch. */
  'batch',
  /** A server's answer over HTTP. */
  'answer',
  /** The decoder of a compressed body. */
  'decoder',
  /** A server's event stream: the GET stream or HTTP+SSE. */
  'server_stream',
  /** A line on a child's stdout. */
  'server_line',
  /** A line on a child's stderr. */
  'stderr',
  /** A message on a subscription stream. */
  'listen',
  /** The state of a task. */
  'task',
  /** A link's connection: dialling, handshake, lists, reconnecting. */
  'link',
  /** Notifications to sessions and streams. */
  'fan_out',
  /** A timer. */
  'timer',
  /** Background work. */
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

  /** Counts and logs what was thrown, and returns the error that ends the call. For `catch` blocks on the call path. */
  caught(where: Place, thrown: unknown): GatewayError {
    this.#counts.add(where);
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.#log.error('internal error', { where, error: error.slice(0, 4096) });
    return new GatewayError('internal', 'internal error');
  }

  /** Runs `work`. If it throws, `failed` cleans up; an exception in `failed` is counted too. */
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

  /** Wraps `work` in a callback that never throws. */
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

  /** Handles a promise that nobody awaits: a rejection is counted and logged, then `failed` cleans up. */
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
