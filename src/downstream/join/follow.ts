import type { IncomingMessage } from 'node:http';
import type { Pace } from '../../lib/pace.js';
import type { Boundary } from '../../observe/boundary.js';
import type { EventLines } from '../event-lines.js';
import type { Lane } from '../lane.js';
import type { Remote } from './remote.js';

export const RETRY_MS = 1000;
const MIN_RETRY_MS = 100;
export const MAX_RETRY_MS = 30_000;
/** A stream that ends cleanly and asks for a wait of at least this is meant to be polled. */
const POLL_MS = 1000;
const MAX_POLL_MS = 300_000;

/** What every part of a joined client uses. */
export interface JoinContext {
  readonly remote: Remote;
  /** To the client. */
  readonly lane: Lane;
  readonly pace: Pace;
  readonly boundary: Boundary;
  readonly log: (text: string) => void;
  /** true once the client has left and its grace is over: no failure is reported any more. */
  readonly isOver: () => boolean;
}

/** Passes an event stream on to the client, at the pace of both. `closed` is called at its end, unless all is over by then. */
export function follow(
  { boundary, pace, isOver }: JoinContext,
  res: IncomingMessage,
  events: EventLines,
  closed: () => void,
): void {
  const failed = (): void => {
    res.destroy();
  };
  /** The client reads too slowly. */
  let isFull = false;
  /** Enough was read in this turn of the event loop. */
  let isResting = false;
  const update = (): void => {
    if (isFull || isResting) res.pause();
    else res.resume();
  };
  events.onto(() => {
    isFull = false;
    update();
  });
  const rested = boundary.guard('server_stream', () => {
    isResting = false;
    update();
  });
  const more = (chunk: Buffer): void => {
    isFull = !events.push(chunk);
    if (pace.spend(chunk.length) && !isResting) {
      isResting = true;
      setImmediate(rested);
    }
    if (isFull || isResting) res.pause();
  };
  const ended = (): void => {
    events.broken();
    if (!isOver()) closed();
  };
  res.on('data', boundary.guard('server_stream', more, failed));
  res.on('error', () => undefined);
  res.on('close', boundary.guard('server_stream', ended));
}

/** Whether the gateway ended a stream to have the client poll. */
export function isPolled(isClean: boolean, retryMs: number | undefined): boolean {
  return isClean && retryMs !== undefined && retryMs >= POLL_MS;
}

/** How long to wait before a stream is resumed; `tries`: attempts since it last delivered something. */
export function waitBefore(retryMs: number | undefined, polls: boolean, tries: number): number {
  if (polls) return Math.min(Math.max(retryMs ?? RETRY_MS, MIN_RETRY_MS), MAX_POLL_MS);
  return Math.min(Math.max(retryMs ?? RETRY_MS, MIN_RETRY_MS) * 2 ** Math.max(0, tries - 1), MAX_RETRY_MS);
}
