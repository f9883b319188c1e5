/** Who calls a server: so that one principal leaves room for the others. */

/** How long a principal counts as one that calls a server, in ms: one that was refused tries again within this time. */
const RECENT_MS = 10_000;

interface Last {
  readonly principal: string;
  readonly at: number;
}

interface Server {
  /** Calls in progress, by principal. */
  readonly running: Map<string, number>;
  /** The last principal that called, and the last one before it. */
  last: Last | undefined;
  before: Last | undefined;
}

export class Shares {
  readonly #now: () => number;
  readonly #servers = new Map<string, Server>();

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether a principal may have one more call. `most`: how many it may have while others call the server. */
  hasRoom(name: string, principal: string, most: number): boolean {
    const server = this.#of(name);
    const now = this.#now();
    if (server.last?.principal !== principal) server.before = server.last;
    server.last = { principal, at: now };
    const own = server.running.get(principal) ?? 0;
    if (own < most) return true;
    const isRecent = server.before !== undefined && now - server.before.at < RECENT_MS;
    return !isRecent && server.running.size <= (own > 0 ? 1 : 0);
  }

  /** Counts a call. Returns what to call when it is over. */
  enter(name: string, principal: string): () => void {
    const { running } = this.#of(name);
    running.set(principal, (running.get(principal) ?? 0) + 1);
    return () => {
      const count = (running.get(principal) ?? 1) - 1;
      if (count > 0) running.set(principal, count);
      else running.delete(principal);
    };
  }

  /** There are as many as servers in the configurations so far. */
  #of(name: string): Server {
    let server = this.#servers.get(name);
    if (!server)
      this.#servers.set(name, (server = { running: new Map(), last: undefined, before: undefined }));
    return server;
  }
}
