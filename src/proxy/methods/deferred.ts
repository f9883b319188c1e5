import type { Boundary } from '../../observe/boundary.js';
import type { Outcome, ToolErrorReason } from '../../observe/stats.js';
import type { Cause, Exchange } from '../../protocol/ports.js';
import type { Incoming } from '../incoming.js';
import { forget } from '../under-way.js';

/** A request that waits for something before it goes on. */
export interface Deferred extends Exchange {
  /** The exchange that takes over. */
  next: Exchange | undefined;
  /** The request has been answered. */
  over(result: Outcome, reason?: ToolErrorReason, outcome?: string): void;
}

export interface Wait {
  /** Resolves when the request can go on. */
  readonly until: Promise<void>;
  /** Aborted when the client does not wait any more. */
  readonly controller: AbortController;
  /** Called when the request is over without an exchange that took over. */
  readonly ended?: (() => void) | undefined;
}

/** Calls `go` once the wait is over, unless the client cancels before. */
export function deferred(
  boundary: Boundary,
  incoming: Incoming,
  { until, controller, ended }: Wait,
  go: () => void,
): Deferred {
  let isOver = false;
  const exchange: Deferred = {
    next: undefined,
    over(result, reason, outcome) {
      forget(incoming, exchange);
      ended?.();
      incoming.over(result, reason, outcome);
    },
    resume() {
      exchange.next?.resume();
    },
    cancel(why: Cause) {
      if (exchange.next) {
        exchange.next.cancel(why);
        return;
      }
      if (isOver) return;
      isOver = true;
      controller.abort();
      exchange.over('error', 'cancelled', why);
      incoming.sink.cancelled(why);
    },
  };
  const gone = until.then(() => {
    if (isOver) return;
    isOver = true;
    go();
  });
  boundary.detach('detached', gone, (error) => {
    exchange.over('error', 'internal', error.message);
    incoming.sink.fail(error);
  });
  return exchange;
}
