/** Handles exceptions that no boundary has caught: they are bugs, and end the process. */
import type { Logger } from '../observe/log.js';

/** How long the drain may take. */
const LAST_GRACE_MS = 5000;
/** Exit status after a bug (sysexits.h, EX_SOFTWARE). */
const SOFTWARE_FAULT = 70;

export interface LastNet {
  /** Removes the handlers, before the process ends normally. */
  release(): void;
}

/**
 * Logs an uncaught exception, runs `drain`, and exits with a non-zero status after 5 s at most. Further exceptions are only
 * logged. The library installs no such handlers.
 */
export function installLastNet(options: {
  logger: Logger;
  drain: () => Promise<void>;
  exit: (status: number) => void;
}): LastNet {
  const { logger, drain, exit } = options;
  let falling = false;
  const fall = (thrown: unknown): void => {
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    logger.error('uncaught exception: shutting down', { error });
    if (falling) return;
    falling = true;
    const leave = (): void => {
      exit(SOFTWARE_FAULT);
    };
    setTimeout(leave, LAST_GRACE_MS);
    drain().then(leave, leave);
  };
  process.on('uncaughtException', fall);
  process.on('unhandledRejection', fall);
  return {
    release() {
      process.off('uncaughtException', fall);
      process.off('unhandledRejection', fall);
    },
  };
}
