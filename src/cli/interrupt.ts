/** Ctrl-C during a command. */

export const INTERRUPTED = 130;

/** Runs `work`, and aborts its signal on Ctrl-C. Resolves with its exit status, or with 130 once it has ended after Ctrl-C. */
export async function interruptible(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const stop = new AbortController();
  const interrupt = (): void => {
    stop.abort();
  };
  process.once('SIGINT', interrupt);
  try {
    const status = await work(stop.signal);
    return stop.signal.aborted ? INTERRUPTED : status;
  } catch (error) {
    if (stop.signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}
