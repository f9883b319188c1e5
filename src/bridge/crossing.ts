import type { Caller, Outgoing, Target } from '../protocol/ports.js';

/** A request between a client and an upstream of which at least one is modern. */
export interface Crossing {
  readonly out: Outgoing;
  readonly target: Target;
  readonly caller: Caller;
  /** It came in on the merged endpoint, where questions are marked with the server that asks. */
  readonly merged: boolean;
  /** `Mcp-Param-*` and other headers to pass on: names and values, a flat list. */
  readonly foreign: readonly string[];
  /** The route that the request came in on: `/mcp`, `/servers/<name>/mcp`. */
  readonly route: string;
  /** The name or URI that the client sent. */
  readonly name: string;
  /** URLs that the client has opened for this call. */
  readonly opened?: ReadonlySet<string> | undefined;
}
