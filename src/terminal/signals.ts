import { constants } from 'node:os';

/** The parts of a gateway that signals act on. */
interface Running {
  close(): Promise<void>;
  reload(): Promise<unknown>;
  readonly failed: Promise<Error>;
}

/**
 * Waits until a gateway ends. SIGTERM or SIGINT drains it (status 0), a second signal calls `exit` at once, and SIGHUP reloads
 * it unless it drains. Rejects with the error that ended it.
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
        // gateway.reload() logs and counts its own failures.
        if (!draining) gateway.reload().catch(() => {});
      });
    }
    void gateway.failed.then(reject);
  });
}
