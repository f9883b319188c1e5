/** How an answer goes on whose event stream broke off or was closed (2025-11-25, basic/transports, "Resumability and Redelivery"). */

/** Attempts in a row that bring no event with data. */
export const MAX_RESUMES = 10;
/** The wait before the first attempt where the server names none, in ms; it doubles. */
const RESUME_MS = 1000;
const MIN_RESUME_MS = 100;
export const MAX_RESUME_MS = 30_000;
/** A stream that is closed in good order with a retry time of at least this is meant to be polled. */
const POLL_MS = 1000;
const MAX_POLL_MS = 300_000;

/** Where a stream goes on. */
export interface Resume {
  /** The id of the last event. */
  readonly lastId: string;
  /** Attempts since the last event with data. */
  readonly tries: number;
  /** The session of the stream: `HttpSession.generation`; undefined: it has none. */
  readonly generation: number | undefined;
}

/** Streams that wait before they are resumed. */
export class ResumeWaits {
  readonly #waits = new Map<NodeJS.Timeout, () => void>();

  /** `go` must not throw. Returns a function that ends the wait without it. */
  after(ms: number, go: () => void): () => void {
    const timer = setTimeout(() => {
      this.#waits.delete(timer);
      go();
    }, ms).unref();
    this.#waits.set(timer, go);
    return () => {
      clearTimeout(timer);
      this.#waits.delete(timer);
    };
  }

  /** The session is lost: no stream has anything to wait for. */
  end(): void {
    const all = [...this.#waits];
    this.#waits.clear();
    for (const [timer, go] of all) {
      clearTimeout(timer);
      go();
    }
  }
}

/** `refused`: the request to go on was answered with an HTTP error. */
export type StreamEnd = 'closed' | 'broken' | 'refused';

/**
 * The number of the next attempt, and the wait before it in ms. `before`: attempts without an event with data so far; `retryMs`: the retry
 * time that the server named; `leastMs`: what a refusal asked to wait.
 */
export function nextAttempt(
  end: StreamEnd,
  retryMs: number | undefined,
  before: number,
  leastMs: number,
): { readonly tries: number; readonly waitMs: number } {
  if (end === 'closed' && retryMs !== undefined && retryMs >= POLL_MS)
    return { tries: before, waitMs: Math.min(retryMs, MAX_POLL_MS) };
  const tries = before + 1;
  const doubled = Math.max(retryMs ?? RESUME_MS, MIN_RESUME_MS) * 2 ** (tries - 1);
  return { tries, waitMs: Math.max(Math.min(doubled, MAX_RESUME_MS), leastMs) };
}
