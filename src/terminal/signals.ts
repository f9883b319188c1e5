import { constants } from 'node:os';

/** What signals do to a running gateway. */
interface Running {
  close(): Promise<void>;
  reload(): Promise<unknown>;
  readonly failed: Promise<Error>;
}

/**
 * Waits for the end of a gateway: SIGTERM or SIGINT drains it (status 0), a second one calls `exit` at once,
 * SIGHUP reloads unless it drains. Rejects with the error that ended it.
 */
export function untilStopped(gateway: Running, exit: (status: number) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    let draining = false;
    const stop = (signal: 'SIGTERM' | 'SIGINT'): void => {
      if (draining) {
        exit(128 + constants.signals[signal]);
        return;
      }
      draining = true;
      gateway.close().then(() => resolve(0), reject);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    if (process.platform !== 'win32') {
      process.on('SIGHUP', () => {
        // A refused reload is logged and counted where it is refused.
        if (!draining) gateway.reload().catch(() => {});
      });
    }
    void gateway.failed.then(reject);
  });
}
