/** The last net of the command line: an exception that no boundary caught is a fault of the gateway and ends the process. */
import type { Logger } from '../observe/log.js';

/** A drain that takes longer is cut short. */
const LAST_GRACE_MS = 5000;
/** Exit status after a fault (sysexits.h, EX_SOFTWARE). */
const SOFTWARE_FAULT = 70;

export interface LastNet {
  /** The process is about to end by itself: the net is taken down. */
  release(): void;
}

/**
 * Logs what nobody caught, lets `drain` end what is under way, and exits non-zero, at the latest after 5 s. What is thrown
 * meanwhile is logged as well and changes nothing. The library installs no such handler.
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
