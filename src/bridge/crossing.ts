import type { Caller, Outgoing, Target } from '../protocol/ports.js';

/** One request on its way over the bridge. */
export interface Crossing {
  readonly out: Outgoing;
  readonly target: Target;
  readonly caller: Caller;
  /** The merged endpoint: there an upstream must not ask in another's name. */
  readonly merged: boolean;
  /** Header lines of the client's request that only the upstream may understand, a flat list. */
  readonly foreign: readonly string[];
  /** Where the request came in: `/mcp`, `/servers/<name>/mcp`. */
  readonly route: string;
  /** The name or URI as the client wrote it. */
  readonly name: string;
  /** URLs that the client has opened for this call. */
  readonly opened?: ReadonlySet<string> | undefined;
}
