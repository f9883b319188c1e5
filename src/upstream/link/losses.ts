/**
 * What was lost on the way when a session was opened: `notifications/initialized`, or a subscription that the session before had. The server
 * answers, but lacks tools that depend on the client, or does not notify. So another session is opened. A server that seems always to lose it
 * is taken as it is: it may answer 500 to any notification.
 */
export class Losses {
  #wasLost = false;

  /** Returns whether another session is to be opened. `isLost`: whether something was lost in the one that was opened. */
  count(isLost: boolean): boolean {
    const isFirst = isLost && !this.#wasLost;
    this.#wasLost = isLost;
    return isFirst;
  }
}
