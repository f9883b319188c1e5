/** Handles exceptions that no boundary has caught: they are bugs, and end the process. */
import type { Logger } from '../observe/log.js';

/** How long `drain` may take. */
const GRACE_MS = 5000;
/** Exit status after a bug (sysexits.h, EX_SOFTWARE). */
const SOFTWARE_FAULT = 70;

export interface UncaughtHandlers {
  /** Removes the handlers, before the process ends normally. */
  release(): void;
}

/**
 * Installs handlers that log uncaught exceptions and rejections. After the first one, `drain` runs and the process exits with a non-zero
 * status, at the latest after 5 s. The library does not install these handlers.
 */
export function handleUncaught(options: {
  logger: Logger;
  drain: () => Promise<void>;
  exit: (status: number) => void;
}): UncaughtHandlers {
  const { logger, drain, exit } = options;
  let isEnding = false;
  const onUncaught = (thrown: unknown): void => {
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    logger.error('uncaught exception: shutting down', { error });
    if (isEnding) return;
    isEnding = true;
    const leave = (): void => {
      exit(SOFTWARE_FAULT);
    };
    setTimeout(leave, GRACE_MS);
    drain().then(leave, leave);
  };
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
  return {
    release() {
      process.off('uncaughtException', onUncaught);
      process.off('unhandledRejection', onUncaught);
    },
  };
}
