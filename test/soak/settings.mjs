// What several parts of the soak agree on.

/** A session without a request ends after this, in seconds. */
export const IDLE_S = 20;
/** Keys of the clients; each is a principal. */
export const KEYS = 8;
