import { GatewayError } from '../../errors.js';

/** Something was lost when a session was opened, and another session is to be opened: the attempt is not one that failed. */
export class OpeningLost extends GatewayError {
  constructor(text: string) {
    super('upstream_disconnected', text);
  }
}

/**
 * What was lost on the way when a session was opened: `notifications/initialized`, or a subscription that the session before had. The server
 * answers, but lacks tools that depend on the client, or does not notify. So another session is opened. A server that seems always to lose it
 * is taken as it is: it may answer 500 to any notification.
 */
export class Losses {
  #wasLost = false;
  #sessions = 0;

  /**
   * A session is being opened. Returns what counts the outcome, and says whether another session is to be opened. `isLost`: whether something
   * was lost. What turns out about an older session does not count.
   */
  begin(): (isLost: boolean) => boolean {
    const number = ++this.#sessions;
    return (isLost) => {
      if (number !== this.#sessions) return false;
      const isFirst = isLost && !this.#wasLost;
      this.#wasLost = isLost;
      return isFirst;
    };
  }
}
