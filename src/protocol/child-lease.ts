/** The right to run the children of a server, which one replica of a fleet has at a time. Reading it costs two clocks. */
export interface ChildLease {
  /** Whether this process may start a child, and send to those it has. Asked before each message: timers may be late. */
  holds(): boolean;
  /** A child was started. Returns what has to be called once its process group has ended. */
  started(child: LeasedChild): () => void;
}

export interface LeasedChild {
  /** Kills the process group now. */
  readonly kill: () => void;
  /** The right, which had lapsed for a moment, is there again: what was kept back is sent. */
  readonly resume: () => void;
}
